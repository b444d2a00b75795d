"""What attention computes, as the text of a rule: two products, a softmax, and the masks between them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from graphopt.rewrite.dims import same_dim
from graphopt.rewrite.match import Dim, Match
from graphopt.rewrite.replacement import Constant, Replacement

_HALF_FLOOR = -60000.0
"""What a mask in float16 is raised to: added to a score it stays above the lowest number there is."""

_SCORES_BEFORE_CAP, _SCORES, _MASKED_SCORES = 0, 1, 2
"""What the fourth result holds, by ``qk_matmul_output_mode``; 3 is the weights."""


def refuses_attention(match: Match) -> str | None:
    """Why an attention cannot be spelled out, or None."""
    for name in ("q", "k", "v"):
        if match.rank(name) not in (3, 4):
            return "the rank of its operands is not known"
    if match.dtype("q") is None:
        return "its element type is not known"
    reason = _refuses_heads(match)
    if reason is not None:
        return reason
    if match.attr("scale") is None and not _size(match, "q"):
        return "the size of a head, and with it the scale, is not known"
    return "its mask may not reach the last key" if _missing_keys(match) is None else None


def _refuses_heads(match: Match) -> str | None:
    queries, keys = _heads(match)
    if queries is None or keys is None:
        return "the number of heads is not known"
    if same_dim(queries, keys):
        return None
    if not isinstance(queries, int) or not isinstance(keys, int):
        return "the number of heads is not known"
    return None if _size(match, "k") and _size(match, "v") else "the size of a head is not known"


def _heads(match: Match) -> tuple[Dim | None, Dim | None]:
    """Heads of queries and of keys."""
    if match.rank("q") == 3:
        return match.attr_int("heads"), match.attr_int("kv")
    queries, keys = match.shape("q"), match.shape("k")
    assert queries is not None, "the guard asks for ranks"
    assert keys is not None, "the guard asks for ranks"
    return queries[1], keys[1]


def _size(match: Match, name: str) -> int:
    """Features of one head of an operand; 0 where that is not known."""
    shape = match.shape(name)
    if shape is None or not isinstance(shape[-1], int):
        return 0
    if len(shape) == 4:
        return shape[-1]
    heads = match.attr_int("heads" if name == "q" else "kv")
    return shape[-1] // heads if heads else 0


def _length(match: Match, name: str) -> int | None:
    """Positions of an operand where that is a number."""
    shape = match.shape(name)
    assert shape is not None, "the guard asks for ranks"
    return shape[-2] if isinstance(shape[-2], int) else None


def _missing_keys(match: Match) -> int | None:
    """For how many keys at the end a mask has nothing, ONNX then masks them; None where that is not known."""
    if "mask" not in match:
        return 0
    shape, length = match.shape("mask"), _length(match, "k")
    if shape is None:
        return None
    if not shape or not isinstance(shape[-1], int) or shape[-1] == 1 or length is None:
        return 0
    past = match.shape("past_key") if "past_key" in match else None
    before = 0 if past is None else past[2]
    return max(length + before - shape[-1], 0) if isinstance(before, int) else 0


@dataclass
class _Spelling:
    """The text that says what one attention computes, and the constants in it."""

    match: Match
    lines: list[str] = field(default_factory=list)
    constants: dict[str, Constant] = field(default_factory=dict)

    def run(self) -> Replacement:
        """Every result of the operator."""
        self._prepare("q", "heads")
        self._prepare("k", "kv")
        self._prepare("v", "kv")
        for name in ("k", "v"):
            self._append(name)
            # Under its own name a result has no type yet for what is built on it.
            self.say(f"p{name} = {name}_all")
        query, scale = "q4", self._scale()
        if scale != 1.0:
            self.say(f"qs = Mul (q4, {self.scalar('scale', scale)})")
            query = "qs"
        self.say(f"kt = Transpose <perm = [0, 1, 3, 2]> ({self._repeated('k')})")
        self.say(f"raw = MatMul ({query}, kt)")
        scores = self._capped("raw")
        masked, alive = self._masked(scores)
        weights = self._weigh(masked)
        self.say(f"sums = MatMul ({weights}, {self._repeated('v')})")
        result = self._kept(alive, "sums")
        if self.match.rank("q") == 3:
            self.constants["merged"] = np.asarray([0, 0, -1], np.int64)
            self.say(f"rows = Transpose <perm = [0, 2, 1, 3]> ({result}); y = Reshape (rows, merged)")
        else:
            self.say(f"y = {result}")
        if "qk" in self.match:
            stages = {_SCORES_BEFORE_CAP: "raw", _SCORES: scores, _MASKED_SCORES: masked}
            mode = self.match.attr_int("mode") or _SCORES_BEFORE_CAP
            self.say(f"qk = {stages[mode] if mode in stages else self._kept(alive, weights)}")
        return Replacement("\n".join(self.lines), self.constants)

    def say(self, text: str) -> None:
        """Add a step."""
        self.lines.append(text)

    def scalar(self, name: str, value: float) -> str:
        """A number of the queries' element type."""
        dtype = self.match.dtype("q")
        assert dtype is not None, "the guard asks for it"
        self.constants[name] = ir.tensor(np.asarray(value, dtype.numpy()), dtype=dtype)
        return name

    def _scale(self) -> float:
        given = self.match.attr("scale")
        return float(given) if isinstance(given, (int, float)) else 1.0 / math.sqrt(_size(self.match, "q"))

    def _prepare(self, name: str, heads: str) -> None:
        """Let ``q4`` … have four dims: batch, heads, positions, features."""
        if self.match.rank(name) == 4:
            self.say(f"{name}4 = {name}")
            return
        count = self.match.attr_int(heads)
        self.constants[f"{name}_split"] = np.asarray([0, 0, count, -1], np.int64)
        self.say(f"{name}_heads = Reshape ({name}, {name}_split)")
        self.say(f"{name}4 = Transpose <perm = [0, 2, 1, 3]> ({name}_heads)")

    def _append(self, name: str) -> None:
        """``k_all`` … are the keys of the cache and the new ones."""
        past = {"k": "past_key", "v": "past_value"}[name]
        whole = f"Concat <axis = 2> ({past}, {name}4)" if past in self.match else f"{name}4"
        self.say(f"{name}_all = {whole}")

    def _repeated(self, name: str) -> str:
        """Keys or values with as many heads as the queries have."""
        queries, keys = _heads(self.match)
        if not isinstance(queries, int) or not isinstance(keys, int) or queries == keys:
            return f"{name}_all"
        self.constants["copies"] = np.asarray([1, 1, queries // keys, 1, 1], np.int64)
        self.constants["beside"] = np.asarray([2], np.int64)
        self.constants[f"{name}_target"] = np.asarray([0, queries, -1, _size(self.match, name)], np.int64)
        self.say(f"{name}_group = Unsqueeze ({name}_all, beside)")
        self.say(f"{name}_copies = Expand ({name}_group, copies)")
        self.say(f"{name}_full = Reshape ({name}_copies, {name}_target)")
        return f"{name}_full"

    def _capped(self, scores: str) -> str:
        cap = self.match.attr("softcap")
        if not isinstance(cap, (int, float)) or not cap:
            return scores
        self.say(f"part = Mul ({scores}, {self.scalar('by_cap', 1.0 / cap)}); bent = Tanh (part)")
        self.say(f"capped = Mul (bent, {self.scalar('cap', float(cap))})")
        return "capped"

    def _masked(self, scores: str) -> tuple[str, str]:
        """The scores under all masks, and which rows have a key left (empty: all)."""
        allowed: list[str] = []
        if "mask" in self.match:
            mask = self._whole_mask()
            if self.match.dtype("mask") == ir.DataType.BOOL:
                allowed.append(mask)
            else:
                self.say(f"offset = Add ({scores}, {self._bias(mask)})")
                scores = "offset"
        # A query always sees the key at its own position: no row of the causal mask is empty.
        may_be_empty = bool(allowed) or "valid" in self.match
        allowed += self._positions()
        if not allowed:
            return scores, ""
        for index, other in enumerate(allowed[1:]):
            self.say(f"both{index} = And ({allowed[0]}, {other})")
            allowed[0] = f"both{index}"
        dtype = self.match.dtype("q")
        assert dtype is not None, "the guard asks for it"
        lowest = self.scalar("lowest", float(dtype.min))
        self.say(f"masked = Where ({allowed[0]}, {scores}, {lowest})")
        return "masked", self._alive(allowed[0]) if may_be_empty else ""

    def _alive(self, allowed: str) -> str:
        known = self.match.constant("mask") if allowed == "mask" else None
        if known is not None and bool(known.any(axis=-1).all()):
            return ""
        self.say(f"bits = Cast <to = 6> ({allowed}); any = ReduceMax <keepdims = 1> (bits, last)")
        self.constants["last"] = np.asarray([-1], np.int64)
        self.say("alive = Cast <to = 9> (any)")
        return "alive"

    def _whole_mask(self) -> str:
        """The mask with a column for every key."""
        missing, rank, dtype = _missing_keys(self.match), self.match.rank("mask"), self.match.dtype("mask")
        if not missing or not rank or dtype is None:
            return "mask"
        shut = np.asarray(False if dtype == ir.DataType.BOOL else float(dtype.min), dtype.numpy())
        self.constants["shut"] = ir.tensor(shut, dtype=dtype)
        self.constants["beyond"] = np.asarray([0] * (2 * rank - 1) + [missing], np.int64)
        self.say("whole_mask = Pad (mask, beyond, shut)")
        return "whole_mask"

    def _bias(self, mask: str) -> str:
        """The float mask in the queries' type, with nothing in it that overflows when it is added."""
        own, wanted = self.match.dtype("mask"), self.match.dtype("q")
        known = self.match.constant("mask") if mask == "mask" else None
        assert own is not None, "a mask of unknown type is no float mask"
        assert wanted is not None, "the guard asks for it"
        if wanted == ir.DataType.FLOAT16:
            if known is not None:
                raised = np.maximum(known, np.asarray(_HALF_FLOOR, known.dtype))
                self.constants["raised"] = ir.tensor(raised.astype(wanted.numpy()), dtype=wanted)
                return "raised"
            floor = np.asarray(_HALF_FLOOR, own.numpy())
            self.constants["floor"] = ir.tensor(floor, dtype=own)
            self.say(f"raised = Max ({mask}, floor)")
            mask = "raised"
        if own == wanted:
            return mask
        self.say(f"bias = Cast <to = {int(wanted)}> ({mask})")
        return "bias"

    def _positions(self) -> list[str]:
        """The masks that follow from positions: causal, and keys beyond the end of a sequence."""
        causal, ends = self.match.attr_int("causal"), "valid" in self.match
        if not causal and not ends:
            return []
        self._count("keys", "k_all")
        found = []
        if ends:
            self.constants["per_sample"] = np.asarray([-1, 1, 1, 1], np.int64)
            self.say("end = Reshape (valid, per_sample); inside = Less (keys, end)")
            found.append("inside")
        if causal:
            self._count("queries", "q4")
            self.constants["column"] = np.asarray([-1, 1], np.int64)
            self.say("rows_of_queries = Reshape (queries, column)")
            self.say(f"reach = Add (rows_of_queries, {self._behind()}); seen = LessOrEqual (keys, reach)")
            found.append("seen")
        return found

    def _behind(self) -> str:
        """How many keys lie before the first query's own."""
        if "past_key" in self.match:
            return self._dim("behind", "past_key")
        if "valid" not in self.match:
            return self._index("first", 0)
        self.say(f"behind = Sub (end, {self._dim('count', 'q4')})")
        return "behind"

    def _index(self, name: str, value: int) -> str:
        self.constants[name] = np.asarray(value, np.int64)
        return name

    def _dim(self, name: str, value: str) -> str:
        """The number of positions of a value of four dims."""
        self.say(f"{name}_dim = Shape <start = 2, end = 3> ({value}); {name} = Squeeze ({name}_dim)")
        return name

    def _count(self, name: str, value: str) -> None:
        """0, 1, … for every position of a value of four dims."""
        length = _length(self.match, {"k_all": "k", "q4": "q"}[value])
        if length is not None and (value == "q4" or "past_key" not in self.match):
            self.constants[name] = np.arange(length, dtype=np.int64)
            return
        first, step = self._index("first", 0), self._index("step", 1)
        self.say(f"{name} = Range ({first}, {self._dim(f'{name}_count', value)}, {step})")

    def _kept(self, alive: str, value: str) -> str:
        """``value`` with zeros in the rows no key is left for."""
        if not alive:
            return value
        self.say(f"{value}_kept = Where ({alive}, {value}, {self.scalar('nothing', 0.0)})")
        return f"{value}_kept"

    def _weigh(self, scores: str) -> str:
        """Softmax, in another type where the operator asks for one."""
        wanted, own = self.match.attr_int("precision"), self.match.dtype("q")
        assert own is not None, "the guard asks for it"
        if wanted in (None, 0, int(own)):
            self.say(f"weights = Softmax <axis = -1> ({scores})")
            return "weights"
        self.say(f"wide = Cast <to = {wanted}> ({scores}); shares = Softmax <axis = -1> (wide)")
        self.say(f"weights = Cast <to = {int(own)}> (shares)")
        return "weights"


def spelled_attention(match: Match) -> Replacement:
    """``y``, ``pk``, ``pv`` and ``qk`` of an attention that ``refuses_attention`` lets through."""
    return _Spelling(match).run()
