"""MergeParallelProducts: products of one value with several weights are one product, split afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.ir.walk import graphs
from graphopt.passes.fuse._columns import Array, joined, side_by_side
from graphopt.passes.fuse._epilogues import Step, next_step
from graphopt.passes.fuse._products import Product, families
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.infer import infer_outputs
from graphopt.rewrite.opfacts import opset_of
from graphopt.rewrite.scope import Scope
from graphopt.rewrite.splice import MAX_SOURCES, RULE_KEY, SOURCES_KEY

_SPLIT_SIZES = 13
"""The version of the standard operators from which Split takes its sizes as an input."""


@dataclass(frozen=True)
class MergeParallelProducts(Pass):
    """Compute products of the same value with several constant weights as one wide product.

    Before: ``q = MatMul(x, wq); a = Add(q, bq); k = MatMul(x, wk); b = Add(k, bk)``.
    After:  ``p = MatMul(x, [wq wk]); s = Add(p, [bq bk]); a, b = Split(s)``.
    Needs:  MatMul, Gemm or products of integers with constant weights of rank 2 and one element type;
            elementwise steps behind them go along as long as they are the same for all.
    Keeps:  every column's own arithmetic: integer products and their scales give the same bits.
    Skips:  weights others read, merges that would not make the graph smaller; products of a sequence are
            merged up to sixteen times its width, so that not everything is in memory at once.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Merge within each graph."""
        merged = 0
        scope = Scope(model)
        for graph in graphs(model):
            if not isinstance(graph, ir.Graph) or opset_of(graph, model) < _SPLIT_SIZES:
                continue
            found = families(list(graph))
            if not found:
                continue
            scope.read()
            order = {node: index for index, node in enumerate(graph)}
            for family in found:
                plan = _plan(family, order)
                if not _is_smaller(plan):
                    continue
                count, first = len(family), family[0].node
                _Merge(graph, plan, scope, opset_of(graph, model)).run()
                ctx.applied(self.name(), first, f"{count} products of one value became one")
                merged += 1
        return merged > 0


@dataclass(frozen=True, eq=False)
class _Plan:
    """Products to merge, and the steps behind them that go along."""

    family: Sequence[Product]
    steps: Sequence[Step]

    @property
    def results(self) -> tuple[ir.Value, ...]:
        """What comes out in the end, for each product."""
        return self.steps[-1].results if self.steps else tuple(member.result for member in self.family)


def _plan(family: Sequence[Product], order: Mapping[ir.Node, int]) -> _Plan:
    """The longest run of common steps whose operands are there where the first product stands."""
    columns = [member.columns for member in family]
    steps: list[Step] = []
    values: Sequence[ir.Value] = [member.result for member in family]
    axis = -1
    while (step := next_step(values, columns, axis)) is not None:
        if step.shared is not None and not _stands_before(step.shared, family[0].node, order):
            break
        steps.append(step)
        values, axis = step.results, step.axis
    return _Plan(family, steps)


def _stands_before(value: ir.Value, node: ir.Node, order: Mapping[ir.Node, int]) -> bool:
    """Whether ``value`` is there where ``node`` stands; what an earlier merge made is not looked for."""
    producer = value.producer()
    if producer is None or producer.graph is not node.graph:
        return True
    return producer in order and order[producer] < order[node]


def _is_smaller(plan: _Plan) -> bool:
    """Whether fewer nodes are left: one for the product and for each step, and the Split."""
    scaled = sum(1 for step in plan.steps if step.shared is not None and step.constants)
    steps = 1 + len(plan.steps) + scaled
    return len(plan.family) * steps > steps + 1


class _Merge:
    """One rewrite: the wide product, its steps and the Split stand where the first product was."""

    def __init__(self, graph: ir.Graph, plan: _Plan, scope: Scope, opset: int) -> None:
        self.graph = graph
        self.plan = plan
        self.scope = scope
        self.opset = opset
        self.columns = [member.columns for member in plan.family]
        homes = {member.weight.graph for member in plan.family}
        self.home = next(iter(homes)) if len(homes) == 1 else graph
        self.base = plan.family[0].result.name or "product"
        self.nodes: list[ir.Node] = []

    def run(self) -> None:
        """Rewrite."""
        value = self._product()
        for step in self.plan.steps:
            value = self._step(step, value)
        self._split(value)
        self._describe()
        self.graph.insert_before(self.plan.family[0].node, self.nodes)
        self._remove()

    def _product(self) -> ir.Value:
        family = self.plan.family
        first = family[0].node
        inputs = list(first.inputs)
        inputs[inputs.index(family[0].weight)] = self._constant(
            "weight", joined([member.weight for member in family], family[0].axis)
        )
        for index in family[0].per_column:
            given = [value for member in family if (value := member.node.inputs[index]) is not None]
            inputs[index] = self._constant(f"input_{index}", side_by_side(given, self.columns))
        return self._node(first, inputs, -1)

    def _step(self, step: Step, value: ir.Value) -> ir.Value:
        first = step.nodes[0]
        if not step.constants and step.shared is None:
            return self._node(first, [value], step.axis)
        other = step.shared
        if step.constants:
            constant = self._constant("operand", side_by_side(step.constants, self.columns, step.axis))
            other = constant if other is None else self._scaled(other, constant)
        return self._node(first, [value, other] if step.position == 0 else [other, value], step.axis)

    def _scaled(self, shared: ir.Value, constant: ir.Value) -> ir.Value:
        node = ir.Node("", "Mul", [shared, constant])
        node.outputs[0].name = self.scope.unique(f"{self.base}.factor")
        infer_outputs(node, self.opset)
        self.nodes.append(node)
        return node.outputs[0]

    def _node(self, like: ir.Node, inputs: Sequence[ir.Value | None], axis: int) -> ir.Value:
        """``like`` over all columns at once."""
        result = like.outputs[0]
        node = ir.Node(like.domain, like.op_type, inputs, list(like.attributes.values()))
        output = node.outputs[0]
        output.name = self.scope.unique(f"{result.name}.wide")
        output.type = result.type
        if result.shape is not None:
            dims = list(result.shape)
            dims[axis] = sum(self.columns)
            output.shape = ir.Shape(dims)
        self.nodes.append(node)
        return output

    def _split(self, value: ir.Value) -> None:
        sizes = self._constant("sizes", np.array(self.columns, np.int64))
        results = self.plan.results
        outputs = [ir.Value(shape=old.shape, type=old.type) for old in results]
        axis = self.plan.steps[-1].axis if self.plan.steps else -1
        self.nodes.append(ir.Node("", "Split", [value, sizes], [ir.AttrInt64("axis", axis)], outputs=outputs))
        for old, new in zip(results, outputs, strict=True):
            new.doc_string = old.doc_string
            new.metadata_props.update(old.metadata_props)
            name, old.name = old.name, self.scope.unique(f"{old.name}.replaced")
            new.name = name
            old.replace_all_uses_with(new, replace_graph_outputs=True)

    def _constant(self, name: str, array: Array) -> ir.Value:
        tensor = ir.tensor(array)
        value = ir.Value(
            name=self.scope.unique(f"{self.base}.{name}"),
            type=ir.TensorType(tensor.dtype),
            shape=ir.Shape(tensor.shape.numpy()),
            const_value=tensor,
        )
        assert self.home is not None, "a weight is an initializer of some graph"
        self.home.register_initializer(value)
        return value

    def _describe(self) -> None:
        sources = "\n".join([str(member.node.name) for member in self.plan.family][:MAX_SOURCES])
        for node in self.nodes:
            node.name = self.scope.unique(f"{self.plan.family[0].node.name or 'node'}.{node.op_type}")
            node.metadata_props[RULE_KEY] = MergeParallelProducts.name()
            node.metadata_props[SOURCES_KEY] = sources

    def _remove(self) -> None:
        """Take away the products, their steps and whatever only they needed."""
        stages = [step.nodes for step in reversed(self.plan.steps)]
        gone = [node for nodes in stages for node in nodes] + [member.node for member in self.plan.family]
        given = dict.fromkeys(value for node in gone for value in node.inputs if value is not None)
        for node in gone:
            self.graph.remove(node, safe=True)
        for value in given:
            producer = value.producer()
            if producer is None or producer.graph is not None:
                _drop(value)


def _drop(value: ir.Value) -> None:
    """Remove an initializer, or the factor of a step, that nothing reads any more."""
    if value.uses() or value.is_graph_output():
        return
    producer = value.producer()
    if value.is_initializer() and not value.is_graph_input():
        assert value.graph is not None
        assert value.name is not None
        value.graph.initializers.pop(value.name)
    elif producer is not None and producer.op_type == "Mul" and producer.graph is not None:
        given = [item for item in dict.fromkeys(producer.inputs) if item is not None]
        producer.graph.remove(producer, safe=True)
        for item in given:
            _drop(item)
