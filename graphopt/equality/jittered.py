"""Run the original, and the original with jittered weights, without building a session each time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.equality.arrays import Array, flatten_outputs
from graphopt.equality.jitter import holds_exact_values, jitter
from graphopt.equality.lift import Lifted, inlined, lift
from graphopt.errors import BackendError
from graphopt.pipeline.protocols import Runner, RunnerFactory

QUANTISERS = ("QuantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "Round")

Run = Callable[[Mapping[str, Array]], dict[str, Array]]


class JitteredModel:
    """A model whose weights and inputs can be moved by one ulp, its own or that of a lower precision.

    Memory: the weights as the model holds them, plus one jittered copy while a jitter is in use.
    """

    def __init__(
        self, model: ir.Model, make_runner: RunnerFactory, precision: npt.DTypeLike | None = None
    ) -> None:
        """Build the session of the original; ``precision`` is the dtype to move by one ulp of.

        Raises:
            BackendError: the model cannot be run.
        """
        self._make_runner = make_runner
        self._precision = precision
        self._lifted, self._runner = _build(model, make_runner)
        self._moved: dict[str, Array] = {}

    @property
    def quantises(self) -> bool:
        """Whether activations are rounded to integers on the way, which makes noise jump."""
        return any(
            n.op_type in QUANTISERS or "Quant" in n.op_type for n in self._lifted.model.graph.all_nodes()
        )

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs of the original; raises FeedError or BackendError.

        They are copies: a runtime's own output keeps the whole arena alive that it was carved from.
        """
        outputs = flatten_outputs(self._runner.run({**self._lifted.fed, **feeds}))
        return {name: y.copy() for name, y in outputs.items()}

    def jittered(self, rng: np.random.Generator) -> Run:
        """A function like ``run`` for the original with its weights moved, and the inputs at each call.

        The arrays are reused: the previous such function may not be called any more.
        """
        for name, array in self._lifted.fed.items():
            self._moved[name] = jitter(array, rng, self._moved.get(name), self._precision)
        runner = self._bake(rng) if self._lifted.baked else self._runner

        def run(feeds: Mapping[str, Array]) -> dict[str, Array]:
            return flatten_outputs(runner.run({**self._moved, **self.move_inputs(feeds, rng)}))

        return run

    def move_inputs(self, feeds: Mapping[str, Array], rng: np.random.Generator) -> dict[str, Array]:
        """The float inputs moved by ±1 ulp; masks, counts and what reaches a shape or index stay."""
        return {
            name: array
            if not isinstance(array, np.ndarray)  # a sequence or an optional stays
            or name in self._lifted.steady_inputs
            or holds_exact_values(array, is_input=True)
            else jitter(np.asarray(array, order="C"), rng, precision=self._precision)
            for name, array in feeds.items()
        }

    def _bake(self, rng: np.random.Generator) -> Runner:
        """A session with jittered constants, for the weights that may not be inputs."""
        initializers = self._lifted.model.graph.initializers
        originals = {name: initializers[name].const_value for name in self._lifted.baked}
        try:
            for name, array in self._lifted.baked.items():
                original = originals[name]
                assert original is not None
                initializers[name].const_value = ir.Tensor(
                    jitter(array, rng, precision=self._precision), original.dtype, name=name
                )
            return self._make_runner(self._lifted.model)
        finally:
            for name, tensor in originals.items():
                initializers[name].const_value = tensor


def _build(model: ir.Model, make_runner: RunnerFactory) -> tuple[Lifted, Runner]:
    lifted = lift(inlined(model))
    try:
        return lifted, make_runner(lifted.model)
    except BackendError:
        if not lifted.fed:
            raise
    # Some operator insists on constant weights: keep all of them inside.
    lifted = lift(inlined(model), feed_weights=False)
    return lifted, make_runner(lifted.model)
