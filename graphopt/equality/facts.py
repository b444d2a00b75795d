"""What was found about one input, and where its values are while they are followed."""

from __future__ import annotations

from dataclasses import dataclass, field

import onnx_ir as ir


@dataclass
class Facts:
    """What was found about one input.

    Attributes:
        bound: the values index a table with this many rows (an offset added on the way is taken off).
        compared: integer constants it is compared with.
        branches: such a comparison decides an If.
        masks: it is used as a mask: cast to bool, ``1 - x``, an attention mask.
        added: it is added to something before a Softmax.
        lengths: it counts elements of a sequence, or is a size or shape.
        states: it is the initial state of a recurrent operator.
        positive: it goes under a logarithm or a root, or divides.
        pooled_images: it meets a 2-D convolution, pooling or resizing.
        signals: it meets a 1-D convolution or a Fourier transform.
        peak: the size of typical values: 255 where it is divided by as much.
        words: strings it is looked up among.
        required: axis → the sizes that weights on its way demand; several when branches differ.
    """

    bound: int | None = None
    compared: list[int] = field(default_factory=list)
    branches: bool = False
    masks: bool = False
    added: bool = False
    lengths: bool = False
    states: bool = False
    positive: bool = False
    pooled_images: bool = False
    signals: bool = False
    peak: float = 1.0
    words: list[str] = field(default_factory=list)
    required: dict[int, list[int]] = field(default_factory=dict)

    def index_below(self, rows: int) -> None:
        """Values must be below ``rows``."""
        self.bound = rows if self.bound is None else min(self.bound, rows)

    def require(self, axis: int | None, size: int | None) -> None:
        """The input's ``axis`` must have ``size``; None says it is not known which or how much."""
        if axis is not None and size is not None and size > 0:
            sizes = self.required.setdefault(axis, [])
            sizes += [] if size in sizes else [size]


@dataclass(frozen=True)
class Track:
    """A value that holds the input's values plus ``offset``; behind its axis i is the input's ``axes[i]``."""

    value: ir.Value
    offset: int = 0
    axes: tuple[int, ...] | None = None

    def axis(self, index: int) -> int | None:
        """The input's axis behind this value's axis ``index`` (negative counts from the end)."""
        if self.axes is None or not -len(self.axes) <= index < len(self.axes):
            return None
        return self.axes[index]
