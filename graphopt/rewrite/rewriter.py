"""Rewrites of places that a pass found by walking the graph, where no fixed pattern can say it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx_ir as ir

from graphopt.rewrite import opfacts
from graphopt.rewrite.build import Builder
from graphopt.rewrite.driver import RemarkSink
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import FunctionFactory
from graphopt.rewrite.scope import Scope
from graphopt.rewrite.splice import Splice


class Rewriter:
    """Replaces one place after the other, as ``graphopt.rewrite.driver`` does for rules.

    Args:
        model: rewritten in place.
        pass_name: who speaks in remarks and provenance.
        ctx: takes a remark for each rewrite.

    Attributes:
        count: places replaced so far.
    """

    def __init__(self, model: ir.Model, pass_name: str, ctx: RemarkSink) -> None:
        self.model = model
        self.pass_name = pass_name
        self.ctx = ctx
        self.count = 0
        self._scope = Scope(model)

    def opset(self, node: ir.Node) -> int:
        """The version of the standard operators at ``node``."""
        return opfacts.opset_of(self._scope.container(node), self.model)

    def replace(
        self,
        match: Match,
        outputs: tuple[str, ...],
        replacement: Replacement,
        rule: str,
        functions: Sequence[FunctionFactory] = (),
    ) -> None:
        """Put ``replacement`` where ``match`` is and remove what only that needed.

        Args:
            match: its ``root`` is the last of its ``nodes``; ``values`` binds the names of the text.
            outputs: names of the results; every other result of ``match.nodes`` may lose its node.
            replacement: the right side.
            rule: a name for remarks.
            functions: the model-local functions the right side calls.
        """
        self._scope.read()
        built = Builder(replacement, match, outputs, self._scope, rule).run()
        before = " + ".join(node.op_type for node in match.nodes)
        after = " + ".join(node.op_type for node in built.nodes) or "nothing"
        for make in functions:
            function = make(match.opset)
            self.model.functions.setdefault(function.identifier(), function)
        imports = self._scope.container(match.root).opset_imports
        for node in built.nodes:
            imports.setdefault(node.domain, 1)
        self.ctx.applied(self.pass_name, match.root, f"{before} became {after}", rule)
        Splice(self._scope, match, built, f"{self.pass_name}/{rule}").run()
        self.count += 1


def anchors(model: ir.Model, op_types: frozenset[str], own_domain: str) -> Iterator[ir.Node]:
    """The standard nodes of the given operators, outside the functions of ``own_domain``.

    The bodies of graphopt's own operators are what recognising leads to: they are left alone.
    """
    bodies = (f for f in model.functions.values() if f.domain != own_domain)
    for nodes in (model.graph.all_nodes(), *(body.all_nodes() for body in bodies)):
        yield from [node for node in nodes if node.domain == "" and node.op_type in op_types]
