"""`thimble build --stream-time`: a model in time as a firmware folder, verified and measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from thimble import kernel_choice
from thimble.arch import ARCHS
from thimble.codegen import hop as codegen_hop
from thimble.codegen import projects
from thimble.codegen.c import emit
from thimble.codegen.firmware import Firmware
from thimble.errors import ToolMissing, UnsupportedModel
from thimble.formats.data import Dataset, as_dataset, random_dataset
from thimble.graph import Model
from thimble.lower import lower
from thimble.memory import place
from thimble.output import write_folder
from thimble.report.build import REPORT_FILES, Flash, PlanSummary, Ram, Verification
from thimble.report.time import TimeDifference, TimeReport, Work
from thimble.targets import Target
from thimble.time_stream import TimeProgram, stream_time
from thimble.time_stream.check import difference, padding_findings, signal_of, window_of, windows

RANDOM_WINDOWS = 8


def build_in_time(
    model: Model,
    target: Target,
    out: str | None,
    hop: int,
    *,
    name: str,
    shrink: bool = True,
    data: Any = None,
    axis: int | None = None,
    inexact: bool = False,
    rows_per_second: float | None = None,
    optimize: str = "auto",
    compiler: str = "auto",
    samples: int = RANDOM_WINDOWS,
    accept: Callable[[TimeReport], None] = lambda report: None,
    notes: list[str] | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> TimeReport:
    """Emit `model` for `target` as a program that is pushed rows and answers after every `hop`.

    The samples of `data` (else random ones) one after the other are the signal on which the emitted
    C is compared with the model on whole windows. A model that pads in time has other outputs;
    raises UnsupportedModel, which says by how much, unless `inexact`. `accept` may raise before
    anything is written. Also raises BadInput.
    """
    say("choosing kernels and planning memory")
    arch = target.arch if target.arch in ARCHS else "scalar"
    time = stream_time(model, hop, arch, name=name, axis=axis, shrink=shrink)
    firmware = emit(time.program, time.memory, optimize)
    dataset = _samples(model, data, samples)
    say("comparing with whole windows")
    measured = difference(time, firmware, dataset)
    findings = [] if time.is_exact else padding_findings(time, measured)
    if findings and not inexact:
        raise UnsupportedModel(findings)
    firmware = with_self_test(time, firmware, dataset)
    say(f"compiling for {target.name}")
    known = list(notes or ())
    work, again, code_bytes, stack_bytes, how = _measure(
        time, firmware, target, arch, dataset, optimize, compiler, known
    )
    if rows_per_second is not None:
        work, again = (_per_second(w, rows_per_second / hop) for w in (work, again))
    from thimble.memory_map import report_of

    plan = time.memory.plan
    report = TimeReport(
        model=model.source,
        target=target.name,
        macs=time.macs,
        ram=Ram(firmware.arena_bytes - firmware.state_bytes, firmware.state_bytes, stack_bytes),
        flash=Flash(firmware.weights_bytes, code_bytes),
        verification=_verification(time, measured),
        layers=kernel_choice.layers(firmware, time.program, None, optimize),
        plan=PlanSummary(plan.strategy, plan.bound_bytes, plan.optimal),
        out=out or "",
        optimize=optimize,
        notes=known,
        provenance={
            "arena_bytes": "planned, without the state, which lies before it in the arena",
            "state_bytes": "planned; the emitted C keeps exactly these bytes",
            "weights_bytes": "sum of the constants in the emitted C",
            "macs": "counted from the shapes, of one hop",
            "verification": measured.source,
            **how,
        },
        hop_rows=hop,
        window_rows=time.window,
        receptive_rows=time.receptive_rows,
        latency_rows=time.latency_rows,
        history_bytes=time.history_bytes,
        exact=time.is_exact,
        rows_per_second=rows_per_second,
        hop=work,
        recomputing=again,
        difference=measured,
        findings=[replace(finding, severity="warning").as_dict() for finding in findings],
        graph=time.model.graph,
        memory=replace(
            report_of(time.program, time.memory, plan.strategy, time.model), long_lived=()
        ),
    )
    accept(report)
    if out is not None:
        write(report, firmware, target, optimize)
    return report


def write(report: TimeReport, firmware: Firmware, target: Target, optimize: str) -> None:
    """The folder `report.out`."""
    files: dict[str, bytes | str] = {**firmware.files}
    files |= projects.emit(firmware, target, optimize)
    report = replace(report, files=sorted([*files, *REPORT_FILES]))
    files |= report.as_files()
    write_folder(report.out, files)


def _samples(model: Model, data: Any, samples: int) -> Dataset:
    if data is None:
        return random_dataset(model, max(samples, 2))
    return as_dataset(data, model).first(samples)


def with_self_test(time: TimeProgram, firmware: Firmware, dataset: Dataset) -> Firmware:
    """The firmware with NAME_self_test: the first windows of the samples, by the twins."""
    signal = signal_of(time, dataset)[: time.window + time.latency_rows + time.hop]
    *_, outputs = windows(time, None, signal)
    text = codegen_hop.self_test(firmware, signal, outputs)
    source = firmware.files[firmware.source] + text
    return replace(firmware, files={**firmware.files, firmware.source: source})


def _verification(time: TimeProgram, measured: TimeDifference) -> Verification | None:
    """None for a program that is not meant to have the model's bits."""
    if not time.is_exact:
        return None
    return Verification(
        "whole windows",
        measured.windows,
        int(measured.max_abs) if measured.is_int else None,
        measured.mismatched,
        measured.runner,
        measured.max_abs,
    )


def _per_second(work: Work, rate: float) -> Work:
    instructions = None if work.instructions is None else work.instructions * rate
    return replace(work, macs_per_second=work.macs * rate, instructions_per_second=instructions)


def _measure(
    time: TimeProgram,
    firmware: Firmware,
    target: Target,
    arch: str,
    dataset: Dataset,
    optimize: str,
    compiler: str,
    notes: list[str],
) -> tuple[Work, Work, int | None, int | None, dict[str, str]]:
    """Work of a hop and of a window, code and stack of the former, and how they were got."""
    from thimble.runners.emulator import Emulator

    offline = lower(time.model, f"{firmware.name}_window", arch)
    memory = place(offline)
    hop = Work(time.macs, None, firmware.arena_bytes)
    window = Work(time.window_macs, None, memory.arena_bytes)
    if target.machine is None:
        notes.append(f"instructions are counted on emulated targets, which {target.name} is not")
        return hop, window, None, None, {}
    goal = "size" if optimize == "size" else "speed"
    signal = signal_of(time, dataset)
    port = firmware.inputs[0]
    parts = [[signal[k : k + time.hop].reshape(port.shape)] for k in (0, 0)]
    try:
        run = Emulator(firmware, target, compiler, goal).run_samples(parts)
        whole = Emulator(emit(offline, memory, optimize), target, compiler, goal)
        again = whole.run([window_of(time, signal, 0)])
    except ToolMissing as error:
        notes.append(f"not measured: {error.findings[0].message}; {error.findings[0].hint}")
        return hop, window, None, None, {}
    where = f"on emulated {target.name}, {goal}"
    how = {
        "instructions": f"executed {where} by one hop and by one window",
        "stack_bytes": f"measured below NAME_run's caller {where}",
        "code_bytes": "linked; without constants",
    }
    hop = replace(hop, instructions=run.sample_instructions[-1])
    window = replace(window, instructions=again.instructions)
    return hop, window, run.sizes.code_bytes, run.stack_bytes, how
