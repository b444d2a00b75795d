"""What -O0 … -O3 run, as pipeline strings.

Order that matters:
- canonical first: every later pass assumes its spellings (sorted, named, constants lifted, shapes known).
- simplify before fold: a removed no-op is cheaper than a folded one.
- infer-shapes last in the loop: a folded shape makes more dims static, which the next round uses.
- cleaning before recognising: forms are matched in their cleanest spelling. Quantisation first, because
  the other forms are looked for between its operators; attention late, because it contains the others.
- fuse last: what it makes is opaque to everything else. With linear again: a factor that two products shared
  has one reader once they are one product.
"""

from __future__ import annotations

_CLEAN = "repeat(simplify,fold,infer-shapes)"
_RECOGNIZE = (
    "repeat(quantization,activation,normalization,linear,attention,recurrent,spatial,"
    "simplify,fold,infer-shapes)"
)
_FUSE = "repeat(fuse,linear,fold)"

LEVELS: tuple[str, ...] = (
    "",
    f"canonical,{_CLEAN}",
    f"canonical,{_CLEAN},{_RECOGNIZE},{_FUSE}",
    f"canonical,{_CLEAN},{_RECOGNIZE},{_FUSE}",
)
