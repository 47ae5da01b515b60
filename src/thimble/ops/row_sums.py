"""Lowering of layers whose input can come row by row because only its sums count.

AVERAGE_POOL_2D over a whole image and FULLY_CONNECTED behind a flattened image each become two
calls: one that adds up rows as they come (so that a streamed segment can end in it) and one that
finishes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from thimble import fixedpoint
from thimble.lower import Lowering
from thimble.ops.contract import Array
from thimble.program import Window


def average_image(n: Lowering, act: tuple[int, int]) -> None:
    """y [1, 1, 1, C] = the average of x [1, H, W, C] int8, clamped to `act`."""
    _, in_h, in_w, channels = n.x().shape
    sums = n.sums(channels)
    n.call(
        "thm_row_sums_s8",
        rows=in_h,
        accumulates=True,
        windows={"x": Window()},
        x=n.input(),
        acc=sums,
        in_w=in_w,
        channels=channels,
        x_ring=in_h,
    )
    n.call(
        "thm_average_of_sums_s8",
        acc=sums,
        y=n.output(),
        channels=channels,
        count=in_h * in_w,
        act_min=act[0],
        act_max=act[1],
    )


def fully_connected(
    n: Lowering, rows: int, w: Array, bias: Array, requantization: dict[str, Any]
) -> None:
    """y [1, O] from x that is `rows` rows of an image; w [O, rows * row length] int8."""
    outputs, depth = w.shape
    length = depth // rows
    by_rows = w.reshape(outputs, rows, length).transpose(1, 0, 2)
    sums = n.sums(outputs)
    n.call(
        "thm_fully_connected_rows_s8",
        rows=rows,
        accumulates=True,
        windows={"x": Window()},
        x=n.input(),
        w=n.const(np.ascontiguousarray(by_rows), "weights"),
        bias=n.const(bias, "bias"),
        acc=sums,
        depth=length,
        outputs=outputs,
        x_ring=rows,
    )
    n.call("thm_requantize_sums_s8", acc=sums, y=n.output(), outputs=outputs, **requantization)


# --- twins ----------------------------------------------------------------------------------------


def _row(x: Array, r: int, ring: int, length: int) -> Array:
    return x[(r % ring) * length :][:length]


def thm_row_sums_s8(p: Any, y_first: int, y_count: int, x: Array, acc: Array) -> None:
    """Twin of the kernel of the same name."""
    if y_first == 0:
        acc[: p.channels] = 0
    for r in range(y_first, y_first + y_count):
        row = _row(x, r, p.x_ring, p.in_w * p.channels).reshape(p.in_w, p.channels)
        acc[: p.channels] += row.sum(axis=0, dtype=np.int32)


def thm_average_of_sums_s8(p: Any, y_first: int, y_count: int, acc: Array, y: Array) -> None:
    """Twin of the kernel of the same name."""
    sums = acc[: p.channels].astype(np.int64)
    half = np.where(sums > 0, p.count // 2, -(p.count // 2))
    y[: p.channels] = np.clip(fixedpoint.tdiv(sums + half, p.count), p.act_min, p.act_max)


def thm_fully_connected_rows_s8(
    p: Any, y_first: int, y_count: int, x: Array, w: Array, bias: Array, acc: Array
) -> None:
    """Twin of the kernel of the same name."""
    if y_first == 0:
        acc[: p.outputs] = bias[: p.outputs]
    size = p.outputs * p.depth
    for r in range(y_first, y_first + y_count):
        weights = w[r * size : (r + 1) * size].reshape(p.outputs, p.depth).astype(np.int64)
        total = acc[: p.outputs] + weights @ _row(x, r, p.x_ring, p.depth).astype(np.int64)
        acc[: p.outputs] = fixedpoint.wrap32(total)


def thm_requantize_sums_s8(
    p: Any, y_first: int, y_count: int, acc: Array, multiplier: Array, shift: Array, y: Array
) -> None:
    """Twin of the kernel of the same name."""
    q = fixedpoint.mbqm(acc[: p.outputs].astype(np.int64), multiplier, shift) + p.output_offset
    y[: p.outputs] = np.clip(q, p.act_min, p.act_max)


def thm_input_rows(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name, on bytes."""
    for r in range(y_first, y_first + y_count):
        at = (r % p.y_ring) * p.row_bytes
        y[at : at + p.row_bytes] = x[r * p.row_bytes : (r + 1) * p.row_bytes]


def thm_window_rows(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name, on bytes."""
    for i in range(y_count):
        row = _row(x, y_first + i, p.x_ring, p.row_bytes)
        y[i * p.row_bytes : (i + 1) * p.row_bytes] = row
