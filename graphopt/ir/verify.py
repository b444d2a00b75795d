"""The verifier: one table of rules per level, each linear in the size of the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import onnx_ir as ir

from graphopt.errors import ModelError
from graphopt.ir import walk
from graphopt.ir.levels import Level
from graphopt.ir.operators import Findings, describe, known_operators
from graphopt.ir.schemas import STANDARD_DOMAINS
from graphopt.ir.walk import subgraphs

_Body = ir.Graph | ir.Function


@dataclass(frozen=True)
class Violation:
    """One thing that is wrong with a model.

    Attributes:
        rule: name of the broken rule, kebab case.
        message: one line that names the culprit.
        hint: what to do about it.
    """

    rule: str
    message: str
    hint: str = ""


def verify(model: ir.Model, level: Level) -> list[Violation]:
    """Check ``model`` against the rules of ``level`` and of every level before it.

    Returns:
        What is wrong, in the order of the table; empty when the model is fine.
    """
    found: list[Violation] = []
    for rule_level, name, rule in RULES:
        if rule_level > level:
            continue
        broken = [Violation(name, message, hint) for message, hint in rule(model)]
        found.extend(broken)
        if broken and rule is _scopes:
            break  # The other rules walk along the links this one found broken.
    return found


def check(model: ir.Model, level: Level) -> None:
    """Raise ModelError for the first violation of ``level``; the message counts the others."""
    found = verify(model, level)
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise ModelError(f"{found[0].message}{more}", found[0].hint)


_BUG = "this is a bug in the pass that ran last"
_EXPORT = "export the model again"


def _scopes(model: ir.Model) -> Findings:
    """Every value read is defined, in scope, and by an earlier node; outputs exist."""
    yield from _scopes_of(model.graph, set(), set())
    for function in model.functions.values():
        yield from _scopes_of(function, set(), set())


def _scopes_of(body: _Body, open_graphs: set[ir.Graph], done: set[ir.Node]) -> Findings:
    graph = body.graph if isinstance(body, ir.Function) else body
    open_graphs = open_graphs | {graph}
    for node in body:
        for index, value in enumerate(node.inputs):
            if value is not None:
                yield from _readable(node, index, value, open_graphs, done)
        for value in node.outputs:
            if value.producer() is not node:
                yield f"{describe(node)} does not own its output {value.name!r}", _BUG
        for subgraph in subgraphs(node):
            yield from _scopes_of(subgraph, open_graphs, done)
        done.add(node)
    for value in body.outputs:
        producer = value.producer()
        if producer is not None and (producer.graph is not graph or producer not in done):
            yield f"output {value.name!r} is made by {describe(producer)}, which is not in its graph", _BUG
        elif producer is None and not (
            value.graph is graph and (value.is_graph_input() or value.is_initializer())
        ):
            yield f"output {value.name!r} is defined by no node", _EXPORT
    if isinstance(body, ir.Graph):
        for value in body.initializers.values():
            if value.const_value is None:
                yield f"initializer {value.name!r} has no data", _EXPORT


def _readable(
    node: ir.Node, index: int, value: ir.Value, open_graphs: set[ir.Graph], done: set[ir.Node]
) -> Findings:
    producer = value.producer()
    if producer is not None and producer not in done:
        if producer.graph in open_graphs:
            yield (
                f"{describe(node)} reads {value.name!r} before {describe(producer)} makes it",
                "sort-topologically",
            )
        else:
            yield f"{describe(node)} reads {value.name!r}, which is not in scope", _BUG
    elif producer is not None and producer.graph not in open_graphs:
        yield f"{describe(node)} reads {value.name!r}, which is not in scope", _BUG
    elif producer is None and not (
        value.graph in open_graphs and (value.is_graph_input() or value.is_initializer())
    ):
        yield (
            f"{describe(node)} reads {value.name!r}, which nothing defines",
            "check that the export is complete",
        )
    if (node, index) not in value._uses:
        yield f"{describe(node)} reads {value.name!r} without being among its users", _BUG


def _names(model: ir.Model) -> Findings:
    """Values that are read or returned have names, unique within their graph."""
    for body in walk.graphs(model):
        seen: set[str] = set()
        for value in _defined(body):
            name = value.name
            if name and name in seen:
                yield f"two values of one graph are named {name!r}", "run name-values"
            elif not name and (value.is_graph_output() or value.uses()):
                yield "a value that is read has no name", "run name-values"
            seen.add(name or "")


def _defined(body: _Body) -> Iterable[ir.Value]:
    values: dict[ir.Value, None] = dict.fromkeys(body.inputs)
    if isinstance(body, ir.Graph):
        values.update(dict.fromkeys(body.initializers.values()))
    for node in body:
        values.update(dict.fromkeys(node.outputs))
    return values


def _acyclic_functions(model: ir.Model) -> Findings:
    """No function reaches itself."""
    state: dict[ir.OperatorIdentifier, int] = {}
    for root in model.functions:
        stack = [(root, iter(_callees(model, root)))] if root not in state else []
        state.setdefault(root, 1)
        while stack:
            key, callees = stack[-1]
            callee = next(callees, None)
            if callee is None:
                state[key] = 2
                stack.pop()
            elif state.get(callee) == 1:
                yield f"function {callee[0]}::{callee[1]} calls itself", "ONNX functions cannot recurse"
            elif callee not in state:
                state[callee] = 1
                stack.append((callee, iter(_callees(model, callee))))


def _callees(model: ir.Model, key: ir.OperatorIdentifier) -> list[ir.OperatorIdentifier]:
    used = {node.op_identifier() for node in model.functions[key].all_nodes()}
    return sorted(used & model.functions.keys())


def _one_opset(model: ir.Model) -> Findings:
    """Functions use the model's own opset, so that inlining them changes nothing."""
    version = model.opset_imports.get("")
    for function in model.functions.values():
        own = function.opset_imports.get("")
        if own is not None and own != version:
            yield f"function {function.domain}::{function.name} uses opset {own}, the model {version}", _BUG


