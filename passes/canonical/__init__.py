"""Canonical passes, in running order.

- sort-topologically first: everything else walks nodes in order.
- convert-opset before name-values: it adds nodes.
- name-values before lift-constants: subgraphs' constants move into one scope, where names must differ.
- convert-opset before lift-constants: it leaves Constant nodes behind.
- raise-ir-version before lift-constants: below IR version 4 an initializer must be an input.
- infer-shapes late: it wants the canonical spelling, and constants it can read.
- scalar-range-operands after it: it looks at ranks.

Functions of unknown origin are not inlined here: a body is what a backend may recognise or run as a
whole. Backends get what they did not claim inlined when regions are made.
"""

from graphopt.passes.canonical.convert_opset import ConvertOpset
from graphopt.passes.canonical.infer_shapes import InferShapes
from graphopt.passes.canonical.lift_constants import LiftConstants
from graphopt.passes.canonical.name_values import NameValues
from graphopt.passes.canonical.raise_ir_version import RaiseIrVersion
from graphopt.passes.canonical.scalar_range_operands import ScalarRangeOperands
from graphopt.passes.canonical.sort_topologically import SortTopologically
from graphopt.pipeline.pass_base import Pass

CANONICAL_PASSES: tuple[type[Pass], ...] = (
    SortTopologically,
    ConvertOpset,
    RaiseIrVersion,
    NameValues,
    LiftConstants,
    InferShapes,
    ScalarRangeOperands,
)
