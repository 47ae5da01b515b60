"""The int8 kernels on emulated cores leave the bytes of their twins: odd sizes, tails, borders,
bands and rings, in one run of the emulator for each core and compiler.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernels_emulated import Call, assert_core_agrees
from ops.windows import requantization

from thimble import packing
from thimble.arch import ARCHS, Arch
from thimble.geometry import axis
from thimble.ops import blocked
from thimble.targets import load_target
from thimble.toolchain import find_compilers

Rng = np.random.Generator


def _geometry(rng: Rng, taps: tuple[int, int] | None = None) -> tuple[dict[str, int], int, int]:
    """Words of a random window, and a band of its rows; rings just high enough, or whole."""
    while True:
        size = rng.integers(1, 10, 2).tolist()
        filters = list(taps or rng.integers(1, 5, 2).tolist())
        stride = rng.integers(1, 3, 2).tolist()
        dilation = [1, 1] if taps or rng.integers(3) else rng.integers(1, 4, 2).tolist()
        padding = str(rng.choice(["SAME", "VALID"]))
        rows, columns = (axis(*each, padding) for each in zip(size, filters, stride, dilation))
        if rows.out > 0 and columns.out > 0:
            break
    y_first = int(rng.integers(rows.out)) if rng.integers(2) else 0
    y_count = (
        int(rng.integers(1, rows.out - y_first + 1)) if rng.integers(2) else rows.out - y_first
    )
    needed = min((y_count - 1) * stride[0] + rows.extent, size[0])
    words = {
        "in_h": size[0],
        "in_w": size[1],
        "out_w": columns.out,
        "filter_h": filters[0],
        "filter_w": filters[1],
        "stride_h": stride[0],
        "stride_w": stride[1],
        "dilation_h": dilation[0],
        "dilation_w": dilation[1],
        "pad_top": rows.pad,
        "pad_left": columns.pad,
        "x_ring": needed if rng.integers(2) else size[0],
        "y_ring": y_count if rng.integers(2) else rows.out,
    }
    return words, y_first, y_count


def _layer(rng: Rng, *shape: int) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, int]]:
    """Weights [outputs, ...], constants and words; small weights where the shift is small, so that
    results of every shift lie inside the range."""
    outputs = shape[0]
    q = requantization(rng, outputs, "int8")
    largest = int(rng.choice([-8, -1, -1, 0, 0, 1]))
    shift = np.minimum(q.shift, largest).astype(np.int8)
    limit = 127 if largest < -1 else int(rng.choice([1, 4, 127]))
    tables = {
        "bias": rng.integers(-limit * 150, limit * 150, outputs).astype(np.int32),
        "multiplier": q.multiplier,
        "shift": shift,
    }
    return rng.integers(-limit, limit + 1, shape).astype(np.int8), tables, q.words


def _offset(rng: Rng, words: dict[str, int]) -> int:
    """A zero point; every other time that of a layer with RELU, whose negative results go."""
    return words["act_min"] if rng.integers(2) else int(rng.integers(-128, 128))


def _bytes(rng: Rng, *shape: int) -> np.ndarray:
    return rng.integers(-128, 128, shape).astype(np.int8).reshape(-1)


def _ring_convolution(rng: Rng, arch: Arch) -> Call:
    """Windows inside the image that cross the end of the ring, whole vectors of channels."""
    while True:
        call = _convolution(rng, arch, (3, int(rng.integers(1, 4))))
        p = call.params
        first = call.y_first * p["stride_h"] - p["pad_top"]
        if p["x_ring"] < p["in_h"] and first > 0 and p["depth"] >= 16 and not p["gathers"]:
            return call


def _convolution(rng: Rng, arch: Arch, taps: tuple[int, int] | None = None) -> Call:
    taps = taps or ((1, 1) if rng.integers(3) == 0 else None)
    words, y_first, y_count = _geometry(rng, taps)
    depth = int(rng.choice([1, 2, 3, 4, 7, 8, 15, 16, 16, 17, 32, 40, 48, 64, 128]))
    outputs, groups = int(rng.choice([1, 3, 4, 5, 8, 13, 16])), int(rng.choice([1, 1, 1, 2]))
    group = int(rng.integers(groups))
    gathers = int(rng.integers(3) == 0)
    shape = (outputs, words["filter_h"], words["filter_w"] * depth)
    weights, tables, common = _layer(rng, *shape)
    if gathers:
        weights = weights.reshape(outputs, 1, -1)
    out_h = max(words["y_ring"], y_first + y_count)
    words |= common | {
        "in_c": depth * groups,
        "out_c": outputs * groups,
        "x_channel": group * depth,
        "depth": depth,
        "y_channel": group * outputs,
        "outputs": outputs,
        "out_h": out_h,
        "x_zero": int(rng.integers(-128, 128)),
        "output_offset": _offset(rng, common),
        "oc_block": arch.oc_block,
        "k_block": arch.k_block,
        "gathers": gathers,
        "segments": 1 if gathers else words["filter_h"],
        "patches": int(rng.integers(1, 5)),
    }
    pitch = weights[0].size + arch.k_block
    buffers: dict[str, Any] = {
        "x": _bytes(rng, words["x_ring"], words["in_w"], words["in_c"]),
        "w": packing.pack(weights, arch.oc_block, arch.k_block),
        **tables,
        "scratch": np.zeros(words["patches"] * pitch, np.int8),
        "y": _bytes(rng, words["y_ring"], words["out_w"], words["out_c"]),
    }
    return Call("thm_conv_2d_s8", words, buffers, y_first, y_count)


def _columns(rng: Rng, arch: Arch) -> Call:
    words, y_first, y_count = _geometry(rng)
    words["dilation_w"] = 1
    span = words["in_w"] + 2 * words["pad_left"] - words["filter_w"]
    words["out_w"] = max(span, 0) // words["stride_w"] + 1
    depth = int(rng.choice([1, 2, 3, 4, 5, 7, 8, 9, 16, 20, 32, 48]))
    outputs = int(rng.choice([1, 3, 4, 5, 8, 13, 16]))
    shape = (outputs, words["filter_w"], words["filter_h"] * depth)
    weights, tables, common = _layer(rng, *shape)
    columns = (words["out_w"] - 1) * words["stride_w"] + words["filter_w"]
    del words["dilation_w"]
    words |= common | {
        "in_c": depth,
        "out_c": outputs,
        "x_zero": int(rng.integers(-128, 128)),
        "output_offset": _offset(rng, common),
        "oc_block": arch.oc_block,
        "k_block": arch.k_block,
        "columns": columns,
        "together": int(rng.integers(1, 5)),
    }
    scratch = words["together"] * columns * words["filter_h"] * depth + arch.k_block
    flat = weights.reshape(outputs, 1, -1)
    buffers: dict[str, Any] = {
        "x": _bytes(rng, words["x_ring"], words["in_w"], depth),
        "w": packing.pack(flat, arch.oc_block, arch.k_block),
        **tables,
        "scratch": _bytes(rng, scratch),
        "y": _bytes(rng, words["y_ring"], words["out_w"], outputs),
    }
    return Call("thm_conv_2d_columns_s8", words, buffers, y_first, y_count)


def _depthwise(rng: Rng, arch: Arch) -> Call:
    words, y_first, y_count = _geometry(rng, (3, 3) if rng.integers(2) else None)
    channels = int(rng.choice([1, 2, 3, 4, 8, 16, 20, 33]))
    taps, tables, common = _layer(rng, channels, words["filter_h"] * words["filter_w"])
    taps = taps.T
    per_channel = common.pop("per_channel")
    words |= common
    words |= {"in_c": channels, "output_offset": _offset(rng, common)}
    x_zero = int(rng.integers(-128, 128))
    buffers: dict[str, Any] = {
        "x": _bytes(rng, words["x_ring"], words["in_w"], channels),
        "y": _bytes(rng, words["y_ring"], words["out_w"], channels),
    }
    if not arch.blocked:
        words |= {"out_c": channels, "channel_multiplier": 1}
        words |= {"per_channel": per_channel, "input_offset": -x_zero}
        buffers |= {"w": taps, **tables}
        return Call("thm_depthwise_conv_2d_s8", words, buffers, y_first, y_count)
    words |= blocked.scratch_words(words, channels, max(words["y_ring"], y_first + y_count))
    scratch = words.pop("scratch")
    words["x_zero"] = x_zero
    tables["shift"] = np.minimum(tables["shift"], 0)
    words["is_down"] = int((tables["shift"] < 0).all())
    constants = (np.broadcast_to(tables[k], channels) for k in ("bias", "multiplier", "shift"))
    buffers |= {
        "w": blocked.pack_weights(taps),
        "records": blocked.pack_records(*constants),
        "scratch": np.zeros(scratch, np.int8),
    }
    return Call("thm_depthwise_conv_2d_blocked_s8", words, buffers, y_first, y_count)


def _fully_connected(rng: Rng, arch: Arch) -> Call:
    batch, depth, outputs = (int(n) for n in rng.integers(1, (6, 70, 18)))
    w, tables, common = _layer(rng, outputs, 1, depth)
    words = {"depth": depth, "outputs": outputs, "output_offset": -3, **common}
    words |= {"oc_block": arch.oc_block, "k_block": arch.k_block}
    buffers: dict[str, Any] = {
        "x": _bytes(rng, batch, depth),
        "w": packing.pack(w, arch.oc_block, arch.k_block),
        **tables,
        "y": _bytes(rng, batch, outputs),
    }
    first = int(rng.integers(batch))
    return Call("thm_fully_connected_s8", words, buffers, first, batch - first)


def _add(rng: Rng, arch: Arch) -> Call:
    rows, row = int(rng.integers(1, 4)), int(rng.integers(1, 40))
    low, high = sorted(rng.integers(-128, 128, 2).tolist()) if rng.integers(2) else (-128, 127)
    words = {
        **dict.fromkeys(("y_ring", "x1_ring", "x2_ring"), rows),
        **dict.fromkeys(("y_row", "x1_row", "x2_row", "inner"), row),
        **dict.fromkeys(("outer", "x1_step", "x2_step"), 1),
        "rank": 0,
        "subtract": int(rng.integers(2)),
        "act_min": low,
        "act_max": high,
    }
    for name in ("x1", "x2", "output"):
        words[f"{name}_offset"] = int(rng.integers(-127, 129))
        words[f"{name}_multiplier"] = int(rng.integers(2**30, 2**31 - 1))
        words[f"{name}_shift"] = int(rng.integers(-4, 1)) - (18 if name == "output" else 0)
    words["output_offset"] = int(rng.integers(-128, 128))
    if rng.integers(2):
        words |= {"x1_multiplier": 2**30, "x1_shift": 0}
    buffers: dict[str, Any] = {
        **{name: _bytes(rng, rows, row) for name in ("x1", "x2", "y")},
        "walk": None,
    }
    return Call("thm_add_s8", words, buffers, 0, rows)


def _affine(rng: Rng, arch: Arch) -> Call:
    call = _add(rng, arch)
    gone = ("offset", "multiplier", "shift", "subtract")
    words = {k: v for k, v in call.params.items() if not k.endswith(gone)}
    words |= {f"x{i}_factor": int(rng.integers(-(2**22), 2**22)) for i in (1, 2)}
    words |= {"constant": int(rng.integers(-(2**29), 2**29)), "shift": int(rng.integers(18, 27))}
    return Call("thm_add_affine_s8", words, call.buffers, 0, call.y_count)


def _pool(rng: Rng, arch: Arch) -> Call:
    words, y_first, y_count = _geometry(rng, (int(rng.integers(1, 4)), 3))
    channels = int(rng.choice([1, 3, 4, 8, 11, 16]))
    words = {k: v for k, v in words.items() if not k.startswith("dilation")}
    words |= {"channels": channels, "clipped": 1, "act_min": -100, "act_max": 90}
    kernel = str(rng.choice(["thm_average_pool_2d_s8", "thm_max_pool_2d_s8"]))
    buffers: dict[str, Any] = {
        "x": _bytes(rng, words["x_ring"], words["in_w"], channels),
        "y": _bytes(rng, words["y_ring"], words["out_w"], channels),
    }
    return Call(kernel, words, buffers, y_first, y_count)


def _pool_f32(rng: Rng, arch: Arch) -> Call:
    """Compilers make vectors of these loops themselves where they are let."""
    call = _pool(rng, arch)
    words = dict(call.params) | {"act_min": -1.0, "act_max": 2.0}
    buffers: dict[str, Any] = {
        name: (array.astype(np.float32) / 16) for name, array in call.buffers.items()
    }
    return Call(call.kernel.replace("_s8", "_f32"), words, buffers, call.y_first, call.y_count)


MAKERS = {
    _convolution: 200,
    _ring_convolution: 40,
    _columns: 100,
    _depthwise: 100,
    _fully_connected: 30,
    _add: 20,
    _affine: 20,
    _pool: 20,
    _pool_f32: 20,
}


def _runs() -> list[Any]:
    """Each core with each compiler that is here; kernels of packed constants in the core's form."""
    found = []
    for name in ("cortex-m55", "cortex-m4", "cortex-m0"):
        for compiler in find_compilers(load_target(name)):
            found.append(pytest.param(name, compiler.kind, id=f"{name}-{compiler.kind}"))
    return found


@pytest.mark.parametrize(("target", "compiler"), _runs())
def test_core_leaves_the_bytes_of_the_twins(target: str, compiler: str) -> None:
    rng = np.random.default_rng(17)
    arch = ARCHS.get(load_target(target).arch, ARCHS["scalar"])
    calls = [make(rng, arch) for make, count in MAKERS.items() for _ in range(count)]
    assert_core_agrees(calls, target, compiler)
    if target == "cortex-m55":
        assert_core_agrees(calls, target, compiler, "size")
