"""Streamed programs compute the same bits in less memory."""

from __future__ import annotations

import ctypes
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from models import ModelBuilder
from open_models import random_inputs

from thimble.codegen.c import emit
from thimble.codegen.firmware import Firmware
from thimble.formats.tflite import load
from thimble.geometry import axis
from thimble.graph import Model
from thimble.lower import cannot_push, lower
from thimble.memory import Memory, place
from thimble.ops.add import Add
from thimble.ops.conv_2d import Conv2D
from thimble.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.ops.fully_connected import FullyConnected
from thimble.ops.pool_2d import AveragePool2D, MaxPool2D
from thimble.ops.reshape import Reshape
from thimble.passes import run_passes
from thimble.program import Program
from thimble.runners.host_library import HostLibrary
from thimble.runners.program import ProgramRunner
from thimble.streamed import lower_streamed
from thimble.streaming import choose_segments, stream
from thimble.toolchain import compile_shared_library

# arena_bytes with the input held in memory: what the issue of streaming asks for, on any core.
LARGEST_ARENA = {
    "kws_ref_model": 6700,
    "vww_96_int8": 41000,
    "pretrainedResnet_quant": 19000,
    "person_detect": 23000,
    "str_ww_ref_model": 5300,
    "micro_speech_quantized": 2900,
}


def both(model: Model) -> tuple[list[np.ndarray], list[np.ndarray], int, int]:
    """Outputs and arena bytes of the plain and the streamed program for one random input."""
    plain = lower(model)
    streamed = stream(lower(model, by_rows=True))
    memories = place(plain), place(streamed)
    sample = random_inputs(model.graph, 0)
    outputs = [ProgramRunner(p, m).run(sample) for p, m in zip((plain, streamed), memories)]
    return outputs[0], outputs[1], memories[0].arena_bytes, memories[1].arena_bytes


@pytest.mark.parametrize("name", LARGEST_ARENA)
def test_open_models_fit_where_the_input_hardly_does(shared: Path, name: str) -> None:
    model = run_passes(load(shared / f"data/bench/{name}.tflite"))
    plain, streamed, _, arena_bytes = both(model)
    np.testing.assert_array_equal(plain[0], streamed[0])
    assert arena_bytes <= LARGEST_ARENA[name]


def test_streamed_c_computes_what_the_twins_do(shared: Path) -> None:
    model = run_passes(load(shared / "data/bench/kws_ref_model.tflite"))
    program = stream(lower(model, by_rows=True))
    memory = place(program)
    sample = random_inputs(model.graph, 1)
    wanted = ProgramRunner(program, memory).run(sample)
    for optimize in ("speed", "size"):
        library = HostLibrary(emit(program, memory, optimize))
        np.testing.assert_array_equal(library.run(sample)[0], wanted[0])
        trace = library.trace(sample)
        np.testing.assert_array_equal(trace.outputs[next(iter(trace.outputs))], wanted[0])


