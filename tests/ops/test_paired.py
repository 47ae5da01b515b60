"""The kernels for the DSP extension are their twins, and the twins are those of plain C."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_c import assert_twins_agree
from ops.test_conv_2d import _image, _shape
from ops.windows import Windows, windows

from thimble import pairs
from thimble.geometry import axis

seeds = st.integers(0, 2**32 - 1)


def _layer(rng: np.random.Generator, outputs: int, products: int) -> pairs.Outputs:
    """A layer within the bounds of `pairs`, with activation ranges of every kind."""
    low, high = sorted(int(v) for v in rng.integers(-128, 128, 2))
    whole = rng.random() < 0.5
    return pairs.Outputs(
        rng.integers(-127, 128, (outputs, products)).astype(np.int8),
        rng.integers(-20000, 20000, outputs),
        rng.integers(2**30, 2**31, outputs),
        -rng.integers(1, 15, outputs),
        int(rng.integers(-128, 128)),
        -128 if whole else low,
        127 if whole else high,
    )


def _constants(layer: pairs.Outputs, segments: int) -> dict[str, Any]:
    outputs = len(layer.w)
    return {
        "w": pairs.pack(layer.w.reshape(outputs, segments, -1)),
        "records": pairs.records(layer.bias, layer.multiplier, layer.shift),
    }


def _words(layer: pairs.Outputs) -> dict[str, int]:
    return {
        "output_offset": layer.output_offset,
        "act_min": layer.act_min,
        "act_max": layer.act_max,
    }


@settings(max_examples=250, deadline=None)
@given(windows(), seeds, st.booleans())
def test_convolution_is_its_twin(w: Windows, seed: int, is_deep: bool) -> None:
    rng = np.random.default_rng(seed)
    words, depth, outputs = _shape(rng, w)
    if is_deep:  # products that need one position at a time, or chunks
        wider = int(rng.integers(30, 200))
        words |= {"in_c": words["in_c"] + wider, "depth": depth + wider}
        depth += wider
        words["x_channel"] = int(rng.integers(words["in_c"] - depth + 1))
    layer = _layer(rng, outputs, words["filter_h"] * words["filter_w"] * depth)
    words |= _words(layer) | {"out_h": w.out_h, "x_zero": int(rng.integers(-128, 128))}
    buffers: dict[str, Any] = {
        "x": rng.integers(-128, 128, _image(words, "x")).astype(np.int8),
        "scratch": np.zeros(words["filter_w"] * depth, np.int8),
        "y": rng.integers(-128, 128, _image(words, "y")).astype(np.int8),
        **_constants(layer, words["filter_h"]),
    }
    kernel = pairs.kernel("thm_conv_2d_{}_s8", words["filter_h"], words["filter_w"] * depth)
    assert_twins_agree(kernel, words, buffers, w.y_first, w.y_count)
    assert_twins_agree("thm_conv_2d_deep_s8", words, buffers, w.y_first, w.y_count)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(1, 1500), st.integers(1, 9), seeds)
def test_fully_connected_is_its_twin(batch: int, depth: int, outputs: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    layer = _layer(rng, outputs, depth)
    if depth <= 640:
        layer.w[:] = rng.integers(-80, 81, layer.w.shape)  # the sums stay below 2^23
    words = {"depth": depth, "outputs": outputs, **_words(layer)}
    buffers: dict[str, Any] = {
        "x": rng.integers(-128, 128, batch * depth).astype(np.int8),
        "y": rng.integers(-128, 128, batch * outputs).astype(np.int8),
        **_constants(layer, 1),
    }
    kernel = pairs.kernel("thm_fully_connected_{}_s8", 1, depth)
    assert_twins_agree(kernel, words, buffers, 0, batch)
    assert_twins_agree("thm_fully_connected_deep_s8", words, buffers, 0, batch)


@given(st.integers(1, 9), st.integers(1, 4), st.integers(1, 9), seeds)
def test_packing_is_undone(outputs: int, segments: int, length: int, seed: int) -> None:
    w = np.random.default_rng(seed).integers(-127, 128, (outputs, segments, length))
    packed = pairs.pack(w.astype(np.int8))
    assert np.array_equal(pairs.unpack(packed, outputs, segments, length), w)


def test_records_are_undone() -> None:
    layer = _layer(np.random.default_rng(0), 7, 1)
    table = pairs.records(layer.bias, layer.multiplier, layer.shift)
    found = pairs.from_records(table, 7)
    for got, want in zip(found, (layer.bias, layer.multiplier, layer.shift)):
        assert np.array_equal(got, want)


def test_constant_outputs_are_settled() -> None:
    """A multiplier that rounds to nothing: the channel's weights go, its output stays."""
    layer = pairs.Outputs(
        np.array([[100, -100], [3, 4]], np.int8),
        np.array([1 << 30, 50]),
        np.array([1 << 30, 1 << 30]),
        np.array([-31, -4]),
        7,
        -128,
        127,
    )
    done = pairs.settle(layer)
    assert done.w.tolist() == [[0, 0], [3, 4]]
    assert done.bias.tolist() == [0, 50]
    assert done.shift.tolist() == [-1, -4]
    assert pairs.prepare(layer, 1) is not None


