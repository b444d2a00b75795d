"""Sessions: one region or several, many threads, errors in terms of the model."""

import gc
import threading
import time
import weakref

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.artifact.pack import pack
from graphopt.backends.onnxruntime.backend import OnnxRuntimeBackend
from graphopt.backends.onnxruntime.runner import make_runner
from graphopt.errors import BackendError, FeedError
from graphopt.runtime.schedule import Schedule, Step, plan
from graphopt.runtime.session import load
from graphopt.targets.host import host_target
from graphopt.targets.threads import available_threads

from .conftest import feeds, mixed_model, write


@pytest.mark.parametrize("condition", [True, False])
@pytest.mark.parametrize("kind", ["mixed", "single"])
def test_regions_together_compute_what_the_model_does(kind, condition, request, tmp_path):
    path, model = request.getfixturevalue(kind)
    expected = make_runner(model, optimise=False, threads=1).run(feeds(condition=condition))
    for session in (load(path), load(pack(path, tmp_path / "one.gopt"))):
        actual = session.run(feeds(condition=condition))
        assert list(actual) == ["y", "same", "unused"]
        for name, value in expected.items():
            # Two implementations of tanh and sin: a few units in the last place apart.
            np.testing.assert_array_max_ulp(actual[name], value, maxulp=64 if kind == "mixed" else 4)


def test_the_signature_is_the_models_own(mixed, single):
    for path, _ in (mixed, single):
        session = load(path)
        assert [str(info) for info in session.inputs] == [
            "x: float32[N, 500]",
            "c: bool[]",
            "unused: float32[1]",
        ]
        assert [info.name for info in session.outputs] == ["y", "same", "unused"]
        assert session.outputs[0].shape == ("N", 500)
        assert session.notices == ()


@pytest.mark.parametrize("kind", ["mixed", "single"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": None}, "input 'x' is missing"),
        ({"z": np.ones(1)}, "there is no input 'z'"),
        ({"x": np.ones((3, 500))}, r"input 'x' has dtype float64 \(expected x: float32\[N, 500\]\)"),
        ({"x": np.ones((3, 500), ">f4")}, "input 'x' has dtype >f4"),
        ({"x": np.ones((3, 7), "f4")}, r"axis 1 is 7 instead of 500 \(expected x: float32\[N, 500\]\)"),
        ({"x": np.ones(500, "f4")}, "rank 1 instead of 2"),
        ({"x": [1.0]}, "is a list, not a numpy array"),
        ({"x": np.array([["a"]])}, "has dtype <U1"),
    ],
)
def test_feeds_that_do_not_fit_are_explained(kind, change, message, request):
    session = load(request.getfixturevalue(kind)[0])
    wrong = feeds() | change
    with pytest.raises(FeedError, match=message) as caught:
        session.run(wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["mixed", "single"])
def test_a_missing_input_is_named_with_what_is_expected(kind, request):
    session = load(request.getfixturevalue(kind)[0])
    with pytest.raises(FeedError, match=r"input 'c' is missing \(expected x: float32\[N, 500\], c: bool"):
        session.run({"x": feeds()["x"], "unused": feeds()["unused"]})


@pytest.mark.parametrize("kind", ["mixed", "single"])
def test_many_threads_share_one_session(kind, request):
    session = load(request.getfixturevalue(kind)[0])
    expected = {seed: session.run(feeds(seed + 1, seed % 2 == 0, seed)) for seed in range(6)}
    wrong = []

    def work(seed):
        for _ in range(10):
            actual = session.run(feeds(seed + 1, seed % 2 == 0, seed))
            wrong.extend(n for n, v in expected[seed].items() if not np.array_equal(actual[n], v))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.timing
def test_the_gil_is_free_while_a_region_computes(tmp_path):
    model = ir.from_onnx_text(
        '<ir_version: 10, opset_import: ["" : 21]>\n'
        "g (float[N, N] x) => (float[N, N] y) { a = MatMul(x, x) b = MatMul(a, x) y = MatMul(b, x) }"
    )
    write(tmp_path / "model.gopt", model, (OnnxRuntimeBackend(),))
    session = load(tmp_path / "model.gopt")
    x = np.ones((900, 900), np.float32)
    done = threading.Event()
    ticks = []

    def tick():
        while not done.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0)

    ticker = threading.Thread(target=tick)
    ticker.start()
    start = time.perf_counter()
    session.run({"x": x})
    end = time.perf_counter()
    done.set()
    ticker.join()
    inside = [t for t in ticks if start < t < end]
    # Holding the GIL, the run would show up as one gap of its whole length.
    gaps = np.diff([start, *inside, end])
    assert gaps.max() < 0.9 * (end - start)


