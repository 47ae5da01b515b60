"""CONV_2D: the kernels are their twins, and all runners agree with TFLM."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_c import assert_twins_agree
from ops.single_op import Case, Exempt, Operand, check, constant, refused
from ops.windows import Windows, requantization, windows

from thimble import packing
from thimble.geometry import axis
from thimble.ops.conv_2d import Conv2D

seeds = st.integers(0, 2**32 - 1)
BLOCKS = [(2, 1), (1, 1), (2, 4), (4, 16), (3, 5)]


def _shape(rng: np.random.Generator, w: Windows) -> tuple[dict[str, int], int, int]:
    depth, groups, outputs = (int(rng.integers(1, n)) for n in (9, 3, 7))
    group = int(rng.integers(groups))
    words = {
        **w.words,
        "in_c": depth * groups,
        "out_c": outputs * groups,
        "x_channel": group * depth,
        "depth": depth,
        "y_channel": group * outputs,
        "outputs": outputs,
    }
    return words, depth, outputs


def _image(words: dict[str, int], of: str) -> int:
    ring, width, channels = {
        "x": ("x_ring", "in_w", "in_c"),
        "y": ("y_ring", "out_w", "out_c"),
    }[of]
    return words[ring] * words[width] * words[channels]


@settings(max_examples=250, deadline=None)
@given(windows(), seeds, st.sampled_from(BLOCKS), st.integers(0, 1))
def test_s8_kernel_is_its_twin(w: Windows, seed: int, block: tuple[int, int], gathers: int) -> None:
    rng = np.random.default_rng(seed)
    words, depth, outputs = _shape(rng, w)
    weights = rng.integers(-127, 128, (outputs, words["filter_h"], words["filter_w"] * depth))
    q = requantization(rng, outputs, "int8")
    words |= q.words | {
        "out_h": w.out_h,
        "x_zero": int(rng.integers(-128, 128)),
        "output_offset": int(rng.integers(-128, 128)),
        "oc_block": block[0],
        "k_block": block[1],
        "gathers": gathers,
        "segments": 1 if gathers else words["filter_h"],
        "patches": int(rng.integers(1, 5)),
    }
    if gathers:
        weights = weights.reshape(outputs, 1, -1)
    buffers: dict[str, Any] = {
        "x": rng.integers(-128, 128, _image(words, "x")).astype(np.int8),
        "w": packing.pack(weights.astype(np.int8), *block),
        "bias": rng.integers(-20000, 20000, outputs).astype(np.int32),
        "multiplier": q.multiplier,
        "shift": q.shift,
        "scratch": np.zeros(words["patches"] * (weights[0].size + block[1]), np.int8),
        "y": rng.integers(-128, 128, _image(words, "y")).astype(np.int8),
    }
    assert_twins_agree("thm_conv_2d_s8", words, buffers, w.y_first, w.y_count)


@settings(max_examples=80, deadline=None)
@given(windows(), seeds, st.integers(0, 1))
def test_s16_kernel_is_its_twin(w: Windows, seed: int, wide: int) -> None:
    rng = np.random.default_rng(seed)
    words, depth, outputs = _shape(rng, w)
    size = (outputs, words["filter_h"], words["filter_w"], depth)
    q = requantization(rng, outputs, "int16")
    words |= q.words | {"wide": wide}
    buffers: dict[str, Any] = {
        "x": rng.integers(-32768, 32768, _image(words, "x")).astype(np.int16),
        "w": rng.integers(-127, 128, size).astype(np.int8),
        "bias": rng.integers(-20000, 20000, outputs).astype(np.int64),
        "multiplier": q.multiplier,
        "shift": q.shift,
        "y": np.zeros(_image(words, "y"), np.int16),
    }
    assert_twins_agree("thm_conv_2d_s16", words, buffers, w.y_first, w.y_count)


@settings(max_examples=80, deadline=None)
@given(windows(), seeds)
def test_f32_kernel_is_its_twin(w: Windows, seed: int) -> None:
    rng = np.random.default_rng(seed)
    words, depth, outputs = _shape(rng, w)
    size = (outputs, words["filter_h"], words["filter_w"], depth)
    buffers: dict[str, Any] = {
        "x": rng.normal(size=_image(words, "x")).astype(np.float32),
        "w": rng.normal(size=size).astype(np.float32),
        "bias": rng.normal(size=outputs).astype(np.float32),
        "y": np.zeros(_image(words, "y"), np.float32),
    }
    params: dict[str, Any] = {**words, "act_min": -1.5, "act_max": 1.25}
    assert_twins_agree("thm_conv_2d_f32", params, buffers, w.y_first, w.y_count)


def _case(
    name: str,
    x: tuple[int, ...],
    w: tuple[int, ...],
    dtype: str = "int8",
    bias: str | None = "int32",
    per_channel: bool = True,
    exempt: dict[str, Exempt] | None = None,
    **options: Any,
) -> Case:
    rng = np.random.default_rng(len(name))
    op = Conv2D(**{"stride_h": 1, "stride_w": 1, **options})
    rows = axis(x[1], w[1], op.stride_h, op.dilation_h_factor, op.padding)
    columns = axis(x[2], w[2], op.stride_w, op.dilation_w_factor, op.padding)
    y = (x[0], rows.out, columns.out, w[0])
    if dtype == "float32":
        operands = (
            Operand(x, dtype),
            constant(rng.normal(size=w), dtype),
            constant(rng.normal(size=w[0]), dtype) if bias else None,
        )
        return Case(name, op, operands, (Operand(y, dtype),), exempt=exempt or {})
    scales = rng.uniform(0.002, 0.02, w[0] if per_channel else 1).astype(np.float32)
    x_scale, x_zero = (0.05, -7) if dtype == "int8" else (0.001, 0)
    weights = rng.integers(-127, 128, w).astype(np.int8)
    spread = float(scales.mean()) * x_scale * 64 * np.sqrt(np.prod(w[1:])) / 20
    given: list[Operand | None] = [
        Operand(x, dtype, x_scale, x_zero),
        constant(weights, "int8", scales.tolist() if per_channel else float(scales[0])),
        None,
    ]
    if bias:
        values = rng.integers(-3000, 3000, w[0])
        given[2] = constant(values, bias, (scales * x_scale).tolist())
    out = Operand(y, dtype, spread if dtype == "int8" else spread / 100, 4 if x_zero else 0)
    return Case(name, op, tuple(given), (out,), exempt=exempt or {}, version=3)


WIDE = {"litert": Exempt("LiteRT reads an int32 bias of int16 activations as int64")}
NO_BIAS = {"litert": Exempt("LiteRT's reference refuses a missing bias")}
CASES = [
    _case("1x1", (1, 5, 4, 16), (8, 1, 1, 16)),
    _case("3x3 same", (1, 7, 6, 5), (7, 3, 3, 5), padding="SAME"),
    _case("3x3 valid stride 2 relu", (1, 9, 8, 3), (4, 3, 3, 3), padding="VALID", stride_h=2,
          stride_w=2, fused_activation_function="RELU"),
    _case("10x4 same stride 2 relu6", (1, 12, 10, 1), (9, 10, 4, 1), padding="SAME", stride_h=2,
          stride_w=2, fused_activation_function="RELU6"),
    _case("dilated", (1, 9, 9, 3), (4, 3, 3, 3), dilation_h_factor=2, dilation_w_factor=3),
    _case("filter larger than image", (1, 2, 3, 4), (3, 5, 5, 4), padding="SAME"),
    _case("batch of 3", (3, 4, 4, 2), (3, 2, 2, 2)),
    _case("per tensor", (1, 5, 5, 4), (6, 3, 3, 4), per_channel=False),
    _case("grouped", (1, 6, 6, 6), (4, 3, 3, 3)),
    _case("no bias", (1, 5, 5, 4), (6, 3, 3, 4), bias=None, exempt=NO_BIAS),
    _case("int16", (1, 6, 6, 4), (5, 3, 3, 4), "int16", "int64"),
    _case("int16 bias int32", (1, 6, 6, 4), (5, 3, 3, 4), "int16", "int32", exempt=WIDE),
    _case("int16 no bias", (1, 6, 6, 4), (5, 3, 3, 4), "int16", None, exempt=NO_BIAS),
    _case("float", (1, 7, 6, 5), (7, 3, 3, 5), "float32", "float32"),
    _case("float stride 2 valid relu6", (2, 9, 8, 3), (4, 3, 2, 3), "float32", "float32",
          padding="VALID", stride_h=2, stride_w=2, fused_activation_function="RELU6"),
    _case("float grouped dilated", (1, 9, 9, 4), (6, 3, 3, 2), "float32", "float32",
          dilation_h_factor=2, dilation_w_factor=2),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_agrees_everywhere(case: Case) -> None:
    check(case)


def test_int4_weights_are_unpacked() -> None:
    rng = np.random.default_rng(3)
    values = rng.integers(-8, 8, (3, 3, 3, 3)).astype(np.int8)
    nibbles = (values.reshape(-1).astype(np.uint8) & 15).tolist() + [0]
    packed = np.array([a | b << 4 for a, b in zip(nibbles[::2], nibbles[1::2])], np.uint8)
    weights = Operand(values.shape, "int4", [0.1, 0.2, 0.3], data=packed)
    x, y = Operand((1, 5, 5, 3), "int8", 0.05, 1), Operand((1, 5, 5, 3), "int8", 1.0, -3)
    bias = constant([5, -900, 70], "int32", [0.005, 0.01, 0.015])
    packed_reason = Exempt("the wheels differ on int4 by one LSB", 1)
    op = Conv2D(stride_h=1, stride_w=1)
    check(Case("int4", op, (x, weights, bias), (y,), exempt={"litert": packed_reason}))


REFUSED = [
    ("window gives", _case("shape", (1, 5, 5, 2), (3, 3, 3, 2)), {"y": (1, 4, 5, 3)}),
    ("strides", _case("stride", (1, 5, 5, 2), (3, 3, 3, 2)), {"stride_h": 0}),
    ("multiple of the filter's", _case("depth", (1, 5, 5, 2), (3, 3, 3, 2)), {"x": (1, 5, 5, 3)}),
]


@pytest.mark.parametrize(("sentence", "case", "change"), REFUSED, ids=[r[0] for r in REFUSED])
def test_limits_are_sentences(sentence: str, case: Case, change: dict[str, Any]) -> None:
    from dataclasses import replace

    if "y" in change:
        case = replace(case, outputs=(replace(case.outputs[0], shape=change["y"]),))
    elif "x" in change:
        first = case.inputs[0]
        assert first is not None
        case = replace(case, inputs=(replace(first, shape=change["x"]), *case.inputs[1:]))
    else:
        case = replace(case, op=replace(case.op, **change))
    assert sentence in refused(case)
