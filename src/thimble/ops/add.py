"""ADD: y = clamp(x1 + x2), and SUB: y = clamp(x1 - x2).

x1, x2 broadcast to y, rank 6 at most. float32, int8, int16 (zero points 0) and unquantized int32,
which wraps. Quantized operands are brought to the scale t / 2^L, t = 2 max(s1, s2), first; int8
ones as if they were (`affine.py`), wherever one sum and shift gives the same for all operands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from thimble import fixedpoint
from thimble.graph import Tensor
from thimble.lower import Lowering
from thimble.ops import affine, broadcast
from thimble.ops.contract import Array, Limit, NodeView, Op, TensorType, per_tensor, types

LEFT_SHIFT = {"int8": 20, "int16": 15}


def _factors(n: NodeView) -> tuple[float, float, float]:
    """Of x1, x2 and y, all for `quantize_multiplier`."""
    s1, s2, so = float(n.x(0).scale), float(n.x(1).scale), float(n.y().scale)
    twice = 2 * max(s1, s2)
    return s1 / twice, s2 / twice, twice / (2.0 ** LEFT_SHIFT[n.y().dtype] * so)


@dataclass(frozen=True)
class _AddOrSub(Op):
    subtract: ClassVar[int]

    fused_activation_function: str = "NONE"
    pot_scale_int16: bool = True  # the schema's default; only old kernels ever looked at it

    limits: ClassVar[Sequence[Limit]] = (
        broadcast.arity(2),
        types(
            "float32 float32 -> float32",
            "int8 int8 -> int8",
            "int16 int16 -> int16",
            "int32 int32 -> int32",
        ),
        broadcast.shapes_broadcast(),
        broadcast.fused_activation(),
        per_tensor(),
        broadcast.int16_is_symmetric(),
        broadcast.int32_is_unquantized(),
        Limit(
            "the output scale must be above 2^-20 (int16: 2^-15) of twice the larger input scale",
            lambda n: (
                n.y().dtype not in LEFT_SHIFT or all(map(broadcast.is_below_one, _factors(n)))
            ),
            lambda n: f"output {float(n.y().scale):.3g}, factor {max(_factors(n)):.3g}",
        ),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        assert inputs[0] is not None
        return broadcast.infer_broadcast(inputs, inputs[0].dtype)

    def lower(self, n: Lowering) -> None:
        dtype = n.y().dtype
        if dtype == "int32":
            broadcast.call(n, "thm_add_s32", {"subtract": self.subtract})
            return
        words: dict[str, int | float] = {"subtract": self.subtract}
        words |= broadcast.activation_words(n)
        if dtype == "float32":
            broadcast.call(n, "thm_add_f32", words)
            return
        for name, factor in zip(("x1", "x2", "output"), _factors(n)):
            multiplier, shift = fixedpoint.quantize_multiplier(factor)
            words |= {f"{name}_multiplier": multiplier, f"{name}_shift": shift}
        if dtype == "int8":
            words |= {"x1_offset": -n.x(0).zero_point, "x2_offset": -n.x(1).zero_point}
            words["output_offset"] = n.y().zero_point
            s1, s2, so = (float(t.scale) for t in (n.x(0), n.x(1), n.y()))
            found = as_affine(words, (s1 / so, -s2 / so if self.subtract else s2 / so))
            if found is not None:
                clamps = {name: words[name] for name in ("act_min", "act_max")}
                broadcast.call(n, "thm_add_affine_s8", {**vars(found), **clamps})
                return
        broadcast.call(n, {"int8": "thm_add_s8", "int16": "thm_add_s16"}[dtype], words)


def as_affine(
    words: Mapping[str, int | float], slopes: tuple[float, float]
) -> affine.Affine | None:
    """What gives the results of thm_add_s8 with `words` for all operands, if anything does."""
    return _as_affine(tuple(sorted(words.items())), slopes)


@lru_cache(maxsize=256)  # the reference, a lock and a build lower the same layer
def _as_affine(
    words: tuple[tuple[str, int | float], ...], slopes: tuple[float, float]
) -> affine.Affine | None:
    p: Any = SimpleNamespace(**dict(words))
    u = (affine.X + p.x1_offset) << LEFT_SHIFT["int8"]
    v = (affine.X + p.x2_offset) << LEFT_SHIFT["int8"]
    y = np.clip(_added(p, u[:, None], v[None, :]) + p.output_offset, p.act_min, p.act_max)
    return affine.fit(y, slopes, p.act_min, p.act_max)


@dataclass(frozen=True)
class Add(_AddOrSub):
    name: ClassVar[str] = "ADD"
    options_table: ClassVar[str] = "AddOptions"
    subtract: ClassVar[int] = 0

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        a, b = inputs
        assert a is not None
        assert b is not None
        return (broadcast.clamp_real(self.fused_activation_function, a + b),)


@dataclass(frozen=True)
class Sub(_AddOrSub):
    name: ClassVar[str] = "SUB"
    options_table: ClassVar[str] = "SubOptions"
    subtract: ClassVar[int] = 1

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        a, b = inputs
        assert a is not None
        assert b is not None
        return (broadcast.clamp_real(self.fused_activation_function, a - b),)


def thm_add_s8(
    p: Any, y_first: int, y_count: int, x1: Array, x2: Array, walk: Array | None, y: Array
) -> None:
    """Twin of the kernel of the same name."""
    for a, b, out in broadcast.bands(p, y_first, y_count, {"x1": x1, "x2": x2}, walk, y):
        u = (a.astype(np.int64) + p.x1_offset) << LEFT_SHIFT["int8"]
        v = (b.astype(np.int64) + p.x2_offset) << LEFT_SHIFT["int8"]
        out[:] = broadcast.clamp_to(p, _added(p, u, v) + p.output_offset)


def thm_add_affine_s8(
    p: Any, y_first: int, y_count: int, x1: Array, x2: Array, walk: Array | None, y: Array
) -> None:
    """Twin of the kernel of the same name."""
    for a, b, out in broadcast.bands(p, y_first, y_count, {"x1": x1, "x2": x2}, walk, y):
        sums = a.astype(np.int64) * p.x1_factor + b.astype(np.int64) * p.x2_factor + p.constant
        out[:] = broadcast.clamp_to(p, sums >> p.shift)


def thm_add_s16(
    p: Any, y_first: int, y_count: int, x1: Array, x2: Array, walk: Array | None, y: Array
) -> None:
    """Twin of the kernel of the same name."""
    for a, b, out in broadcast.bands(p, y_first, y_count, {"x1": x1, "x2": x2}, walk, y):
        u = a.astype(np.int64) << LEFT_SHIFT["int16"]
        v = b.astype(np.int64) << LEFT_SHIFT["int16"]
        out[:] = broadcast.clamp_to(p, _added(p, u, v))


def _added(p: Any, u: Array, v: Array) -> Array:
    u = fixedpoint.mbqm(u, p.x1_multiplier, p.x1_shift)
    v = fixedpoint.mbqm(v, p.x2_multiplier, p.x2_shift)
    return fixedpoint.mbqm(u - v if p.subtract else u + v, p.output_multiplier, p.output_shift)


def thm_add_s32(
    p: Any, y_first: int, y_count: int, x1: Array, x2: Array, walk: Array | None, y: Array
) -> None:
    """Twin of the kernel of the same name."""
    for a, b, out in broadcast.bands(p, y_first, y_count, {"x1": x1, "x2": x2}, walk, y):
        out[:] = a - b if p.subtract else a + b


def thm_add_f32(
    p: Any, y_first: int, y_count: int, x1: Array, x2: Array, walk: Array | None, y: Array
) -> None:
    """Twin of the kernel of the same name."""
    for a, b, out in broadcast.bands(p, y_first, y_count, {"x1": x1, "x2": x2}, walk, y):
        out[:] = broadcast.clamp_to(p, a - b if p.subtract else a + b)