def test_the_schedule_lets_go_of_values_after_their_last_use(mixed):
    manifest = load(mixed[0]).artifact.manifest
    seen = []

    class Watched:
        """Returns fresh arrays and looks at which earlier ones are still alive when it starts."""

        inputs = ()
        outputs = ()

        def __init__(self, region):
            self.region = region

        def run(self, arrays):
            gc.collect()
            seen.append({name for name, ref in refs.items() if ref() is not None})
            made = {name: np.ones(3, np.float32) for name in self.region.outputs}
            refs.update({name: weakref.ref(array) for name, array in made.items()})
            return made

    refs = {}
    schedule = plan(
        manifest.regions, [Watched(region) for region in manifest.regions], manifest.inputs, manifest.outputs
    )
    schedule.run(feeds())
    outputs = {info.name for info in manifest.outputs}
    for index, alive in enumerate(seen):
        later = {name for region in manifest.regions[index:] for name in region.inputs}
        assert alive <= later | outputs


def test_a_failing_region_is_a_backend_error_that_names_the_node():
    class Broken:
        inputs = ()
        outputs = ()

        def run(self, arrays):
            raise BackendError("onnxruntime failed: node 'n' (MatMul): no")

    with pytest.raises(BackendError, match="node 'n'"):
        Schedule([Step(Broken(), (), ())], (), ()).run({})


def test_threads_come_from_the_argument_the_artifact_or_the_machine(tmp_path):
    model = mixed_model()
    write(tmp_path / "two.gopt", model, (OnnxRuntimeBackend(),), threads=2)
    write(tmp_path / "none.gopt", model, (OnnxRuntimeBackend(),), threads=None)
    assert load(tmp_path / "two.gopt").threads == 2
    assert load(tmp_path / "two.gopt", threads=1).threads == 1
    assert load(tmp_path / "none.gopt").threads == available_threads()


def test_another_cpu_is_a_notice_and_the_answer_is_the_same(tmp_path, caplog):
    foreign = host_target().to_json() | {"hardware_class": "x86_64-avx2-l1d32k-l2256k-l38192k-4c"}
    write(tmp_path / "model.gopt", mixed_model(), (OnnxRuntimeBackend(),), target=foreign)
    # The command line silences the logger of its process, which may be this one.
    caplog.set_level("WARNING", logger="graphopt")
    session = load(tmp_path / "model.gopt")
    (notice,) = session.notices
    assert "compiled for x86_64-avx2-l1d32k-l2256k-l38192k-4c, running on" in notice
    assert notice in caplog.text
    assert session.run(feeds())["y"].shape == (3, 500)


def test_an_artifact_replaced_while_it_is_opened_is_never_a_mixture(tmp_path):
    path = tmp_path / "model.gopt"

    def constant(value):
        model = ir.from_onnx_text(
            '<ir_version: 10, opset_import: ["" : 21]>\n'
            f"g (float[500] x) => (float[500] y) <float[1] c = {{{value}}}, float[500] w = {{0}}> "
            "{ d = Mul(x, c) y = Add(d, w) }"
        )
        model.graph.initializers["w"].const_value = ir.tensor(np.full(500, value, np.float32), name="w")
        return model

    models = [constant(0), constant(1)]
    write(path, models[0], (OnnxRuntimeBackend(),))
    done = threading.Event()

    def rewrite():
        for index in range(20):
            write(path, models[index % 2], (OnnxRuntimeBackend(),))
        done.set()

    writer = threading.Thread(target=rewrite)
    writer.start()
    answers = set()
    while not done.is_set():
        answers.update(load(path, threads=1).run({"x": np.ones(500, np.float32)})["y"].tolist())
    writer.join()
    assert answers <= {0.0, 2.0}
    assert [p.name for p in tmp_path.iterdir()] == ["model.gopt"]


def test_sequences_and_optionals_go_in_and_come_out(tmp_path):
    model = ir.from_onnx_text(
        '<ir_version: 10, opset_import: ["" : 21]>\n'
        "g (seq(float[N]) xs, float[1] x) => (float[M] joined, seq(float[N]) longer) {\n"
        "  longer = SequenceInsert(xs, x)\n  joined = ConcatFromSequence <axis = 0> (longer)\n}"
    )
    write(tmp_path / "model.gopt", model, (OnnxRuntimeBackend(),))
    session = load(tmp_path / "model.gopt")
    assert session.inputs[0].dtype == "seq(tensor(float32))"
    xs = [np.ones(2, np.float32), np.zeros(1, np.float32)]
    outputs = session.run({"xs": xs, "x": np.full(1, 7, np.float32)})
    np.testing.assert_array_equal(outputs["joined"], [1, 1, 0, 7])
    assert [len(array) for array in outputs["longer"]] == [2, 1, 1]
