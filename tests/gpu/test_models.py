"""Real models compiled for the GPU that is here: the artifact as it is run computes what the model does."""

import pytest

import graphopt
from benchmarks.workloads import frozen, sample
from graphopt.artifact.writer import ArtifactWriter
from graphopt.backends.base import BuildOptions
from graphopt.backends.onnxruntime.backend import BACKEND
from graphopt.backends.signature import model_inputs, model_outputs
from graphopt.ir.load import load_model
from graphopt.runtime.session import load
from graphopt.targets.parse import parse_target

MODELS = [
    "ppocr_cls",
    "magika",
    "basic_pitch",
    "bert_minilm_l3",
    "smart_turn_qdq",
    "vit_s_focus",
    "silero_vad",
]


@pytest.fixture(scope="module")
def compiled(zoo, tmp_path_factory):
    """Artifacts for this GPU, each compiled once."""
    made = {}

    def compiled_for(name, precision):
        if (name, precision) not in made:
            feeds = sample(name)
            path = tmp_path_factory.mktemp(name) / "model.gopt"
            done = graphopt.compile(
                zoo(name),
                output=path,
                target="cuda",
                precision=precision,
                shapes={key: list(array.shape) for key, array in feeds.items()},
                constants=frozen(name),
                measure=False,
            )
            made[name, precision] = path, done.report, feeds
        return made[name, precision]

    return compiled_for


@pytest.mark.zoo
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("name", MODELS)
def test_the_artifact_computes_what_the_model_does(name, precision, device, compiled, zoo):
    path, report, feeds = compiled(name, precision)
    assert report.equality["equal"]
    plain = load(path).run(feeds)
    recorded = load(path, cuda_graph=True)
    for _ in range(3):
        again = recorded.run(feeds)
    for output, value in plain.items():
        assert again[output].tobytes() == value.tobytes(), "a CUDA graph launches the same kernels"
    # At the precision it was compiled for, which verify reads from the artifact.
    shapes = {key: list(array.shape) for key, array in feeds.items()}
    found = graphopt.verify(zoo(name), path, constants=frozen(name), shapes=shapes)
    assert found.equal, found.sentence()
    assert not any("not run" in note for note in found.notes)


@pytest.mark.zoo
@pytest.mark.parametrize("name", MODELS)
def test_regions_on_onnxruntime_cuda_compute_what_the_model_does(name, device, zoo, tmp_path):
    from graphopt.backends.onnxruntime.cuda import find_provider

    provider = find_provider(0)
    if isinstance(provider, str):
        pytest.skip(provider)
    model = load_model(zoo(name))
    target = parse_target(f"cuda:{device.architecture}")
    names = [[info.name for info in infos] for infos in (model_inputs(model), model_outputs(model))]
    with ArtifactWriter(tmp_path / "model.gopt") as writer:
        writer.add_region(BACKEND.build(model, BuildOptions(target, 1, writer.weights)), *names)
        writer.add_model(model)
        writer.commit(
            inputs=model_inputs(model), outputs=model_outputs(model), threads=1, target=target.to_json()
        )
    session = load(tmp_path / "model.gopt")
    assert session.device is not None, session.notices
    shapes = {key: list(array.shape) for key, array in zoo.feeds(name, 0).items()}
    found = graphopt.verify(zoo(name), tmp_path / "model.gopt", shapes=shapes)
    assert found.equal, found.sentence()
