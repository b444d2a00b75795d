"""Names no value and no node of a model has yet, found without searching."""

from __future__ import annotations

from collections import Counter

import onnx_ir as ir


class Names:
    """The names taken in a graph and its subgraphs. ONNX forbids shadowing, so one set holds them all."""

    def __init__(self) -> None:
        """Nothing is taken; see ``of``."""
        self._taken: set[str] = set()
        self._last: Counter[str] = Counter()

    @classmethod
    def of(cls, graph: ir.Graph) -> Names:
        """The names in ``graph``, its nodes and its subgraphs."""
        names = cls()
        for scope in (graph, *graph.subgraphs()):
            names._taken.update(value.name for value in scope.inputs if value.name)
            names._taken.update(scope.initializers)
            for node in scope:
                names._taken.update(output.name for output in node.outputs if output.name)
                if node.name:
                    names._taken.add(node.name)
        return names

    def fresh(self, stem: str) -> str:
        """``stem``, or ``stem_1``, ``stem_2`` … : the first that is free. It is taken from then on."""
        name = stem
        while name in self._taken:
            self._last[stem] += 1
            name = f"{stem}_{self._last[stem]}"
        self._taken.add(name)
        return name

    def rename_all(self, graph: ir.Graph, prefix: str) -> None:
        """Give every node and every value made inside ``graph`` a fresh name that starts with ``prefix``."""
        for subgraph in graph.subgraphs():
            for value in (*subgraph.inputs, *list(subgraph.initializers.values())):
                value.name = self.fresh(f"{prefix}/{value.name}")
        for node in graph.all_nodes():
            node.name = self.fresh(f"{prefix}/{node.name or node.op_type}")
            for output in node.outputs:
                if output.name:
                    output.name = self.fresh(f"{prefix}/{output.name}")
