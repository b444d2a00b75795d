"""Real models compiled for a GPU, run on an imagined one: names, dtypes, profiles, borders of real regions.

Each engine is played by the very graph it would be built from.
"""

import pytest

import graphopt
from graphopt.backends.base import Unavailable
from graphopt.backends.flatten import flatten
from graphopt.backends.serialize import serialize
from graphopt.backends.tensorrt.backend import BACKEND, TensorRTBackend
from graphopt.runtime.session import load

from .fakes.tensorrt import make_plan
from .imagined import Tensor, imagine_gpu, sealed, take


def build(self, region, options):
    """An engine for the imagined TensorRT."""
    profiles = [
        {name: (shapes.least, shapes.usual, shapes.most) for name, shapes in profile.items()}
        for profile in options.engine.profiles
    ]
    plan = make_plan(serialize(flatten(region)), profiles=profiles)
    facts = {"module": "tensorrt_rtx", "version": "1.7.1.116"}
    return sealed(plan, facts | {"architectures": list(options.target.architectures)})


@pytest.mark.zoo
@pytest.mark.parametrize("name", ["magika", "silero_vad", "ppocr_cls"])
def test_a_compiled_model_runs_as_it_is_placed(name, zoo, tmp_path, monkeypatch):
    if isinstance(missing := BACKEND.availability(), Unavailable):
        pytest.skip(missing.reason)
    monkeypatch.setattr(TensorRTBackend, "build", build)
    feeds = zoo.feeds(name, 0)
    constants = ["sr=16000"] if name == "silero_vad" else []
    for text in constants:
        del feeds[text.partition("=")[0]]
    options = {"target": "cuda:sm_86", "constants": constants, "equality": "off", "measure": False}
    if name == "ppocr_cls":
        ranges = {"x": [[1, 3, 48, 192], [1, 3, 48, 192], [4, 3, 48, 192]]}
        for key, shape in zip(("min_shapes", "opt_shapes", "max_shapes"), ranges["x"], strict=True):
            options[key] = {next(iter(feeds)): shape}
    else:
        options["shapes"] = {key: list(array.shape) for key, array in feeds.items()}
    path = graphopt.compile(zoo(name), output=tmp_path / "model.gopt", **options).path
    with imagine_gpu(monkeypatch) as gpu:
        session = load(path)
        assert session.device is not None
        found = graphopt.verify(zoo(name), path, constants=constants, inputs=feeds)
        assert found.equal, found.sentence()
        expected = session.run(feeds)
        tensors = {key: Tensor(gpu.cuda, array, late=True) for key, array in feeds.items()}
        for cuda_graph in (False, True):
            outputs = load(path, cuda_graph=cuda_graph).run(tensors)
            for key, value in expected.items():
                assert take(gpu.cuda, outputs[key]).tobytes() == value.tobytes()
