"""What the tests of element-wise ops share: shapes that broadcast, buffers for the twins, cases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from kernels_c import assert_twins_agree, run_c, run_twin
from single_op import Case, Exempt, Operand

from thimble.ops.broadcast import loops
from thimble.ops.contract import Op

# Same shape, scalar, one channel vector, outer product, one of every dimension, lower rank.
SHAPES: dict[str, tuple[tuple[int, ...], ...]] = {
    "same": ((1, 5, 3, 4), (1, 5, 3, 4)),
    "same batched": ((2, 3, 2, 3), (2, 3, 2, 3)),
    "scalar": ((1, 4, 7), ()),
    "first is scalar": ((1,), (3, 5)),
    "channel": ((1, 4, 3, 5), (5,)),
    "row": ((1, 4, 3, 5), (1, 1, 3, 5)),
    "pixel": ((1, 4, 3, 5), (1, 4, 3, 1)),
    "outer": ((1, 4, 1, 5), (1, 1, 6, 1)),
    "rank 5": ((2, 1, 3, 1, 2), (1, 3, 1, 2, 2)),
    "rank 6": ((2, 1, 2, 1, 3, 1), (1, 3, 1, 2, 1, 2)),
}


def output_shape(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """What NumPy broadcasts `shapes` to."""
    return np.broadcast_shapes(*shapes)


@st.composite
def broadcastable(draw: st.DrawFn, operands: int = 2) -> tuple[tuple[int, ...], ...]:
    """Shapes that broadcast, rank 6 at most, any rank for each; half of them banded along dim 1."""
    rank = draw(st.integers(0, 6))
    full = [draw(st.integers(1, 3)) for _ in range(rank)]
    if rank >= 3 and draw(st.booleans()):
        full[0], full[1] = 1, draw(st.integers(2, 5))
    shapes = []
    for _ in range(operands):
        keep = draw(st.lists(st.booleans(), min_size=rank, max_size=rank))
        shape = tuple(size if kept else 1 for size, kept in zip(full, keep))
        shapes.append(shape[draw(st.integers(0, rank)) :] if draw(st.booleans()) else shape)
    return tuple(shapes)


def random_buffer(rng: np.random.Generator, count: int, dtype: str) -> np.ndarray:
    """Full range with many extremes; floats with zeros, infinities and NaN among them."""
    if dtype == "float32":
        values = rng.normal(0, 4, count).astype(np.float32)
        special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 3e38, 1e-45], np.float32)
        return np.where(rng.integers(0, 8, count) == 0, rng.choice(special, count), values)
    if dtype == "bool":
        return rng.integers(0, 2, count).astype(np.uint8)
    info = np.iinfo(dtype)
    values = rng.integers(info.min, info.max, count, dtype, endpoint=True)
    ends = rng.integers(0, 8, count)
    values[ends == 0] = info.min
    values[ends == 1] = info.max
    return values


def twins_agree(
    kernel: str,
    shapes: Sequence[tuple[int, ...]],
    dtypes: Sequence[str],
    words: dict[str, Any],
    seed: int,
    **fixed: np.ndarray,
) -> None:
    """C and twin leave the same bytes for a band of rows, in whole tensors and in shorter rings.

    `dtypes` are those of the operands, then that of y; "bool" is a byte that is 0 or 1."""
    rng = np.random.default_rng(seed)
    names = [f"x{i + 1}" for i in range(len(shapes))]
    out = output_shape(shapes)
    found = loops(shapes, out, names)
    first = int(rng.integers(0, found.rows))
    count = int(rng.integers(0, found.rows - first + 1))
    for is_ring in (False, True):
        params = {**found.words, **words}
        if is_ring:
            for name, is_banded in zip(("y", *names), (True, *found.banded)):
                if is_banded:
                    params[f"{name}_ring"] = max(count, int(rng.integers(1, found.rows + 1)))
        buffers: dict[str, Any] = {
            name: random_buffer(rng, params[f"{name}_ring"] * params[f"{name}_row"], dtype)
            for name, dtype in zip((*names, "y"), dtypes, strict=True)
        }
        buffers["walk"] = found.walk
        with np.errstate(all="ignore"):
            assert_twins_agree(kernel, params, {**buffers, **fixed}, first, count)


def operand(
    shape: tuple[int, ...], dtype: str, rng: np.random.Generator, scale: float = 0.05
) -> Operand:
    """A run-time operand with a random scale round `scale` and, for int8, a random zero point."""
    if dtype not in ("int8", "int16"):
        return Operand(shape, dtype)
    drawn = float(np.float32(scale * rng.uniform(0.5, 2)))
    if dtype == "int16":
        return Operand(shape, dtype, drawn / 256)
    return Operand(shape, dtype, drawn, int(rng.choice([-128, 127, 0, int(rng.integers(-99, 99))])))


def binary_case(
    name: str,
    op: Op,
    shapes: Sequence[tuple[int, ...]],
    dtype: str,
    seed: int,
    *,
    constant: int | None = None,
    y_dtype: str | None = None,
    **options: Any,
) -> Case:
    """A case with operands of random quantization; operand `constant` is a constant."""
    rng = np.random.default_rng(seed)
    operands = [operand(shape, dtype, rng) for shape in shapes]
    y = operand(output_shape(shapes), y_dtype or dtype, rng)
    if constant is not None:
        t = operands[constant]
        data = random_buffer(rng, int(np.prod(t.shape)), dtype).reshape(t.shape)
        if dtype == "float32":
            data = rng.normal(0, 2, t.shape).astype(np.float32)
        operands[constant] = Operand(t.shape, dtype, t.scale, t.zero_point, 0, data)
    return Case(name, op, tuple(operands), (y,), seed=seed, **options)


# libm and NumPy differ in the last bits of transcendental functions; nothing else may differ.
LIBM_RTOL, LIBM_ATOL = 2e-6, 2e-6
LIBM = {"host": Exempt("libm and NumPy differ in the last bits", 1e-6)}


def unary_twins_agree(
    kernel: str,
    shape: tuple[int, ...],
    dtype: str,
    words: dict[str, Any],
    seed: int,
    *,
    table: np.ndarray | None = None,
    calls_libm: bool = False,
) -> None:
    """C and twin agree on a band of rows, in whole tensors and in shorter rings."""
    rng = np.random.default_rng(seed)
    found = loops([shape], shape, ["x"])
    first = int(rng.integers(0, found.rows))
    count = int(rng.integers(0, found.rows - first + 1))
    for is_ring in (False, True):
        params = {**{k: found.words[k] for k in ("y_ring", "x_ring", "x_row")}, **words}
        if is_ring and found.banded[0]:
            for name in ("y", "x"):
                params[f"{name}_ring"] = max(count, int(rng.integers(1, found.rows + 1)))
        buffers: dict[str, Any] = {
            name: random_buffer(rng, params[f"{name}_ring"] * params["x_row"], dtype)
            for name in ("x", "y")
        }
        if table is not None:
            buffers["table"] = table
        with np.errstate(all="ignore"):
            if not calls_libm:
                assert_twins_agree(kernel, params, buffers, first, count)
                continue
            in_numpy = {name: buffer.copy() for name, buffer in buffers.items()}
            run_twin(kernel, params, in_numpy, first, count)
            run_c(kernel, params, buffers, first, count)
            np.testing.assert_allclose(buffers["y"], in_numpy["y"], LIBM_RTOL, LIBM_ATOL)


@st.composite
def any_shape(draw: st.DrawFn) -> tuple[int, ...]:
    """Rank 0 to 6, half of them banded along dim 1."""
    return draw(broadcastable(1))[0]


def unary_case(
    name: str,
    op: Op,
    dtype: str,
    quants: tuple[tuple[float, int], tuple[float, int]] | None = None,
    **options: Any,
) -> Case:
    """All 256 values of int8, 8192 of int16, floats with specials, in a tensor that is banded."""
    shape = (1, 16, 4, 4) if dtype == "int8" else (1, 32, 16, 16)
    (x_scale, x_zero), (y_scale, y_zero) = quants or ((None, 0), (None, 0))
    if dtype == "int8":
        options["values"] = (np.arange(-128, 128).astype(np.int8).reshape(shape),)
    return Case(
        name,
        op,
        (Operand(shape, dtype, x_scale, x_zero),),
        (Operand(shape, dtype, y_scale, y_zero),),
        **options,
    )


def random_quants(
    seed: int, low: float = -3, high: float = 0, fixed: tuple[float, int] | None = None
) -> tuple[tuple[float, int], tuple[float, int]]:
    """Quantization of x, scale in [10^low, 10^high), and of y, within a factor of 3 or `fixed`."""
    rng = np.random.default_rng(seed)
    zero_points = [int(rng.choice([-128, 127, 0, rng.integers(-128, 128)])) for _ in range(2)]
    scale = float(np.float32(10 ** rng.uniform(low, high)))
    y_scale = float(np.float32(scale * rng.uniform(0.3, 3)))
    return (scale, zero_points[0]), fixed or (y_scale, zero_points[1])
