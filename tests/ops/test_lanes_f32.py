"""The float kernels with outputs in lanes are their twins, bit for bit, in every vector layer that
this machine has.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_emulated import Call, assert_core_agrees
from ops.test_conv_2d import _image
from ops.test_lanes import assert_layer_agrees, generated, needs_wasm
from ops.windows import Windows, windows

from thimble import packing
from thimble.host import host_layers
from thimble.ops.lanes import columns_of, crosses

seeds = st.integers(0, 2**32 - 1)
LAYERS = st.sampled_from(host_layers())
LIMITS = {"act_min": -1.5, "act_max": 1.25}


def _floats(rng: np.random.Generator, size: Any) -> np.ndarray:
    """Values of many magnitudes, so that the order of a sum shows, and zeros of both signs."""
    values = rng.normal(size=size) * 2.0 ** rng.integers(-12, 2, size)
    return np.where(rng.random(size) < 0.1, rng.choice([0.0, -0.0]), values).astype(np.float32)


def convolution(w: Windows, seed: int, lanes: int, is_wide: bool) -> Call:
    """thm_conv_2d_lanes_f32."""
    rng = np.random.default_rng(seed)
    depth, outputs = int(rng.integers(1, 20)), int(rng.integers(1, 140 if is_wide else 20))
    groups = int(rng.integers(1, 3))
    group = int(rng.integers(groups))
    words = {
        **w.words,
        "in_c": depth * groups,
        "out_c": outputs * groups,
        "x_channel": group * depth,
        "depth": depth,
        "y_channel": group * outputs,
        "outputs": outputs,
        "out_h": w.out_h,
        "lanes": lanes,
    }
    columns = columns_of(words) if crosses(words, w.out_h) or rng.random() < 0.3 else 0
    size = words["filter_h"] * words["filter_w"] * depth
    weights = _floats(rng, (outputs, 1, size))
    bias = np.zeros(outputs + lanes, np.float32)
    bias[:outputs] = _floats(rng, outputs)
    span = (words["filter_h"] - 1) * words["dilation_h"] + 1
    buffers: dict[str, Any] = {
        "x": _floats(rng, _image(words, "x")),
        "w": packing.pack(weights, lanes, 1),
        "bias": bias,
        "scratch": np.zeros(max(span * columns * depth, 1), np.float32),
        "y": np.zeros(_image(words, "y"), np.float32),
    }
    params: dict[str, Any] = {**words, "columns": columns, **LIMITS}
    return Call("thm_conv_2d_lanes_f32", params, buffers, w.y_first, w.y_count)


@settings(max_examples=200, deadline=None)
@given(windows(), seeds, LAYERS, st.sampled_from([1, 4, 8, 16]), st.booleans())
def test_convolution_is_its_twin(
    w: Windows, seed: int, layer: str, lanes: int, is_wide: bool
) -> None:
    assert_layer_agrees(convolution(w, seed, lanes, is_wide), layer)


def depthwise(w: Windows, seed: int, channels: int) -> Call:
    """thm_depthwise_conv_2d_lanes_f32."""
    rng = np.random.default_rng(seed)
    words = {**w.words, "in_c": channels}
    taps = words["filter_h"] * words["filter_w"]
    buffers: dict[str, Any] = {
        "x": _floats(rng, words["x_ring"] * words["in_w"] * channels),
        "w": _floats(rng, taps * channels),
        "bias": _floats(rng, channels),
        "y": np.zeros(words["y_ring"] * words["out_w"] * channels, np.float32),
    }
    params: dict[str, Any] = {**words, **LIMITS}
    return Call("thm_depthwise_conv_2d_lanes_f32", params, buffers, w.y_first, w.y_count)


@settings(max_examples=150, deadline=None)
@given(windows(), seeds, LAYERS, st.integers(1, 70))
def test_depthwise_is_its_twin(w: Windows, seed: int, layer: str, channels: int) -> None:
    assert_layer_agrees(depthwise(w, seed, channels), layer)


CALLS = st.one_of(
    st.builds(convolution, windows(), seeds, st.sampled_from([1, 4]), st.booleans()),
    st.builds(depthwise, windows(), seeds, st.integers(1, 20)),
)


@needs_wasm
def test_wasm_leaves_the_bytes_of_the_twins() -> None:
    assert_core_agrees(generated(CALLS), "wasm")
