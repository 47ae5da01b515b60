"""AVERAGE_POOL_2D and MAX_POOL_2D: twins, every runner, limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_c import assert_twins_agree
from single_op import Case, Exempt, Operand, check, refused

from thimble.ops.pool_2d import AveragePool2D, MaxPool2D

DTYPES = {"s8": "int8", "s16": "int16", "f32": "float32"}


@st.composite
def kernel_calls(draw):
    """Any geometry, also windows larger than the image and rings smaller than it."""
    kernel = draw(st.sampled_from(["average", "max"]))
    suffix = draw(st.sampled_from(list(DTYPES)))
    in_h, in_w = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    filter_h, filter_w = draw(st.integers(1, 11)), draw(st.integers(1, 11))
    stride_h, stride_w = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    channels = draw(st.sampled_from([1, 2, 3, 4, 5, 8, 11]))
    valid = draw(st.booleans()) and filter_h <= in_h and filter_w <= in_w
    out_h = (in_h - filter_h) // stride_h + 1 if valid else -(-in_h // stride_h)
    out_w = (in_w - filter_w) // stride_w + 1 if valid else -(-in_w // stride_w)
    pad_h = 0 if valid else max((out_h - 1) * stride_h + filter_h - in_h, 0)
    pad_w = 0 if valid else max((out_w - 1) * stride_w + filter_w - in_w, 0)
    params = {
        "in_h": in_h,
        "in_w": in_w,
        "channels": channels,
        "out_w": out_w,
        "filter_h": filter_h,
        "filter_w": filter_w,
        "stride_h": stride_h,
        "stride_w": stride_w,
        "pad_top": pad_h // 2,
        "pad_left": pad_w // 2,
        "clipped": int(not valid or draw(st.booleans())),
        "x_ring": draw(st.sampled_from([in_h, in_h + 2, max(1, in_h - 1), 1])),
        "y_ring": draw(st.sampled_from([out_h, out_h + 1, max(1, out_h - 1), 1])),
    }
    dtype = DTYPES[suffix]
    if suffix == "f32":
        params |= {"act_min": draw(st.sampled_from([-3.4e38, 0.0, -1.0])), "act_max": 6.0}
    else:
        info = np.iinfo(dtype)
        params |= {
            "act_min": draw(st.sampled_from([info.min, 0, -5])),
            "act_max": draw(st.sampled_from([info.max, 7])),
        }
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = params["x_ring"] * in_w * channels
    if suffix == "f32":
        x = rng.normal(size=size).astype(np.float32)
    else:
        x = rng.integers(info.min, info.max, size, dtype, endpoint=True)
        x[rng.integers(0, 4, size) == 0] = info.min
    y = np.zeros(params["y_ring"] * out_w * channels, dtype)
    first = draw(st.integers(0, out_h - 1))
    count = draw(st.integers(1, out_h - first))
    return f"thm_{kernel}_pool_2d_{suffix}", params, {"x": x, "y": y}, first, count


@settings(max_examples=150, deadline=None)
@given(kernel_calls())
def test_twins(call):
    assert_twins_agree(*call)


def _case(name, op, shape, dtype="int8", scale=0.05, zero_point=0, **more) -> Case:
    quant = (None, 0) if dtype == "float32" else (scale, zero_point)
    x = Operand(shape, dtype, *quant)
    (inferred,) = op.infer([x])  # type: ignore[list-item]  # only shape and dtype are read
    return Case(name, op, (x,), (Operand(inferred.shape, dtype, *quant),), **more)


GEOMETRIES = {
    # name: ((N, H, W, C), filter (h, w), stride (h, w), padding)
    "2x2": ((1, 8, 8, 8), (2, 2), (2, 2), "VALID"),
    "3x3_same": ((1, 7, 9, 5), (3, 3), (1, 1), "SAME"),
    "3x3_same_stride_2_batch": ((2, 8, 7, 4), (3, 3), (2, 2), "SAME"),
    "global_25x5": ((1, 25, 5, 64), (25, 5), (25, 5), "VALID"),
    "global_3x3": ((1, 3, 3, 6), (3, 3), (1, 1), "VALID"),
    "filter_larger_than_image": ((1, 3, 2, 3), (7, 5), (2, 1), "SAME"),
    "stride_larger_than_filter": ((1, 11, 9, 4), (2, 1), (4, 3), "SAME"),
    "rows_of_width_1": ((1, 16, 1, 3), (4, 1), (2, 1), "VALID"),
}


def _cases() -> list[Case]:
    cases = []
    for k, (name, (shape, window, stride, padding)) in enumerate(GEOMETRIES.items()):
        for op_class in (AveragePool2D, MaxPool2D):
            for dtype in ("int8", "int16", "float32"):
                activation = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")[k % 4]
                op = op_class(padding, stride[1], stride[0], window[1], window[0], activation)
                zero_point = 0 if dtype == "int16" else (-128, -7, 3, 127)[k % 4]
                scale = 0.0005 if dtype == "int16" else 0.05
                label = f"{op.name}_{name}_{dtype}"
                cases.append(_case(label, op, shape, dtype, scale, zero_point, draws=1, seed=k))
    return cases


@pytest.mark.parametrize("case", _cases(), ids=str)
def test_agrees_everywhere(case):
    check(case)


def test_halves_round_away_from_zero():
    values = np.array([1, 2, -1, -2, 3, 2, -3, -2], np.int8).reshape(1, 4, 2, 1)
    case = _case("halves", AveragePool2D("VALID", 2, 1, 2, 1), (1, 4, 2, 1), values=(values,))
    expected = np.array([2, -2, 3, -3], np.int8).reshape(1, 4, 1, 1)
    check(replace(case, expected=(expected,)))


OP = AveragePool2D("VALID", 2, 2, 2, 2)
INT8 = Operand((1, 4, 4, 2), "int8", 0.1, 3)
OUT = Operand((1, 2, 2, 2), "int8", 0.1, 3)
REFUSED = {
    "dtypes": (OP, Operand((1, 4, 4, 2), "uint8", 0.1, 3), OUT),
    "rank 4": (OP, replace(INT8, shape=(4, 4, 2)), OUT),
    "at least 1": (replace(OP, stride_h=0), INT8, OUT),
    "the window gives": (OP, INT8, replace(OUT, shape=(1, 4, 4, 2))),
    "fused activation": (replace(OP, fused_activation_function="TANH"), INT8, OUT),
    "per tensor": (OP, replace(INT8, scale=None), OUT),
    "same scale": (OP, INT8, replace(OUT, zero_point=4)),
    "2^16": (
        AveragePool2D("VALID", 1, 1, 256, 256),
        Operand((1, 256, 256, 1), "int16", 0.1),
        Operand((1, 1, 1, 1), "int16", 0.1),
    ),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_limits(sentence):
    op, x, y = REFUSED[sentence]
    assert sentence in refused(Case(sentence, op, (x,), (y,)))


@pytest.mark.parametrize("size", [40000, 2**31 - 1])
def test_absurdly_large_window(size):
    """Far larger than the image: the average over the image. The peers overflow beyond 2^31."""
    overflow = {peer: Exempt("its int32 padding overflows") for peer in ("tflm", "litert")}
    values = np.arange(-7, 8, dtype=np.int8).reshape(1, 3, 5, 1)
    case = _case(
        "large window",
        AveragePool2D("SAME", size, size, size, size),
        (1, 3, 5, 1),
        values=(values + np.int8(1),),
        expected=(np.array([[[[1]]]], np.int8),),
        exempt=overflow if size**2 > 2**31 else {},
    )
    check(case)


def test_absurdly_small_scale():
    """6 / scale is beyond int32 (the peers refuse that): RELU6 then has no upper end."""
    values = np.arange(-128, 128, dtype=np.int8).reshape(1, 16, 16, 1)
    peers = {peer: Exempt("refuses 6 / scale beyond int32") for peer in ("tflm", "litert")}
    case = _case(
        "small scale",
        MaxPool2D("VALID", 1, 1, 1, 1, "RELU6"),
        (1, 16, 16, 1),
        scale=1e-39,
        zero_point=-3,
        values=(values,),
        expected=(np.maximum(values, -3),),
        exempt=peers,
    )
    check(case)
