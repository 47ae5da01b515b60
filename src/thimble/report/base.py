"""What all reports have in common: JSON that scripts can rely on, and text for people."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from thimble.graph import Graph

TEXT_COLUMNS = 120
NAME_COLUMNS = 28
DRAWN = {"is_drawn": True}  # metadata of fields for pictures, which the JSON leaves out


def plain(value: Any) -> Any:
    """`value` as JSON knows it: arrays to lists, bytes to hex, NaN to None."""
    if is_dataclass(value) and not isinstance(value, type):
        shown = (f for f in fields(value) if not f.metadata.get("is_drawn"))
        return {f.name: plain(getattr(value, f.name)) for f in shown}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):  # NumPy arrays and scalars
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


@dataclass(frozen=True)
class Report:
    """Base of all reports: str(report) is the text, `as_dict` the JSON, `to_html` a page.

    graph: what the report is about, for pictures.
    """

    graph: Graph | None = field(
        default=None, kw_only=True, repr=False, compare=False, metadata=DRAWN
    )

    def as_dict(self) -> dict[str, Any]:
        """The report as plain lists, dicts, strings and numbers."""
        return plain(self)

    def to_json(self) -> str:
        """The report as JSON text; figures that were not measured are null."""
        return json.dumps(self.as_dict(), indent=1, allow_nan=False)

    def render(self) -> Sequence[RenderableType]:
        """What a terminal shows, as rich renderables."""
        raise NotImplementedError(type(self).__name__)

    def text(self) -> str:
        """The report as plain text of fixed width."""
        from rich.console import Console

        stream = io.StringIO()
        console = Console(file=stream, width=TEXT_COLUMNS, color_system=None, highlight=False)
        for part in self.render():
            console.print(part, markup=False)
        return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"

    def to_html(self) -> str:
        """The report as one HTML file that needs no other."""
        from thimble.report.html import to_html

        return to_html(self)

    def _repr_html_(self) -> str:
        """What a notebook shows: the page in a frame."""
        from thimble.report.html import notebook

        return notebook(self)

    def __str__(self) -> str:
        return self.text().rstrip("\n")


def facts(rows: Iterable[tuple[str, object]]) -> Table:
    """Two columns: what, and the figure. Rows whose figure is None are left out."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for what, value in rows:
        if value is not None:
            table.add_row(Text(what), Text(str(value)))
    return table


def columns(head: Sequence[str], rows: Iterable[Sequence[object]], left: Sequence[int]) -> Table:
    """A table with `head`; the columns in `left` hold names, the others figures."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for i, title in enumerate(head):
        table.add_column(
            title,
            justify="left" if i in left else "right",
            overflow="fold" if i in left else "ellipsis",
            no_wrap=i not in left,
        )
    for row in rows:
        table.add_row(*(Text(figure(value)) for value in row))
    return table


def figure(value: object) -> str:
    """A number for people: 1,234,567; 0.0123; - where nothing was measured."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def short(name: str) -> str:
    """A tensor's name for a table: of `a/MatMul;a/Relu` the last, cut at the front when long."""
    if len(name) > NAME_COLUMNS:
        name = name.rsplit(";", 1)[-1]
    return name if len(name) <= NAME_COLUMNS else "..." + name[3 - NAME_COLUMNS :]


def bytes_figure(value: int | None) -> str | None:
    """12,345 bytes (12.1 KiB)."""
    if value is None:
        return None
    return f"{value:,} bytes ({value / 1024:.1f} KiB)" if value >= 1024 else f"{value:,} bytes"


def seconds_figure(value: float | None) -> str | None:
    """A duration in the unit that suits it."""
    if value is None or not math.isfinite(value):
        return None
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if value * factor >= 1:
            return f"{value * factor:.3g} {unit}"
    return f"{value * 1e9:.3g} ns"
