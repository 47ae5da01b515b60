"""A model in time against the same model on whole windows, on data: equal, or by how much not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from thimble.codegen.firmware import Firmware
from thimble.errors import BadInput, Finding, ToolMissing
from thimble.formats.data import Dataset
from thimble.lower import lower
from thimble.memory import place
from thimble.report.time import TimeDifference
from thimble.runners.hop import HopRunner
from thimble.runners.program import ProgramRunner
from thimble.time_stream import TimeProgram

Array = np.ndarray
MOST_WINDOWS = 200


def signal_of(time: TimeProgram, dataset: Dataset) -> Array:
    """The samples one after the other as rows of a signal [rows, row shape].

    Raises BadInput where they are too few for one output.
    """
    shape = time.model.graph.tensors[time.model.graph.inputs[0]].shape
    samples = dataset.inputs[0].reshape(len(dataset), *shape[1:])
    needed = time.window + time.latency_rows
    if len(samples) * time.window < needed:
        message = f"{len(samples) * time.window} rows, but the first outputs take {needed}"
        raise BadInput(Finding("data", dataset.source, message, "give more samples"))
    rows = np.moveaxis(samples, time.axis, 1)  # axis 1 of [samples, T, ...]
    return np.ascontiguousarray(rows.reshape(len(dataset) * time.window, *rows.shape[2:]))


def window_of(time: TimeProgram, signal: Array, first: int) -> Array:
    """The model's input for the window that begins with row `first`."""
    shape = time.model.graph.tensors[time.model.graph.inputs[0]].shape
    rows = signal[first : first + time.window][None]
    return np.ascontiguousarray(np.moveaxis(rows, 1, time.axis)).reshape(shape)


def windows(time: TimeProgram, firmware: Firmware | None, signal: Array) -> Iterator[list[Array]]:
    """Outputs in time for `signal`, window after window, by the C of `firmware` or the twins."""
    if firmware is None:
        runner = HopRunner(time.program, time.memory)
        for row in signal:
            yield from runner.push(row[None])
        return
    from thimble.runners.host_library import HostLibrary

    library = HostLibrary(firmware)
    for row in signal:
        outputs = library.push(row[None])
        if outputs is not None:
            yield outputs


def difference(
    time: TimeProgram, firmware: Firmware | None, dataset: Dataset, most: int = MOST_WINDOWS
) -> TimeDifference:
    """How the outputs in time differ from the model's, on at most `most` windows of the samples.

    `firmware`: the emitted C, run on this machine; None, or no compiler here: the twins.
    """
    signal = signal_of(time, dataset)
    signal = signal[: time.window + time.latency_rows + (most - 1) * time.hop]
    offline = _offline(time)
    try:
        found = list(windows(time, firmware, signal))
        name = "program (NumPy twins)" if firmware is None else "host (emitted C)"
    except ToolMissing:
        found, name = list(windows(time, None, signal)), "program (NumPy twins)"
    total, worst = 0.0, 0.0
    values = mismatched = changed = 0
    is_int = True
    for k, outputs in enumerate(found):
        wanted = offline([window_of(time, signal, k * time.hop)])
        other = False
        for want, got in zip(wanted, outputs):
            last = _last_rows(want, got)
            gap = np.abs(last.astype(np.float64) - got.astype(np.float64))
            is_int = is_int and want.dtype.kind in "iu"
            values += gap.size
            mismatched += int(np.count_nonzero(gap))
            worst, total = max(worst, float(gap.max(initial=0))), total + float(gap.sum())
            other = other or int(last.argmax()) != int(got.argmax())
        changed += other
    mean = total / max(values, 1)
    source = f"{dataset.source}, one after the other"
    return TimeDifference(
        len(found), values, mismatched, worst, mean, changed, source, name, is_int
    )


def _offline(time: TimeProgram) -> Callable[[list[Array]], list[Array]]:
    """The model on one window: its C on this machine, or the twins."""
    from thimble.codegen.c import emit
    from thimble.runners.host_library import HostLibrary

    program = lower(time.model, "window")
    memory = place(program)
    runner: Any
    try:
        runner = HostLibrary(emit(program, memory))
    except ToolMissing:
        runner = ProgramRunner(program, memory)
    return runner.run


def _last_rows(want: Array, got: Array) -> Array:
    """The rows of a sequence that are new; everything else as it is."""
    if want.shape == got.shape:
        return want
    axis = next(a for a, (x, y) in enumerate(zip(want.shape, got.shape)) if x != y)
    return want.take(range(want.shape[axis] - got.shape[axis], want.shape[axis]), axis)


def padding_findings(time: TimeProgram, measured: TimeDifference) -> list[Finding]:
    """One finding for each layer whose padding in time the outputs depend on, and the measure."""
    late = any(layer.after for layer in time.padded)
    if late:
        hint = (
            "train the model with padding 'causal' or 'valid' in time; or build with --inexact: the"
            f" outputs then come {time.latency_rows} rows late"
        )
    else:
        hint = (
            f"the outputs depend on {time.receptive_rows} rows, the window has {time.window}: train"
            " with 'valid' padding in time or on windows that hold them all; or build with"
            " --inexact: what came before the window then counts"
        )
    found = [
        Finding(
            "stream-time",
            f"{time.model.source}, {layer.layer}",
            f"pads in time: {_rows(layer.before, layer.after)} made up in every window, which a"
            " stream does not know",
            hint,
        )
        for layer in time.padded
    ]
    return [*found, Finding("stream-time-differs", time.model.source, measured.sentence(), hint)]


def _rows(before: int, after: int) -> str:
    parts = [
        f"{n} row{'s' if n > 1 else ''} {side}"
        for n, side in ((before, "before its input"), (after, "after it"))
        if n
    ]
    return " and ".join(parts) + (" are" if before + after > 1 else " is")
