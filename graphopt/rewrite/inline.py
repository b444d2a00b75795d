"""Inline calls of local functions, in time linear in the result."""

from __future__ import annotations

import graphlib
from collections.abc import Callable, Sequence

import onnx_ir as ir

from graphopt.errors import ModelError
from graphopt.ir.walk import subgraphs
from graphopt.rewrite.names import Names


def inline_functions(model: ir.Model, wanted: Callable[[ir.Node], bool] = lambda _: True) -> bool:
    """Replace calls of local functions by their bodies, in place, and drop functions no longer called.

    Calls inside subgraphs and calls that come to light by inlining are treated alike. A function whose
    operators mean another opset version than the model's is left: its body would change meaning.

    Args:
        model: any level.
        wanted: which calls to inline.

    Returns:
        Whether anything changed.

    Raises:
        ModelError: a function calls itself, or a call has more inputs than the function.
    """
    if not model.functions:
        return False
    _check_acyclic(model)
    inliner = _Inliner(model, wanted)
    for graph in (model.graph, *list(model.graph.subgraphs())):
        inliner.expand(graph)
    inliner.drop_unused()
    return inliner.changed


def can_inline(function: ir.Function, model: ir.Model) -> bool:
    """Whether the body means the same inside the model: every domain it uses has the model's version."""
    versions = model.opset_imports
    return all(versions.get(domain, version) == version for domain, version in function.opset_imports.items())


class _Inliner:
    """One run over one model."""

    def __init__(self, model: ir.Model, wanted: Callable[[ir.Node], bool]) -> None:
        self._model = model
        self._wanted = wanted
        self._names = Names.of(model.graph)
        self.changed = False

    def expand(self, graph: ir.Graph) -> None:
        """Inline every wanted call of one graph; bodies are visited as they are put in."""
        work = list(reversed(list(graph)))
        while work:
            node = work.pop()
            function = self._model.functions.get(node.op_identifier())
            if function is None or not can_inline(function, self._model) or not self._wanted(node):
                continue
            body = self._inline(graph, node, function)
            self.changed = True
            for inner in body:
                for subgraph in subgraphs(inner):
                    for nested in (subgraph, *list(subgraph.subgraphs())):
                        self.expand(nested)
            work.extend(reversed(body))

    def drop_unused(self) -> None:
        """Remove every function that no remaining call reaches."""
        functions = self._model.functions
        reached: set[ir.OperatorIdentifier] = set()
        work = [node.op_identifier() for node in self._model.graph.all_nodes()]
        while work:
            name = work.pop()
            if name in functions and name not in reached:
                reached.add(name)
                work.extend(node.op_identifier() for node in functions[name].all_nodes())
        for name in functions.keys() - reached:
            del functions[name]
            self.changed = True

    def _inline(self, graph: ir.Graph, call: ir.Node, function: ir.Function) -> list[ir.Node]:
        """Put a copy of the body in the place of one call; its nodes in running order."""
        if len(call.inputs) > len(function.inputs):
            count = f"{len(call.inputs)} inputs, it has {len(function.inputs)}"
            raise ModelError(f"node '{call.name}' passes function {function.name} {count}")
        for domain, version in function.opset_imports.items():
            self._model.opset_imports.setdefault(domain, version)
        copy = function.clone()
        _bind_attributes(copy, call)
        results = _bind_inputs(copy, call)
        self._names.rename_all(copy.graph, prefix=call.name or function.name)
        body = list(copy)
        copy.graph.remove(body)
        for node in body:
            node.metadata_props.update({**call.metadata_props, **node.metadata_props})
        graph.insert_before(call, body)
        body += self._replace_outputs(graph, call, results, {id(v) for node in body for v in node.outputs})
        graph.remove(call, safe=True)
        return body

    def _replace_outputs(
        self, graph: ir.Graph, call: ir.Node, results: Sequence[ir.Value | None], fresh: set[int]
    ) -> list[ir.Node]:
        """Let the users of a call read the body's results.

        Args:
            graph: holds the call, with the body in front of it.
            call: the node that will go.
            results: what the body computes, in the order of the function's outputs.
            fresh: ids of the values the body makes, which may take over an output's name.

        Returns:
            The Identity nodes that keep a graph output's name apart from a value that has its own.
        """
        added: list[ir.Node] = []
        for output, result in zip(call.outputs, results, strict=False):
            if not output.name:  # the caller omitted it
                continue
            if result is None:
                raise ModelError(
                    f"node '{call.name}' returns an input as '{output.name}' that it was not given"
                )
            if output.is_graph_output() and id(result) not in fresh:
                identity = ir.node("Identity", [result], name=self._names.fresh(f"{output.name}_identity"))
                graph.insert_before(call, identity)
                added.append(identity)
                result = identity.outputs[0]
                fresh.add(id(result))
            if id(result) in fresh:
                fresh.discard(id(result))
                _take_over(result, output)
            output.replace_all_uses_with(result, replace_graph_outputs=True)
        return added


def _bind_attributes(function: ir.Function, call: ir.Node) -> None:
    """Replace references to the function's attributes by the call's values, or the defaults, or nothing."""
    values = {name: attr for name, attr in function.attributes.items() if attr.value is not None}
    values |= call.attributes
    for node in function.all_nodes():
        for name, attr in list(node.attributes.items()):
            if not attr.is_ref():
                continue
            value = values.get(attr.ref_attr_name or "")
            if value is None:
                del node.attributes[name]
            else:
                node.attributes[name] = _renamed(value, name)


def _renamed(attr: ir.Attr, name: str) -> ir.Attr:
    """The attribute under another name; a graph is copied, since it can belong to one node only."""
    if attr.is_ref():
        return ir.RefAttr(name, str(attr.ref_attr_name), attr.type)
    if attr.type == ir.AttributeType.GRAPH:
        return ir.AttrGraph(name, attr.as_graph().clone(allow_outer_scope_values=True))
    if attr.type == ir.AttributeType.GRAPHS:
        return ir.AttrGraphs(name, [g.clone(allow_outer_scope_values=True) for g in attr.as_graphs()])
    return ir.Attr(name, attr.type, attr.value)


def _bind_inputs(function: ir.Function, call: ir.Node) -> list[ir.Value | None]:
    """Let the body read the call's inputs; what the function then returns, None for an omitted input."""
    results: list[ir.Value | None] = list(function.outputs)
    function.outputs.clear()
    for index, formal in enumerate(function.inputs):
        actual = call.inputs[index] if index < len(call.inputs) else None
        for user, position in list(formal.uses()):
            user.replace_input_with(position, actual)
        results = [actual if result is formal else result for result in results]
    return results


def _take_over(result: ir.Value, output: ir.Value) -> None:
    """Give a body's value the name and whatever is known of the call's output."""
    name = output.name
    output.name = None
    result.name = name
    if output.type is not None:
        result.type = output.type
    if output.shape is not None:
        result.shape = output.shape.copy()
    result.metadata_props.update(output.metadata_props)
    result.meta.update(output.meta)


def _check_acyclic(model: ir.Model) -> None:
    calls = {
        name: {node.op_identifier() for node in function.all_nodes()} & model.functions.keys()
        for name, function in model.functions.items()
    }
    try:
        graphlib.TopologicalSorter(calls).prepare()
    except graphlib.CycleError as error:
        chain = " → ".join("::".join(filter(None, name)) for name in error.args[1])
        raise ModelError(f"functions of the model call each other in a circle: {chain}") from error
