"""Ops that only move elements: what they can move, and the copy that joins and splits tensors.

CONCATENATION, PACK, SPLIT, SPLIT_V and UNPACK are calls of `thm_copy_blocks`, one for each input
or output: see `join` and `part`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from thimble.lower import Lowering
from thimble.ops.contract import Array, Limit, NodeView, Shape
from thimble.program import Arg, Window

# dtypes of fixed size that a firmware can hold; moving them is a copy of bytes
MOVABLE = ("float32", "int8", "uint8", "bool", "int16", "int32", "int64", "uint32")
MAX_RANK = 6


# --- limits --------------------------------------------------------------------------------------


def arity(fewest: int, most: int | None = None, outputs: int | None = 1) -> Limit:
    """`fewest` to `most` inputs, none absent, and `outputs` outputs (None: one or more)."""
    top = fewest if most is None else most
    count = str(fewest) if top == fewest else f"{fewest} to {top}"
    noun = "input" if count == "1" else "inputs"
    made = "1 output" if outputs == 1 else "at least 1 output"

    def holds(n: NodeView) -> bool:
        return (
            fewest <= len(n.inputs) <= top
            and all(t >= 0 for t in (*n.node.inputs, *n.node.outputs))
            and (len(n.outputs) == outputs if outputs is not None else len(n.outputs) > 0)
        )

    return Limit(
        f"must have {count} {noun} and {made}",
        holds,
        lambda n: f"{sum(t >= 0 for t in n.node.inputs)} and {len(n.outputs)}",
    )


def moves(*inputs: int) -> Limit:
    """The inputs named (all, where none is) and the outputs have one dtype of MOVABLE."""

    def dtypes(n: NodeView) -> list[str]:
        return [n.x(i).dtype for i in inputs or range(len(n.inputs))] + [t.dtype for t in n.outputs]

    return Limit(
        f"input and output must have one dtype of {', '.join(MOVABLE)}",
        lambda n: len(set(dtypes(n))) == 1 and dtypes(n)[0] in MOVABLE,
        lambda n: ", ".join(dtypes(n)),
    )


def rank(fewest: int, most: int = MAX_RANK, index: int = 0) -> Limit:
    """Input `index` has a rank that the loops are made for."""
    text = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    return Limit(
        f"input {index} must have rank {text}",
        lambda n: fewest <= len(n.x(index).shape) <= most,
        lambda n: str(list(n.x(index).shape)),
    )


def constant_ints(index: int, what: str, count: int | None = None) -> Limit:
    """Input `index` holds integers known at compile time (`count` of them, where given)."""

    def holds(n: NodeView) -> bool:
        t = n.x(index)
        return (
            t.data is not None
            and t.dtype in ("int32", "int64")
            and t.data.dtype == t.dtype
            and t.data.size == t.elements
            and count in (None, t.elements)
        )

    number = "" if count is None else "one " if count == 1 else f"{count} "
    return Limit(
        f"{what} must be {number}constant int32 or int64",
        holds,
        lambda n: (
            f"{n.x(index).elements} {n.x(index).dtype}"
            + ("" if n.x(index).is_constant else ", computed at run time")
        ),
    )


def shapes_as_inferred() -> Limit:
    """The outputs have the shapes and dtypes that follow from the inputs, which the loops trust."""

    def found(n: NodeView) -> str:
        return ", ".join(
            f"{list(t.shape)} {t.dtype} for {list(want.shape)} {want.dtype}"
            for t, want in zip(n.outputs, n.op.infer(n.inputs))
        )

    def holds(n: NodeView) -> bool:
        wanted = n.op.infer(n.inputs)
        return len(wanted) == len(n.outputs) and all(
            (tuple(t.shape), t.dtype) == (want.shape, want.dtype)
            for t, want in zip(n.outputs, wanted)
        )

    return Limit(
        "the output must have the shape that follows from the inputs",
        holds,
        found,
        "fix the batch size to 1 when exporting (shapes must be static)",
    )


def ints(values: Any) -> tuple[int, ...]:
    """The elements of a constant as Python integers."""
    return tuple(int(v) for v in np.asarray(values).reshape(-1))


# --- lowering ------------------------------------------------------------------------------------


def split_shape(shape: Shape, axis: int) -> tuple[int, int, int]:
    """How copies along `axis` walk a tensor: (row axis or -1, rows, blocks in a row).

    Rows are dimension 1 of a tensor [1, H, ...] of rank 3 or more; anything else is one row.
    """
    if len(shape) >= 3 and shape[0] == 1 and axis >= 1:
        blocks = prod(shape[2:axis]) if axis > 1 else 1
        return 1, shape[1], blocks
    return -1, 1, prod(shape[:axis])


def part(
    n: Lowering,
    x: Arg,
    y: Arg,
    whole: Shape,
    axis: int,
    first: int,
    count: int,
    item: int,
    *,
    join: bool,
) -> None:
    """Copy x to y, where one is elements [first, first + count) along `axis` of the other.

    The other has shape `whole`: it is y with `join` and x without. Elements have `item` bytes.
    """
    small = (*whole[:axis], count, *whole[axis + 1 :])
    if prod(small) == 0:
        return
    row_axis, rows, blocks = split_shape(whole, axis)
    inner = prod(whole[axis + 1 :]) * item
    by_row = row_axis == axis
    whole_step = prod(whole[axis:]) * item if not by_row else 0
    small_step = prod(small[axis:]) * item if not by_row else 0
    block = inner if by_row else small_step
    whole_row = prod(whole[row_axis + 1 :]) * item if row_axis > 0 else whole_step * blocks
    small_row = prod(small[row_axis + 1 :]) * item if row_axis > 0 else small_step * blocks
    small_rows = count if by_row else rows
    start = 0 if by_row else first * inner
    x_rows, y_rows = (small_rows, rows) if join else (rows, small_rows)
    shift = (first if join else -first) if by_row else 0
    ends = [("x", small_row, small_step, 0), ("y", whole_row, whole_step, start)]
    if not join:
        ends = [("x", whole_row, whole_step, start), ("y", small_row, small_step, 0)]
    words: dict[str, Any] = {}
    for name, row_bytes, step, begin in ends:
        words |= {f"{name}_row": row_bytes, f"{name}_step": step, f"{name}_start": begin}
    n.call(
        "thm_copy_blocks",
        rows=y_rows,
        windows={"x": Window(1, shift, 1)} if row_axis > 0 else None,
        x=x,
        y=y,
        blocks=blocks,
        block=block,
        x_ring=x_rows,
        x_rows=x_rows,
        y_ring=y_rows,
        row_shift=shift,
        **words,
    )


def axis_in(axis: int, dims: int) -> bool:
    """Whether `axis` names one of `dims` dimensions, counted from either end."""
    return -dims <= axis < dims


def item_bytes(n: NodeView, i: int = 0) -> int:
    """Bytes of one element of input i."""
    return np.dtype(n.x(i).dtype).itemsize


# --- twin ----------------------------------------------------------------------------------------


def thm_copy_blocks(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name, on bytes."""
    blocks, run = np.arange(p.blocks)[:, None], np.arange(p.block)
    from_ = p.x_start + blocks * p.x_step + run
    to = p.y_start + blocks * p.y_step + run
    last = min(y_first + y_count, p.row_shift + p.x_rows)
    for r in range(max(y_first, p.row_shift), last):
        source = x[(r - p.row_shift) % p.x_ring * p.x_row + from_]
        y[r % p.y_ring * p.y_row + to] = source


def concatenated(tensors: Sequence[Shape], axis: int) -> Shape:
    """The shape of tensors joined along `axis`."""
    total = sum(shape[axis] for shape in tensors)
    return (*tensors[0][:axis], total, *tensors[0][axis + 1 :])
