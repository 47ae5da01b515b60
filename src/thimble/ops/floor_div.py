"""FLOOR_DIV: y = floor(x1 / x2), and FLOOR_MOD: y = x1 - x2 * floor(x1 / x2).

x1, x2 broadcast to y, rank 6 at most. float32 and unquantized int32, where x / 0 and x mod 0 are 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from thimble import fixedpoint
from thimble.graph import Tensor
from thimble.lower import Lowering
from thimble.ops import broadcast
from thimble.ops.contract import Array, Limit, Op, QuantRule, TensorType, types


@dataclass(frozen=True)
class _Floor(Op):
    quant: ClassVar[QuantRule] = QuantRule(quantizable=False)
    kernels: ClassVar[dict[str, str]]

    limits: ClassVar[Sequence[Limit]] = (
        broadcast.arity(2),
        types("float32 float32 -> float32", "int32 int32 -> int32"),
        broadcast.shapes_broadcast(),
        broadcast.int32_is_unquantized(),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        assert inputs[0] is not None
        return broadcast.infer_broadcast(inputs, inputs[0].dtype)

    def lower(self, n: Lowering) -> None:
        broadcast.call(n, self.kernels[n.y().dtype], {})


@dataclass(frozen=True)
class FloorDiv(_Floor):
    name: ClassVar[str] = "FLOOR_DIV"
    options_table: ClassVar[str] = "FloorDivOptions"
    kernels: ClassVar[dict[str, str]] = {
        "float32": "thm_floor_div_f32",
        "int32": "thm_floor_div_s32",
    }

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        a, b = inputs
        assert a is not None
        assert b is not None
        with np.errstate(all="ignore"):
            return (np.floor(a / b),)


@dataclass(frozen=True)
class FloorMod(_Floor):
    name: ClassVar[str] = "FLOOR_MOD"
    options_table: ClassVar[str] = "FloorModOptions"
    kernels: ClassVar[dict[str, str]] = {
        "float32": "thm_floor_mod_f32",
        "int32": "thm_floor_mod_s32",
    }

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        a, b = inputs
        assert a is not None
        assert b is not None
        return (_floor_mod(a, b),)


def _floor_mod(a: Array, b: Array) -> Array:
    """The remainder with the sign of b, from the exact remainder with the sign of a."""
    with np.errstate(all="ignore"):
        rest = np.fmod(a, b)
        return np.where((rest != 0) & ((rest < 0) != (b < 0)), rest + b, rest)


def thm_floor_div_s32(
    p: Any, y_first: int, y_count: int, x1: Array, x2: Array, walk: Array | None, y: Array
) -> None:
    """Twin of the kernel of the same name."""
    for a, b, out in broadcast.bands(p, y_first, y_count, {"x1": x1, "x2": x2}, walk, y):
        quotient = a.astype(np.int64) // np.where(b == 0, 1, b)
        out[:] = fixedpoint.wrap32(np.where(b == 0, 0, quotient))


def thm_floor_div_f32(
    p: Any, y_first: int, y_count: int, x1: Array, x2: Array, walk: Array | None, y: Array
) -> None:
    """Twin of the kernel of the same name."""
    for a, b, out in broadcast.bands(p, y_first, y_count, {"x1": x1, "x2": x2}, walk, y):
        with np.errstate(all="ignore"):
            out[:] = np.floor(a / b)


def thm_floor_mod_s32(
    p: Any, y_first: int, y_count: int, x1: Array, x2: Array, walk: Array | None, y: Array
) -> None:
    """Twin of the kernel of the same name."""
    for a, b, out in broadcast.bands(p, y_first, y_count, {"x1": x1, "x2": x2}, walk, y):
        out[:] = np.where(b == 0, 0, a.astype(np.int64) % np.where(b == 0, 1, b))


def thm_floor_mod_f32(
    p: Any, y_first: int, y_count: int, x1: Array, x2: Array, walk: Array | None, y: Array
) -> None:
    """Twin of the kernel of the same name."""
    for a, b, out in broadcast.bands(p, y_first, y_count, {"x1": x1, "x2": x2}, walk, y):
        out[:] = _floor_mod(a, b)
