"""Model -> firmware folder: load, quantize, passes, lower, plan, emit, verify, measure, report.

`prepare` is the part every runner of emitted code shares; `build` is what `thimble build` does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from thimble import kernel_choice
from thimble.codegen import projects, selftest
from thimble.codegen.c import c_identifier
from thimble.codegen.c import emit as emit_c
from thimble.codegen.driver import in_one_unit
from thimble.codegen.firmware import Firmware
from thimble.errors import BadInput, DoesNotFit, Finding, ToolMissing
from thimble.formats.data import Dataset, as_dataset, random_dataset
from thimble.graph import Model
from thimble.lower import Streaming, lower
from thimble.measure import measure, wasm_module
from thimble.memory import Memory, place_without_copies
from thimble.node_order import in_least_order
from thimble.output import check_writable, write_folder
from thimble.plan import TIME_LIMIT_S
from thimble.program import Program
from thimble.report import (
    REPORT_FILES,
    BuildReport,
    Flash,
    PlanSummary,
    Ram,
    RegionBytes,
    Verification,
)
from thimble.runners.program import ProgramRunner
from thimble.support import runnable
from thimble.targets import Target, load_target

Say = Callable[[str], None]

VERIFY_SAMPLES = 8
MAX_NAME = 40
# Names that would collide with a file of the project, or that C keeps for itself.
RESERVED = frozenset({"main", "thm", "int", "float", "double", "char", "long", "short", "signed"})
# Float outputs: libm and the order of additions differ between runners.
FLOAT_RTOL = 1e-4


@dataclass(frozen=True, eq=False)
class Prepared:
    """A model on its way to C: after the passes, lowered, planned, emitted."""

    source: Model  # as loaded (or quantized)
    model: Model  # after the passes
    program: Program
    memory: Memory
    firmware: Firmware
    notes: tuple[str, ...] = ()  # what is streamed


def model_name(model: Model) -> str:
    """A C identifier for the model, from its file name."""
    stem = model.source.replace("\\", "/").rsplit("/", 1)[-1]
    stem = re.sub(r"\.(tflite|lite|onnx|keras|h5|hdf5)$", "", stem)
    name = c_identifier(stem.encode("ascii", "replace").decode())[:MAX_NAME]
    return f"{name}_model" if name in RESERVED else name


def check_name(name: str) -> str:
    """`name` itself. Raises BadInput when it is no C identifier or a reserved one."""
    if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) or name in RESERVED:
        hint = "letters, digits and _, no digit first, no word of C"
        raise BadInput(Finding("name", f"name `{name}`", "cannot be the model's C name", hint))
    return name


def arch_name(target: Target | None) -> str:
    """The layer of kernels for `target`: its own, else the scalar one."""
    from thimble.arch import ARCHS

    return target.arch if target is not None and target.arch in ARCHS else "scalar"


def prepare(
    model: Model,
    target: Target | None = None,
    optimize: str = "auto",
    name: str | None = None,
    strategy: str = "exact",
    stream: Streaming = False,
    stream_input: bool = False,
    shrink: bool = True,
    time_limit_s: float = TIME_LIMIT_S,
    regions: Sequence[str] = (),
) -> Prepared:
    """Passes, kernels, memory and C of `model`. Raises UnsupportedModel.

    stream: run chains of layers row by row where that makes the arena smaller (same bits, at most
    a tenth more instructions, estimated, unless it is "least"). stream_input: the input arrives
    row by row too (NAME_push_INPUT). shrink: without channels that are constant or double. Layers
    that are not streamed are in the order that needs least memory.
    time_limit_s: for each plan of memory.
    regions: NAME=BYTES, the fastest first (see `thimble.regions`). Raises DoesNotFit.
    """
    from thimble.passes import pipeline, run_passes

    arch = arch_name(target)
    optimized = run_passes(model, pipeline(shrink))
    chosen = name or model_name(model)
    notes: tuple[str, ...] = ()
    if stream or stream_input:
        from thimble.streamed import MOST_GROWTH, lower_streamed

        most = float("inf") if stream == "least" else MOST_GROWTH
        streamed = lower_streamed(
            optimized, chosen, arch, stream_input, strategy, time_limit_s, most
        )
        program, memory, notes = streamed.program, streamed.memory, streamed.notes
    if not stream_input:
        lowered = lower(optimized, chosen, arch)
        plain, whole = place_without_copies(lowered, strategy, time_limit_s)
        reordered = in_least_order(optimized, lowered) if strategy != "greedy" else None
        if reordered is not None:
            lowered = lower(reordered, chosen, arch)
            other = place_without_copies(lowered, strategy, time_limit_s)
            if other[1].arena_bytes < whole.arena_bytes:
                optimized, (plain, whole) = reordered, other
        if not stream or whole.arena_bytes <= memory.arena_bytes:
            program, memory, notes = plain, whole, ()
    if regions:
        from thimble.regions import in_regions, parse_regions

        found = parse_regions(regions, target)
        memory = in_regions(program, memory, found, model.source, time_limit_s)
    firmware = emit_c(program, memory, optimize)
    return Prepared(model, optimized, program, memory, firmware, notes)


def with_self_test(prepared: Prepared, inputs: Sequence[np.ndarray]) -> Firmware:
    """The firmware with NAME_self_test for the golden sample `inputs`."""
    trace = ProgramRunner(prepared.program, prepared.memory).trace(inputs)
    firmware = prepared.firmware
    text = selftest.emit(firmware, inputs, trace)
    source = firmware.files[firmware.source] + text
    return replace(firmware, files={**firmware.files, firmware.source: source})


def build(
    model: Model,
    target: str,
    out: str | None = None,
    *,
    data: Any = None,
    scheme: str = "int8",
    optimize: str = "auto",
    name: str | None = None,
    ram: int | None = None,
    flash: int | None = None,
    strategy: str = "exact",
    stream: Streaming = False,
    stream_input: bool = False,
    shrink: bool = True,
    split: int | None = None,
    split_by: str = "ram",
    stream_time: int | None = None,
    inexact: bool = False,
    rows_per_second: float | None = None,
    samples: int = VERIFY_SAMPLES,
    compiler: str = "auto",
    time_limit_s: float = TIME_LIMIT_S,
    regions: Sequence[str] = (),
    quantize_options: dict[str, Any] | None = None,
    say: Say = lambda text: None,
) -> BuildReport:
    """Emit `model` for `target` into the folder `out` (nothing is written where it is None).

    `data` quantizes a float model first and gives the samples for verification. `ram` and `flash`
    (bytes) are limits. `split` makes that many parts with a driver (see `thimble.parts`).
    `stream_time`: the input is a window that slides by that many rows, and only what is new is
    computed (see `thimble.time_stream`; the report is a TimeReport); `inexact` where the model
    pads in time. `time_limit_s`: for each plan of memory; the gap to the lower bound is reported
    where it ends first. `regions`: NAME=BYTES of several memories, the fastest first.
    Raises UnsupportedModel, DoesNotFit (nothing is written) or BadInput.
    """
    from thimble.memory_map import beside_greedy

    core = load_target(target)
    if optimize not in ("auto", "speed", "size"):
        hint = "auto, speed or size"
        raise BadInput(Finding("unknown-option", f"optimize `{optimize}`", "no such goal", hint))
    if out is not None:
        check_writable(out, folder=True)
    chosen = check_name(name) if name is not None else model_name(model)
    if regions and (split is not None or stream_time is not None):
        hint = "leave out --split, --stream-time or --region"
        raise BadInput(Finding("region", model.source, "is planned in one arena there", hint))
    notes: list[str] = []
    if not shrink:
        notes.append("not shrunk: all channels of the file are computed")
    if stream or stream_input:
        notes.append("streamed: layers run row by row where that saves memory")
    if stream_input:
        notes.append("the input is pushed by rows: the arena holds only those still needed")
    if data is not None and is_float(model):
        from thimble.quantize import quantize

        say(f"quantizing to {scheme}")
        model = quantize(model, as_dataset(data, model), scheme=scheme, **(quantize_options or {}))
        notes.append(f"quantized to {scheme} with ranges from {data_name(data)}")
    if stream_time is not None:
        from thimble.time_stream.build import build_in_time

        if stream or stream_input or split is not None:
            hint = "streaming in time takes rows as they come, and keeps few of them"
            raise BadInput(Finding("stream-time", model.source, "cannot be combined", hint))
        return build_in_time(
            model,
            core,
            out,
            stream_time,
            name=chosen,
            shrink=shrink,
            data=data,
            inexact=inexact,
            rows_per_second=rows_per_second,
            optimize=optimize,
            compiler=compiler,
            samples=samples,
            accept=lambda report: fits(report, ram, flash),
            notes=notes,
            say=say,
        )
    say("choosing kernels and planning memory")
    parts = None
    if split is None:
        prepared = prepare(
            model,
            core,
            optimize,
            chosen,
            strategy,
            stream,
            stream_input,
            shrink,
            time_limit_s,
            regions,
        )
    else:
        from thimble import parts as split_parts

        if stream or stream_input:
            hint = "use one of them; streaming alone saves more"
            raise BadInput(Finding("split", model.source, "cannot be split and streamed", hint))
        parts = split_parts.split(
            model,
            split,
            goal=split_by,
            target=core,
            optimize=optimize,
            name=chosen,
            strategy=strategy,
            shrink=shrink,
            time_limit_s=time_limit_s,
        )
        prepared = parts.prepared()
        notes += split_parts.split_report(parts).advice
    notes += prepared.notes
    dataset = (as_dataset(data, model) if data is not None else random_dataset(model)).first(
        samples
    )
    say("computing golden outputs")
    if parts is None:
        firmware = with_self_test(prepared, dataset.sample(0))
    else:
        firmware = split_parts.with_self_test(parts, dataset.sample(0))
    unit = in_one_unit(firmware)
    say("verifying against the reference")
    twins = None if parts is None else split_parts.PartsRunner(parts)
    verification = verify(replace(prepared, firmware=unit), dataset, notes, twins)
    say(f"compiling for {target}")
    code_bytes, stack_bytes, provenance = measure(
        unit, core, dataset.sample(0), optimize, notes, compiler
    )
    arena_bytes = prepared.memory.arena_bytes if regions else firmware.arena_bytes
    report = BuildReport(
        model=model.source,
        target=target,
        macs=firmware.macs,
        ram=Ram(arena_bytes, firmware.state_bytes, stack_bytes),
        flash=Flash(firmware.weights_bytes, code_bytes),
        verification=verification,
        layers=kernel_choice.layers(firmware, prepared.program, target, optimize),
        plan=PlanSummary(
            prepared.memory.plan.strategy,
            prepared.memory.plan.bound_bytes,
            prepared.memory.plan.optimal,
        ),
        out=out or "",
        optimize=optimize,
        notes=notes,
        provenance={
            "arena_bytes": "planned; the emitted C addresses exactly these bytes",
            "weights_bytes": "sum of the constants in the emitted C",
            "macs": "counted from the shapes",
            "verification": f"{dataset.source}; golden vector: its first sample",
            "estimated_instructions": "estimated from the shapes by a model fitted to counts",
            **provenance,
        },
        graph=prepared.model.graph,
        regions=[RegionBytes(r.name, r.bytes, r.limit_bytes) for r in prepared.memory.regions],
        memory=None if parts is not None else beside_greedy(prepared, core, strategy),
    )
    fits(report, ram, flash)
    if out is not None:
        files: dict[str, bytes | str] = {**firmware.files}
        files |= projects.emit(firmware, core, optimize)
        if core.engine:
            files |= wasm_module(unit, core, optimize, compiler)
        files |= {} if parts is None else split_parts.files(parts)
        report = replace(report, files=sorted([*files, *REPORT_FILES]))
        files |= report.as_files()
        write_folder(out, files)
        say(f"wrote {len(files)} files to {out}")
    return report


def is_float(model: Model) -> bool:
    """Whether the model's inputs and weights are float, so that quantizing it makes sense."""
    graph = model.graph
    dtypes = {graph.tensors[t].dtype for t in graph.inputs}
    written = {graph.tensors[t].dtype for node in graph.nodes for t in node.outputs}
    return "float32" in dtypes and not written & {"int8", "int16", "uint8"}


