"""What a pass leaves behind besides the graph: remarks and effects."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class RemarkKind(StrEnum):
    """Why a remark was written."""

    APPLIED = "applied"
    MISSED = "missed"
    WARNING = "warning"


@dataclass(frozen=True)
class Remark:
    """One sentence of a pass about one node: what it did, or why it did not.

    Attributes:
        pass_name: the pass that speaks.
        kind: applied, missed (a near miss: the pattern's anchor was there) or warning.
        node: name of the node it is about, empty when it is about the model.
        reason: one sentence.
        rule: the rule inside the pass, when it has several.
    """

    pass_name: str
    kind: RemarkKind
    node: str
    reason: str
    rule: str = ""


@dataclass(frozen=True)
class Effect:
    """What one run of one pass did to the model.

    Attributes:
        pass_text: the pass with its options as the pipeline string spells it.
        modified: whether the pass changed anything.
        seconds: wall time of the pass itself, instruments excluded.
        nodes_before: nodes in the whole model, subgraphs and functions included.
        nodes_after: the same, after the pass.
        weight_bytes_before: bytes of constant tensors, shared ones counted once.
        weight_bytes_after: the same, after the pass.
        rewrites: how often each rule of the pass fired.
    """

    pass_text: str
    modified: bool
    seconds: float
    nodes_before: int
    nodes_after: int
    weight_bytes_before: int
    weight_bytes_after: int
    rewrites: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The record as plain JSON types."""
        return asdict(self)
