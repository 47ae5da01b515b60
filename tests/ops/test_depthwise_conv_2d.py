"""DEPTHWISE_CONV_2D: the kernels are their twins, and all runners agree with TFLM."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_c import assert_twins_agree
from ops.single_op import (
    Case,
    Exempt,
    Operand,
    check,
    constant,
    model_of,
    random_values,
    refused,
)
from ops.windows import Windows, requantization, windows

from thimble.geometry import axis
from thimble.ops import blocked
from thimble.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.runners.reference import ReferenceRunner

seeds = st.integers(0, 2**32 - 1)


def _words(rng: np.random.Generator, w: Windows) -> dict[str, int]:
    channels, multiplier = int(rng.integers(1, 9)), int(rng.integers(1, 4))
    return {
        **w.words,
        "in_c": channels,
        "out_c": channels * multiplier,
        "channel_multiplier": multiplier,
    }


def _buffers(rng: np.random.Generator, p: dict[str, int], dtype: str, bias: str) -> dict[str, Any]:
    x = (p["x_ring"], p["in_w"], p["in_c"])
    w = (p["filter_h"], p["filter_w"], p["out_c"])
    y = (p["y_ring"], p["out_w"], p["out_c"])
    if dtype == "float32":
        return {
            "x": rng.normal(size=x).astype(dtype),
            "w": rng.normal(size=w).astype(dtype),
            "bias": rng.normal(size=p["out_c"]).astype(dtype),
            "y": np.zeros(y, dtype),
        }
    info = np.iinfo(dtype)
    return {
        "x": rng.integers(info.min, info.max + 1, x).astype(dtype),
        "w": rng.integers(-127, 128, w).astype(np.int8),
        "bias": rng.integers(-20000, 20000, p["out_c"]).astype(bias),
        "y": np.zeros(y, dtype),
    }


@settings(max_examples=200, deadline=None)
@given(windows(), seeds)
def test_s8_kernel_is_its_twin(w: Windows, seed: int) -> None:
    rng = np.random.default_rng(seed)
    words = _words(rng, w)
    q = requantization(rng, words["out_c"], "int8")
    words |= q.words
    words |= {
        "input_offset": int(rng.integers(-127, 129)),
        "output_offset": int(rng.integers(-128, 128)),
    }
    buffers = _buffers(rng, words, "int8", "int32")
    buffers |= {"multiplier": q.multiplier, "shift": q.shift}
    assert_twins_agree("thm_depthwise_conv_2d_s8", words, buffers, w.y_first, w.y_count)


@settings(max_examples=150, deadline=None)
@given(windows(), seeds, st.sampled_from([1, 2, 3, 4, 8, 16, 20, 33]))
def test_blocked_kernel_is_its_twin(w: Windows, seed: int, channels: int) -> None:
    rng = np.random.default_rng(seed)
    low, high = sorted(rng.integers(-128, 128, 2).tolist())
    words = w.words | {
        "in_c": channels,
        "x_zero": int(rng.integers(-128, 128)),
        "output_offset": int(rng.integers(-128, 128)),
        "act_min": low,
        "act_max": high,
        "copies": 1,
        "columns": 0,
        "is_down": 0,
    }
    taps = rng.integers(-127, 128, (w.words["filter_h"] * w.words["filter_w"], channels))
    tables: dict[str, np.ndarray] = {
        "bias": rng.integers(-20000, 20000, channels).astype(np.int32),
        "multiplier": rng.integers(2**30, 2**31 - 1, channels).astype(np.int32),
        "shift": rng.integers(-12, 1, channels).astype(np.int8),
    }
    buffers: dict[str, Any] = {
        "x": rng.integers(-128, 128, w.words["x_ring"] * w.words["in_w"] * channels).astype("i1"),
        "w": blocked.pack_weights(taps.astype(np.int8)),
        "records": blocked.pack_records(*tables.values()),
        "scratch": None,
        "y": np.zeros(w.words["y_ring"] * w.words["out_w"] * channels, np.int8),
    }
    kernel = "thm_depthwise_conv_2d_blocked_s8"
    y = assert_twins_agree(kernel, words, buffers, w.y_first, w.y_count)["y"]
    plain = {"out_c": channels, "channel_multiplier": 1, "per_channel": 1}
    plain |= {"input_offset": -words["x_zero"]}
    plain |= {k: v for k, v in words.items() if k not in ("x_zero", "copies", "columns", "is_down")}
    unfolded = tables["bias"] + words["x_zero"] * taps.sum(axis=0).astype(np.int32)
    same: dict[str, Any] = {
        "x": buffers["x"],
        "w": taps.astype(np.int8),
        **tables,
        "y": buffers["y"],
    }
    same["bias"] = unfolded.astype(np.int32)
    args = ("thm_depthwise_conv_2d_s8", plain, same, w.y_first, w.y_count)
    np.testing.assert_array_equal(y, assert_twins_agree(*args)["y"])


@settings(max_examples=80, deadline=None)
@given(windows(), seeds)
def test_s16_kernel_is_its_twin(w: Windows, seed: int) -> None:
    rng = np.random.default_rng(seed)
    words = _words(rng, w)
    q = requantization(rng, words["out_c"], "int16")
    words |= q.words
    buffers = _buffers(rng, words, "int16", "int64")
    buffers |= {"multiplier": q.multiplier, "shift": q.shift}
    assert_twins_agree("thm_depthwise_conv_2d_s16", words, buffers, w.y_first, w.y_count)


@settings(max_examples=80, deadline=None)
@given(windows(), seeds)
def test_f32_kernel_is_its_twin(w: Windows, seed: int) -> None:
    rng = np.random.default_rng(seed)
    words = _words(rng, w)
    params: dict[str, Any] = {**words, "act_min": -1.5, "act_max": 1.25}
    buffers = _buffers(rng, words, "float32", "float32")
    assert_twins_agree("thm_depthwise_conv_2d_f32", params, buffers, w.y_first, w.y_count)


def _case(
    name: str,
    x: tuple[int, ...],
    filters: tuple[int, int],
    multiplier: int = 1,
    dtype: str = "int8",
    bias: bool = True,
    per_channel: bool = True,
    exempt: dict[str, Exempt] | None = None,
    **options: Any,
) -> Case:
    rng = np.random.default_rng(len(name))
    op = DepthwiseConv2D(
        **{"stride_h": 1, "stride_w": 1, "depth_multiplier": multiplier, **options}
    )
    rows = axis(x[1], filters[0], op.stride_h, op.dilation_h_factor, op.padding)
    columns = axis(x[2], filters[1], op.stride_w, op.dilation_w_factor, op.padding)
    out = x[3] * multiplier
    w, y = (1, *filters, out), (x[0], rows.out, columns.out, out)
    if dtype == "float32":
        operands = (
            Operand(x, dtype),
            constant(rng.normal(size=w), dtype),
            constant(rng.normal(size=out), dtype) if bias else None,
        )
        return Case(name, op, operands, (Operand(y, dtype),), exempt=exempt or {})
    scales = rng.uniform(0.002, 0.02, out if per_channel else 1).astype(np.float32)
    x_scale, x_zero = (0.05, -7) if dtype == "int8" else (0.001, 0)
    weights = constant(
        rng.integers(-127, 128, w),
        "int8",
        scales.tolist() if per_channel else float(scales[0]),
        axis=3,
    )
    biases = constant(
        rng.integers(-3000, 3000, out),
        "int32" if dtype == "int8" else "int64",
        (scales * x_scale).tolist(),
    )
    y_scale = float(scales.mean()) * x_scale * 64 * np.sqrt(np.prod(filters))
    return Case(
        name,
        op,
        (Operand(x, dtype, x_scale, x_zero), weights, biases if bias else None),
        (Operand(y, dtype, y_scale if x_zero else y_scale / 9, 4 if x_zero else 0),),
        exempt=exempt or {},
        version=3,
    )


CASES = [
    _case("3x3 same", (1, 7, 6, 8), (3, 3)),
    _case("3x3 stride 2 relu", (1, 9, 8, 5), (3, 3), stride_h=2, stride_w=2,
          fused_activation_function="RELU"),
    _case("10x8 multiplier 8 stride 2", (1, 12, 10, 1), (10, 8), 8, stride_h=2, stride_w=2),
    _case("valid relu6 multiplier 2", (1, 9, 8, 3), (4, 3), 2, padding="VALID",
          fused_activation_function="RELU6"),
    _case("dilated", (1, 9, 9, 3), (3, 3), dilation_h_factor=2, dilation_w_factor=3),
    _case("filter larger than image", (1, 2, 3, 4), (5, 5)),
    _case("batch of 3", (3, 4, 4, 2), (2, 2)),
    _case("per tensor", (1, 5, 5, 4), (3, 3), per_channel=False),
    _case("int16", (1, 6, 6, 4), (3, 3), 2, "int16"),
    _case("int16 per tensor dilated", (1, 6, 6, 4), (3, 3), 1, "int16", per_channel=False,
          dilation_h_factor=2, dilation_w_factor=2),
    _case("float", (1, 7, 6, 5), (3, 3), 1, "float32"),
    _case("float multiplier stride 2 relu6", (2, 9, 8, 3), (3, 2), 3, "float32", stride_h=2,
          stride_w=2, fused_activation_function="RELU6"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_agrees_everywhere(case: Case) -> None:
    check(case)


def test_no_bias_is_a_bias_of_zeros() -> None:
    """TFLM's wheel crashes on a depthwise convolution without bias, LiteRT refuses it."""
    with_zeros = _case("zeros", (1, 5, 5, 4), (3, 3))
    zeros = constant(np.zeros(4), "int32", [1.0] * 4)
    with_zeros = replace(with_zeros, inputs=(*with_zeros.inputs[:2], zeros))
    without = replace(with_zeros, inputs=(*with_zeros.inputs[:2], None))
    check(with_zeros)
    values = random_values(without)
    found = [ReferenceRunner(model_of(case)).run(values)[0] for case in (with_zeros, without)]
    np.testing.assert_array_equal(*found)


def test_limits_are_sentences() -> None:
    case = _case("shape", (1, 5, 5, 2), (3, 3))
    wrong = replace(case.outputs[0], shape=(1, 4, 5, 2))
    assert "window gives" in refused(replace(case, outputs=(wrong,)))
    assert "strides" in refused(replace(case, op=replace(case.op, stride_w=0)))
    x = case.inputs[0]
    assert x is not None
    odd = (replace(x, shape=(1, 5, 5, 3)), *case.inputs[1:])
    assert "[1, FH, FW, C * m]" in refused(replace(case, inputs=odd))
