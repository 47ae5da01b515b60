"""MEAN, SUM, REDUCE_MAX, REDUCE_MIN: y = the mean, sum, maximum or minimum of x over `axes`.

x [any shape], axes int32 (constant; negative ones count from the end) -> y [x's shape without the
axes, or with 1 in their place where keep_dims]. float32, int8 and int16. MEAN and SUM requantize
from the input's scale to the output's; the extremes need one scale and zero point for both.
LiteRT's reference SUM takes no notice of quantization; TFLM does, and so do we.
TFLM has no int16 extremes; we do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite, prod
from typing import Any, ClassVar

import numpy as np

from thimble import fixedpoint
from thimble.graph import Tensor
from thimble.lower import Lowering
from thimble.ops.broadcast import arity
from thimble.ops.contract import (
    Array,
    Limit,
    NodeView,
    Op,
    QuantRule,
    Shape,
    TensorType,
    constant_input,
    per_tensor,
    types,
)
from thimble.ops.pool_2d import SAME_QUANTIZATION, SUFFIX
from thimble.program import Window


def reduced_axes(axes: Array, rank: int) -> tuple[int, ...]:
    """The axes, counted from the front, each once, ascending."""
    return tuple(sorted({int(a) + rank if a < 0 else int(a) for a in axes.reshape(-1)}))


def reduced_elements(shape: Shape, axes: Sequence[int]) -> int:
    """How many elements of x make one of y."""
    return prod(shape[a] for a in axes)


@dataclass(frozen=True)
class Loops:
    """The words of `kernels/reduce.h` for one row, and how many rows there are."""

    rows: int
    outer: int
    red0: int
    mid: int
    red1: int
    inner: int


def loops(shape: Shape, axes: Sequence[int], keep_dims: bool) -> Loops | None:
    """x as rows of [outer, red0, mid, red1, inner]; None where the axes make over two runs."""
    has_rows = len(shape) >= 3 and shape[0] == 1 and 1 not in axes and (keep_dims or 0 not in axes)
    runs: list[tuple[bool, int]] = []
    for axis, extent in enumerate(shape):
        if extent == 1 or (has_rows and axis == 1):
            continue
        if runs and runs[-1][0] == (axis in axes):
            extent *= runs.pop()[1]
        runs.append((axis in axes, extent))
    kept = [1]
    reduced = []
    for is_reduced, extent in runs:
        if is_reduced:
            reduced.append(extent)
            kept.append(1)
        else:
            kept[-1] = extent
    if len(reduced) > 2:
        return None
    while len(reduced) < 2:
        reduced.insert(0, 1)
        kept.insert(len(kept) - 1, 1)
    return Loops(shape[1] if has_rows else 1, kept[0], reduced[0], kept[1], reduced[1], kept[2])


def _axes_in_range(n: NodeView) -> bool:
    rank = len(n.x().shape)
    return all(-rank <= a < rank for a in n.constant(1).reshape(-1).tolist())


def _loops_of(n: NodeView) -> Loops | None:
    shape = n.x().shape
    return loops(shape, reduced_axes(n.constant(1), len(shape)), n.op.keep_dims)


@dataclass(frozen=True)
class Reduce(Op):
    """What the four ops share."""

    options_table: ClassVar[str] = "ReducerOptions"
    quant: ClassVar[QuantRule] = QuantRule(activations=(0,))

    keep_dims: bool = False

    limits: ClassVar[Sequence[Limit]] = (
        types("float32 int32 -> float32", "int8 int32 -> int8", "int16 int32 -> int16"),
        arity(2),
        constant_input(1, "the axes"),
        Limit(
            "axes must be dimensions of the input",
            _axes_in_range,
            lambda n: f"{n.constant(1).reshape(-1)[:8].tolist()} of {list(n.x().shape)}",
        ),
        Limit(
            "the input must not be empty",
            lambda n: n.x().elements > 0,
            lambda n: str(list(n.x().shape)),
        ),
        Limit(
            "the output must have the shape that the axes leave",
            lambda n: n.y().shape == n.op.infer(n.inputs)[0].shape,
            lambda n: f"{list(n.y().shape)} instead of {list(n.op.infer(n.inputs)[0].shape)}",
        ),
        Limit(
            "the axes must form at most two runs of adjacent dimensions",
            lambda n: _loops_of(n) is not None,
            lambda n: f"{n.constant(1).reshape(-1).tolist()} of {list(n.x().shape)}",
            "split the layer in two",
        ),
        per_tensor(skip=(1,)),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        x, axes = inputs[0], inputs[1]
        assert x is not None
        assert axes is not None
        assert axes.data is not None
        reduced = reduced_axes(axes.data, len(x.shape))
        shape = tuple(
            1 if a in reduced else size
            for a, size in enumerate(x.shape)
            if self.keep_dims or a not in reduced
        )
        return (TensorType(shape, x.dtype),)

    def reduce(self, x: Array, axes: tuple[int, ...]) -> Array:
        """x reduced over `axes`, which are kept as 1 where keep_dims."""
        raise NotImplementedError(f"{self.name}.reduce")

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        x, axes = inputs[0], inputs[1]
        assert x is not None
        assert axes is not None
        return (self.reduce(x, reduced_axes(axes, x.ndim)),)

    def _call(self, n: Lowering, kind: str, **words: Any) -> None:
        found = _loops_of(n)
        assert found is not None
        n.call(
            f"thm_reduce_{kind}_{SUFFIX[n.x().dtype]}",
            rows=found.rows,
            windows={"x": Window()} if found.rows > 1 else {},
            x=n.input(),
            y=n.output(),
            outer=found.outer,
            red0=found.red0,
            mid=found.mid,
            red1=found.red1,
            inner=found.inner,
            x_ring=found.rows,
            y_ring=found.rows,
            **words,
        )


def _count(n: NodeView) -> int:
    return reduced_elements(n.x().shape, reduced_axes(n.constant(1), len(n.x().shape)))


def _sum_fits(n: NodeView) -> bool:
    limit = {"float32": 1 << 24, "int8": 1 << 23, "int16": 1 << 16}[n.x().dtype]
    return _count(n) < limit


def _scale_fits(n: NodeView) -> bool:
    if n.x().dtype == "float32":
        return True
    factor = float(n.x().scale) / float(n.y().scale)
    return isfinite(factor) and factor < 2.0**30


@dataclass(frozen=True)
class _Sum(Reduce):
    """MEAN and SUM: one kernel, which has the divisor in its multiplier."""

    limits: ClassVar[Sequence[Limit]] = (
        *Reduce.limits,
        Limit(
            "at most 2^23 - 1 int8, 2^16 - 1 int16 or 2^24 - 1 float32 elements may be added",
            _sum_fits,
            lambda n: str(_count(n)),
        ),
        Limit(
            "int16 tensors must have zero point 0",
            lambda n: n.x().dtype != "int16" or n.x().zero_point == n.y().zero_point == 0,
            lambda n: f"{n.x().zero_point} and {n.y().zero_point}",
        ),
        Limit(
            "input scale / output scale must be below 2^30",
            _scale_fits,
            lambda n: f"{float(n.x().scale):.9g} / {float(n.y().scale):.9g}",
        ),
    )

    def lower(self, n: Lowering) -> None:
        x, y, count = n.x(), n.y(), _count(n)
        is_mean = isinstance(self, Mean)
        if x.dtype == "float32":
            self._call(n, "sum", divisor=float(count) if is_mean else 1.0)
            return
        q, s = fixedpoint.quantize_multiplier(float(np.float64(x.scale) / np.float64(y.scale)))
        if is_mean:
            q, s = divided_multiplier(q, s, count)
        self._call(
            n,
            "sum",
            start=-x.zero_point * count,
            multiplier=q,
            shift=s,
            output_offset=y.zero_point,
        )


def divided_multiplier(q: int, s: int, count: int) -> tuple[int, int]:
    """(q, s) / count as TFLM folds a mean into its multiplier (docs/numerics.md, MEAN)."""
    k = min(count.bit_length() - 1, 32, 31 + s)
    return (q << k) // count, s - k


@dataclass(frozen=True)
class Mean(_Sum):
    name: ClassVar[str] = "MEAN"

    def reduce(self, x: Array, axes: tuple[int, ...]) -> Array:
        return x.mean(axis=axes, keepdims=self.keep_dims)


@dataclass(frozen=True)
class Sum(_Sum):
    name: ClassVar[str] = "SUM"

    def reduce(self, x: Array, axes: tuple[int, ...]) -> Array:
        return x.sum(axis=axes, keepdims=self.keep_dims)


@dataclass(frozen=True)
class ReduceMax(Reduce):
    name: ClassVar[str] = "REDUCE_MAX"
    quant: ClassVar[QuantRule] = QuantRule(output="same", activations=(0,))
    limits: ClassVar[Sequence[Limit]] = (*Reduce.limits, SAME_QUANTIZATION)

    def reduce(self, x: Array, axes: tuple[int, ...]) -> Array:
        return x.max(axis=axes, keepdims=self.keep_dims)

    def lower(self, n: Lowering) -> None:
        self._call(n, "max")


@dataclass(frozen=True)
class ReduceMin(Reduce):
    name: ClassVar[str] = "REDUCE_MIN"
    quant: ClassVar[QuantRule] = QuantRule(output="same", activations=(0,))
    limits: ClassVar[Sequence[Limit]] = (*Reduce.limits, SAME_QUANTIZATION)

    def reduce(self, x: Array, axes: tuple[int, ...]) -> Array:
        return x.min(axis=axes, keepdims=self.keep_dims)

    def lower(self, n: Lowering) -> None:
        self._call(n, "min")


# --- twins ----------------------------------------------------------------------------------------


def _rows(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> Iterator[tuple[Array, Array]]:
    """Of each row: x as [outer, mid, inner, taps] in the kernel's order, and the view of y."""
    x_shape = (p.outer, p.red0, p.mid, p.red1, p.inner)
    y_shape = (p.outer, p.mid, p.inner)
    for r in range(y_first, y_first + y_count):
        start, to = r % p.x_ring * prod(x_shape), r % p.y_ring * prod(y_shape)
        taps = x[start : start + prod(x_shape)].reshape(x_shape).transpose(0, 2, 4, 1, 3)
        yield taps.reshape(*y_shape, -1), y[to : to + prod(y_shape)].reshape(y_shape)