def _constants_lifted(model: ir.Model) -> Findings:
    """Constants are initializers; only one that is itself a graph output stays a node."""
    for node in model.graph.all_nodes():
        if node.op_type == "Constant" and node.domain == "" and not node.outputs[0].is_graph_output():
            yield f"{describe(node)} is not lifted to an initializer", "run lift-constants"


def _constants_typed(model: ir.Model) -> Findings:
    """An initializer's type and shape are those of its tensor."""
    for body in walk.graphs(model):
        for value in body.initializers.values() if isinstance(body, ir.Graph) else ():
            tensor = value.const_value
            if tensor is None:
                continue
            if value.dtype != tensor.dtype or value.shape is None or value.shape != tensor.shape:
                yield (
                    f"initializer {value.name!r} is declared {value.type}{value.shape}, its tensor is not",
                    _BUG,
                )


def _typed(model: ir.Model) -> Findings:
    """Every value a standard operator computes from typed values has a type."""
    for node in model.graph.all_nodes():
        if node.domain not in STANDARD_DOMAINS or any(v is not None and v.type is None for v in node.inputs):
            continue
        for value in node.outputs:
            if value.type is None and value.name:
                yield f"value {value.name!r} of {describe(node)} has no type", "run infer-shapes"


def _composites(model: ir.Model) -> Findings:
    """Every graphopt operator has its body, and fits it exactly."""
    for node in walk.nodes(model):
        if not node.domain.startswith("graphopt"):
            continue
        function = model.functions.get(node.op_identifier())
        if function is None:
            yield f"{describe(node)} has no function body", _BUG
        elif (len(node.inputs), len(node.outputs)) != (len(function.inputs), len(function.outputs)):
            yield f"{describe(node)} does not have the arity of its body", _BUG


RULES: tuple[tuple[Level, str, Callable[[ir.Model], Findings]], ...] = (
    (Level.IMPORTED, "scopes", _scopes),
    (Level.IMPORTED, "names", _names),
    (Level.IMPORTED, "operators", known_operators),
    (Level.IMPORTED, "acyclic-functions", _acyclic_functions),
    (Level.CANONICAL, "one-opset", _one_opset),
    (Level.CANONICAL, "constants-lifted", _constants_lifted),
    (Level.CANONICAL, "constants-typed", _constants_typed),
    (Level.CANONICAL, "typed", _typed),
    (Level.FUSED, "composites", _composites),
)
"""Which rule holds from which level on. Placed and legalised models add regions, no rules about the graph."""
