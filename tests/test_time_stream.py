"""Models in time: after every hop the bits of the model on the last window."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from time_models import TimeModelBuilder, dense_net, op, signal

from thimble.codegen.c import emit
from thimble.codegen.firmware import Firmware
from thimble.errors import BadInput, UnsupportedModel
from thimble.formats.data import as_dataset, random_dataset
from thimble.formats.tflite import load
from thimble.graph import Model
from thimble.plan.hop import ARRIVAL, Fresh, HopTask, WholeRead, check, counters, order
from thimble.plan.stream import Use
from thimble.runners.hop import HopRunner
from thimble.runners.host_library import HostLibrary
from thimble.runners.reference import ReferenceRunner
from thimble.time_stream import TimeProgram, stream_time
from thimble.time_stream.check import difference, padding_findings, window_of, windows

HOPS = 12  # after the warm-up, in property tests


def last_rows(want: np.ndarray, got: np.ndarray) -> np.ndarray:
    """What a sequence has new, everything of other outputs."""
    return want if want.shape == got.shape else want[:, want.shape[1] - got.shape[1] :]


def expect_windows(
    time: TimeProgram, rows: np.ndarray, found: list[list[np.ndarray]], hops: int
) -> None:
    """`found` has the bits of the reference on every window of the signal."""
    reference = ReferenceRunner(time.model)
    assert len(found) == hops
    for k, outputs in enumerate(found):
        wanted = reference.run([window_of(time, rows, k * time.hop)])
        for want, got in zip(wanted, outputs):
            np.testing.assert_array_equal(last_rows(want, got), got, f"window {k}")


@st.composite
def models(draw: st.DrawFn) -> Model:
    """A random chain of layers along time, int8: as conv1d or as images, with any end."""
    b = TimeModelBuilder(
        draw(st.integers(0, 2**32 - 1)),
        rows=draw(st.integers(6, 30)),
        columns=draw(st.sampled_from([0, 1, 3])),
        channels=draw(st.integers(1, 5)),
    )
    for _ in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(["causal", "valid", "pool", "residual", "act", "crop", "cat"]))
        taps, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 3))
        stride = draw(st.sampled_from([1, 1, 1, 2]))
        if kind in ("causal", "valid"):
            b.conv(taps, dilation, stride, kind == "causal", draw(st.booleans()))
        elif kind == "pool":
            b.pool(taps, stride, draw(st.booleans()))
        elif kind == "residual":
            b.residual(taps, dilation)
        elif kind == "act":
            b.activation(draw(st.booleans()))
        elif kind == "crop":
            b.crop(draw(st.integers(0, 2)), draw(st.integers(0, 2)))
        else:
            b.concatenation()
    return b.end(draw(st.sampled_from(["last", "mean", "pool", "flatten", "sequence", "gate"])))


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(models(), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_every_window_of_random_models_has_the_models_bits(
    model: Model, hop: int, seed: int
) -> None:
    try:
        time = stream_time(model, hop)
    except UnsupportedModel as error:  # a stride that the hop does not fit, or nothing along time
        assume({f.rule for f in error.findings} != {"stream-time"})
        raise
    assume(time.is_exact)
    assert time.latency_rows == 0
    rows = signal(time, hop * (HOPS - 1), seed)
    runner = HopRunner(time.program, time.memory)
    found: list[list[np.ndarray]] = []
    for row in rows:
        found += runner.push(row[None])
        runner.arena[time.state_bytes :] = seed % 251  # only the state is kept
    expect_windows(time, rows, found, HOPS)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(models(), st.integers(1, 4), st.sampled_from(["scalar", "dsp", "mve"]))
def test_emitted_c_computes_what_the_twins_do(model: Model, hop: int, arch: str) -> None:
    try:
        time = stream_time(model, hop, arch)
    except (UnsupportedModel, BadInput):
        assume(False)
        return
    rows = signal(time, hop * HOPS, 5)
    twins = list(windows(time, None, rows))
    assert twins
    for optimize in ("speed", "size"):
        for want, got in zip(
            twins, windows(time, emit(time.program, time.memory, optimize), rows), strict=True
        ):
            for x, y in zip(want, got, strict=True):
                np.testing.assert_array_equal(x, y)


@pytest.fixture(scope="module")
def tcn(shared: Path) -> Model:
    """The TCN with batch 1, int8."""
    return load(shared / "data/tcn/tcn_b1_int8.tflite")


DILATED_HISTORIES = 2 * (4 + 8 + 2 * 16 + 2 * 32 + 2 * 64)  # (taps - 1) x dilation x channels


def test_tcn_computes_little_and_keeps_little(tcn: Model) -> None:
    time = stream_time(tcn, 1)
    assert time.is_exact
    assert time.receptive_rows == 61
    assert 10 * time.macs <= time.window_macs
    assert time.history_bytes == DILATED_HISTORIES
    assert time.state_bytes <= 1.2 * DILATED_HISTORIES
    assert time.memory.arena_bytes < time.window_arena_bytes


@pytest.mark.parametrize("hop", [1, 3, 64])
def test_tcn_in_c_has_the_bits_of_tflm(tcn: Model, hop: int) -> None:
    """Past the point where the counters start anew, 765 hops of one row."""
    pytest.importorskip("tflite_micro")
    from thimble.runners.tflm import TflmRunner

    time = stream_time(tcn, hop)
    rows = signal(time, 800 if hop == 1 else 40 * hop, 1)
    firmware = emit(time.program, time.memory)
    count = 0
    with TflmRunner(tcn, "tflm") as peer:
        for k, outputs in enumerate(windows(time, firmware, rows)):
            if hop > 1 or k % 7 == 0:
                wanted = peer.outputs([window_of(time, rows, k * hop)])
                (want,) = wanted.outputs.values()
                np.testing.assert_array_equal(outputs[0], want)
            count += 1
    assert count == (801 if hop == 1 else 41)


def test_measured_difference_of_the_tcn_is_none(tcn: Model) -> None:
    time = stream_time(tcn, 5)
    found = difference(time, emit(time.program, time.memory), random_dataset(time.model, 4))
    assert found.windows == 1 + (4 * 64 - 64) // 5
    assert (found.mismatched, found.max_abs, found.changed) == (0, 0.0, 0)


@pytest.mark.emulator
@pytest.mark.parametrize("hop", [1, 8])
def test_tcn_on_an_emulated_core(tcn: Model, hop: int, capsys: pytest.CaptureFixture[str]) -> None:
    from thimble.errors import ToolMissing
    from thimble.lower import lower
    from thimble.memory import place
    from thimble.runners.emulator import Emulator
    from thimble.targets import load_target

    target = load_target("cortex-m4")
    time = stream_time(tcn, hop, target.arch)
    firmware = emit(time.program, time.memory)
    hop_program = time.program.hop
    assert hop_program is not None
    hops = hop_program.warm_up + 20
    rows = signal(time, hops * hop - time.window, 2)
    parts = [[rows[k * hop : (k + 1) * hop].reshape(firmware.inputs[0].shape)] for k in range(hops)]
    whole = lower(time.model, "window", target.arch)
    try:
        result = Emulator(firmware, target).run_samples(parts)
        window = [window_of(time, rows, 0)]
        offline = Emulator(emit(whole, place(whole)), target).run(window)
    except ToolMissing as error:
        pytest.skip(str(error))
    expect_windows(time, rows, [list(s) for s in result.samples[hop_program.warm_up :]], 20)
    np.testing.assert_array_equal(offline.outputs[0], result.samples[hop_program.warm_up][0])
    if result.counted_by == "plugin":
        assert result.sample_instructions[-1] * (20 if hop == 1 else 4) < offline.instructions


@pytest.mark.parametrize("end", ["mean", "pool"])
@pytest.mark.parametrize("hop", [2, 4])
def test_image_networks_with_valid_padding_and_a_pool_over_time(end: str, hop: int) -> None:
    model = dense_net(3, 26, end)
    time = stream_time(model, hop)
    assert time.is_exact
    assert 2 * time.macs < time.window_macs
    rows = signal(time, hop * 60, 9)
    found = list(windows(time, emit(time.program, time.memory), rows))
    expect_windows(time, rows, found, 61)
    # the pool reads the ring of its rows where it lies, in whatever order
    assert not any(call.kernel == "thm_window_rows" for call in time.program.calls)


@pytest.mark.parametrize("arch", ["scalar", "dsp", "mve"])
def test_a_wake_word_network_with_valid_padding_streams_on_every_core(
    shared: Path, arch: str
) -> None:
    """The DS-CNN of the streaming wake word benchmark, as it is, row by row."""
    time = stream_time(load(shared / "data/bench/str_ww_ref_model.tflite"), 1, arch)
    assert time.is_exact
    assert 17 * time.macs < time.window_macs
    assert time.memory.arena_bytes < 0.7 * time.window_arena_bytes
    rows = signal(time, 25, 9)
    expect_windows(time, rows, list(windows(time, emit(time.program, time.memory), rows)), 26)


def test_flattened_windows_are_laid_out_in_order() -> None:
    time = stream_time(dense_net(4, 20, "flatten"), 2)
    assert time.is_exact
    assert sum(call.kernel == "thm_window_rows" for call in time.program.calls) == 1


def test_a_stride_that_the_hop_does_not_fit_is_named() -> None:
    with pytest.raises(UnsupportedModel) as caught:
        stream_time(dense_net(5, 20, "mean"), 3)
    (finding,) = caught.value.findings
    assert "layer 0 CONV_2D" in finding.where
    assert "multiple of 2" in finding.hint


@pytest.mark.parametrize("hop", [0, -1, 65])
def test_hops_outside_the_window_are_refused(tcn: Model, hop: int) -> None:
    with pytest.raises(BadInput):
        stream_time(tcn, hop)


def test_inputs_without_time_are_refused() -> None:
    b = TimeModelBuilder(0, 8, 0, 3)
    model = b.end("last")
    graph = model.graph
    flat = replace(graph.tensors[0], shape=(8, 3, 1), name="x")
    wrong = model.with_graph(graph.with_(tensors=(flat, *graph.tensors[1:])))
    with pytest.raises(UnsupportedModel):
        stream_time(wrong, 1)


def test_same_padding_is_named_measured_and_told_how_to_change(shared: Path) -> None:
    model = load(shared / "data/bench/kws_ref_model.tflite")
    time = stream_time(model, 2)
    assert not time.is_exact
    assert [(p.layer.split(" `")[0], p.before, p.after) for p in time.padded] == [
        ("layer 0 CONV_2D", 4, 5),
        ("layer 1 DEPTHWISE_CONV_2D", 1, 1),
        ("layer 3 DEPTHWISE_CONV_2D", 1, 1),
        ("layer 5 DEPTHWISE_CONV_2D", 1, 1),
        ("layer 7 DEPTHWISE_CONV_2D", 1, 1),
    ]
    with np.load(shared / "data/data/speech_commands_open_mfcc.npz") as arrays:
        clips = np.clip(np.trunc(arrays["f_dev"][:4] / 0.58470291 + 83), -128, 127).astype(np.int8)
    data = as_dataset(clips.reshape(4, 49, 10, 1), model)
    measured = difference(time, emit(time.program, time.memory), data)
    assert measured.windows == 1 + (4 * 49 - 49 - time.latency_rows) // 2
    assert measured.mismatched > 0
    findings = padding_findings(time, measured)
    assert len(findings) == 6
    assert "4 rows before its input and 5 rows after it" in findings[0].message
    assert f"{measured.mismatched} of {measured.values} values differ" in findings[-1].message
    assert all("'causal' or 'valid'" in f.hint for f in findings)


def test_the_inexact_program_is_the_model_on_the_endless_signal() -> None:
    """SAME padding in time: what a longer window computes far from its ends."""
    short, long = same_model(12), same_model(40)
    time = stream_time(short, 1)
    assert [(p.before, p.after) for p in time.padded] == [(0, 1), (0, 1)]
    assert time.latency_rows == 2
    rows = signal(time, 27, 3)
    found = [outputs[0] for outputs in windows(time, None, rows)]
    (wanted,) = ReferenceRunner(long).run([rows[None, :40]])
    # window k ends at row 11 + k; its last output row is row 11 + k of the longer one
    for k in range(2, 20):
        np.testing.assert_array_equal(found[k][:, -1], wanted[:, 11 + k], f"window {k}")


def same_model(rows: int) -> Model:
    """Two convolutions with SAME padding, the sequence as output."""
    b = TimeModelBuilder(11, rows, 2, 2)
    for number in range(2):
        w = b.weights((2, 3, 2, 2), 0)
        scale = float(b.b.tensors[w].quant.scale[0]) * 0.1  # type: ignore[union-attr]
        conv = op("CONV_2D", padding="SAME", stride_h=1, stride_w=1)
        b.add(conv, [b.x, w, b.bias(2, scale)], version=3)
        del number
    return b.end("sequence")


def test_a_causal_model_begins_with_its_own_padding() -> None:
    """More rows than the window in its receptive field: the first window is exact all the same."""
    b = TimeModelBuilder(6, 8, 0, 3)
    for dilation in (1, 2, 4):
        b.conv(3, dilation, 1, causal=True)
    model = b.end("last")
    time = stream_time(model, 1)
    assert time.receptive_rows == 15
    assert [(p.before, p.after) for p in time.padded] == [(2, 0), (4, 0), (1, 0)]
    rows = signal(time, 5, 4)
    found = list(windows(time, emit(time.program, time.memory), rows))
    (want,) = ReferenceRunner(time.model).run([window_of(time, rows, 0)])
    np.testing.assert_array_equal(found[0][0], want)
    findings = padding_findings(time, difference(time, None, random_dataset(time.model, 4)))
    assert all("15 rows, the window has 8" in f.hint for f in findings)


def test_time_as_the_w_axis_of_an_image() -> None:
    """[1, S, T, C] as EEG models have it: pushed as rows [S, C]."""
    model = transposed(dense_net(8, 20, "sequence"))
    time = stream_time(model, 2, axis=2)
    assert time.is_exact
    rows = signal(time, 2 * 15, 2)
    assert rows.shape[1:] == (3, 2)
    found = list(windows(time, emit(time.program, time.memory), rows))
    reference = ReferenceRunner(time.model)
    assert len(found) == 16
    for k, (got,) in enumerate(found):
        (want,) = reference.run([window_of(time, rows, 2 * k)])
        np.testing.assert_array_equal(want, got)


def transposed(model: Model) -> Model:
    """The same chain of convolutions with H and W exchanged everywhere."""
    graph = model.graph
    tensors = []
    for tensor in graph.tensors:
        shape = tensor.shape
        if len(shape) == 4:
            data = None if tensor.data is None else tensor.data.transpose(0, 2, 1, 3).copy()
            tensor = replace(tensor, shape=(shape[0], shape[2], shape[1], shape[3]), data=data)
        tensors.append(tensor)
    nodes = []
    for node in graph.nodes:
        old: Any = node.op
        swapped = replace(
            old,
            stride_h=old.stride_w,
            stride_w=old.stride_h,
            dilation_h_factor=old.dilation_w_factor,
            dilation_w_factor=old.dilation_h_factor,
        )
        nodes.append(replace(node, op=swapped))
    return model.with_graph(graph.with_(tensors=tuple(tensors), nodes=tuple(nodes)))


def test_a_reset_forgets() -> None:
    time = stream_time(dense_net(2, 20, "mean"), 2)
    firmware: Firmware = emit(time.program, time.memory)
    library = HostLibrary(firmware)
    rows = signal(time, 30, 1)
    first = [library.push(row[None]) for row in rows]
    library.reset()
    again = [library.push(row[None]) for row in rows]
    assert [x is None for x in first] == [x is None for x in again]
    for x, y in zip(first, again):
        if x is not None and y is not None:
            np.testing.assert_array_equal(x[0], y[0])


def test_rows_may_come_in_any_pieces() -> None:
    time = stream_time(dense_net(2, 20, "mean"), 4)
    firmware = emit(time.program, time.memory)
    rows = signal(time, 4 * 20, 1)
    wanted = list(windows(time, firmware, rows))
    library = HostLibrary(firmware)
    found, at = [], 0
    for n in [1, 4, 2, 3, 1, 1, 4, 3] * 20:
        outputs = library.push(rows[at : at + n]) if at < len(rows) else None
        at += n
        if outputs is not None:
            found.append(outputs[0])
    assert len(found) == len(wanted)
    for x, (y,) in zip(found, wanted):
        np.testing.assert_array_equal(x, y)


def test_the_replay_notices_what_is_missing() -> None:
    """A causal chain of two tasks: smaller rings or other orders are found out."""
    tasks = [HopTask(1, (Use(0, 1, 2, 3),)), HopTask(2, (Use(1, 1, 4, 5),))]
    fresh = {b: Fresh(9, 10, 1) for b in range(3)}
    reads = [WholeRead(2, 9, 10)]
    found = order(tasks, fresh, 0, range(9, 10), reads)
    assert dict(found.rings) == {0: 3, 1: 5, 2: 1}
    assert dict(found.kept) == {0: 2, 1: 4}
    assert not check(tasks, fresh, 0, reads, found, 12)
    for buffer in (0, 1):
        small = replace(found, rings={**found.rings, buffer: found.rings[buffer] - 1})
        assert check(tasks, fresh, 0, reads, small, 12)
    forgotten = replace(found, kept={0: 2})
    assert check(tasks, fresh, 0, reads, forgotten, 12)
    late = replace(found, turns=(*found.turns[1:], found.turns[0]))
    assert found.turns[0].task == ARRIVAL
    assert check(tasks, fresh, 0, reads, late, 12)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 600), min_size=1, max_size=12))
def test_counters_are_multiples_of_the_periods_they_serve(periods: list[int]) -> None:
    moduli, numbers = counters(periods, 1000)
    assert all(m <= 1000 for m in moduli)
    assert all(moduli[k] % period == 0 for k, period in zip(numbers, periods, strict=True))
    with pytest.raises(ValueError, match="over"):
        counters([*periods, 1001], 1000)
