"""Which function lowers which operator."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.backends.native.lower.context import Refusal
from graphopt.backends.native.lower.convolution import CONVOLUTION
from graphopt.backends.native.lower.elementwise import NAMED, STANDARD, lower_elementwise
from graphopt.backends.native.lower.linear import LINEAR
from graphopt.backends.native.lower.movement import MOVEMENT, Lowering
from graphopt.backends.native.lower.normalization import NAMED_NORMALIZATION, NORMALIZATION
from graphopt.backends.native.lower.reduction import NAMED_REDUCTION, REDUCTION
from graphopt.backends.native.lower.sequence import SEQUENCE
from graphopt.backends.native.lower.views import VIEWS
from graphopt.ops.op import DOMAIN

LOWERINGS: dict[tuple[str, str], Lowering] = {
    **{("", name): lower_elementwise for name in STANDARD},
    **{(DOMAIN, name): lower_elementwise for name in NAMED},
    **{(DOMAIN, name): function for name, function in (NAMED_NORMALIZATION | NAMED_REDUCTION).items()},
    **{
        ("", name): function
        for table in (CONVOLUTION, LINEAR, MOVEMENT, NORMALIZATION, REDUCTION, SEQUENCE, VIEWS)
        for name, function in table.items()
    },
}
"""(domain, operator) → what lowers it."""


def lowering_of(node: ir.Node) -> Lowering:
    """The function for a node.

    Raises:
        Refusal: there is none.
    """
    domain = "" if node.domain == "ai.onnx" else node.domain
    if (domain, node.op_type) == ("", "If"):
        from graphopt.backends.native.lower.control import lower_if

        return lower_if
    found = LOWERINGS.get((domain, node.op_type))
    if found is None:
        raise Refusal(f"it has no {domain + '::' if domain else ''}{node.op_type}")
    return found
