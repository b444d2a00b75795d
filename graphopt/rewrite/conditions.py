"""What must hold besides the structure before a match is taken: uses, types, shapes, order, the guard."""

from __future__ import annotations

from dataclasses import replace

import onnx_ir as ir

from graphopt.rewrite.dims import unify_shapes, unify_types
from graphopt.rewrite.match import Match
from graphopt.rewrite.pattern import Pattern
from graphopt.rewrite.rule import Rule
from graphopt.rewrite.scope import Scope

Verdict = tuple[ir.Node, str] | None


def judge(rule: Rule, pattern: Pattern, match: Match, scope: Scope) -> tuple[Match, Verdict]:
    """The match with its dims bound, and what speaks against it (None when nothing does)."""
    verdict = _uses(rule, pattern, match) or _order(pattern, match, scope)
    if verdict is not None:
        return match, verdict
    reason = unify_types(rule.types, match.values)
    if reason is not None:
        return match, (match.root, reason)
    dims, reason = unify_shapes(rule.shapes, match.values)
    if reason is not None:
        return match, (match.root, reason)
    match = replace(match, dims=dims)
    reason = rule.guard(match) if rule.guard is not None else None
    return match, None if reason is None else (match.root, reason)


def _uses(rule: Rule, pattern: Pattern, match: Match) -> Verdict:
    """Inner values must not be needed outside, and results must be distinct values."""
    results = [value for name in pattern.outputs for value in _values(match, name)]
    inner = [value for name in pattern.interior for value in _values(match, name)]
    if len(set(results)) < len(results) or not set(results).isdisjoint(inner):
        return match.root, "one value would have to be two results"
    inside = set(match.nodes)
    for name in pattern.interior:
        if name in rule.shared:
            continue
        for value in _values(match, name):
            if value.is_graph_output():
                return match.root, f"the inner value {value.name!r} is an output of the graph"
            for use in value.uses():
                if use.node not in inside:
                    return match.root, f"the inner value {value.name!r} is also used by {use.node.name!r}"
    return None


def _order(pattern: Pattern, match: Match, scope: Scope) -> Verdict:
    """With results from several nodes, none may depend on another through nodes outside."""
    if len(pattern.roots) == 1:
        return None
    scope.read()
    _, loops = scope.between(match.nodes)
    return (match.root, "one result depends on another through other nodes") if loops else None


def _values(match: Match, name: str) -> tuple[ir.Value, ...]:
    found = match.values.get(name)
    if found is None:
        return ()
    return found if isinstance(found, tuple) else (found,)
