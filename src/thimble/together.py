"""Several models in one firmware with one shared arena: planned each for itself, placed together.

The states of models streamed in time lie first, one after the other; behind them every model has
the same memory, since only one runs at a time. The arena is the sum of the states and the largest
of the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from thimble.build import Prepared, Say, arch_name, fits, is_float, model_name, prepare
from thimble.build import with_self_test as golden
from thimble.codegen import projects, several
from thimble.codegen.c import emit as emit_c
from thimble.codegen.driver import in_one_unit
from thimble.codegen.firmware import Firmware
from thimble.errors import BadInput, Finding, ToolMissing, UnsupportedModel
from thimble.formats.data import random_dataset
from thimble.graph import Model
from thimble.measure import measure
from thimble.memory import STATE_ALIGN, Memory
from thimble.output import check_writable, write_folder
from thimble.plan import TIME_LIMIT_S
from thimble.plan.problem import round_up
from thimble.program import Program
from thimble.report.build import REPORT_FILES, BuildLayer, Flash, PlanSummary, Ram, Verification
from thimble.report.together import TogetherMember, TogetherReport
from thimble.runners.hop import HopRunner
from thimble.support import runnable
from thimble.targets import Target, load_target
from thimble.time_stream import TimeProgram, stream_time
from thimble.time_stream.build import with_self_test as golden_rows
from thimble.time_stream.check import signal_of

if TYPE_CHECKING:
    from thimble.lower import Streaming

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Member:
    """One of the models. `memory` is its own plan; `firmware` addresses the shared arena.

    `time` is set where the model is streamed in time.
    """

    source: Model
    prepared: Prepared
    memory: Memory
    firmware: Firmware
    time: TimeProgram | None = None


@dataclass(frozen=True, eq=False)
class Together:
    """Models in one arena of `arena_bytes`, the first `state_bytes` of which are their states."""

    members: tuple[Member, ...]
    firmware: Firmware
    arena_bytes: int
    state_bytes: int


def together(
    models: Sequence[Model],
    name: str | None = None,
    *,
    hops: Mapping[str, int] | None = None,
    target: Target | None = None,
    optimize: str = "auto",
    strategy: str = "exact",
    stream: Streaming = False,
    shrink: bool = True,
    inexact: bool = False,
    time_limit_s: float = TIME_LIMIT_S,
) -> Together:
    """`models`, each called like its file, in one arena; those in `hops` (name -> rows) in time.

    Raises BadInput where names are not unique or unknown, UnsupportedModel for a model that no
    kernel runs or, unless `inexact`, that pads in time.
    """
    hops = hops or {}
    names = [model_name(model) for model in models]
    _check_names(models, names, hops)
    arch = arch_name(target)
    chosen = name or "models"
    found: list[tuple[Prepared, TimeProgram | None]] = []
    for model, own in zip(models, names):
        if own not in hops:
            args = (target, optimize, own, strategy, stream, False, shrink, time_limit_s)
            found.append((prepare(model, *args), None))
            continue
        streamed = stream_time(model, hops[own], arch, name=own, shrink=shrink)
        if not streamed.is_exact and not inexact:
            message = "pads in time: its outputs differ from those of whole windows"
            hint = f"see by how much: thimble build --stream-time {hops[own]}; or add --inexact"
            raise UnsupportedModel(Finding("stream-time", model.source, message, hint))
        firmware = emit_c(streamed.program, streamed.memory, optimize)
        own_plan = (streamed.program, streamed.memory, firmware)
        found.append((Prepared(model, streamed.model, *own_plan), streamed))
    states, scratch, total = _layout([prepared.memory for prepared, _ in found])
    align = max(prepared.memory.align for prepared, _ in found)
    members = []
    for (prepared, time), model, state in zip(found, models, states):
        moved = _moved(prepared.program, prepared.memory, state, scratch, total, align)
        firmware = emit_c(prepared.program, moved, optimize)
        member = Member(model, prepared, prepared.memory, firmware, time)
        members.append(replace(member, firmware=_with_golden(member, moved)))
    firmwares = [member.firmware for member in members]
    whole = several.emit(chosen, firmwares, total, align)
    firmware = several.with_self_test(whole, firmwares)
    return Together(tuple(members), firmware, total, firmware.state_bytes)


def _check_names(models: Sequence[Model], names: Sequence[str], hops: Mapping[str, int]) -> None:
    findings = [
        Finding("name", model.source, f"is called {own} like another model", "rename the file")
        for model, own in zip(models, names)
        if Counter(names)[own] > 1
    ]
    findings += [
        Finding("stream-time", f"--stream-time {own}", "no model is called so", ", ".join(names))
        for own in hops
        if own not in names
    ]
    findings += [
        Finding("float", model.source, "is a float model", "quantize it first: thimble quantize")
        for model in models
        if is_float(model) and model_name(model) in hops
    ]
    if findings:
        raise BadInput(findings)


def _layout(memories: Sequence[Memory]) -> tuple[list[int], int, int]:
    """(where each state begins, where the rest of all begins, bytes in all)."""
    states, at = [], 0
    for memory in memories:
        at = round_up(at, max(STATE_ALIGN, memory.align)) if memory.state_bytes else at
        states.append(at)
        at += memory.state_bytes
    scratch = round_up(at, max(memory.align for memory in memories))
    return states, scratch, max(scratch + memory.plan.arena_bytes for memory in memories)


def _moved(
    program: Program, memory: Memory, state: int, scratch: int, total: int, align: int
) -> Memory:
    """`memory` in the shared arena: its state from byte `state`, the rest from `scratch`."""
    offsets = {
        i: at + state if program.buffers[i].role == "state" else at - memory.state_bytes + scratch
        for i, at in memory.offsets.items()
    }
    plan = replace(memory.plan, arena_bytes=total - memory.state_bytes)
    return replace(memory, offsets=offsets, plan=plan, align=align)


def _with_golden(member: Member, moved: Memory) -> Firmware:
    if member.time is not None:
        return golden_rows(member.time, member.firmware, random_dataset(member.time.model, 2))
    inputs = random_dataset(member.source).sample(0)
    prepared = replace(member.prepared, memory=moved, firmware=member.firmware)
    return golden(prepared, inputs)


def rounds(given: Together, count: int) -> tuple[list[list[Array]], list[list[Array | None]]]:
    """(inputs, wanted outputs) of `count` rounds of all models in turn, as NAME_run takes them.

    Wanted is what every model computes alone: the reference, for streamed ones the twins that keep
    their state (None until their first window is complete).
    """
    from thimble.runners.reference import ReferenceRunner

    inputs: list[list[Array]] = [[] for _ in range(count)]
    wanted: list[list[Array | None]] = [[] for _ in range(count)]
    for member in given.members:
        time = member.time
        if time is None:
            data = random_dataset(member.source, min(count, 4))
            reference = ReferenceRunner(runnable(member.source))
            results = [reference.run(data.sample(k)) for k in range(len(data))]
            for k in range(count):
                inputs[k] += data.sample(k % len(data))
                wanted[k] += results[k % len(data)]
            continue
        data = random_dataset(time.model, -(-count * time.hop // time.window) + 2)
        signal = signal_of(time, data)
        alone = HopRunner(time.program, time.memory)
        shape = member.firmware.inputs[0].shape
        for k in range(count):
            rows = signal[k * time.hop : (k + 1) * time.hop]
            found = alone.push(rows)
            inputs[k].append(rows.reshape(shape))
            wanted[k] += found[-1] if found else [None] * len(member.firmware.outputs)
    return inputs, wanted


def warm_rounds(given: Together) -> int:
    """Rounds until every model streamed in time has given outputs more than once."""
    times = [member.time for member in given.members if member.time is not None]
    return max((-(-(t.window + t.latency_rows) // t.hop) + 3 for t in times), default=4)


def _verified(given: Together, unit: Firmware, notes: list[str]) -> Verification | None:
    """The emitted C of all models in turn, in one arena, against each model alone."""
    from thimble.runners.host_library import HostLibrary

    inputs, wanted = rounds(given, warm_rounds(given))
    try:
        library = HostLibrary(unit)
        wrong = library.self_test()
        if wrong:
            raise AssertionError(f"self test: {given.members[wrong - 1].firmware.name} differs")
    except ToolMissing as error:
        notes.append(f"not verified, no C compiler here: {error.findings[0].hint}")
        return None
    library.reset()
    mismatched, worst = 0, 0
    for given_round, want_round in zip(inputs, wanted):
        for got, want in zip(library.run(given_round), want_round):
            if want is None:
                continue
            if want.dtype.kind == "f":
                mismatched += int(np.count_nonzero(~np.isclose(got, want, rtol=1e-4, atol=1e-5)))
                continue
            gap = np.abs(got.astype(np.int64) - want.astype(np.int64).reshape(got.shape))
            mismatched += int(np.count_nonzero(gap))
            worst = max(worst, int(gap.max(initial=0)))
    runner = "host (emitted C, all models in turn in one arena)"
    return Verification("each model alone", len(inputs), worst, mismatched, runner)


def build_together(
    models: Sequence[Model],
    target: str,
    out: str | None = None,
    *,
    name: str | None = None,
    ram: int | None = None,
    flash: int | None = None,
    optimize: str = "auto",
    compiler: str = "auto",
    say: Say = lambda text: None,
    **options: Any,
) -> TogetherReport:
    """Emit `models` for `target` into one folder with one shared arena; verified, measured.

    `options` are those of `together`. Raises what `together` does, and DoesNotFit.
    """
    core = load_target(target)
    if core.engine:
        message = f"several models are built for devices, not for {target}"
        raise BadInput(Finding("several-models", target, message, "build one module for each"))
    if out is not None:
        check_writable(out, folder=True)
    say("choosing kernels and planning memory")
    given = together(models, name, target=core, optimize=optimize, **options)
    unit = in_one_unit(given.firmware)
    notes: list[str] = []
    say("verifying all models in turn")
    verification = _verified(given, unit, notes)
    say(f"compiling for {target}")
    sample, _ = rounds(given, 1)
    code_bytes, stack_bytes, how = measure(unit, core, sample[0], optimize, notes, compiler)
    report = report_of(given, target, optimize, out, notes, verification)
    report = replace(
        report,
        ram=replace(report.ram, stack_bytes=stack_bytes),
        flash=replace(report.flash, code_bytes=code_bytes),
        provenance={**report.provenance, **how},
    )
    fits(report, ram, flash)
    if out is not None:
        files: dict[str, bytes | str] = {**given.firmware.files}
        files |= projects.emit(given.firmware, core, optimize)
        report = replace(report, files=sorted([*files, *REPORT_FILES]))
        files |= report.as_files()
        write_folder(out, files)
        say(f"wrote {len(files)} files to {out}")
    return report


def report_of(
    given: Together,
    target: str,
    optimize: str,
    out: str | None,
    notes: Sequence[str],
    verification: Verification | None,
) -> TogetherReport:
    """What each model needs, and what sharing saves."""
    firmware = given.firmware
    members = [
        TogetherMember(
            m.firmware.name,
            m.source.source,
            m.memory.plan.arena_bytes,
            m.memory.state_bytes,
            m.firmware.weights_bytes,
            m.firmware.macs,
            None if m.time is None else m.time.hop,
        )
        for m in given.members
    ]
    separate = sum(m.arena_bytes + m.state_bytes for m in members)
    plans = [m.memory.plan for m in given.members]
    largest = max(plans, key=lambda plan: plan.arena_bytes)
    bound = max(plan.bound_bytes for plan in plans)
    return TogetherReport(
        model=firmware.name,
        target=target,
        macs=firmware.macs,
        ram=Ram(given.arena_bytes - given.state_bytes, given.state_bytes),
        flash=Flash(firmware.weights_bytes),
        verification=verification,
        layers=[
            BuildLayer(x.index, x.op, x.name, None, True, x.macs, x.weights_bytes, x.output_bytes)
            for x in firmware.layers
        ],
        plan=PlanSummary(largest.strategy, bound, largest.optimal),
        out=out or "",
        optimize=optimize,
        notes=list(notes),
        provenance={
            "arena_bytes": "planned for each model; the largest, all models begin at one address",
            "state_bytes": "sum of the models' states, at the start of the arena",
            "separate_bytes": "sum of what the models need each in an arena of its own",
            "verification": "random samples; models streamed in time against their twins alone",
        },
        models=members,
        separate_bytes=separate,
        saved_bytes=separate - given.arena_bytes,
    )
