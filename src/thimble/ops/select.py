"""SELECT_V2 and SELECT: y = x1 ? x2 : x3.

x1 bool; x2, x3 any of the kernels' dtypes, raw values, so that quantized tensors must all have one
scale and zero point. SELECT_V2 broadcasts all three, rank 6 at most. SELECT has x2, x3 and y of one
shape and x1 of the same, a scalar, or [N] for x2 [N, ...].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from thimble.graph import Tensor
from thimble.lower import Lowering
from thimble.ops import broadcast
from thimble.ops.contract import Array, Limit, NodeView, Op, QuantRule, Shape, TensorType, types

NAMES = ("x1", "x2", "x3")
KERNELS = {
    "float32": "thm_select_f32",
    "int8": "thm_select_s8",
    "int16": "thm_select_s16",
    "int32": "thm_select_s32",
    "int64": "thm_select_s64",
}
_TYPES = types(*(f"bool {dtype} {dtype} -> {dtype}" for dtype in KERNELS))
_QUANT = QuantRule(output="same", activations=(1, 2))


@dataclass(frozen=True)
class SelectV2(Op):
    name: ClassVar[str] = "SELECT_V2"
    options_table: ClassVar[str] = "SelectV2Options"
    quant: ClassVar[QuantRule] = _QUANT

    limits: ClassVar[Sequence[Limit]] = (
        broadcast.arity(3),
        _TYPES,
        broadcast.shapes_broadcast(),
        broadcast.one_quantization((1, 2)),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        assert inputs[1] is not None
        return broadcast.infer_broadcast(inputs, inputs[1].dtype)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        condition, a, b = inputs
        assert condition is not None
        assert a is not None
        assert b is not None
        return (np.where(condition, a, b),)

    def lower(self, n: Lowering) -> None:
        broadcast.call(n, KERNELS[n.y().dtype], {}, NAMES)


def _condition_shape(condition: Shape, shape: Shape) -> Shape:
    """The condition of SELECT as it broadcasts: [N] stands for [N, 1, ...]."""
    if len(condition) == 1 and condition != (1,) and len(shape) > 1:
        return (*condition, *(1 for _ in shape[1:]))
    return condition


def _select_shapes_fit(n: NodeView) -> bool:
    condition, shape = n.x(0).shape, n.y().shape
    return (
        n.x(1).shape == n.x(2).shape == shape
        and condition in (shape, (), (1,), shape[:1])
        and len(shape) <= broadcast.MAX_RANK
    )


@dataclass(frozen=True)
class Select(Op):
    name: ClassVar[str] = "SELECT"
    options_table: ClassVar[str] = "SelectOptions"
    quant: ClassVar[QuantRule] = _QUANT

    limits: ClassVar[Sequence[Limit]] = (
        broadcast.arity(3),
        _TYPES,
        Limit(
            "x2, x3 and y must have one shape of rank 6 at most, and the condition that shape, "
            "its first dimension or one element",
            _select_shapes_fit,
            lambda n: ", ".join(str(list(t.shape)) for t in [*n.inputs, n.y()] if t is not None),
        ),
        broadcast.one_quantization((1, 2)),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        assert inputs[1] is not None
        return (TensorType(inputs[1].shape, inputs[1].dtype),)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        condition, a, b = inputs
        assert condition is not None
        assert a is not None
        assert b is not None
        return (np.where(condition.reshape(_condition_shape(condition.shape, a.shape)), a, b),)

    def lower(self, n: Lowering) -> None:
        shape = n.y().shape
        shapes = (_condition_shape(n.x(0).shape, shape), shape, shape)
        broadcast.call(n, KERNELS[n.y().dtype], {}, NAMES, shapes)


def thm_select_s8(
    p: Any,
    y_first: int,
    y_count: int,
    x1: Array,
    x2: Array,
    x3: Array,
    walk: Array | None,
    y: Array,
) -> None:
    """Twin of the kernel of the same name, for any dtype."""
    operands = {"x1": x1, "x2": x2, "x3": x3}
    for condition, a, b, out in broadcast.bands(p, y_first, y_count, operands, walk, y):
        out[:] = np.where(condition != 0, a, b)


thm_select_s16 = thm_select_s32 = thm_select_s64 = thm_select_f32 = thm_select_s8
