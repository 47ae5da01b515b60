"""Outputs over inputs that are being used up: no byte is written before its last reader."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import ModelBuilder, random_inputs

from thimble.formats.tflite import load
from thimble.geometry import axis
from thimble.graph import Model
from thimble.lower import lower
from thimble.memory import place
from thimble.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.overlap import position_lead, row_lead
from thimble.passes import run_passes
from thimble.runners.reference import ReferenceRunner
from thimble.runners.shadow import ShadowRunner

SMALL = st.integers(1, 5)


@st.composite
def convolutions(draw: st.DrawFn) -> dict[str, int]:
    """Words of a convolution; every combination of sizes that has outputs."""
    words = {"in_h": draw(st.integers(1, 9)), "in_w": draw(st.integers(1, 7))}
    words |= {"in_c": draw(SMALL), "out_c": draw(st.integers(1, 9))}
    padding = draw(st.sampled_from(["SAME", "VALID"]))
    for size, out, pad, taps, stride in (
        ("in_h", "out_h", "pad_top", "filter_h", "stride_h"),
        ("in_w", "out_w", "pad_left", "filter_w", "stride_w"),
    ):
        words |= {taps: draw(st.integers(1, 4)), stride: draw(st.integers(1, 3))}
        if words[taps] > words[size]:
            words[taps] = words[size]
        found = axis(words[size], words[taps], words[stride], 1, padding)
        words |= {out: found.out, pad: found.pad}
    return words


def smallest_lead(p: dict[str, int], by_rows: bool) -> int:
    """The least lead at which no byte is read after it was written, by trying it out."""
    last_read = np.full(p["in_h"] * p["in_w"] * p["in_c"], -1)
    written = []
    for oy in range(p["out_h"]):
        for ox in range(p["out_w"]):
            time = oy if by_rows else oy * p["out_w"] + ox
            iy, ix = oy * p["stride_h"] - p["pad_top"], ox * p["stride_w"] - p["pad_left"]
            rows = range(max(iy, 0), min(iy + p["filter_h"], p["in_h"]))
            columns = range(max(ix, 0), min(ix + p["filter_w"], p["in_w"]))
            if by_rows:
                columns = range(p["in_w"])
            for r in rows:
                for c in columns:
                    at = (r * p["in_w"] + c) * p["in_c"]
                    last_read[at : at + p["in_c"]] = time
            written.append((time, (oy * p["out_w"] + ox + 1) * p["out_c"]))
    for lead in range(0, 10_000, 4):
        ends = ((time, max(min(end - lead, len(last_read)), 0)) for time, end in written)
        if all(end == 0 or last_read[:end].max() <= time for time, end in ends):
            return lead
    raise AssertionError("there is always one")


@settings(max_examples=300, deadline=None)
@given(convolutions())
def test_a_lead_is_enough(words: dict[str, int]) -> None:
    rows = row_lead(
        words["out_h"],
        words["out_w"] * words["out_c"],
        words["in_w"] * words["in_c"],
        words["stride_h"],
        words["pad_top"],
        unit=1,
    )
    assert rows >= smallest_lead(words, by_rows=True)
    positions = position_lead(words)
    assert positions >= smallest_lead(words, by_rows=False)
    if words["filter_h"] >= words["stride_h"] and words["filter_w"] >= words["stride_w"]:
        assert positions >= rows  # a row that is read as a whole frees its bytes earlier


def _depthwise(height: int) -> Model:
    b = ModelBuilder()
    shape = (1, height, 6, 8)
    x = b.input("x", shape, "int8", 0.1, -3)
    values = np.random.default_rng(0).integers(-127, 128, (1, 3, 3, 8)).astype(np.int8)
    w = b.const("w", values, scale=[0.01] * 8, axis=3)
    op = DepthwiseConv2D(padding="SAME", stride_h=1, stride_w=1, depth_multiplier=1)
    for _ in range(3):
        x = b.op(op, [x, w, None], [(shape, "int8", 0.1, -3)], version=3)
    return b.build([x])


@pytest.mark.parametrize("arch", ["dsp", "thumb1", "mve"])
def test_a_chain_of_depthwise_layers_needs_one_tensor_and_a_row_a_layer(arch: str) -> None:
    model = _depthwise(9)
    program = lower(model, arch=arch)
    memory = place(program)
    scratch = max(b.bytes for b in program.buffers if b.role == "scratch") if arch == "mve" else 0
    assert memory.arena_bytes <= (9 + 3) * 6 * 8 + scratch
    sample = random_inputs(model.graph, 0)
    shadow = ShadowRunner(program, memory)
    (found,) = shadow.run(sample)
    np.testing.assert_array_equal(found, ReferenceRunner(model).run(sample)[0])
    assert shadow.findings == []


def test_the_shadow_sees_a_lead_that_is_too_small() -> None:
    program = lower(_depthwise(9), arch="dsp")
    calls = tuple(replace(call, lead=0) for call in program.calls)
    program = replace(program, calls=calls)
    shadow = ShadowRunner(program, place(program))
    shadow.run(random_inputs(_depthwise(9).graph, 0))
    assert any("over its own inputs" in str(finding) for finding in shadow.findings)


# Whole tensors, instructions as ever. TFLM's arenas: 22,820, 16,596, 6,836 and 54,996 bytes.
LARGEST_WHOLE_ARENA = {
    "kws_ref_model": 9400,
    "str_ww_ref_model": 3600,
    "micro_speech_quantized": 4200,
    "pretrainedResnet_quant": 33_400,
}


@pytest.mark.parametrize("name", LARGEST_WHOLE_ARENA)
def test_open_models_overlap_on_cortex_m4(shared: Path, name: str) -> None:
    model = run_passes(load(shared / f"data/bench/{name}.tflite"))
    program = lower(model, arch="dsp")
    memory = place(program)
    assert memory.arena_bytes <= LARGEST_WHOLE_ARENA[name]
    sample = random_inputs(model.graph, 0)
    shadow = ShadowRunner(program, memory)
    found = shadow.run(sample)
    for mine, right in zip(found, ReferenceRunner(model).run(sample), strict=True):
        np.testing.assert_array_equal(mine, right)
    assert shadow.findings == []
