"""EQUAL, NOT_EQUAL, GREATER, GREATER_EQUAL, LESS, LESS_EQUAL: y = x1 <relation> x2 as bool.

x1, x2 broadcast to y, rank 6 at most. float32, int32, int64, int8; bool for EQUAL and NOT_EQUAL.
int8 operands are brought to the scale 2^-8 and rounded before they are compared, as in every TFLite
runtime: reals that differ by less than about 1/256 may compare equal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from thimble import fixedpoint
from thimble.graph import Tensor
from thimble.lower import Lowering
from thimble.ops import broadcast
from thimble.ops.contract import (
    Array,
    Limit,
    NodeView,
    Op,
    QuantRule,
    TensorType,
    per_tensor,
    types,
)

LEFT_SHIFT = 8
RELATIONS: tuple[Callable[[Array, Array], Array], ...] = (  # by the kernels' number
    np.equal,
    np.not_equal,
    np.greater,
    np.greater_equal,
    np.less,
    np.less_equal,
)
KERNELS = {
    "float32": "thm_compare_f32",
    "int32": "thm_compare_s32",
    "int64": "thm_compare_s64",
    "int8": "thm_compare_s8",
    "bool": "thm_compare_u8",
}


def _factors(n: NodeView) -> tuple[float, float]:
    return float(n.x(0).scale), float(n.x(1).scale)


_LIMITS: tuple[Limit, ...] = (
    broadcast.shapes_broadcast(),
    per_tensor(),
    Limit(
        "int8 scales must be below 1",
        lambda n: n.x().dtype != "int8" or all(map(broadcast.is_below_one, _factors(n))),
        lambda n: ", ".join(f"{f:.6g}" for f in _factors(n)),
    ),
)
_ORDERED = tuple(f"{dtype} {dtype} -> bool" for dtype in KERNELS if dtype != "bool")


@dataclass(frozen=True)
class _Comparison(Op):
    quant: ClassVar[QuantRule] = QuantRule(quantizable=False)
    relation: ClassVar[int]

    limits: ClassVar[Sequence[Limit]] = (broadcast.arity(2), types(*_ORDERED), *_LIMITS)

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        return broadcast.infer_broadcast(inputs, "bool")

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        a, b = inputs
        assert a is not None
        assert b is not None
        return (RELATIONS[self.relation](a, b),)

    def lower(self, n: Lowering) -> None:
        words: dict[str, int | float] = {"relation": self.relation}
        if n.x().dtype == "int8":
            for i, (name, factor) in enumerate(zip(("x1", "x2"), _factors(n))):
                multiplier, shift = fixedpoint.quantize_multiplier(factor)
                words |= {f"{name}_multiplier": multiplier, f"{name}_shift": shift}
                words[f"{name}_offset"] = -n.x(i).zero_point
        broadcast.call(n, KERNELS[n.x().dtype], words)


@dataclass(frozen=True)
class _Equality(_Comparison):
    limits: ClassVar[Sequence[Limit]] = (
        broadcast.arity(2),
        types(*_ORDERED, "bool bool -> bool"),
        *_LIMITS,
    )


@dataclass(frozen=True)
class Equal(_Equality):
    name: ClassVar[str] = "EQUAL"
    options_table: ClassVar[str] = "EqualOptions"
    relation: ClassVar[int] = 0


@dataclass(frozen=True)
class NotEqual(_Equality):
    name: ClassVar[str] = "NOT_EQUAL"
    options_table: ClassVar[str] = "NotEqualOptions"
    relation: ClassVar[int] = 1


@dataclass(frozen=True)
class Greater(_Comparison):
    name: ClassVar[str] = "GREATER"
    options_table: ClassVar[str] = "GreaterOptions"
    relation: ClassVar[int] = 2


@dataclass(frozen=True)
class GreaterEqual(_Comparison):
    name: ClassVar[str] = "GREATER_EQUAL"
    options_table: ClassVar[str] = "GreaterEqualOptions"
    relation: ClassVar[int] = 3


@dataclass(frozen=True)
class Less(_Comparison):
    name: ClassVar[str] = "LESS"
    options_table: ClassVar[str] = "LessOptions"
    relation: ClassVar[int] = 4


@dataclass(frozen=True)
class LessEqual(_Comparison):
    name: ClassVar[str] = "LESS_EQUAL"
    options_table: ClassVar[str] = "LessEqualOptions"
    relation: ClassVar[int] = 5


def thm_compare_s8(
    p: Any, y_first: int, y_count: int, x1: Array, x2: Array, walk: Array | None, y: Array
) -> None:
    """Twin of the kernel of the same name."""
    for a, b, out in broadcast.bands(p, y_first, y_count, {"x1": x1, "x2": x2}, walk, y):
        u = (a.astype(np.int64) + p.x1_offset) << LEFT_SHIFT
        v = (b.astype(np.int64) + p.x2_offset) << LEFT_SHIFT
        out[:] = RELATIONS[p.relation](
            fixedpoint.mbqm(u, p.x1_multiplier, p.x1_shift),
            fixedpoint.mbqm(v, p.x2_multiplier, p.x2_shift),
        )


def thm_compare_f32(
    p: Any, y_first: int, y_count: int, x1: Array, x2: Array, walk: Array | None, y: Array
) -> None:
    """Twin of the kernel of the same name, for every dtype that is compared as it is."""
    for a, b, out in broadcast.bands(p, y_first, y_count, {"x1": x1, "x2": x2}, walk, y):
        out[:] = RELATIONS[p.relation](a, b)


thm_compare_s32 = thm_compare_s64 = thm_compare_u8 = thm_compare_f32
