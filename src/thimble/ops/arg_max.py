"""ARG_MAX, ARG_MIN: y = the index of the largest or smallest element of x along `axis`.

x [any shape], axis int32 (constant, one element) -> y int32 [x's shape without the axis]. Of equal
elements the lowest index. float32, int8 and (TFLM has none) int16; raw values are compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from thimble.graph import Tensor
from thimble.lower import Lowering
from thimble.ops.broadcast import arity
from thimble.ops.contract import (
    Array,
    Limit,
    NodeView,
    Op,
    QuantRule,
    TensorType,
    constant_input,
    types,
)
from thimble.ops.pool_2d import SUFFIX
from thimble.ops.reduce import loops
from thimble.program import Window


def _axis(axis: Array, rank: int) -> int:
    index = int(axis.reshape(-1)[0])
    return index + rank if index < 0 else index


def _axis_in_range(n: NodeView) -> bool:
    axis, rank = n.constant(1), len(n.x().shape)
    return axis.size == 1 and -rank <= int(axis.reshape(-1)[0]) < rank


@dataclass(frozen=True)
class ArgMax(Op):
    name: ClassVar[str] = "ARG_MAX"
    options_table: ClassVar[str] = "ArgMaxOptions"
    quant: ClassVar[QuantRule] = QuantRule(activations=(0,))

    output_type: str = "float32"  # the schema's default, meaning "not said"

    limits: ClassVar[Sequence[Limit]] = (
        types("float32 int32 -> int32", "int8 int32 -> int32", "int16 int32 -> int32"),
        arity(2),
        constant_input(1, "the axis"),
        Limit(
            "the axis must be one dimension of the input",
            _axis_in_range,
            lambda n: f"{n.constant(1).reshape(-1)[:8].tolist()} of {list(n.x().shape)}",
        ),
        Limit(
            "the input must not be empty",
            lambda n: n.x().elements > 0,
            lambda n: str(list(n.x().shape)),
        ),
        Limit(
            "the output must have the input's shape without the axis",
            lambda n: n.y().shape == n.op.infer(n.inputs)[0].shape,
            lambda n: f"{list(n.y().shape)} instead of {list(n.op.infer(n.inputs)[0].shape)}",
        ),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        x, axis = inputs[0], inputs[1]
        assert x is not None
        assert axis is not None
        assert axis.data is not None
        k = _axis(axis.data, len(x.shape))
        dtype = "int64" if self.output_type == "int64" else "int32"
        return (TensorType((*x.shape[:k], *x.shape[k + 1 :]), dtype),)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        x, axis = inputs[0], inputs[1]
        assert x is not None
        assert axis is not None
        return (x.argmax(axis=_axis(axis, x.ndim)).astype(np.int32),)

    def lower(self, n: Lowering) -> None:
        shape = n.x().shape
        found = loops(shape, [_axis(n.constant(1), len(shape))], keep_dims=False)
        assert found is not None
        n.call(
            f"thm_{self.name.lower()}_{SUFFIX[n.x().dtype]}",
            rows=found.rows,
            windows={"x": Window()} if found.rows > 1 else {},
            x=n.input(),
            y=n.output(),
            outer=found.outer * found.mid,
            depth=found.red1,
            inner=found.inner,
            x_ring=found.rows,
            y_ring=found.rows,
        )


@dataclass(frozen=True)
class ArgMin(ArgMax):
    name: ClassVar[str] = "ARG_MIN"
    options_table: ClassVar[str] = "ArgMinOptions"

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        x, axis = inputs[0], inputs[1]
        assert x is not None
        assert axis is not None
        return (x.argmin(axis=_axis(axis, x.ndim)).astype(np.int32),)


# --- twins ----------------------------------------------------------------------------------------


def _rows(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> Iterator[tuple[Array, Array]]:
    """Of each row: x as [outer, depth, inner], and the view of y [outer, inner]."""
    x_row, y_row = p.outer * p.depth * p.inner, p.outer * p.inner
    for r in range(y_first, y_first + y_count):
        start, to = r % p.x_ring * x_row, r % p.y_ring * y_row
        yield (
            x[start : start + x_row].reshape(p.outer, p.depth, p.inner),
            y[to : to + y_row].reshape(p.outer, p.inner),
        )


def _arg(p: Any, y_first: int, y_count: int, x: Array, y: Array, is_max: bool) -> None:
    """NaN is never better than what came before, as in the kernels."""
    for values, to in _rows(p, y_first, y_count, x, y):
        best, index = values[:, 0], np.zeros(to.shape, np.int32)
        for k in range(1, p.depth):
            value = values[:, k]
            better = value > best if is_max else value < best
            best, index = np.where(better, value, best), np.where(better, k, index)
        to[...] = index


def thm_arg_max_s8(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name."""
    _arg(p, y_first, y_count, x, y, is_max=True)


def thm_arg_min_s8(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name."""
    _arg(p, y_first, y_count, x, y, is_max=False)


thm_arg_max_s16 = thm_arg_max_f32 = thm_arg_max_s8
thm_arg_min_s16 = thm_arg_min_f32 = thm_arg_min_s8
