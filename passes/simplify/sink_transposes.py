"""SinkTransposes: transpositions move behind operators that do not mind, where fewer are left."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.passes.simplify._permute import Change, Perm, transposed_shape
from graphopt.passes.simplify._surgery import Constants, drop_if_dead, drop_initializer, nodes_of
from graphopt.passes.simplify._transposed_region import Region, combined, perm_of
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.opfacts import opset_of

_MIN_OPSET = 18
"""From here on axes are inputs, and Softmax works along one axis."""


@dataclass(frozen=True)
class SinkTransposes(Pass):
    """Let elementwise operators, reductions, Concat, Split, Slice, Pad and Softmax work before a Transpose.

    Before: ``t = Transpose<perm>(x); r = Relu(t); y = Transpose<inverse perm>(r)``.
    After:  ``y = Relu(x)``.
    Needs:  the rank of a Transpose without perm; other operands that are constants or transposed alike.
    Keeps:  shapes and names of what is read elsewhere; large constants that are shared.
    Skips:  regions in which as many transpositions would be left as there are.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Sweep until nothing is won: every sweep but the last leaves fewer transpositions."""
        if opset_of(model.graph, model) < _MIN_OPSET:
            return False
        constants = Constants(model)
        changed = False
        while self._sweep(model, constants, ctx):
            changed = True
        return changed

    def _sweep(self, model: ir.Model, constants: Constants, ctx: PassContext) -> bool:
        """Grow a region from every Transpose that no region before it has taken in."""
        tried: set[ir.Node] = set()
        changed = False
        for graph, node in nodes_of(model, frozenset({"Transpose"})):
            perm = perm_of(node)
            if node in tried or perm is None or perm == tuple(range(len(perm))):
                continue
            region = Region(graph)
            region.grow(node)
            tried.update(region.sources.values())
            region.prune()
            if region.nodes and region.gain() > 0:
                ctx.applied(self.name(), node, f"{region.gain()} fewer, behind {len(region.nodes)} operators")
                _Rewriting(region, constants).run()
                changed = True
        return changed


class _Rewriting:
    """Takes the transpositions in front of a region away and puts those that are needed behind it."""

    def __init__(self, region: Region, constants: Constants) -> None:
        self.region = region
        self.constants = constants

    def run(self) -> None:
        """Rewrite the readers of its values first, while it still tells which they are."""
        for node in self.region.nodes:
            for value in node.outputs:
                self._leave(value)
        for node, change in self.region.nodes.items():
            perm = change.perm
            self._adjust(node, change)
            for index, read in enumerate(node.inputs):
                if read in self.region.sources:
                    node.replace_input_with(index, self.region.sources[read].inputs[0])
            for value in node.outputs:
                value.shape = transposed_shape(value.shape, perm)
        for transpose in self.region.sources.values():
            drop_if_dead(transpose)

    def _leave(self, value: ir.Value) -> None:
        """Give everything outside that reads ``value`` what it read before."""
        own = self.region.perm(value)
        is_plain = self.region.is_read_outside(value) and own != tuple(range(len(own)))
        outside = [use for use in value.uses() if use.node not in self.region.nodes]
        for use in outside:
            perm = perm_of(use.node) if use.node.graph is self.region.graph else None
            if perm is not None:
                self._combine(use.node, combined(own, perm))
        if is_plain:
            plain = [
                use for use in outside if use.node.graph is not self.region.graph or perm_of(use.node) is None
            ]
            behind = self._transpose(value, own)
            for use in plain:
                use.node.replace_input_with(use.idx, behind)

    def _combine(self, transpose: ir.Node, both: Perm) -> None:
        """A Transpose behind the region does both permutations, or goes away."""
        output, source = transpose.outputs[0], transpose.inputs[0]
        assert source is not None
        if both != tuple(range(len(both))) or output.is_graph_output():
            transpose.attributes["perm"] = ir.AttrInt64s("perm", both)
            return
        output.replace_all_uses_with(source)
        drop_if_dead(transpose)

    def _transpose(self, value: ir.Value, perm: Perm) -> ir.Value:
        producer = value.producer()
        assert producer is not None
        name = value.name or "transposed"
        value.name = self.constants.unique(f"{name}.before_transpose")
        behind = ir.Value(name=name, type=value.type, shape=value.shape)
        node = ir.Node(
            "",
            "Transpose",
            [value],
            [ir.AttrInt64s("perm", perm)],
            outputs=[behind],
            name=self.constants.unique(f"{producer.name or name}.Transpose"),
        )
        self.region.graph.insert_after(producer, node)
        outputs = self.region.graph.outputs
        for index, output in enumerate(outputs):
            if output is value:
                outputs[index] = behind
        return behind

    def _adjust(self, node: ir.Node, change: Change) -> None:
        """The axis and the constants for the order of axes before the transposition."""
        if change.axis is not None:
            node.attributes["axis"] = ir.AttrInt64("axis", change.axis)
        for index, array in change.constants.items():
            old = node.inputs[index] if index < len(node.inputs) else None
            if index >= len(node.inputs):
                node.resize_inputs(index + 1)
            name = node.inputs[0].name if node.inputs[0] is not None else node.name
            dtype = None if old is None else old.dtype
            if dtype is not None:
                array = array.astype(dtype.numpy(), copy=False)  # Slice counts in int32 or in int64
            new = self.constants.add(self.region.graph, f"{name}.{node.op_type}.{index}", array, dtype)
            node.replace_input_with(index, new)
            if old is not None:
                drop_if_dead(old.producer())
                drop_initializer(old)
