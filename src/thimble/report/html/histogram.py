"""Histograms: how often values occur, as small pictures of one shape each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from thimble.report.base import figure
from thimble.report.html.markup import Markup, element

if TYPE_CHECKING:
    import numpy as np

WIDTH, HEIGHT = 240, 64
BINS = 64


def heights(counts: Sequence[int]) -> list[float]:
    """Heights of bars. Square roots: a rare tail stays visible beside a common zero."""
    largest = max(counts, default=0)
    return [HEIGHT * (c / largest) ** 0.5 if largest else 0.0 for c in counts]


def area(counts: Sequence[int]) -> str:
    """The bars as one closed path."""
    step = WIDTH / max(len(counts), 1)
    path = [f"M0 {HEIGHT}"]
    for i, height in enumerate(heights(counts)):
        top = HEIGHT - height
        path.append(f"V{top:.1f}H{(i + 1) * step:.4g}")
    return "".join([*path, f"V{HEIGHT}Z"])


def picture(
    low: float, high: float, counts: Sequence[int], other: Sequence[int] | None = None
) -> Markup:
    """`counts` over [low, high] as bars, `other` over the same range as a line."""
    parts = [element("path", d=area(counts), class_="hist")]
    if other is not None:
        parts.append(element("path", d=area(other), class_="hist b"))
    if low < 0 < high:
        x = WIDTH * -low / (high - low)
        parts.append(element("line", x1=x, x2=x, y1=0, y2=HEIGHT, class_="zero"))
    options: dict[str, Any] = {"viewBox": f"0 0 {WIDTH} {HEIGHT}", "preserveAspectRatio": "none"}
    return element("svg", parts, role="img", aria_label="histogram", **options)


def ends(low: float, high: float, middle: str = "") -> Markup:
    """The range below a picture."""
    spans = [element("span", part) for part in (figure(low), middle, figure(high))]
    return element("div", spans, class_="ends")


def counted(values: np.ndarray, bins: int = BINS) -> tuple[float, float, list[int]]:
    """(low, high, counts) of finite `values`; integers get bins of whole numbers."""
    import numpy as np

    flat = values.reshape(-1)
    if flat.dtype.kind == "f":
        flat = flat[np.isfinite(flat)]
    if flat.size == 0:
        return 0.0, 0.0, []
    low, high = float(flat.min()), float(flat.max())
    if flat.dtype.kind in "iu":
        step = max(1, -(-(int(high) - int(low) + 1) // bins))
        count = (int(high) - int(low)) // step + 1
        index = (flat.astype(np.int64) - int(low)) // step
        return low, low + count * step - 1, np.bincount(index, minlength=count).tolist()
    if low == high:
        return low, high, [flat.size]
    counts, _ = np.histogram(flat.astype(np.float64), bins, (low, high))
    return low, high, counts.tolist()
