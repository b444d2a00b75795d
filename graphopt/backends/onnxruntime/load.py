"""Open and run an ONNX Runtime region of an artifact. Imports no compiler room."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graphopt.backends.executable import WEIGHTS_NAME, Array, Executable, RegionBlob, TensorInfo
from graphopt.backends.onnxruntime.cuda import CudaProvider, find_provider, gpu_here, open_on_gpu
from graphopt.backends.onnxruntime.session import (
    explain_failure,
    new_options,
    open_session,
    plan_memory,
    session_inputs,
    session_outputs,
)
from graphopt.backends.onnxruntime.values import run_function
from graphopt.errors import ArtifactError, FeedError


def load(blob: RegionBlob) -> Executable:
    """Open a region. In a folder its weights are mapped, from a packed file they are copied once.

    A region of an artifact for a GPU runs there where ONNX Runtime has its provider for it, else on the
    CPU, which its ``notices`` say on a machine that has a GPU.

    Raises:
        BackendError: onnxruntime is missing or too old for the region.
        ArtifactError: the region's options are malformed.
    """
    config = blob.options.get("session_config", {})
    if not isinstance(config, dict) or not all(isinstance(v, str) for v in config.values()):
        raise ArtifactError("a region's session_config is not an object of strings")
    options = new_options(threads=blob.threads, optimise=True, config=config)
    nodes = blob.options.get("nodes", 0)
    if not isinstance(nodes, int):
        raise ArtifactError("a region's number of nodes is not an integer")
    plan_memory(options, nodes)
    # Whatever file the untrusted bytes name, onnxruntime looks for it here and nowhere else. A packed
    # artifact is no folder: there it finds what is handed over, and nothing besides.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", blob.folder)
    if blob.weights is not None and not Path(blob.folder).is_dir():
        options.add_external_initializers_from_files_in_memory(
            [WEIGHTS_NAME], [blob.weights], [blob.weights.nbytes]
        )
    if not blob.alone or blob.target.get("kind") == "cuda":
        # What runs before and after it wants the cores, and every region has a pool of its own.
        options.add_session_config_entry("session.force_spinning_stop", "1")
    if blob.target.get("kind") != "cuda":
        return OnnxRuntimeExecutable(open_session(bytes(blob.data), options))
    provider = find_provider(blob.device)
    if isinstance(provider, CudaProvider) and (found := open_on_gpu(bytes(blob.data), options, provider)):
        return found
    on_cpu = OnnxRuntimeExecutable(open_session(bytes(blob.data), options))
    reason = provider if isinstance(provider, str) else "its CUDA provider does not load"
    if gpu_here(blob.device):
        on_cpu.notices = (f"onnxruntime's regions run on the CPU: {reason}",)
    return on_cpu


class OnnxRuntimeExecutable:
    """An open session. ``run`` is thread-safe and releases the GIL while it computes.

    Attributes:
        inputs: what it takes.
        outputs: what it gives.
        notices: what a person should know about running it here.
    """

    def __init__(self, session: Any) -> None:
        """``session`` is onnxruntime's compiled one (see ``open_session``)."""
        self.inputs: tuple[TensorInfo, ...] = session_inputs(session)
        self.outputs: tuple[TensorInfo, ...] = session_outputs(session)
        self._run = run_function(session, self.inputs, self.outputs)
        self._names = [info.name for info in self.outputs]
        self._num_inputs = len(self.inputs)
        self.notices: tuple[str, ...] = ()
        self._only_tensors = not any("(" in info.dtype for info in self.inputs)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute every output.

        Args:
            feeds: an array for each input, of its dtype and shape.

        Raises:
            FeedError: something is missing, unknown or does not fit; the message says what is expected.
            BackendError: the computation failed; the message names the node.
        """
        try:
            # ONNX Runtime itself checks names, dtypes and shapes. It takes a missing feed for an
            # omitted optional operand, and reads foreign byte order as its own.
            if len(feeds) != self._num_inputs:
                self._check_missing(feeds)
            for array in feeds.values() if self._only_tensors else ():
                if not array.dtype.isnative:
                    raise FeedError("an input has foreign byte order")
            return dict(zip(self._names, self._run(self._names, feeds, None), strict=True))
        except MemoryError:
            raise
        except Exception as error:
            raise explain_failure(error, self.inputs, feeds) from error

    def _check_missing(self, feeds: Mapping[str, Array]) -> None:
        missing = [info.name for info in self.inputs if info.name not in feeds and not info.optional]
        if missing:
            raise FeedError(f"input '{missing[0]}' is missing")
