"""Convolutions by columns are their twins, and convolve as thm_conv_2d_s8 does."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_c import assert_twins_agree, run_twin
from ops.windows import Windows, requantization, windows

from thimble import packing

BLOCKS = [(2, 1), (4, 16), (3, 5)]


@settings(max_examples=150, deadline=None)
@given(windows(), st.integers(0, 2**32 - 1), st.sampled_from(BLOCKS), st.integers(1, 4))
def test_kernel_is_its_twin(w: Windows, seed: int, block: tuple[int, int], together: int) -> None:
    rng = np.random.default_rng(seed)
    depth, outputs = int(rng.integers(1, 9)), int(rng.integers(1, 7))
    words = {**w.words, "dilation_w": 1, "in_c": depth, "out_c": outputs}
    words["out_w"] = max(words["in_w"] - words["filter_w"], 0) // words["stride_w"] + 1
    words["pad_left"] = int(rng.integers(words["filter_w"]))
    q = requantization(rng, outputs, "int8")
    words |= q.words | {
        "x_zero": int(rng.integers(-128, 128)),
        "output_offset": int(rng.integers(-128, 128)),
        "oc_block": block[0],
        "k_block": block[1],
    }
    shape = (outputs, words["filter_h"], words["filter_w"], depth)
    weights = rng.integers(-127, 128, shape).astype(np.int8)
    x_bytes = words["x_ring"] * words["in_w"] * depth
    buffers: dict[str, Any] = {
        "x": rng.integers(-128, 128, x_bytes).astype(np.int8),
        "bias": rng.integers(-20000, 20000, outputs).astype(np.int32),
        "multiplier": q.multiplier,
        "shift": q.shift,
        "scratch": None,
        "y": np.zeros(words["y_ring"] * words["out_w"] * outputs, np.int8),
    }
    plain = {**words, "x_channel": 0, "depth": depth, "y_channel": 0, "outputs": outputs}
    plain |= {"out_h": w.out_h, "gathers": 0, "patches": 0, "segments": shape[1]}
    packed = packing.pack(weights.reshape(outputs, shape[1], -1), *block)
    expected = {**buffers, "w": packed, "y": buffers["y"].copy()}
    run_twin("thm_conv_2d_s8", plain, expected, w.y_first, w.y_count)

    columns = (words["out_w"] - 1) * words["stride_w"] + words["filter_w"]
    del words["dilation_w"]
    words |= {"columns": columns, "together": together}
    scratch = together * columns * words["filter_h"] * depth + block[1]
    buffers["scratch"] = rng.integers(-128, 128, scratch).astype(np.int8)
    flat = weights.transpose(0, 2, 1, 3).reshape(outputs, 1, -1)
    buffers["w"] = packing.pack(flat, *block)
    found = {**buffers, "y": buffers["y"].copy()}
    run_twin("thm_conv_2d_columns_s8", words, found, w.y_first, w.y_count)
    assert np.array_equal(found["y"], expected["y"])
    assert_twins_agree("thm_conv_2d_columns_s8", words, buffers, w.y_first, w.y_count)