def data_name(data: Any) -> str:
    """How notes call the data."""
    return data if isinstance(data, str) else "the given data"


def verify(
    prepared: Prepared, dataset: Dataset, notes: list[str], twins: Any = None
) -> Verification:
    """The emitted C on this machine against the reference on the model before the passes.

    Without a C compiler the planned program (or `twins`) stands for the C, and a note says so.
    """
    from thimble.runners.host_library import HostLibrary
    from thimble.runners.reference import ReferenceRunner

    reference = ReferenceRunner(runnable(prepared.source))
    runner: Any
    try:
        runner, name = HostLibrary(prepared.firmware), "host (emitted C)"
        wrong = runner.self_test()
        if wrong:
            raise AssertionError(f"self test: layer {wrong - 1} differs from the golden vector")
    except ToolMissing as error:
        runner = twins or ProgramRunner(prepared.program, prepared.memory)
        name = "program (NumPy twins)"
        notes.append(f"no C compiler here, so the emitted C was not run: {error.findings[0].hint}")
    max_lsb, mismatched, max_abs = 0, 0, 0.0
    is_int = False
    for sample in dataset:
        for want, got in zip(reference.run(sample), runner.run(sample)):
            if want.dtype.kind in "iu":
                is_int = True
                difference = np.abs(want.astype(np.int64) - got.astype(np.int64))
                max_lsb = max(max_lsb, int(difference.max(initial=0)))
                mismatched += int(np.count_nonzero(difference))
            else:
                same = (want == got) | (np.isnan(want) & np.isnan(got))
                gap = np.abs(want.astype(np.float64) - got.astype(np.float64))[~same]
                scale = float(np.abs(want[np.isfinite(want)]).max(initial=0))
                mismatched += int(np.count_nonzero(~(gap <= FLOAT_RTOL * max(scale, 1e-6))))
                max_abs = max(max_abs, float(gap[np.isfinite(gap)].max(initial=0)))
    return Verification(
        "reference", len(dataset), max_lsb if is_int else None, mismatched, name, max_abs
    )


def fits(report: BuildReport, ram: int | None, flash: int | None) -> None:
    """Raises DoesNotFit with a finding for each limit that the model exceeds."""
    findings = []
    used = report.ram.arena_bytes + report.ram.state_bytes + (report.ram.stack_bytes or 0)
    if ram is not None and used > ram:
        findings.append(
            Finding(
                "does-not-fit",
                f"{report.model}, RAM",
                f"needs {used:,} bytes, {used - ram:,} more than the {ram:,} allowed",
                "see `thimble plan` for what is live at the peak; docs/fit.md has what may help",
            )
        )
    stored = report.flash.weights_bytes + (report.flash.code_bytes or 0)
    if flash is not None and stored > flash:
        findings.append(
            Finding(
                "does-not-fit",
                f"{report.model}, flash",
                f"needs {stored:,} bytes, {stored - flash:,} more than the {flash:,} allowed",
                "quantize to int8, or build with --optimize size",
            )
        )
    if findings:
        raise DoesNotFit(findings)
