"""Open and run an ONNX Runtime region of an artifact. Imports no compiler room."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphopt.backends.executable import Array, RegionBlob, TensorInfo
from graphopt.backends.onnxruntime.session import (
    explain_failure,
    new_options,
    open_session,
    session_inputs,
    session_outputs,
)
from graphopt.backends.onnxruntime.weights import attach_weights
from graphopt.errors import ArtifactError, FeedError


def load(blob: RegionBlob) -> OnnxRuntimeExecutable:
    """Open a region; its weights are used where they lie in the artifact.

    Raises:
        BackendError: onnxruntime is missing or too old for the region.
        ArtifactError: the region's options are malformed.
    """
    config = blob.options.get("session_config", {})
    if not isinstance(config, dict) or not all(isinstance(v, str) for v in config.values()):
        raise ArtifactError("a region's session_config is not an object of strings")
    options = new_options(threads=blob.threads, optimise=True, config=config)
    # Whatever file the untrusted bytes name, onnxruntime looks for it here and nowhere else.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", blob.folder)
    weights_file = blob.options.get("weights_file")
    if isinstance(weights_file, str) and blob.weights is not None:
        options.add_external_initializers_from_files_in_memory(
            [weights_file], [blob.weights], [blob.weights.nbytes]
        )
    weights = attach_weights(options, blob.options.get("initializers", {}), blob.weights)
    return OnnxRuntimeExecutable(open_session(bytes(blob.data), options), (blob, weights))


class OnnxRuntimeExecutable:
    """An open session. ``run`` is thread-safe and releases the GIL while it computes."""

    def __init__(self, session: Any, keep_alive: object = None) -> None:
        """``keep_alive`` is held as long as the session: the memory its weights lie in."""
        self._keep_alive = keep_alive
        self._run = session.run
        self.inputs: tuple[TensorInfo, ...] = session_inputs(session)
        self.outputs: tuple[TensorInfo, ...] = session_outputs(session)
        self._names = [info.name for info in self.outputs]
        self._num_inputs = len(self.inputs)
        self._optional = {info.name for info in self.inputs if info.optional}

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
            for array in feeds.values():
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
