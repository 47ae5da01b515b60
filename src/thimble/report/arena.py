"""An arena over its schedule as blocks in a terminal: addresses upwards, steps to the right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from string import ascii_letters
from typing import TYPE_CHECKING

from thimble.report.plan import PlanTensor, buffers_of

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.text import Text

FILLS = "█▓▒░"
COLOURS = ("blue", "yellow", "green", "magenta", "cyan", "red", "bright_blue", "bright_green")
ROWS = 14
AXIS = 10  # columns of the labels on the left
GAP = 3
BOUND = " ◂ bound"
WIDEST = 46  # columns of one picture
NARROWEST = 24


@dataclass(frozen=True)
class Arena:
    """One picture: `title` above, `peak_step` marked below, `bound_bytes` beside it."""

    title: str
    tensors: Sequence[PlanTensor]
    steps: int
    peak_step: int | None = None
    bound_bytes: int | None = None


def letters(given: Sequence[PlanTensor]) -> dict[str, str]:
    """A letter for each of the largest tensors, in the order in which they begin."""
    tensors = buffers_of(given)
    largest = sorted(tensors, key=lambda t: -t.bytes)[: len(ascii_letters)]
    names = {t.name for t in largest if t.bytes}
    shown = dict.fromkeys(t.name for t in tensors if t.name in names)
    return dict(zip(shown, ascii_letters))


def cells(
    tensors: Sequence[PlanTensor], steps: int, columns: int, rows: int, top_bytes: int
) -> list[list[int | None]]:
    """[row from the bottom][column] -> index of the tensor that fills most of it; None: none does.

    A column is one step or, where there are more steps than columns, several; a step may take
    several columns.
    """
    found: list[list[int | None]] = [[None] * columns for _ in range(rows)]
    most = [[0.0] * columns for _ in range(rows)]
    band, stride = top_bytes / rows, steps / columns
    for index, tensor in enumerate(tensors):
        if not tensor.bytes:
            continue
        start = tensor.base + tensor.offset
        end = start + tensor.bytes
        for row in range(int(start / band), min(rows, -int(-end // band))):
            height = min(end, (row + 1) * band) - max(start, row * band)
            for column in range(int(tensor.first / stride), columns):
                left, right = column * stride, (column + 1) * stride
                width = min(tensor.last + 1, right) - max(tensor.first, left)
                if width <= 0:
                    break
                if height * width > most[row][column]:
                    most[row][column], found[row][column] = height * width, index
    return [
        [i if most[r][c] >= band * stride / 4 else None for c, i in enumerate(line)]
        for r, line in enumerate(found)
    ]


def picture_columns(steps: int, room: int) -> int:
    """How wide a picture of `steps` steps is: a whole number of columns a step where they fit."""
    room = max(NARROWEST, min(room, WIDEST))
    return steps * (room // steps) if 0 < steps <= room else room


def size(value: float) -> str:
    """12.5 KiB."""
    return f"{value / 1024:,.1f} KiB" if value >= 1024 else f"{value:.0f} B"


@dataclass(frozen=True)
class ArenaPicture:
    """Pictures side by side on one scale, below each other where the terminal is narrow."""

    arenas: Sequence[Arena]
    top_bytes: int
    names: Mapping[str, str]  # tensor -> letter

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = options.max_width - AXIS - 2 - len(BOUND)
        each = (room - GAP * (len(self.arenas) - 1)) // max(len(self.arenas), 1)
        arenas = [replace(a, tensors=buffers_of(a.tensors)) for a in self.arenas]
        groups = [arenas] if each >= NARROWEST + 8 else [[a] for a in arenas]
        each = each if len(groups) == 1 else room
        for group in groups:
            yield from self._group(group, each)

    def _group(self, arenas: Sequence[Arena], room: int) -> Iterator[Text]:
        from rich.text import Text

        widths = [picture_columns(a.steps, room - 1) for a in arenas]
        drawn = [
            cells(a.tensors, a.steps, w, ROWS, max(self.top_bytes, 1))
            for a, w in zip(arenas, widths)
        ]
        between = " " * GAP
        titles = [a.title[:w].ljust(w) for a, w in zip(arenas, widths)]
        yield Text(" " * AXIS + "  " + (between + " ").join(titles).rstrip(), style="bold")
        for row in range(ROWS - 1, -1, -1):
            line = Text(f"{size(self.top_bytes * (row + 1) / ROWS):>{AXIS}} ")
            for k, (arena, grid) in enumerate(zip(arenas, drawn)):
                line.append((between if k else "") + "│")
                self._row(line, arena, grid, row)
            bound = arenas[-1].bound_bytes
            if bound is not None and -(-bound * ROWS // max(self.top_bytes, 1)) - 1 == row:
                line.append(BOUND, style="green")
            line.rstrip()
            yield line
        base = Text(f"{'0 B':>{AXIS}} ")
        for k, (arena, width) in enumerate(zip(arenas, widths)):
            axis = ["─"] * width
            if arena.peak_step is not None:
                axis[min(int((arena.peak_step + 0.5) * width / arena.steps), width - 1)] = "▲"
            base.append((between if k else "") + "└" + "".join(axis))
        yield base
        under = Text(" " * AXIS + " ")
        for k, (arena, width) in enumerate(zip(arenas, widths)):
            last = str(max(arena.steps - 1, 0))
            line_ = f" 0{'steps':^{width - 1 - len(last)}}{last}"
            under.append((between if k else "") + line_, style="dim")
        yield under

    def _row(self, line: Text, arena: Arena, grid: list[list[int | None]], row: int) -> None:
        for column, index in enumerate(grid[row]):
            if index is None:
                line.append(" ")
                continue
            name = arena.tensors[index].name
            letter = self.names.get(name)
            number = ascii_letters.index(letter) if letter else index
            is_first = column == 0 or grid[row][column - 1] != index
            is_top = row + 1 == len(grid) or grid[row + 1][column] != index
            shown = letter if letter and is_first and is_top else FILLS[number % len(FILLS)]
            line.append(shown, style=COLOURS[number % len(COLOURS)])