@pytest.mark.parametrize(
    "change",
    [
        {"shift": np.array([0, -3])},
        {"shift": np.array([-3, 2])},
        {"bias": np.array([(1 << 23) + (1 << 16), 0]), "shift": np.array([-16, -3])},
        {"w": np.array([[-128] * 4, [-1] * 4], np.int8)},
    ],
)
def test_layers_out_of_bounds_are_left_to_plain_c(change: dict[str, Any]) -> None:
    fields = {
        "w": np.array([[100] * 4, [-1] * 4], np.int8),
        "bias": np.array([0, 0]),
        "multiplier": np.array([1 << 30, 1 << 30]),
        "shift": np.array([-8, -3]),
    }
    assert pairs.prepare(pairs.Outputs(**fields, output_offset=0, act_min=-128, act_max=127), 1)
    changed = pairs.Outputs(**(fields | change), output_offset=0, act_min=-128, act_max=127)
    assert pairs.prepare(changed, 1) is None


@settings(max_examples=250, deadline=None)
@given(st.integers(1, 60), st.integers(1, 9), st.integers(1, 9), seeds)
def test_depthwise_is_its_twin(in_w: int, in_h: int, channels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    stride_h, stride_w = int(rng.integers(1, 5)), int(rng.integers(1, 3))
    padding = "SAME" if min(in_h, in_w) < 3 else str(rng.choice(["SAME", "VALID"]))
    rows = axis(in_h, 3, stride_h, 1, padding)
    columns = axis(in_w, 3, stride_w, 1, padding)
    y_first = int(rng.integers(rows.out))
    y_count = int(rng.integers(1, rows.out - y_first + 1))
    needed = min((y_count - 1) * stride_h + 3, in_h)
    layer = _layer(rng, channels, 9)
    words = {
        "in_h": in_h,
        "in_w": in_w,
        "channels": channels,
        "out_w": columns.out,
        "stride_h": stride_h,
        "stride_w": stride_w,
        "pad_top": rows.pad,
        "pad_left": columns.pad,
        "x_ring": int(rng.choice([in_h, needed])),
        "y_ring": int(rng.choice([rows.out, y_count])),
        "x_zero": int(rng.integers(-128, 128)),
        **_words(layer),
    }
    buffers: dict[str, Any] = {
        "x": rng.integers(-128, 128, words["x_ring"] * in_w * channels).astype(np.int8),
        "w": pairs.pack_3x3(layer.w.reshape(channels, 3, 3)),
        "records": pairs.records(layer.bias, layer.multiplier, layer.shift),
        "y": rng.integers(-128, 128, words["y_ring"] * columns.out * channels).astype(np.int8),
    }
    assert_twins_agree("thm_depthwise_conv_2d_3x3_s8", words, buffers, y_first, y_count)


@settings(max_examples=250, deadline=None)
@given(windows(), st.integers(1, 9), seeds)
def test_planar_depthwise_is_its_twin(w: Windows, channels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    layer = _layer(rng, channels, w.words["filter_h"] * w.words["filter_w"])
    taps = layer.w.reshape(channels, w.words["filter_h"], w.words["filter_w"])
    packed = pairs.pack_rows(taps, w.words["dilation_w"])
    columns = packed.shape[2] // 2
    strip = int(rng.integers(1, w.words["out_w"] + 1))
    words = {
        **{word: w.words[word] for word in w.words if word not in ("filter_w", "dilation_w")},
        **_words(layer),
        "channels": channels,
        "x_zero": int(rng.integers(-128, 128)),
        "words": columns,
        "strip": strip,
        "pitch": (strip - 1) * w.words["stride_w"] // 2 + columns,
    }
    buffers: dict[str, Any] = {
        "x": rng.integers(-128, 128, words["x_ring"] * words["in_w"] * channels).astype(np.int8),
        "w": packed,
        "records": pairs.records(layer.bias, layer.multiplier, layer.shift),
        "y": rng.integers(-128, 128, words["y_ring"] * words["out_w"] * channels).astype(np.int8),
    }
    assert_twins_agree("thm_depthwise_conv_2d_planar_s8", words, buffers, w.y_first, w.y_count)
