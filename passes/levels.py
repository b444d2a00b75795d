"""What -O0 … -O3 run, as pipeline strings.

Order that matters:
- canonical first: every later pass assumes its spellings (sorted, named, constants lifted, shapes known).
- simplify before fold: a removed no-op is cheaper than a folded one.
- dead-code after fold: folding leaves the nodes it replaced behind.
- infer-shapes last in the loop: a folded shape makes more dims static, which the next round uses.
"""

from __future__ import annotations

_CLEAN = "repeat{limit=4}(simplify,fold-constants,dead-code,merge-duplicates,infer-shapes)"

LEVELS: tuple[str, ...] = (
    "",
    f"canonical,{_CLEAN}",
    f"canonical,{_CLEAN}",
    f"canonical,{_CLEAN}",
)
