"""Deliberately wrong rewrites of real models are each judged semantic; peers' rounding is forgiven."""

import importlib.util
import pickle
import subprocess
import sys

import numpy as np
import pytest

from graphopt.equality.verdict import Verdict
from graphopt.ir.load import load_model
from tests.equality.models import prepare, unoptimised
from tests.equality.wrong import WRONG, constants, put, swap_outputs

pytestmark = pytest.mark.zoo

SMALL = ("ppocr_cls", "ppocr_det", "ppocr_rec", "silero_vad", "magika", "basic_pitch", "bert_minilm_l3")
LARGE = ("picodet_layout", "terrain_unet", "vit_s_focus")


@pytest.fixture(scope="module")
def oracles(zoo):
    known = {}

    def of(name):
        if name not in known:
            model = load_model(zoo(name))
            known[name] = model, prepare(model)
        return known[name]

    return of


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_rewrites_of_a_transformer(oracles, wrong):
    model, oracle = oracles("bert_minilm_l3")
    changed = model.clone()
    assert WRONG[wrong](changed)
    report = oracle.judge(unoptimised(changed))
    assert report.verdict is Verdict.SEMANTIC, report.sentence()


@pytest.mark.parametrize("name", ["basic_pitch", "bert_minilm_l3"])
def test_swapped_outputs(oracles, name):
    model, oracle = oracles(name)
    changed = model.clone()
    assert swap_outputs(changed)
    assert [v.name for v in changed.graph.outputs] == [v.name for v in model.graph.outputs]
    assert oracle.judge(unoptimised(changed)).verdict is Verdict.SEMANTIC


@pytest.mark.parametrize("name", ["ppocr_cls", "ppocr_rec", "silero_vad"])
def test_a_scaled_convolution(oracles, name):
    """Both branches of silero are looked at: each holds half of the weights."""
    model, oracle = oracles(name)
    count = sum(1 for _, a in constants(model) if a.ndim >= 3 and a.size > 512)
    for which in (0, count // 2):
        changed = model.clone()
        holder, array = [(h, a) for h, a in constants(changed) if a.ndim >= 3 and a.size > 512][which]
        put(holder, array * np.float32(1.0001))
        report = oracle.judge(unoptimised(changed))
        assert report.verdict is Verdict.SEMANTIC, f"{holder.name}: {report.sentence()}"


class Peer:
    """ONNX Runtime at one of its own levels."""

    def __init__(self, path, level):
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, f"ORT_ENABLE_{level}")
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(self, feeds):
        names = [output.name for output in self._session.get_outputs()]
        return dict(zip(names, self._session.run(names, dict(feeds)), strict=True))


@pytest.mark.parametrize("name", SMALL)
def test_onnxruntime_levels_are_rounding(zoo, oracles, name):
    _, oracle = oracles(name)
    for level in ("BASIC", "EXTENDED", "ALL"):
        report = oracle.judge(Peer(zoo(name), level))
        assert report.equal, f"{level}: {report.sentence()}"


@pytest.mark.soak
@pytest.mark.parametrize("name", LARGE)
def test_onnxruntime_levels_are_rounding_on_large_models(zoo, oracles, name):
    test_onnxruntime_levels_are_rounding(zoo, oracles, name)


OPENVINO = """
import pickle, sys
import numpy as np, openvino
feeds, outputs = pickle.load(sys.stdin.buffer)
core = openvino.Core()
try:
    model = core.read_model(sys.argv[1])
except RuntimeError as error:
    print(str(error).strip().splitlines()[-1], file=sys.stderr)
    sys.exit(7)
options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
compiled = core.compile_model(model, "CPU", options)
results = []
for feed in feeds:
    values = compiled.create_infer_request().infer(list(feed.values()))
    results.append({name: np.array(values[i]) for i, name in enumerate(outputs)})
sys.stdout.buffer.write(pickle.dumps(results))
"""


class Recorded:
    """Outputs that another process computed."""

    def __init__(self, oracle, results):
        self._results = {id(feed.values): r for feed, r in zip(oracle.feeds, results, strict=True)}

    def run(self, feeds):
        return self._results[id(feeds)]


@pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="openvino is not installed")
@pytest.mark.parametrize("name", ["ppocr_det", "ppocr_rec", "magika", "basic_pitch", "bert_minilm_l3"])
def test_openvino_in_float32_is_rounding(zoo, oracles, name):
    model, oracle = oracles(name)
    names = [value.name for value in model.graph.inputs]
    feeds = [{n: np.asarray(feed.values[n]) for n in names} for feed in oracle.feeds]
    done = subprocess.run(
        [sys.executable, "-c", OPENVINO, str(zoo(name))],
        input=pickle.dumps((feeds, [value.name for value in model.graph.outputs])),
        capture_output=True,
        timeout=120,
        check=False,
    )
    if done.returncode == 7:
        pytest.skip(f"OpenVINO cannot read the model: {done.stderr.decode().strip()}")
    assert done.returncode == 0, done.stderr.decode()
    report = oracle.judge(Recorded(oracle, pickle.loads(done.stdout)))
    assert report.equal, report.sentence()
