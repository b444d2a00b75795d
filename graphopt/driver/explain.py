"""``explain``: what the passes made of a model, and why a form was not recognised in it."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from graphopt.errors import UsageError

if TYPE_CHECKING:
    from graphopt.driver.opt import Constants, Optimized, Source
    from graphopt.pipeline.pass_base import Pass
    from graphopt.rewrite.rule import Rule
    from graphopt.rewrite.trace import NearMiss


@dataclass(frozen=True)
class Missed:
    """A reason a pass gave, and the nodes it gave it for.

    Attributes:
        pass_name: the pass.
        rule: the rule inside it; may be empty.
        reason: one sentence, without the names of values.
        nodes: where.
    """

    pass_name: str
    rule: str
    reason: str
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class Explanation:
    """What happened to a model, or did not.

    Attributes:
        applied: how often each rule of each pass fired: ``{pass: {rule: times}}``.
        missed: what nearly happened, the most frequent first.
        asked: the passes a ``why_not`` stands for; empty without one.
        near: for each of their rules that fires nowhere in the result, where it came nearest.
    """

    applied: dict[str, dict[str, int]]
    missed: tuple[Missed, ...]
    asked: tuple[str, ...] = ()
    near: dict[str, list[NearMiss]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The record as plain JSON types."""
        return asdict(self)


def explain(
    model: Source,
    *,
    why_not: str = "",
    level: int = 2,
    shapes: Sequence[str] | None = None,
    constants: Constants | None = None,
) -> Explanation:
    """Run the passes of a level and say what fired, and what nearly did.

    Args:
        model: a path, bytes, ``onnx.ModelProto`` or ``onnx_ir.Model`` (left as it was).
        why_not: an operator (``LayerNormalization``), a pass, a group or a rule to look into: the
            result is searched for the places where it came nearest.
        level: 0 to 3.
        shapes: fixed input shapes.
        constants: inputs frozen to a value.

    Raises:
        ModelError: the model is damaged or invalid.
        UsageError: ``why_not`` names nothing that a pass looks for.
    """
    from graphopt.driver.opt import import_model, optimize_model, pipeline
    from graphopt.driver.runners import evaluator
    from graphopt.rewrite.trace import near_misses

    asked = _asked(why_not) if why_not else {}
    imported = import_model(model, shapes=shapes, constants=constants)
    done = optimize_model(imported, pipeline(level=level), evaluate=evaluator())
    near = {name: near_misses(done.model, rules) for name, rules in asked.items()}
    missed = _missed(done, asked if why_not else None)
    return Explanation(_applied(done, asked if why_not else None), missed, tuple(asked), near)


def _asked(pattern: str) -> dict[str, tuple[Rule, ...]]:
    """The passes ``pattern`` means, each with the rules to look into (those it names, else all)."""
    from graphopt.driver.known_passes import known_groups, known_passes
    from graphopt.pipeline.pass_base import kebab

    known, groups = known_passes(), known_groups()
    wanted = kebab(pattern)
    if pattern in groups:
        return {cls.name(): rules_of(cls) for cls in groups[pattern]}
    exact = {name: rules_of(cls) for name, cls in known.items() if name == wanted}
    if exact:
        return exact
    found: dict[str, tuple[Rule, ...]] = {}
    for name, cls in known.items():
        rules = rules_of(cls)
        named = tuple(rule for rule in rules if rule.name == wanted)
        if named or f"-{wanted}-" in f"-{name}-":
            found[name] = named or rules
    if not found:
        raise UsageError(f"no pass looks for {pattern!r}", "`graphopt passes` lists what there is")
    return found


def rules_of(cls: type[Pass]) -> tuple[Rule, ...]:
    """The rules of a pass; none when it walks the graph itself."""
    return tuple(getattr(sys.modules[cls.__module__], "RULES", ()))


def _applied(done: Optimized, only: Iterable[str] | None) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {}
    for effect in done.effects:
        name = effect.pass_text.partition("{")[0]
        if effect.modified and (only is None or name in only):
            counts.setdefault(name, Counter()).update(effect.rewrites or {"": 1})
    return {name: dict(counter) for name, counter in counts.items()}


def _missed(done: Optimized, only: Iterable[str] | None) -> tuple[Missed, ...]:
    """Near misses of each pass's last run: earlier ones may have come true since."""
    from graphopt.pipeline.records import RemarkKind

    left = {node.name for node in done.model.graph.all_nodes()}
    groups: dict[tuple[str, str, str], dict[str, None]] = {}
    for remark in done.remarks:
        if remark.kind is not RemarkKind.MISSED or (only is not None and remark.pass_name not in only):
            continue
        if remark.node in left:
            # One kind of reason is one line, whichever values it names.
            reason = re.sub(r"'[^']*'", "'…'", remark.reason)
            groups.setdefault((remark.pass_name, remark.rule, reason), {})[remark.node] = None
    ranked = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    return tuple(Missed(*key, tuple(nodes)) for key, nodes in ranked)