@st.composite
def models(draw: st.DrawFn) -> Model:
    """A random chain of window layers with residuals, int8, sometimes ending in a classifier."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    b = ModelBuilder()
    height, width, channels = (draw(st.integers(1, n)) for n in (14, 7, 5))
    x = b.input("x", (1, height, width, channels), "int8", 0.1, -3)
    for number in range(draw(st.integers(2, 6))):
        kind = draw(st.sampled_from(["conv", "depthwise", "max", "average", "add"]))
        taps = [draw(st.integers(1, 4)) for _ in range(2)]
        stride = [draw(st.integers(1, 2)) for _ in range(2)]
        dilation = [draw(st.integers(1, 2)) for _ in range(2)]
        padding = draw(st.sampled_from(["SAME", "VALID"]))
        if kind in ("max", "average"):
            dilation = [1, 1]
        if kind == "add":
            x = b.op(Add(), [x, x], [((1, height, width, channels), "int8", 0.1, -3)], version=2)
            continue
        rows, columns = (
            axis(*v, padding) for v in zip((height, width), taps, stride, dilation, strict=True)
        )
        if rows.out < 1 or columns.out < 1:
            continue
        height, width = rows.out, columns.out
        words = {"padding": padding, "stride_h": stride[0], "stride_w": stride[1]}
        if kind in ("max", "average"):
            op = MaxPool2D if kind == "max" else AveragePool2D
            pool = op(filter_height=taps[0], filter_width=taps[1], **words)
            x = b.op(pool, [x], [((1, height, width, channels), "int8", 0.1, -3)])
            continue
        words |= {"dilation_h_factor": dilation[0], "dilation_w_factor": dilation[1]}
        if kind == "conv":
            out = draw(st.integers(1, 6))
            values = rng.integers(-127, 128, (out, *taps, channels)).astype(np.int8)
            w = b.const(f"w{number}", values, scale=[0.01] * out)
            op_, channels = Conv2D(**words), out
        else:
            values = rng.integers(-127, 128, (1, *taps, channels)).astype(np.int8)
            w = b.const(f"w{number}", values, scale=[0.01] * channels, axis=3)
            op_ = DepthwiseConv2D(depth_multiplier=1, **words)
        x = b.op(op_, [x, w, None], [((1, height, width, channels), "int8", 0.1, -3)], version=3)
    end = draw(st.sampled_from(["image", "pool", "dense"]))
    if end == "pool":
        pool = AveragePool2D(
            padding="VALID", stride_w=1, stride_h=1, filter_width=width, filter_height=height
        )
        x = b.op(pool, [x], [((1, 1, 1, channels), "int8", 0.1, -3)])
    elif end == "dense":
        depth = height * width * channels
        flat = b.op(Reshape((1, depth)), [x], [((1, depth), "int8", 0.1, -3)])
        values = rng.integers(-127, 128, (3, depth)).astype(np.int8)
        w = b.const("dense", values, scale=0.01)
        x = b.op(FullyConnected(), [flat, w, None], [((1, 3), "int8", 0.3, 1)], version=4)
    return b.build([x])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(models())
def test_random_chains_stream_to_the_same_bits(model: Model) -> None:
    if not model.graph.nodes:
        return
    plain, streamed, _, _ = both(model)
    np.testing.assert_array_equal(plain[0], streamed[0])


def test_segments_are_disjoint_and_in_order(shared: Path) -> None:
    model = run_passes(load(shared / "data/bench/person_detect.tflite"))
    segments = choose_segments(lower(model, by_rows=True))
    assert len(segments) >= 2
    for before, after in itertools.pairwise(segments):
        assert before.last < after.first


# The same where the rows of the input are pushed and the input is never held.
LARGEST_PUSHED_ARENA = {
    "vww_96_int8": 16000,
    "pretrainedResnet_quant": 16500,
    "person_detect": 15500,
}


def _pushed(model: Model) -> tuple[Program, Memory, Firmware]:
    program = stream(lower(model, by_rows=True, push_input=True))
    memory = place(program)
    return program, memory, emit(program, memory)


@pytest.mark.parametrize("name", LARGEST_PUSHED_ARENA)
def test_pushed_rows_need_no_memory_for_the_input(shared: Path, name: str) -> None:
    model = run_passes(load(shared / f"data/bench/{name}.tflite"))
    _, memory, _ = _pushed(model)
    assert memory.arena_bytes <= LARGEST_PUSHED_ARENA[name]


def _push(firmware: Firmware, sample: np.ndarray, counts: list[int]) -> list[np.ndarray]:
    """Outputs after pushing the rows of `sample` in pieces; the arena starts as junk."""
    library = ctypes.CDLL(str(compile_shared_library(firmware)))
    arena = np.full(firmware.arena_bytes + 16, 0xA5, np.uint8)
    address = arena.ctypes.data + -arena.ctypes.data % 16
    outputs = [np.zeros(port.shape, port.dtype) for port in firmware.outputs]
    pointers = [ctypes.c_void_p(y.ctypes.data) for y in outputs]
    getattr(library, f"{firmware.name}_reset")(ctypes.c_void_p(address))
    row, done = 0, 0
    while row < sample.shape[1]:
        assert not done
        n = min(counts[row % len(counts)], sample.shape[1] - row)
        rows = np.ascontiguousarray(sample[0, row : row + n])
        push = getattr(library, f"{firmware.name}_push_{firmware.inputs[0].c_name}")
        done = push(ctypes.c_void_p(address), ctypes.c_void_p(rows.ctypes.data), n, *pointers)
        row += n
    assert done == 1
    return outputs


@settings(max_examples=15, deadline=None)
@given(models(), st.lists(st.integers(1, 3), min_size=1, max_size=4))
def test_pushing_rows_gives_the_same_bits(model: Model, counts: list[int]) -> None:
    if cannot_push(model) or not model.graph.nodes:
        return
    sample = random_inputs(model.graph, 3)
    plain = lower(model)
    wanted = ProgramRunner(plain, place(plain)).run(sample)
    program, memory, firmware = _pushed(model)
    np.testing.assert_array_equal(ProgramRunner(program, memory).run(sample)[0], wanted[0])
    np.testing.assert_array_equal(_push(firmware, sample[0], counts)[0], wanted[0])


def test_least_takes_less_memory_than_auto_for_more_instructions(shared: Path) -> None:
    """The price is estimated and printed for each segment."""
    model = run_passes(load(shared / "data/bench/kws_ref_model.tflite"))
    auto = lower_streamed(model, arch="dsp")
    least = lower_streamed(model, arch="dsp", most_growth=float("inf"))
    assert least.memory.arena_bytes < 5000 < auto.memory.arena_bytes <= 6700
    assert any("rows at a time" in note and "instructions +" in note for note in auto.notes)


# On cortex-m4, for at most a tenth more instructions (docs/memory.md).
@pytest.mark.parametrize("name", LARGEST_ARENA)
def test_cortex_m4_streams_within_the_limits(shared: Path, name: str) -> None:
    model = run_passes(load(shared / f"data/bench/{name}.tflite"))
    whole = place(lower(model, arch="dsp")).arena_bytes
    arena_bytes = min(whole, lower_streamed(model, arch="dsp").memory.arena_bytes)
    assert arena_bytes <= LARGEST_ARENA[name]
    if name in LARGEST_PUSHED_ARENA:
        pushed = lower_streamed(model, arch="dsp", push_input=True)
        assert pushed.memory.arena_bytes <= LARGEST_PUSHED_ARENA[name]
