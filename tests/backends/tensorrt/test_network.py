"""The network TensorRT builds an engine from computes what the model computes.

The ONNX project's operator suite and real models are legalised, parsed by TensorRT's own parser, and the
network is interpreted on the CPU: what the parser misreads in silence shows here, without a GPU.
"""

import warnings
from functools import cache

import numpy as np
import onnx.numpy_helper
import onnx_ir as ir
import pytest

from graphopt.backends.tensorrt.backend import BACKEND
from graphopt.backends.tensorrt.building.files import model_outputs, region_files
from graphopt.backends.tensorrt.building.parse import check_outputs, parse
from graphopt.backends.tensorrt.building.request import BuildRefused
from graphopt.backends.tensorrt.claims import misread
from graphopt.backends.tensorrt.module import find_library
from graphopt.driver.legalize import legalization, legalize
from graphopt.driver.opt import import_model, optimize_model, pipeline
from graphopt.driver.runners import evaluator
from graphopt.passes.precision.convert_precision import ConvertPrecision
from graphopt.targets.parse import parse_target
from tests.backends.tensorrt.network.interpreter import Interpreter
from tests.backends.tensorrt.network.unsupported import Unsupported

SAMPLE = 12
"""Every so many cases of the suite run with the other tests; all of them with the soak tests."""

QUICK = ("basic_pitch", "magika", "ppocr_cls", "silero_vad")
LONG = (
    "bert_minilm_l3",
    "picodet_layout",
    "ppocr_det",
    "ppocr_rec",
    "t5_encoder_int8",
    "terrain_unet",
    "vit_s_focus",
)


@cache
def suite():
    """Name → case of the operator suite."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():  # it divides by zero on purpose
        warnings.simplefilter("ignore")
        found = collect_testcases(None)
    return {case.name: case for case in sorted(found, key=lambda case: case.name)}


def interpret(model, feeds):
    """What the network of a legalised model returns; BuildRefused or Unsupported where there is none."""
    target = parse_target("cuda:sm_86")
    nodes = [node for node in model.graph if node.op_identifier() not in model.functions]
    refused = [c.reason for node in nodes if not (c := BACKEND.claims(node, target)).accepted]
    if refused:
        raise BuildRefused(refused[0], "parse")
    legalize(model, legalization([BACKEND], target), BACKEND, target, evaluator())
    if found := misread(model):
        raise BuildRefused(next(iter(found.values())), "parse")
    library = find_library("tensorrt_rtx")
    with region_files(model) as files:
        parsing = parse(library, str(files.model))
        check_outputs(parsing, model_outputs(onnx.load_model_from_string(files.data)))
        return Interpreter(library.api, parsing.network).run(feeds)


def compare(case):
    """Whether the network of a case of the suite was run; fails when it returns something else."""
    inputs, expected = case.data_sets[0]
    if any(isinstance(one, (list, dict)) or one is None for one in (*inputs, *expected)):
        return False  # sequences and optionals: TensorRT has none
    feeds = {v.name: as_array(one) for v, one in zip(case.model.graph.input, inputs, strict=False)}
    try:
        model = import_model(case.model)
        found = interpret(model, feeds)
    except (BuildRefused, Unsupported):
        return False
    for output, array in zip(model.graph.outputs, expected, strict=False):
        assert_same(found[output.name], as_array(array), output.name)
    return True


def as_array(value):
    """What the suite gives for a tensor: an array, or a TensorProto where numpy has no such dtype."""
    return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)


def assert_same(found, expected, name, digits=None):
    """Equal up to the rounding of the dtype, or ``digits``: a misread attribute changes far more."""
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape), name
    if expected.dtype.kind in "iub" or not expected.size:
        assert np.array_equal(found, expected), name
        return
    found, wanted = (_masked(array.astype(np.float64)) for array in (found, expected))
    both = np.isfinite(found) & np.isfinite(wanted)
    assert np.array_equal(found[~both], wanted[~both], equal_nan=True), name
    digits = digits or {np.dtype(np.float32): 1e-4, np.dtype(np.float16): 1e-2}.get(expected.dtype, 5e-2)
    largest = np.abs(wanted[both]).max(initial=0.0)
    assert np.abs(found[both] - wanted[both]).max(initial=0.0) <= digits * max(largest, 1.0), name


def _masked(array):
    """A mask's least number stands for minus infinity: a softmax makes the same of both."""
    return np.where(array <= -1e38, -np.inf, array)


def run_cases(cases):
    """How many of the cases were run; every one that returns something else is named."""
    wrong, ran = {}, 0
    for case in cases:
        try:
            ran += compare(case)
        except AssertionError as error:
            wrong[case.name] = " ".join(str(error).split())[:120]
        except Exception as error:  # the interpreter's own limits must not hide as passes
            wrong[case.name] = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
    assert wrong == {}
    return ran


def test_networks_of_the_operator_suite():
    cases = list(suite().values())[::SAMPLE]
    assert run_cases(cases) > 0.4 * len(cases)


@pytest.mark.soak
def test_networks_of_the_whole_operator_suite():
    cases = list(suite().values())
    assert run_cases(cases) > 0.4 * len(cases)


def real_model(zoo, name, *more, digits=None):
    """A real model after the passes and ``more`` of them: the network must agree with the model itself."""
    import onnxruntime as ort

    feeds = zoo.feeds(name)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = ort.InferenceSession(str(zoo(name)), options, providers=["CPUExecutionProvider"])
    expected = dict(zip([one.name for one in session.get_outputs()], session.run(None, feeds), strict=True))
    constants = ["sr=16000"] if name == "silero_vad" else []
    shapes = {key: list(array.shape) for key, array in feeds.items() if array.ndim}
    model = import_model(zoo(name), shapes=shapes, constants=constants)
    optimize_model(model, (*pipeline(level=2), *more), evaluate=evaluator())
    found = interpret(ir.from_proto(ir.to_proto(model)), feeds)
    for key, array in expected.items():
        assert_same(found[key], array, key, digits)


@pytest.mark.zoo
def test_networks_in_a_lower_precision_stay_near_the_model(zoo):
    # Every tensor of the network is rounded to its own dtype: an overflow would show. (TensorRT does not
    # let Python read weights in bfloat16.)
    real_model(zoo, "magika", ConvertPrecision(to="float16"), digits=2e-2)


@pytest.mark.zoo
@pytest.mark.parametrize("name", QUICK)
def test_networks_of_real_models(zoo, name):
    real_model(zoo, name)


@pytest.mark.soak
@pytest.mark.zoo
@pytest.mark.parametrize("name", LONG)
def test_networks_of_larger_real_models(zoo, name):
    real_model(zoo, name)
