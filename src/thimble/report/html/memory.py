"""Pictures of an arena: addresses upwards, steps to the right, one rectangle per buffer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from thimble.report.base import short
from thimble.report.html.markup import Markup, element
from thimble.report.plan import PlanTensor, RegionBytes, buffers_of

WIDTH, HEIGHT = 560, 330
LEFT, RIGHT, TOP, BOTTOM = 58, 10, 16, 34
GLYPH = 6.3  # pixels of a letter in the labels
MOST_TICKS = 6


@dataclass(frozen=True)
class Arena:
    """What one picture shows. `live` are the live bytes of each step, `colours` go by name."""

    tensors: Sequence[PlanTensor]
    arena_bytes: int
    steps: Sequence[str] = ()
    live: Sequence[int] = ()
    bound_bytes: int | None = None
    peak_step: int | None = None
    long_lived: Sequence[str] = ()
    colours: Mapping[str, int] = field(default_factory=dict)
    regions: Sequence[RegionBytes] = ()  # where the arena has several, from its start on


def colours(*groups: Sequence[PlanTensor]) -> dict[str, int]:
    """A colour per name, the same in all groups: neighbours in time get different ones."""
    found: dict[str, int] = {}
    for group in groups:
        for tensor in buffers_of(group):
            found.setdefault(tensor.name, len(found) % 8)
    return found


def nice_steps(largest: int, most: int, base: int) -> list[int]:
    """Round numbers from 0 to `largest` in at most `most` steps: of 2^k (base 2), of 1, 2 or 5
    times 10^k (base 10).
    """
    if largest <= 0:
        return [0]
    step = 1
    factors = (2, 2, 2) if base == 2 else (2, 2.5, 2)
    k = 0
    while largest / step > most:
        step = round(step * factors[k % 3])
        k += 1
    return list(range(0, largest + 1, step))


def bytes_label(value: int) -> str:
    """512 B, 12 KiB."""
    if value and value % 1024 == 0:
        return f"{value // 1024:,} KiB"
    return f"{value / 1024:.1f} KiB" if value >= 10240 else f"{value:,} B"


class _Scale:
    """From steps and bytes to pixels."""

    def __init__(self, steps: int, top_bytes: int):
        self.steps, self.top = max(steps, 1), max(top_bytes, 1)

    def x(self, step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * step / self.steps

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / self.top


def arena_picture(arena: Arena, top_bytes: int, key: str) -> Markup:
    """The arena as SVG; `top_bytes` is the height of the axis, so that pictures can be compared,
    `key` is unique in the page.
    """
    count = max([len(arena.steps), *(t.last + 1 for t in arena.tensors)], default=1)
    scale = _Scale(count, top_bytes)
    parts = _axes(scale, count)
    peak: list[Markup] = []
    if arena.peak_step is not None:
        x0, x1 = scale.x(arena.peak_step), scale.x(arena.peak_step + 1)
        width = max(x1 - x0, 1.5)
        box = {"x": x0, "y": TOP, "width": width, "height": HEIGHT - TOP - BOTTOM}
        peak.append(element("rect", **box, class_="peak"))
        middle, base = (x0 + x0 + width) / 2, HEIGHT - BOTTOM
        corners = f"M{middle:.1f} {base}l-4 7h8z"
        parts.append(element("path", d=corners, class_="peakmark"))
    parts += [
        _place(scale, part, arena, key, is_over=k > 0)
        for tensor in arena.tensors
        for k, part in enumerate(tensor.parts or (tensor,))
        if part.bytes
    ]
    parts += [*peak, *_lines(scale, arena)]
    hatch = element(
        "pattern",
        element("path", d="M0 6L6 0", class_="hatch"),
        id=f"ring-{key}",
        width=6,
        height=6,
        patternUnits="userSpaceOnUse",
    )
    label = f"arena of {arena.arena_bytes:,} bytes over {count} steps"
    options: dict[str, Any] = {"viewBox": f"0 0 {WIDTH} {HEIGHT}"}
    return element("svg", element("defs", hatch), parts, role="img", aria_label=label, **options)


def _axes(scale: _Scale, count: int) -> list[Markup]:
    parts = []
    for value in nice_steps(scale.top, MOST_TICKS, 2):
        y = scale.y(value)
        parts.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid"))
        label = element("text", bytes_label(value), x=LEFT - 6, y=y + 4, text_anchor="end")
        parts.append(label)
    for step in nice_steps(count - 1, 12, 10):
        x = (scale.x(step) + scale.x(step + 1)) / 2
        parts.append(element("text", step, x=x, y=HEIGHT - BOTTOM + 18, text_anchor="middle"))
    end = element("text", "step", x=WIDTH - RIGHT, y=HEIGHT - 3, text_anchor="end")
    base = scale.y(0)
    return [
        *parts,
        end,
        element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=base, y2=base, class_="axis"),
    ]


def _place(scale: _Scale, tensor: PlanTensor, arena: Arena, key: str, is_over: bool) -> Markup:
    x, right = scale.x(tensor.first), scale.x(tensor.last + 1)
    start = tensor.base + tensor.offset
    y, base = scale.y(start + tensor.bytes), scale.y(start)
    at = {"x": x, "y": y, "width": max(right - x, 0.5), "height": max(base - y, 0.5)}
    colour = arena.colours.get(tensor.name, 7)
    is_long = tensor.name in arena.long_lived
    classes = f"place f{colour}" + (" long" if is_long else "") + (" over" if is_over else "")
    parts = [element("rect", **at, class_=classes)]
    if tensor.kind == "ring":
        parts.append(element("rect", **at, fill=f"url(#ring-{key})"))
    room = int((right - x - 6) / GLYPH)
    label = label_of(tensor)
    if len(label) > room:
        label = label.split()[0]
    if len(label) <= room and base - y >= 11:
        parts.append(element("text", label, x=x + 4, y=(y + base) / 2 + 3.5, class_="name"))
    return element("g", element("title", describe(tensor)), parts)


def label_of(tensor: PlanTensor) -> str:
    """What a picture calls a buffer: the layer that writes it tells more than its name."""
    if tensor.kind == "input" or not tensor.writer:
        return tensor.kind if tensor.kind == "input" else short(tensor.name)
    return f"{tensor.writer} {tensor.kind}" if tensor.kind == "scratch" else tensor.writer


def describe(tensor: PlanTensor) -> str:
    """The tooltip of a buffer."""
    lines = [
        tensor.name,
        f"{tensor.kind}, {tensor.bytes:,} bytes at {tensor.offset:,} of {tensor.region}",
        f"steps {tensor.first} to {tensor.last}",
    ]
    if tensor.whole_bytes is not None:
        lines.append(f"rows of a tensor of {tensor.whole_bytes:,} bytes")
    if tensor.writer:
        lines.append(f"written by layer {tensor.writer}")
    return "\n".join(lines)


def _lines(scale: _Scale, arena: Arena) -> list[Markup]:
    parts = []
    if arena.live:
        path = [f"M{scale.x(0):.1f} {scale.y(arena.live[0]):.1f}"]
        for step, value in enumerate(arena.live):
            if step and value == arena.live[step - 1]:
                continue
            path.append(f"H{scale.x(step):.1f}V{scale.y(value):.1f}")
        path.append(f"H{scale.x(len(arena.live)):.1f}")
        parts.append(element("path", d="".join(path), class_="live"))
    begin = 0
    for region in arena.regions:
        y = scale.y(begin)
        if begin:
            parts.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="top"))
        at = {"x": WIDTH - RIGHT - 2, "y": y - 4, "text_anchor": "end"}
        parts.append(element("text", region.name, **at, class_="strong"))
        begin += region.bytes
    y = scale.y(arena.arena_bytes)
    parts.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="top"))
    if arena.bound_bytes is not None:
        b = scale.y(arena.bound_bytes)
        parts.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=b, y2=b, class_="bound"))
    return parts
