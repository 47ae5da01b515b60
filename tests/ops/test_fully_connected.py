"""FULLY_CONNECTED: the kernels are their twins, and all runners agree with TFLM."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_c import assert_twins_agree
from ops.single_op import Case, Exempt, Operand, check, constant, refused
from ops.windows import requantization

from thimble import packing
from thimble.ops.fully_connected import FullyConnected

seeds = st.integers(0, 2**32 - 1)
sizes = st.tuples(st.integers(1, 5), st.integers(1, 40), st.integers(1, 9))


@settings(max_examples=150, deadline=None)
@given(sizes, seeds, st.sampled_from([(2, 1), (1, 1), (2, 4), (4, 16), (3, 5)]), st.booleans())
def test_s8_kernels_are_their_twins(
    size: tuple[int, int, int], seed: int, block: tuple[int, int], runtime: bool
) -> None:
    rng = np.random.default_rng(seed)
    batch, depth, outputs = size
    w = rng.integers(-128, 128, (outputs, 1, depth)).astype(np.int8)
    q = requantization(rng, outputs, "int8")
    words = {"depth": depth, "outputs": outputs, "output_offset": -3, **q.words}
    words |= {"input_offset": 77} if runtime else {"oc_block": block[0], "k_block": block[1]}
    buffers: dict[str, Any] = {
        "x": rng.integers(-128, 128, batch * depth).astype(np.int8),
        "w": w if runtime else packing.pack(w, *block),
        "bias": rng.integers(-20000, 20000, outputs).astype(np.int32),
        "multiplier": q.multiplier,
        "shift": q.shift,
        "y": np.zeros(batch * outputs, np.int8),
    }
    first = int(rng.integers(batch))
    kernel = "thm_fully_connected_runtime_s8" if runtime else "thm_fully_connected_s8"
    assert_twins_agree(kernel, words, buffers, first, batch - first)


@settings(max_examples=60, deadline=None)
@given(sizes, seeds, st.integers(0, 1))
def test_s16_kernel_is_its_twin(size: tuple[int, int, int], seed: int, wide: int) -> None:
    rng = np.random.default_rng(seed)
    batch, depth, outputs = size
    q = requantization(rng, outputs, "int16")
    words = {"depth": depth, "outputs": outputs, "wide": wide, **q.words}
    buffers: dict[str, Any] = {
        "x": rng.integers(-32768, 32768, batch * depth).astype(np.int16),
        "w": rng.integers(-127, 128, outputs * depth).astype(np.int8),
        "bias": rng.integers(-20000, 20000, outputs).astype(np.int64),
        "multiplier": q.multiplier,
        "shift": q.shift,
        "y": np.zeros(batch * outputs, np.int16),
    }
    assert_twins_agree("thm_fully_connected_s16", words, buffers, 0, batch)


@settings(max_examples=60, deadline=None)
@given(sizes, seeds)
def test_f32_kernel_is_its_twin(size: tuple[int, int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    batch, depth, outputs = size
    words: dict[str, Any] = {"depth": depth, "outputs": outputs, "act_min": -1.5, "act_max": 2.5}
    buffers: dict[str, Any] = {
        "x": rng.normal(size=batch * depth).astype(np.float32),
        "w": rng.normal(size=outputs * depth).astype(np.float32),
        "bias": rng.normal(size=outputs).astype(np.float32),
        "y": np.zeros(batch * outputs, np.float32),
    }
    assert_twins_agree("thm_fully_connected_f32", words, buffers, 0, batch)


# LiteRT's reference multiplies int8 and int16 sums by the scale in double (docs/numerics.md).
DOUBLE = {"litert": Exempt("LiteRT's reference rounds acc * scale in double", 1)}


def _case(
    name: str,
    x: tuple[int, ...],
    outputs: int,
    depth: int,
    dtype: str = "int8",
    bias: str | None = "int32",
    per_channel: bool = False,
    exempt: dict[str, Exempt] | None = None,
    weights_zero: int = 0,
    **options: Any,
) -> Case:
    rng = np.random.default_rng(len(name))
    op = FullyConnected(**options)
    batch = int(np.prod(x)) // depth
    y = (*x[:-1], outputs) if op.keep_num_dims else (batch, outputs)
    w = (outputs, depth)
    if dtype == "float32":
        given = (
            Operand(x, dtype),
            constant(rng.normal(size=w), dtype),
            constant(rng.normal(size=outputs), dtype) if bias else None,
        )
        return Case(name, op, given, (Operand(y, dtype),), exempt=exempt or {})
    scales = rng.uniform(0.002, 0.02, outputs if per_channel else 1).astype(np.float32)
    x_scale, x_zero = (0.05, -7) if dtype == "int8" else (0.001, 0)
    weights = constant(
        rng.integers(-60, 61, w), "int8", scales.tolist() if per_channel else float(scales[0]),
        weights_zero,
    )  # fmt: skip
    biases = (
        constant(rng.integers(-3000, 3000, outputs), bias, (scales * x_scale).tolist())
        if bias
        else None
    )
    y_scale = float(scales.mean()) * x_scale * 30 * np.sqrt(depth) / (1 if x_zero else 4)
    return Case(
        name,
        op,
        (Operand(x, dtype, x_scale, x_zero), weights, biases),
        (Operand(y, dtype, y_scale, 4 if x_zero else 0),),
        exempt=DOUBLE if exempt is None else exempt,
        version=7 if per_channel else 4,
    )


WIDE = {"litert": Exempt("LiteRT's reference reads an int32 bias of int16 activations as int64")}
CASES = [
    _case("one row", (1, 40), 10, 40),
    _case("5 rows relu", (5, 33), 7, 33, fused_activation_function="RELU"),
    _case("4-D input", (1, 2, 3, 4), 5, 24, fused_activation_function="RELU6"),
    _case("keep dims", (2, 3, 8), 5, 8, keep_num_dims=True),
    _case("per channel", (3, 17), 9, 17, per_channel=True),
    _case("no bias", (3, 17), 9, 17, bias=None),
    _case("weights with zero point", (3, 17), 9, 17, weights_zero=5),
    _case("int16", (3, 17), 9, 17, "int16", "int64"),
    _case("int16 per channel", (3, 17), 9, 17, "int16", "int64", per_channel=True),
    _case("int16 bias int32", (3, 17), 9, 17, "int16", "int32", exempt=WIDE),
    _case("float", (5, 200), 12, 200, "float32", "float32"),
    _case("float no bias relu", (1, 8), 12, 8, "float32", None, fused_activation_function="RELU"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_agrees_everywhere(case: Case) -> None:
    check(case)


def test_weights_may_be_computed_at_run_time() -> None:
    case = _case("runtime", (3, 17), 9, 17)
    w = Operand((9, 17), "int8", 0.01, 0)
    check(replace(case, inputs=(case.inputs[0], w, None)))


def test_limits_are_sentences() -> None:
    case = _case("refused", (3, 17), 9, 17)
    shuffled = replace(case.op, weights_format="SHUFFLED4x16INT8")
    assert "DEFAULT format" in refused(replace(case, op=shuffled))
    x = case.inputs[0]
    assert x is not None
    short = (replace(x, shape=(3, 16)), *case.inputs[1:])
    assert "whole rows" in refused(replace(case, inputs=short))
