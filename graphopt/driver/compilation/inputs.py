"""What a compile begins with: the model as imported, the shapes it may meet, the feeds it is judged on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from graphopt.driver.compilation.ranges import Ranges, model_ranges, shape_specs
from graphopt.driver.opt import import_model
from graphopt.equality.feeds_user import user_feeds
from graphopt.errors import BackendError, FeedError, UsageError

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphopt.driver.compilation.options import CompileOptions
    from graphopt.driver.opt import Source
    from graphopt.equality.oracle import Inputs
    from graphopt.pipeline.protocols import RunnerFactory


def import_with_ranges(
    source: Source, options: CompileOptions, *, engines: bool
) -> tuple[ir.Model, Ranges | None]:
    """Load a model and apply what the person fixed or bounded about its inputs.

    Args:
        source: the model.
        options: of the compile.
        engines: whether engines are built: then every open dim needs a range.

    Returns:
        The model, and the ranges of its open dims; None where no engine is built.

    Raises:
        ModelError: the model is damaged or invalid.
        UsageError: a shape or value that does not fit, or an open dim nothing is said about.
    """
    from graphopt.ir.freeze import set_input_shapes

    if not engines:
        if options.min_shapes or options.opt_shapes or options.max_shapes:
            raise UsageError("ranges of shapes are for engines", "use --shape, or --target cuda:…")
        return import_model(source, shapes=options.shapes, constants=options.constants), None
    model = import_model(source, constants=options.constants)
    specs = shape_specs(model, options.shapes, options.min_shapes, options.opt_shapes, options.max_shapes)
    set_input_shapes(model, specs)
    return model, model_ranges(model, specs)


def runner_for(model: ir.Model) -> RunnerFactory:
    """What runs the original and whatever is made of it for a GPU.

    ONNX Runtime's CPU has no kernels in bfloat16 for most operators: such a model is emulated.
    """
    import onnx_ir as ir

    from graphopt.driver.runners import emulating_runner, oracle_runner
    from graphopt.ir.walk import constants

    values = (*model.graph.inputs, *model.graph.outputs)
    dtypes = {tensor.dtype for tensor in constants(model)} | {value.dtype for value in values}
    return emulating_runner if ir.DataType.BFLOAT16 in dtypes else oracle_runner


def feeds_within(
    model: ir.Model, ranges: Ranges, make_runner: RunnerFactory, *, seed: int = 0
) -> list[Mapping[str, Any]]:
    """Feeds for a model whose open dims have ranges: several of the usual size, one of each extreme.

    Raises:
        UsageError: the original does not run at one of these sizes.
    """
    from graphopt.equality.feeds import derive_feeds
    from graphopt.ir.freeze import set_input_shapes

    found: list[Mapping[str, Any]] = []
    wanted = (("usual", ranges.usual, 3), ("smallest", ranges.least, 1), ("largest", ranges.most, 1))
    for which, shapes, sets in wanted:
        fixed = model.clone()
        set_input_shapes(fixed, shapes)
        try:
            derived = derive_feeds(fixed, make_runner(fixed).run, value_sets=sets, seed=seed)
        except (FeedError, BackendError) as error:
            spelled = ", ".join(f"{name}:{_spelled(dims)}" for name, dims in shapes.items())
            raise UsageError(
                f"the model itself does not run at its {which} shapes {spelled}: {error.message}",
                "give other shapes, or your own --inputs",
            ) from error
        found += [feed.values for feed in derived.feeds]
    return found


def judging_inputs(
    model: ir.Model, ranges: Ranges | None, inputs: Inputs | None, make_runner: RunnerFactory
) -> Inputs | None:
    """The feeds equality is judged on: the person's, those within the ranges, or None for derived ones.

    Raises:
        UsageError: the person's feeds are outside the ranges, or the model does not run within them.
    """
    if not ranges:
        return inputs
    if inputs is None:
        return feeds_within(model, ranges, make_runner)
    for feed in user_feeds(model, inputs):
        for name, most in ranges.most.items():
            shape, least = np.shape(feed.values[name]), ranges.least[name]
            if not all(low <= size <= high for low, size, high in zip(least, shape, most, strict=True)):
                raise UsageError(
                    f"input '{name}' is given with shape {_spelled(shape)}, "
                    f"outside the range {_spelled(least)} to {_spelled(most)}",
                    "widen --min-shapes or --max-shapes",
                )
    return inputs


def _spelled(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