def _sum_int(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    info = np.iinfo(x.dtype)
    for taps, row in _rows(p, y_first, y_count, x, y):
        total = fixedpoint.wrap32(p.start + taps.astype(np.int64).sum(axis=-1))
        scaled = fixedpoint.mbqm(total, p.multiplier, p.shift) + p.output_offset
        row[...] = np.clip(scaled, info.min, info.max)


def thm_reduce_sum_s8(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name."""
    _sum_int(p, y_first, y_count, x, y)


def thm_reduce_sum_s16(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name."""
    _sum_int(p, y_first, y_count, x, y)


def thm_reduce_sum_f32(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name: one addition at a time, in the kernel's order."""
    for taps, row in _rows(p, y_first, y_count, x, y):
        acc = np.zeros(row.shape, np.float32)
        for k in range(taps.shape[-1]):
            acc += taps[..., k]
        row[...] = acc / np.float32(p.divisor)


def _extreme(p: Any, y_first: int, y_count: int, x: Array, y: Array, is_max: bool) -> None:
    """NaN passes over and the first of equals stays, as in the kernels."""
    info = np.finfo(x.dtype) if x.dtype == np.float32 else np.iinfo(x.dtype)
    for taps, row in _rows(p, y_first, y_count, x, y):
        acc = np.full(row.shape, info.min if is_max else info.max, x.dtype)
        for k in range(taps.shape[-1]):
            value = taps[..., k]
            acc = np.where(acc < value if is_max else value < acc, value, acc)
        row[...] = acc


def thm_reduce_max_s8(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name."""
    _extreme(p, y_first, y_count, x, y, is_max=True)


def thm_reduce_max_s16(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name."""
    _extreme(p, y_first, y_count, x, y, is_max=True)


def thm_reduce_max_f32(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name."""
    _extreme(p, y_first, y_count, x, y, is_max=True)


def thm_reduce_min_s8(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name."""
    _extreme(p, y_first, y_count, x, y, is_max=False)


def thm_reduce_min_s16(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name."""
    _extreme(p, y_first, y_count, x, y, is_max=False)


def thm_reduce_min_f32(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name."""
    _extreme(p, y_first, y_count, x, y, is_max=False)
