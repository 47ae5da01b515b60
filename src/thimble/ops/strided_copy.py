"""The strided copy behind STRIDED_SLICE, SLICE, TRANSPOSE, BROADCAST_TO, TILE, REVERSE_V2...

An op says which element of x each output dimension steps to (`Dim`); `copy` drops and merges
what is contiguous, and cuts the output into rows where every output row lies within one row of
x.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from thimble.lower import Lowering
from thimble.ops.contract import Array, Shape
from thimble.program import Arg, Window


@dataclass(frozen=True)
class Dim:
    """`count` steps of `x_step` and `y_step` elements."""

    count: int
    x_step: int
    y_step: int


@dataclass(frozen=True)
class Rows:
    """Output row r is cut out of x row r * step + first; sizes of rows in elements."""

    rows: int
    x_rows: int
    x_row: int
    y_row: int
    step: int
    first: int


def steps(shape: Shape) -> tuple[int, ...]:
    """Elements from one index to the next, for each dimension of a contiguous tensor."""
    return tuple(prod(shape[d + 1 :]) for d in range(len(shape)))


def into(y_shape: Shape, x_steps: Sequence[int]) -> list[Dim]:
    """Dims of a copy that fills y of shape `y_shape`, stepping through x by `x_steps`."""
    return [Dim(*dim) for dim in zip(y_shape, x_steps, steps(y_shape))]


def rows_of(x_shape: Shape, y_shape: Shape, dims: Sequence[Dim], start: int) -> Rows | None:
    """How rows of y come out of rows of x, where both are [1, H, ...] and each out of one."""
    if len(x_shape) < 3 or len(y_shape) < 3 or x_shape[0] != 1 or y_shape[0] != 1:
        return None
    x_row = prod(x_shape[2:])
    if x_row == 0 or y_shape[1] == 0 or dims[1].x_step <= 0 or dims[1].x_step % x_row:
        return None
    inside = start % x_row
    low = inside + sum(min(0, (d.count - 1) * d.x_step) for d in dims[2:])
    high = inside + sum(max(0, (d.count - 1) * d.x_step) for d in dims[2:])
    if low < 0 or high >= x_row:
        return None
    step = dims[1].x_step // x_row if y_shape[1] > 1 else 1
    return Rows(y_shape[1], x_shape[1], x_row, prod(y_shape[2:]), step, start // x_row)


def merged(dims: Sequence[Dim]) -> tuple[list[Dim], int]:
    """The fewest dims that copy the same, and the contiguous elements below the innermost."""
    kept: list[Dim] = []
    for dim in dims:
        if dim.count == 1:
            continue
        outer = kept[-1] if kept else None
        if (
            outer is not None
            and outer.x_step == dim.count * dim.x_step
            and outer.y_step == dim.count * dim.y_step
        ):
            kept[-1] = Dim(outer.count * dim.count, dim.x_step, dim.y_step)
        else:
            kept.append(dim)
    run = 1
    if kept and kept[-1].x_step == kept[-1].y_step == 1:
        run = kept.pop().count
    return kept or [Dim(1, 0, 0)], run


def copy(
    n: Lowering,
    x: Arg,
    y: Arg,
    item: int,
    dims: Sequence[Dim],
    x_start: int = 0,
    y_start: int = 0,
    rows: Rows | None = None,
) -> None:
    """Append the call that copies elements of `item` bytes along `dims`.

    `x_start` and `y_start` are the first elements. With `rows`, which must come from `rows_of` with
    the same dims and start, dims 0 and 1 are the rows.
    """
    if any(dim.count == 0 for dim in dims):
        return
    if rows is not None:
        dims, x_start = dims[2:], x_start % rows.x_row
    loops, run = merged(dims)
    table = [[dim.count, dim.x_step * item, dim.y_step * item] for dim in loops]
    n.call(
        "thm_copy_strided",
        rows=1 if rows is None else rows.rows,
        windows=None if rows is None else {"x": Window(rows.step, -rows.first, 1)},
        x=x,
        table=n.const(np.array(table, np.int32), "steps"),
        y=y,
        dims=len(loops),
        run=run * item,
        x_start=x_start * item,
        x_row=0 if rows is None else rows.x_row * item,
        x_ring=1 if rows is None else rows.x_rows,
        row_step=0 if rows is None else rows.step,
        row_first=0 if rows is None else rows.first,
        y_start=y_start * item,
        y_row=0 if rows is None else rows.y_row * item,
        y_ring=1 if rows is None else rows.rows,
    )


def fill(n: Lowering, value: Arg, y: Arg, item: int, elements: int) -> None:
    """Append the call that sets `elements` of y, of `item` bytes each, to the one at `value`."""
    if elements:
        n.call("thm_fill", value=value, y=y, item=item, bytes=elements * item)


# --- twins ---------------------------------------------------------------------------------------


def thm_copy_strided(p: Any, y_first: int, y_count: int, x: Array, table: Array, y: Array) -> None:
    """Twin of the kernel of the same name, on bytes."""
    from_, to = np.array([p.x_start]), np.array([p.y_start])
    for count, x_step, y_step in table[: 3 * p.dims].reshape(-1, 3).tolist():
        from_ = (from_[:, None] + np.arange(count) * x_step).reshape(-1)
        to = (to[:, None] + np.arange(count) * y_step).reshape(-1)
    from_ = from_[:, None] + np.arange(p.run)
    to = to[:, None] + np.arange(p.run)
    for r in range(y_first, y_first + y_count):
        x_r = (r * p.row_step + p.row_first) % p.x_ring
        y[r % p.y_ring * p.y_row + to] = x[x_r * p.x_row + from_]


def thm_fill(p: Any, y_first: int, y_count: int, value: Array, y: Array) -> None:
    """Twin of the kernel of the same name, on bytes."""
    y[: p.bytes].reshape(-1, p.item)[:] = value[: p.item]
