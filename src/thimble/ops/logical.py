"""LOGICAL_AND: y = x1 and x2, LOGICAL_OR: y = x1 or x2, LOGICAL_NOT: y = not x, of bool.

x1, x2 broadcast to y, rank 6 at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from thimble.graph import Tensor
from thimble.lower import Lowering
from thimble.ops import broadcast, unary
from thimble.ops.contract import Array, Limit, Op, QuantRule, TensorType, types


@dataclass(frozen=True)
class _Logical(Op):
    quant: ClassVar[QuantRule] = QuantRule(quantizable=False)
    either: ClassVar[int]

    limits: ClassVar[Sequence[Limit]] = (
        broadcast.arity(2),
        types("bool bool -> bool"),
        broadcast.shapes_broadcast(),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        return broadcast.infer_broadcast(inputs, "bool")

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        a, b = inputs
        assert a is not None
        assert b is not None
        return (np.logical_or(a, b) if self.either else np.logical_and(a, b),)

    def lower(self, n: Lowering) -> None:
        broadcast.call(n, "thm_logical_u8", {"either": self.either})


@dataclass(frozen=True)
class LogicalAnd(_Logical):
    name: ClassVar[str] = "LOGICAL_AND"
    options_table: ClassVar[str] = "LogicalAndOptions"
    either: ClassVar[int] = 0


@dataclass(frozen=True)
class LogicalOr(_Logical):
    name: ClassVar[str] = "LOGICAL_OR"
    options_table: ClassVar[str] = "LogicalOrOptions"
    either: ClassVar[int] = 1


@dataclass(frozen=True)
class LogicalNot(Op):
    name: ClassVar[str] = "LOGICAL_NOT"
    options_table: ClassVar[str] = "LogicalNotOptions"
    quant: ClassVar[QuantRule] = QuantRule(quantizable=False)

    limits: ClassVar[Sequence[Limit]] = (
        broadcast.arity(1),
        types("bool -> bool"),
        broadcast.same_shape(),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        assert inputs[0] is not None
        return (TensorType(inputs[0].shape, "bool"),)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        assert inputs[0] is not None
        return (np.logical_not(inputs[0]),)

    def lower(self, n: Lowering) -> None:
        unary.call(n, "thm_logical_not_u8")


def thm_logical_u8(
    p: Any, y_first: int, y_count: int, x1: Array, x2: Array, walk: Array | None, y: Array
) -> None:
    """Twin of the kernel of the same name."""
    for a, b, out in broadcast.bands(p, y_first, y_count, {"x1": x1, "x2": x2}, walk, y):
        out[:] = np.logical_or(a, b) if p.either else np.logical_and(a, b)


def thm_logical_not_u8(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name."""
    for values, out in unary.rows(p, y_first, y_count, x, y):
        out[:] = values == 0
