"""CAST: y = x in another dtype, by value; scales and zero points play no part.

x [...] -> y [...]: float32, int8, uint8, bool, int16, int32, int64 and uint32, in any
combination.

Exception: floats outside the range of y saturate and NaN gives 0, where C and so TFLM leave it
undefined.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

import numpy as np

from thimble.graph import Tensor
from thimble.lower import Lowering
from thimble.ops.block_copy import MOVABLE, arity
from thimble.ops.contract import Array, Limit, Op, QuantRule, Shape, TensorType
from thimble.program import Window

# thm_dtype of kernels/model.h
ELEMENT_TYPES = {
    "float32": 0,
    "int8": 1,
    "int16": 2,
    "int32": 3,
    "int64": 4,
    "uint8": 5,
    "bool": 6,
    "uint32": 7,
}
DTYPES = {code: np.dtype(name) for name, code in ELEMENT_TYPES.items()}


def same_shape() -> Limit:
    """Input 0 and output 0 have one shape, element for element."""
    return Limit(
        "input and output must have the same shape",
        lambda n: n.x().shape == n.y().shape,
        lambda n: f"{list(n.x().shape)} -> {list(n.y().shape)}",
    )


def rows_of(shape: Shape) -> tuple[int, int]:
    """(rows, elements of a row): dimension 1 of [1, H, ...], rank 3 or more; else one row."""
    if len(shape) >= 3 and shape[0] == 1:
        return shape[1], prod(shape[2:])
    return 1, prod(shape)


def call_rows(n: Lowering, kernel: str, **words_and_buffers: Any) -> None:
    """Append the call of a kernel that turns elements of x into elements of y, one by one."""
    rows, row = rows_of(n.y().shape)
    if rows * row:
        n.call(
            kernel,
            rows=rows,
            windows={"x": Window()} if rows > 1 else None,
            y=n.output(),
            row=row,
            x_ring=rows,
            y_ring=rows,
            **words_and_buffers,
        )


@dataclass(frozen=True)
class Cast(Op):
    name: ClassVar[str] = "CAST"
    options_table: ClassVar[str] = "CastOptions"
    quant: ClassVar[QuantRule] = QuantRule(quantizable=False)

    in_data_type: str = "float32"  # some exporters leave both out: the tensors say it
    out_data_type: str = "float32"

    limits: ClassVar[Sequence[Limit]] = (
        arity(1),
        Limit(
            f"input and output must be {', '.join(MOVABLE)}",
            lambda n: n.x().dtype in MOVABLE and n.y().dtype in MOVABLE,
            lambda n: f"{n.x().dtype} -> {n.y().dtype}",
        ),
        same_shape(),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        x = inputs[0]
        assert x is not None
        return (TensorType(x.shape, self.out_data_type),)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        x = inputs[0]
        assert x is not None
        return (cast(x, np.dtype(self.out_data_type)),)

    def lower(self, n: Lowering) -> None:
        types = {"x_type": ELEMENT_TYPES[n.x().dtype], "y_type": ELEMENT_TYPES[n.y().dtype]}
        call_rows(n, "thm_cast", x=n.input(), **types)


def cast(x: Array, dtype: np.dtype[Any]) -> Array:
    """x as `dtype` in the arithmetic of kernels/cast.h."""
    if x.dtype != np.float32:
        return x.astype(np.int64).astype(dtype)
    if dtype in (np.float32, np.bool_):
        return x.astype(dtype)
    info = np.iinfo(dtype)
    inside = (x > np.float32(info.min)) & (x < np.float32(info.max))
    whole = np.where(inside, x, 0).astype(np.int64).astype(dtype)
    whole[x <= np.float32(info.min)] = info.min
    whole[x >= np.float32(info.max)] = info.max
    return whole


def typed(data: Array, type_: int) -> Array:
    """Bytes as elements of a thm_dtype."""
    dtype = DTYPES[type_]
    return data[: len(data) // dtype.itemsize * dtype.itemsize].view(dtype)


def thm_cast(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name."""
    xs, ys = typed(x, p.x_type), typed(y, p.y_type)
    for r in range(y_first, y_first + y_count):
        row = xs[r % p.x_ring * p.row :][: p.row]
        if p.x_type == ELEMENT_TYPES["bool"]:
            row = row.view(np.uint8) != 0
        ys[r % p.y_ring * p.row :][: p.row] = cast(row, ys.dtype)
