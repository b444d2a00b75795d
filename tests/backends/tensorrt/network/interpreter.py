"""Runs a network as TensorRT's parser made it, layer by layer, on the CPU.

Without a GPU no engine runs; but what the engine is built from can: where the parser takes an operator for
another, or an attribute for its default, the results differ from the model's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import ml_dtypes
import numpy as np

from tests.backends.tensorrt.network.arithmetic import ARITHMETIC
from tests.backends.tensorrt.network.moves import MOVES
from tests.backends.tensorrt.network.unsupported import Unsupported
from tests.backends.tensorrt.network.windows import WINDOWS

LAYERS = {**MOVES, **ARITHMETIC, **WINDOWS}

_DTYPES = {
    "FLOAT": np.float32,
    "HALF": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "INT8": np.int8,
    "UINT8": np.uint8,
    "INT32": np.int32,
    "INT64": np.int64,
    "BOOL": np.bool_,
}
_SPELLED = {
    "PARAMETRIC_RELU": "IParametricReLULayer",
    "SOFTMAX": "ISoftMaxLayer",
    "TOPK": "ITopKLayer",
    "LRN": "ILRNLayer",
    "ELEMENTWISE": "IElementWiseLayer",
    "CONDITIONAL_INPUT": "IIfConditionalInputLayer",
    "CONDITIONAL_OUTPUT": "IIfConditionalOutputLayer",
}
_LOOP = ("RECURRENCE", "ITERATOR", "TRIP_LIMIT", "LOOP_OUTPUT")
_MOST_ROUNDS = 10_000


@dataclass
class Step:
    """One layer.

    Attributes:
        kind: of layer: "SHUFFLE" …
        layer: TensorRT's object, of its own class.
        reads: names of the tensors it reads, None where it has no input there.
        makes: its outputs.
    """

    kind: str
    layer: object
    reads: list[str | None] = field(default_factory=list)
    makes: list[object] = field(default_factory=list)


class Interpreter:
    """Runs one network.

    Args:
        api: the module of TensorRT.
        network: parsed; its parser must live as long.
    """

    def __init__(self, api, network):
        self._network = network
        self._steps = [_step(api, network.get_layer(index)) for index in range(network.num_layers)]
        self._loops = {step.layer.loop.name for step in self._steps if step.kind in _LOOP}
        self._inside = self._find_inside()

    def run(self, feeds):
        """Name → array of every output."""
        values = {}
        for index in range(self._network.num_inputs):
            name = self._network.get_input(index).name
            given = name if name in feeds else name.removeprefix("__")  # an input that is an output, too
            if given not in feeds:
                raise Unsupported(f"no feed for {name}")
            values[name] = np.asarray(feeds[given])
        outside = [s for s in self._steps if s.kind not in _LOOP and not self._loop_of(s)]
        self._run_all(outside, values, set(self._loops))
        outputs = [self._network.get_output(index).name for index in range(self._network.num_outputs)]
        return {name: values[name] for name in outputs}

    def _run_all(self, steps, values, loops):
        """Run steps as their inputs come, and loops as soon as all they read from outside is there."""
        left = list(steps)
        while left or loops:
            waiting = [step for step in left if not self._run_if_ready(step, values)]
            ready = [loop for loop in loops if self._needs(loop) <= values.keys()]
            for loop in ready:
                self._run_loop(loop, values)
                loops.discard(loop)
            if len(waiting) == len(left) and not ready:
                raise Unsupported(f"order of {[step.kind for step in waiting][:3]}")
            left = waiting

    def _run_if_ready(self, step, values):
        if not all(name is None or name in values for name in step.reads):
            return False
        inputs = [None if name is None else values[name] for name in step.reads]
        with np.errstate(all="ignore"):
            results = self._compute(step, inputs, values)
        for tensor, result in zip(step.makes, results, strict=False):
            values[tensor.name] = _as_declared(tensor, np.asarray(result))
        return True

    def _compute(self, step, inputs, values):
        if step.kind in ("ASSERTION", "CONDITION"):
            return []
        if step.kind == "CONDITIONAL_INPUT":
            return inputs
        if step.kind == "CONDITIONAL_OUTPUT":  # both branches were computed: nothing has side effects
            return [inputs[0] if self._condition(step, values) else inputs[1]]
        if step.kind not in LAYERS:
            raise Unsupported(f"layer {step.kind}")
        shape = tuple(step.makes[0].shape)
        results = LAYERS[step.kind](step.layer, inputs, shape if min(shape, default=0) >= 0 else None)
        return results if isinstance(results, list) else [results]

    def _condition(self, step, values):
        name = step.layer.conditional.name
        same = (s for s in self._steps if s.kind == "CONDITION" and s.layer.conditional.name == name)
        return bool(values[next(same).reads[0]])

    def _find_inside(self):
        """Tensor name → the loop whose rounds it differs in."""
        inside = {
            s.makes[0].name: s.layer.loop.name for s in self._steps if s.kind in ("RECURRENCE", "ITERATOR")
        }
        grew = True
        while grew:
            before = len(inside)
            for step in self._steps:
                loop = next((inside[name] for name in step.reads if name in inside), None)
                if step.kind not in _LOOP and loop is not None:
                    inside.update(dict.fromkeys((tensor.name for tensor in step.makes), loop))
            grew = len(inside) > before
        return inside

    def _loop_of(self, step):
        return next((self._inside[tensor.name] for tensor in step.makes if tensor.name in self._inside), None)

    def _parts(self, loop):
        """The recurrences, iterators, limits and outputs of a loop."""
        own = [step for step in self._steps if step.kind in _LOOP and step.layer.loop.name == loop]
        return [[step for step in own if step.kind == kind] for kind in _LOOP]

    def _needs(self, loop):
        """What a loop reads from outside."""
        parts = [step for part in self._parts(loop) for step in part]
        body = [step for step in self._steps if self._loop_of(step) == loop]
        made = {tensor.name for step in (*parts, *body) for tensor in step.makes}
        return {name for step in (*parts, *body) for name in step.reads if name is not None} - made

    def _run_loop(self, loop, values):
        recurrences, iterators, limits, outputs = self._parts(loop)
        body = [s for s in self._steps if s.kind not in _LOOP and self._loop_of(s) == loop]
        counts = [int(values[s.reads[0]]) for s in limits if s.layer.kind.name == "COUNT"]
        conditions = [s.reads[0] for s in limits if s.layer.kind.name != "COUNT"]
        state = {step.makes[0].name: values[step.reads[0]] for step in recurrences}
        collected = {step.makes[0].name: [] for step in outputs}
        for index in range(min(counts, default=_MOST_ROUNDS)):
            local = {**values, **state}
            for step in iterators:
                array, axis = values[step.reads[0]], step.layer.axis
                position = array.shape[axis] - 1 - index if step.layer.reverse else index
                local[step.makes[0].name] = np.take(array, position, axis)
            self._run_all(body, local, set())
            if not all(bool(local[name]) for name in conditions):
                break
            for step in outputs:
                if step.layer.kind.name != "LAST_VALUE":
                    collected[step.makes[0].name].append(local[step.reads[0]])
            state = {step.makes[0].name: local[step.reads[1]] for step in recurrences}
        for step in outputs:
            values[step.makes[0].name] = _loop_output(step, state, collected[step.makes[0].name])


def _loop_output(step, state, rounds):
    kind, tensor = step.layer.kind.name, step.makes[0]
    if kind == "LAST_VALUE":
        if step.reads[0] not in state:
            raise Unsupported("the last value of something that is not carried along")
        return _as_declared(tensor, state[step.reads[0]])
    if not rounds:
        raise Unsupported("a loop without rounds")
    return _as_declared(tensor, np.stack(rounds if kind == "CONCATENATE" else rounds[::-1], step.layer.axis))


def _step(api, layer):
    kind = layer.type.name
    name = _SPELLED.get(kind, f"I{''.join(part.capitalize() for part in kind.split('_'))}Layer")
    if not hasattr(api, name):
        raise Unsupported(f"layer {kind}")
    layer.__class__ = getattr(api, name)
    inputs = [layer.get_input(index) for index in range(layer.num_inputs)]
    outputs = [layer.get_output(index) for index in range(layer.num_outputs)]
    reads = [None if tensor is None else tensor.name for tensor in inputs]
    return Step(kind, layer, reads, [tensor for tensor in outputs if tensor is not None])


def _as_declared(tensor, array):
    """An array in its tensor's dtype; its shape must be the tensor's."""
    if tensor.dtype.name not in _DTYPES:
        raise Unsupported(f"dtype {tensor.dtype.name}")
    declared = tuple(tensor.shape)
    assert len(declared) == array.ndim, f"{tensor.name}: {array.shape} instead of {declared}"
    assert all(a in (-1, b) for a, b in zip(declared, array.shape, strict=True)), tensor.name
    return array if array.dtype == _DTYPES[tensor.dtype.name] else array.astype(_DTYPES[tensor.dtype.name])
