"""The kernels with outputs in lanes are their twins in every vector layer that this machine has,
and in WebAssembly.
"""

from __future__ import annotations

import importlib.util
import os
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from kernels_c import assert_twins_agree
from kernels_emulated import Call, assert_core_agrees
from ops.test_conv_2d import _image
from ops.windows import Windows, requantization, windows

from thimble import fixedpoint, packing
from thimble.arch import ARCHS, Arch
from thimble.host import host_layers, this_machine
from thimble.ops import lanes

seeds = st.integers(0, 2**32 - 1)
LAYERS = st.sampled_from(host_layers())
PACKINGS = st.sampled_from([arch for arch in ARCHS.values() if arch.lanes])
CHANNELS = st.integers(1, 140) | st.sampled_from([8, 16, 32, 64])
SPARE = 4096  # bytes of scratch beyond any of these layers' copied rows


def assert_layer_agrees(call: Call, layer: str) -> None:
    """In a vector layer of the host."""
    assert_twins_agree(
        call.kernel, dict(call.params), dict(call.buffers), call.y_first, call.y_count, layer
    )


def _scales(rng: np.random.Generator, outputs: int) -> tuple[Any, Any, dict[str, int]]:
    q = requantization(rng, outputs, "int8")
    words = {word: q.words[word] for word in ("act_min", "act_max")}
    tables = (np.broadcast_to(table, outputs) for table in (q.multiplier, q.shift))
    return (*tables, words | {"output_offset": int(rng.integers(-128, 128))})


