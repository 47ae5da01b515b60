"""STRIDED_SLICE: y = x[begin:end:stride, ...], as NumPy slices.

x [...], constant begin, end and strides, one element for each dimension sliced. Any dtype of
fixed size. Bit i of a mask is about element i: begin_mask and end_mask ignore the bound,
shrink_axis_mask takes the one element at begin and drops the axis, new_axis_mask inserts an
axis, ellipsis_mask stands for all dimensions that the others leave over. With `offset`, end
counts from begin.

Exception: TFLM ignores ellipsis_mask, new_axis_mask and offset; they are LiteRT's here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from thimble.graph import Tensor
from thimble.lower import Lowering
from thimble.ops import strided_copy
from thimble.ops.block_copy import (
    arity,
    constant_ints,
    ints,
    item_bytes,
    moves,
    rank,
    shapes_as_inferred,
)
from thimble.ops.contract import Array, Limit, NodeView, Op, QuantRule, Shape, TensorType


@dataclass(frozen=True)
class Cut:
    """What is taken along one dimension of x: `count` elements from `first` on, `step` apart.

    `kept` is False where the axis is dropped; a new axis is a Cut with `is_new`, and none of x's.
    """

    first: int
    count: int
    step: int
    kept: bool = True
    is_new: bool = False


def _cut(
    size: int, begin: int | None, end: int | None, step: int, offset: bool, shrink: bool
) -> Cut:
    """One dimension of `size`; a bound of None is masked out."""
    low, high = (0, size) if step > 0 else (-1, size - 1)
    if begin is None:
        first = 0 if step > 0 else size - 1
    else:
        first = min(max(begin + size if begin < 0 else begin, low), high)
    if shrink:
        return Cut(first, 1, 1, kept=False)
    if end is None:
        last = high if step > 0 else low
    else:
        last = end + first if offset else end
        last = min(max(last + size if last < 0 else last, low), high)
    return Cut(first, max(-(-(last - first) // step), 0), step)


@dataclass(frozen=True)
class StridedSlice(Op):
    name: ClassVar[str] = "STRIDED_SLICE"
    options_table: ClassVar[str] = "StridedSliceOptions"
    quant: ClassVar[QuantRule] = QuantRule(output="same", activations=(0,))

    begin_mask: int = 0
    end_mask: int = 0
    ellipsis_mask: int = 0
    new_axis_mask: int = 0
    shrink_axis_mask: int = 0
    offset: bool = False

    def cuts(self, shape: Shape, begin: Array, end: Array, strides: Array) -> list[Cut]:
        """One Cut for each dimension of x and each new axis, in the order of the output."""
        begins, ends, strides_ = ints(begin), ints(end), ints(strides)
        found: list[Cut] = []
        new_axes = sum(
            self.new_axis_mask >> i & 1 and not self.ellipsis_mask >> i & 1
            for i in range(len(begins))
        )
        dim = 0
        for i, step in enumerate(strides_):
            if self.ellipsis_mask >> i & 1:
                rest = len(shape) - (len(begins) - new_axes - 1)
                found += [Cut(0, size, 1) for size in shape[dim : dim + rest]]
                dim += rest
            elif self.new_axis_mask >> i & 1:
                found.append(Cut(0, 1, 1, is_new=True))
            else:
                shrink = bool(self.shrink_axis_mask >> i & 1)
                first = None if self.begin_mask >> i & 1 else begins[i]
                last = None if self.end_mask >> i & 1 else ends[i]
                found.append(_cut(shape[dim], first, last, step, self.offset, shrink))
                dim += 1
        return found + [Cut(0, size, 1) for size in shape[dim:]]

    def _cuts_of(self, n: NodeView) -> list[Cut]:
        return self.cuts(n.x().shape, n.constant(1), n.constant(2), n.constant(3))

    def _indices_fit(self, n: NodeView) -> bool:
        masks = self.ellipsis_mask
        count = n.x(1).elements
        new = sum(self.new_axis_mask >> i & 1 and not masks >> i & 1 for i in range(count))
        ellipses = sum(masks >> i & 1 for i in range(count))
        return ellipses <= 1 and count - new - ellipses <= len(n.x().shape)

    def _shrinks_inside(self, n: NodeView) -> bool:
        begins, strides = ints(n.constant(1)), ints(n.constant(3))
        dim = 0
        for i, (begin, step) in enumerate(zip(begins, strides)):
            if (self.ellipsis_mask | self.new_axis_mask) >> i & 1:
                if self.ellipsis_mask >> i & 1:
                    return self.shrink_axis_mask >> i == 0  # rare, and not needed by any exporter
                continue
            size = n.x().shape[dim]
            inside = size > 0 if self.begin_mask >> i & 1 else -size <= begin < size
            if self.shrink_axis_mask >> i & 1 and (step != 1 or not inside):
                return False
            dim += 1
        return True

    def _offsets_fit(self, n: NodeView) -> bool:
        if not self.offset:
            return True
        bounds = zip(n.x().shape, *(ints(n.constant(i)) for i in (1, 2, 3)))
        masks = self.begin_mask | self.end_mask | self.ellipsis_mask | self.new_axis_mask
        return masks == 0 and all(
            step > 0 and -size <= begin < size and 0 <= count <= size - begin % size
            for size, begin, count, step in bounds
        )

    limits: ClassVar[Sequence[Limit]] = (
        arity(4),
        moves(0),
        rank(1),
        constant_ints(1, "begin"),
        constant_ints(2, "end"),
        constant_ints(3, "strides"),
        Limit(
            "begin, end and strides must be equally long",
            lambda n: n.x(1).elements == n.x(2).elements == n.x(3).elements,
            lambda n: ", ".join(str(n.x(i).elements) for i in (1, 2, 3)),
        ),
        Limit("strides must not be 0", lambda n: 0 not in ints(n.constant(3))),
        Limit(
            "there must be at most one ellipsis and no more indices than dimensions",
            lambda n: n.op._indices_fit(n),
            lambda n: f"{n.x(1).elements} indices for {list(n.x().shape)}",
        ),
        Limit(
            "a dropped axis must have stride 1 and begin inside the input, before any ellipsis",
            lambda n: n.op._shrinks_inside(n),
            lambda n: f"begin {list(ints(n.constant(1)))} of {list(n.x().shape)}",
        ),
        Limit(
            "with offset, the slice must run forward inside the input, unmasked",
            lambda n: n.op._offsets_fit(n),
            lambda n: f"{list(ints(n.constant(1)))} + {list(ints(n.constant(2)))}",
            "TFLM and LiteRT read other memory here",
        ),
        shapes_as_inferred(),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        x, begin, end, strides = inputs[:4]
        assert x is not None
        assert begin is not None
        assert end is not None
        assert strides is not None
        assert begin.data is not None
        assert end.data is not None
        assert strides.data is not None
        cuts = self.cuts(x.shape, begin.data, end.data, strides.data)
        return (TensorType(tuple(cut.count for cut in cuts if cut.kept), x.dtype),)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        x, begin, end, strides = inputs[:4]
        assert x is not None
        assert begin is not None
        assert end is not None
        assert strides is not None
        cuts = self.cuts(x.shape, begin, end, strides)
        dims = [cut for cut in cuts if not cut.is_new]
        for d, cut in enumerate(dims):
            x = x.take([cut.first + i * cut.step for i in range(cut.count)], d)
        return (x.reshape([cut.count for cut in cuts if cut.kept]),)

    def lower(self, n: Lowering) -> None:
        x, y = n.x(), n.y()
        cuts = self._cuts_of(n)
        x_steps = iter(strided_copy.steps(x.shape))
        kept: list[int] = []
        start = 0
        for cut in cuts:
            x_step = 0 if cut.is_new else next(x_steps)
            start += cut.first * x_step
            if cut.kept:
                kept.append(cut.step * x_step)
        dims = strided_copy.into(y.shape, kept)
        rows = strided_copy.rows_of(x.shape, y.shape, dims, start)
        strided_copy.copy(n, n.input(), n.output(), item_bytes(n), dims, start, rows=rows)
