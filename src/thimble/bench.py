"""Latency on this machine, in turns; instructions, RAM and code on emulated targets; peers'
figures.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from thimble.build import Prepared, prepare
from thimble.errors import BadInput, Finding
from thimble.formats.data import as_dataset
from thimble.graph import Model
from thimble.host import this_machine
from thimble.report import BenchLayer, BenchReport, BenchResult, Seconds
from thimble.runners import check_runner, emulated_targets, make_runner, measuring_runner
from thimble.targets import load_target

if TYPE_CHECKING:
    from thimble.lower import Streaming

Array = np.ndarray
Progress = Callable[[int, int], None]

ROUNDS = 10  # turns of each host runner, so that a busy moment of the machine hits all alike
BASELINE_TARGETS = {"cortex-m55": "m55", "cortex-m4": "m4", "cortex-m0": "m0p"}


def bench(
    models: Sequence[Model],
    on: Sequence[str],
    data: Any = None,
    *,
    repeats: int = 100,
    optimize: str = "auto",
    stream: Streaming = False,
    stream_input: bool = False,
    shrink: bool = True,
    compiler: str = "auto",
    baseline: str | None = None,
    baseline_config: str = "default",
    layers: bool = False,
    progress: Progress = lambda done, count: None,
) -> BenchReport:
    """Each model on each runner, with the first sample of `data`. Raises BadInput or ToolMissing.

    Host runners take turns, `repeats` inferences each; `ratio` is a runner's median over that of
    the first one. `baseline`: a JSON file of a peer's figures, shown beside ours.
    """
    for name in on:
        check_runner(name)
    records = read_baseline(baseline) if baseline is not None else []
    emulated = [name for name in on if name in emulated_targets()]
    here = [name for name in on if name not in emulated]
    results: list[BenchResult] = []
    notes = []
    total = len(models) * (len(emulated) + (ROUNDS if here else 0))
    done = 0
    for model in models:
        dataset = as_dataset(data, model)
        sample = dataset.sample(0)
        if data is None:
            notes.append(f"{model.source}: {dataset.source}, the first of them")

        def tick() -> None:
            nonlocal done
            done += 1
            progress(done, total)

        by_name = dict(zip(here, _host(model, here, sample, repeats, tick)))
        for name in emulated:
            record = _baseline(records, model.source, name, baseline_config)
            by_name[name] = _emulated(
                model, name, sample, (optimize, stream, stream_input, shrink), compiler, record
            )
            tick()
        results += [by_name[name] for name in on]
    if any(r.baseline for r in results):
        notes.append("ratio beside a baseline: its instructions over ours")
    return BenchReport(results, notes=notes, show_layers=layers)


def output_sha256(outputs: Sequence[Array]) -> str:
    """SHA-256 over the bytes of all outputs, in order."""
    digest = hashlib.sha256()
    for array in outputs:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _host(
    model: Model, names: Sequence[str], sample: list[Array], repeats: int, tick: Callable[[], None]
) -> list[BenchResult]:
    """Host runners in turns: each round runs each of them repeats / ROUNDS times."""
    if not names:
        return []
    times: dict[str, list[float]] = {name: [] for name in names}
    hashes = {}
    with ExitStack() as stack:
        runners = {name: stack.enter_context(make_runner(name, model)) for name in names}
        for name, runner in runners.items():  # warm up
            hashes[name] = output_sha256(list(runner.outputs(sample).outputs.values()))
        chunk = max(1, -(-repeats // ROUNDS))
        for _ in range(ROUNDS):
            for name, runner in runners.items():
                times[name] += _seconds(runner, sample, chunk)
            tick()
    medians = {name: float(np.median(values)) for name, values in times.items()}
    targets = {"host": this_machine(), "program": None}
    prepared = {name: prepare(model, targets[name]) for name in names if name in targets}
    return [
        BenchResult(
            model=model.source,
            runner=name,
            target=None,
            seconds=Seconds(medians[name], float(np.percentile(times[name], 95))),
            **(_memory(prepared[name]) if name in prepared else {}),
            output_sha256=hashes[name],
            ratio=medians[name] / medians[names[0]],
            provenance={
                "seconds": f"wall clock of {len(times[name])} inferences in {ROUNDS} turns,"
                f" one thread, in turns with {', '.join(names)}",
                "ratio": f"median over that of {names[0]} in the same run",
            },
        )
        for name in names
    ]


def _seconds(runner: Any, sample: list[Array], repeats: int) -> list[float]:
    inner = runner if hasattr(runner, "seconds") else runner.inner
    if hasattr(inner, "seconds"):
        return list(inner.seconds(sample, repeats))
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        inner.run(sample)
        times.append(time.perf_counter() - start)
    return times


def _memory(prepared: Prepared) -> dict[str, Any]:
    firmware = prepared.firmware
    return {
        "arena_bytes": firmware.arena_bytes,
        "state_bytes": firmware.state_bytes,
        "weights_bytes": firmware.weights_bytes,
    }


def _emulated(
    model: Model,
    name: str,
    sample: list[Array],
    how: tuple[str, Streaming, bool, bool],
    compiler: str,
    record: Mapping[str, Any] | None,
) -> BenchResult:
    target = load_target(name)
    optimize, stream, stream_input, shrink = how
    prepared = prepare(
        model, target, optimize, stream=stream, stream_input=stream_input, shrink=shrink
    )
    goal = "size" if optimize == "size" else "speed"
    emulator = measuring_runner(prepared.firmware, target, compiler, goal)
    result = emulator.run(sample)
    counted = {
        "plugin": "executed guest instructions of one warm run, exact (QEMU plugin)",
        "icount": "executed guest instructions of one warm run, to about 50 (QEMU -icount)",
        "fuel": "executed wasm instructions of one warm run (wasmtime fuel): one each, one for"
        " entering a function, none for block, loop, else, end, drop, nop and return",
    }
    return BenchResult(
        model=model.source,
        runner=name,
        target=name,
        instructions=result.instructions,
        **_memory(prepared),
        stack_bytes=result.stack_bytes,
        code_bytes=result.sizes.code_bytes,
        output_sha256=output_sha256(result.outputs),
        layers=[
            BenchLayer(x.index, x.op, x.name, result.layer_instructions.get(x.index))
            for x in prepared.firmware.layers
        ],
        baseline=record,
        provenance={
            "instructions": counted[result.counted_by],
            "code_bytes": f"linked with {emulator.compiler.name}, --optimize {optimize}",
            "stack_bytes": "painted and read back on the emulated core"
            if target.machine
            else "the stack in linear memory, painted and read back; locals are the engine's",
            "arena_bytes": "planned; the emitted C addresses exactly these bytes",
        },
        graph=prepared.model.graph,
    )


def read_baseline(path: str) -> list[dict[str, Any]]:
    """The records of a baseline file. Raises BadInput when it is none."""
    try:
        with open(path, encoding="utf-8") as file:
            records = json.load(file)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadInput(Finding("no-file", path, f"cannot be read: {reason}")) from error
    except ValueError as error:
        raise BadInput(Finding("baseline", path, f"is not JSON: {error}")) from error
    if not isinstance(records, list) or not all(isinstance(r, dict) for r in records):
        raise BadInput(Finding("baseline", path, "is not a list of measurements"))
    return records


def _baseline(
    records: Sequence[Mapping[str, Any]], source: str, target: str, config: str
) -> dict[str, Any] | None:
    """TFLM's figures for the same model file, core and configuration, under our field names."""
    for r in records:
        if (
            r.get("model_file") == source
            and r.get("target") == BASELINE_TARGETS.get(target)
            and r.get("config") == config
            and "instructions_invoke" in r
            and not str(r.get("resolver", "")).startswith("int8-only")
        ):
            code = r.get("code_size") or {}
            return {
                "peer": f"TFLM + CMSIS-NN ({config})",
                "instructions": r["instructions_invoke"],
                "arena_bytes": r.get("min_arena") or r.get("arena_used"),
                "stack_bytes": r.get("stack_used"),
                "code_bytes": code["text"] + code["rodata"] if "text" in code else None,
                "weights_bytes": r.get("model_bytes"),
            }
    return None
