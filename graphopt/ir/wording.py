"""Messages fit for one line of a terminal, whatever a damaged model puts into them."""

from __future__ import annotations

_LONGEST = 300


def one_line(text: str, longest: int = _LONGEST) -> str:
    """``text`` without control characters, its middle left out when it is too long."""
    clean = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    if len(clean) <= longest:
        return clean
    return f"{clean[: longest * 2 // 3]}…{clean[-longest // 4 :]}"


def root_cause(error: BaseException) -> str:
    """The first line of the innermost exception's message, or its type when it has none."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return one_line(lines[0].strip()) if lines else type(error).__name__