def _reach(words: dict[str, int], together: int = 1) -> int:
    last = (-(-words["out_w"] // together) * together - 1) * words["stride_w"]
    return last + (words["filter_w"] - 1) * words["dilation_w"] + 1


def _crosses(words: dict[str, int], out_h: int) -> bool:
    bottom = (out_h - 1) * words["stride_h"] + (words["filter_h"] - 1) * words["dilation_h"]
    padded = words["pad_top"] or words["pad_left"]
    return bool(padded or bottom >= words["in_h"] or _reach(words) > words["in_w"])


def convolution(w: Windows, seed: int, arch: Arch, copies: bool, is_wide: bool) -> Call:
    """thm_conv_2d_lanes_s8."""
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
    }
    q, s, more = _scales(rng, outputs)
    lies_whole = words["filter_w"] == 1 or (words["dilation_w"] == 1 and groups == 1)
    length = words["filter_w"] * depth if lies_whole else depth
    copies = copies or _crosses(words, w.out_h) or length % arch.k_block > 0
    if copies:
        lies_whole = words["filter_w"] == 1 or words["dilation_w"] == 1
    runs = words["filter_h"] * (1 if lies_whole else words["filter_w"])
    size = words["filter_h"] * words["filter_w"] * depth
    weights = rng.integers(-128, 128, (outputs, runs, size // runs)).astype(np.int8)
    words |= more | {
        "x_zero": int(rng.integers(-128, 128)),
        "x_offset": arch.x_offset,
        "lanes": arch.oc_block,
        "k_block": arch.k_block,
        "columns": _reach(words) if copies else 0,
    }
    buffers: dict[str, Any] = {
        "x": rng.integers(-128, 128, _image(words, "x")).astype(np.int8),
        "w": packing.pack(weights, arch.oc_block, arch.k_block),
        "records": lanes.pack_records(rng.integers(-20000, 20000, outputs), q, s, arch.oc_block),
        "scratch": np.zeros(SPARE + 20 * size * words["in_w"], np.int8),
        "y": rng.integers(-128, 128, _image(words, "y")).astype(np.int8),
    }
    return Call("thm_conv_2d_lanes_s8", words, buffers, w.y_first, w.y_count)


@settings(max_examples=300, deadline=None)
@given(windows(), seeds, LAYERS, PACKINGS, st.booleans(), st.booleans())
def test_convolution_is_its_twin(
    w: Windows, seed: int, layer: str, arch: Arch, copies: bool, is_wide: bool
) -> None:
    assert_layer_agrees(convolution(w, seed, arch, copies, is_wide), layer)


def depthwise(w: Windows, seed: int, arch: Arch, channels: int) -> Call:
    """thm_depthwise_conv_2d_lanes_s8."""
    rng = np.random.default_rng(seed)
    words = {**w.words, "in_c": channels}
    q, s, more = _scales(rng, channels)
    follows = words["stride_w"] == 1 or (words["stride_w"] == 2 and channels % 4 == 0)
    width = arch.depthwise_lanes
    together = width // channels if width % channels == 0 and follows else 1
    copies = together > 1 or _crosses(words, w.out_h) or rng.random() < 0.3
    columns = _reach(words, together) if copies else 0
    taps = words["filter_h"] * words["filter_w"]
    weights = rng.integers(-128, 128, (taps, channels)).astype(np.int8)
    words |= more | {
        "x_zero": int(rng.integers(-128, 128)),
        "x_offset": arch.x_offset,
        "lanes": width,
        "k_block": arch.k_block,
        "together": together,
        "columns": columns,
    }
    bias = rng.integers(-20000, 20000, channels)
    image = (words["y_ring"], words["out_w"], channels)
    buffers: dict[str, Any] = {
        "x": rng.integers(-128, 128, words["x_ring"] * words["in_w"] * channels).astype(np.int8),
        "w": lanes.pack_depthwise(weights, width, arch.k_block),
        "records": lanes.pack_depthwise_records(bias, q, s, width),
        "scratch": np.zeros(SPARE + 16 * columns * channels, np.int8),
        "y": rng.integers(-128, 128, image).astype(np.int8),
    }
    return Call("thm_depthwise_conv_2d_lanes_s8", words, buffers, w.y_first, w.y_count)


@settings(max_examples=300, deadline=None)
@given(windows(), seeds, LAYERS, PACKINGS, CHANNELS)
def test_depthwise_is_its_twin(
    w: Windows, seed: int, layer: str, arch: Arch, channels: int
) -> None:
    assert_layer_agrees(depthwise(w, seed, arch, channels), layer)


def requantization_at_its_ends(seed: int, arch: Arch, only_down: bool) -> Call:
    """Any multiplier and shift, sums near ties and at the ends of int32, results within int8."""
    rng = np.random.default_rng(seed)
    outputs = 64
    q = rng.integers(0, 2**31, outputs)
    edges = rng.choice([0, 1, 2**30 - 1, 2**30, 2**30 + 1, 2**31 - 1], outputs)
    q = np.where(rng.random(outputs) < 0.5, edges, q)
    s = rng.integers(-31, 0 if only_down else 32, outputs)
    near = rng.integers(-300, 301, outputs) / 2 * 2.0 ** (31 - s) / np.maximum(q, 1)
    near = np.clip(np.rint(near), -(2**31), 2**31 - 1) + rng.integers(-2, 3, outputs)
    far = rng.choice([-(2**31), -(2**31) + 1, -1, 0, 1, 2**31 - 1], outputs)
    bias = fixedpoint.wrap32(np.where(rng.random(outputs) < 0.8, near, far).astype(np.int64))
    # Plain C adds the offset in 32 bits: results beyond 30 are outside what lowering allows.
    bias = np.where(np.abs(fixedpoint.mbqm(bias, q, s)) < 2**30, bias, 0)
    one = dict.fromkeys(
        ("in_h", "in_w", "in_c", "out_w", "depth", "filter_h", "filter_w", "out_h")
        + ("stride_h", "stride_w", "dilation_h", "dilation_w", "x_ring", "y_ring"),
        1,
    )
    none = dict.fromkeys(("x_channel", "y_channel", "pad_top", "pad_left", "x_zero", "columns"), 0)
    words = {
        **one,
        **none,
        **dict.fromkeys(("out_c", "outputs"), outputs),
        "depth": 4,
        "in_c": 4,
        "x_offset": arch.x_offset,
        "output_offset": int(rng.integers(-128, 128)),
        "act_min": -128,
        "act_max": 127,
        "lanes": arch.oc_block,
        "k_block": arch.k_block,
    }
    buffers: dict[str, Any] = {
        "x": np.zeros(4, np.int8),
        "w": packing.pack(np.zeros((outputs, 1, 4), np.int8), arch.oc_block, arch.k_block),
        "records": lanes.pack_records(bias, q, s, arch.oc_block),
        "scratch": None,
        "y": np.zeros(outputs, np.int8),
    }
    return Call("thm_conv_2d_lanes_s8", words, buffers)


@settings(max_examples=200, deadline=None)
@given(seeds, LAYERS, PACKINGS, st.booleans())
def test_requantization_is_exact_at_its_ends(
    seed: int, layer: str, arch: Arch, only_down: bool
) -> None:
    assert_layer_agrees(requantization_at_its_ends(seed, arch, only_down), layer)


ARCH = st.just(ARCHS["simd128"])
CALLS = st.one_of(
    st.builds(convolution, windows(), seeds, ARCH, st.booleans(), st.booleans()),
    st.builds(depthwise, windows(), seeds, ARCH, CHANNELS),
    st.builds(requantization_at_its_ends, seeds, ARCH, st.booleans()),
)


needs_wasm = pytest.mark.skipif(
    not (importlib.util.find_spec("wasmtime") or os.environ.get("CI")),
    reason="NO ENGINE: the wasmtime wheel is absent",
)


def generated(strategy: st.SearchStrategy[Call]) -> list[Call]:
    """Two hundred calls, the same ones each time."""
    calls: list[Call] = []

    @settings(max_examples=200, deadline=None, derandomize=True, phases=[Phase.generate])
    @given(strategy)
    def collect(call: Call) -> None:
        calls.append(call)

    collect()
    return calls


@needs_wasm
def test_wasm_leaves_the_bytes_of_the_twins() -> None:
    assert_core_agrees(generated(CALLS), "wasm")


def test_the_machine_runs_plain_c_at_least() -> None:
    assert host_layers()[-1] == "scalar"
    assert this_machine().arch == host_layers()[0]
    assert set(host_layers()) <= set(ARCHS)


@pytest.mark.parametrize("width", [16, 64])
def test_order_is_a_permutation(width: int) -> None:
    assert sorted(lanes.order(width)) == list(range(width))
