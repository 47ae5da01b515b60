"""The whole way on a small real model: a keyword spotter and speech features from the package.

import -> fold -> quantize -> verify -> plan -> emit -> compile -> run here and on an emulated core.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from thimble.bench import bench
from thimble.build import build
from thimble.compare import compare
from thimble.errors import ThimbleError, ToolMissing
from thimble.evaluate import evaluate
from thimble.formats import load_model
from thimble.formats.tflite import dumps
from thimble.graph import Model
from thimble.output import check_writable, write_file
from thimble.quantize import quantize
from thimble.report import BenchReport, BuildReport, CompareReport, Report
from thimble.report.base import facts
from thimble.support import runnable

if TYPE_CHECKING:
    from rich.console import RenderableType

FOLDER = Path(__file__).parent
TARGET = "cortex-m55"
COMPARED_SAMPLES = 16
Progress = Callable[[str, int, int], None]  # stage, done, in all


@dataclass(frozen=True)
class Check:
    """One comparison: how far `what` was apart, over `samples` samples."""

    what: str
    equal: bool
    max_abs_lsb: float | None
    sqnr_db: float | None
    samples: int


@dataclass(frozen=True)
class DemoReport(Report):
    """What the demo measured; `folder` holds the quantized model and the firmware project."""

    folder: str
    float_accuracy: float | None
    int8_accuracy: float | None
    labelled_samples: int
    checks: Sequence[Check]
    build: BuildReport
    bench: BenchReport
    skipped: Sequence[str] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)

    def render(self) -> Sequence[RenderableType]:
        def percent(value: float | None) -> str | None:
            return (
                None if value is None else f"{100 * value:.1f} % of {self.labelled_samples} clips"
            )

        def outcome(check: Check) -> str:
            if check.equal:
                return f"equal in every layer, {check.samples} samples"
            parts = []
            if check.max_abs_lsb is not None:
                parts.append(f"at most {check.max_abs_lsb:.3g} LSB")
            if check.sqnr_db is not None:
                parts.append(f"outputs {check.sqnr_db:.1f} dB SQNR")
            return ", ".join([*parts, f"{check.samples} samples"])

        accuracy = facts(
            [
                ("accuracy, float", percent(self.float_accuracy)),
                ("accuracy, int8", percent(self.int8_accuracy)),
                *((check.what, outcome(check)) for check in self.checks),
            ]
        )
        tail = [f"skipped: {what}" for what in self.skipped]
        return [
            accuracy,
            "",
            *self.build.render(),
            "",
            *self.bench.render(),
            *tail,
            "",
            f"The quantized model and the firmware project are in {self.folder}",
        ]


def run_demo(
    out: str,
    say: Callable[[str], None] = lambda text: None,
    progress: Progress = lambda stage, done, count: None,
) -> DemoReport:
    """Run the demo and leave kws_int8.tflite and firmware/ in the folder `out`. Raises BadInput."""
    check_writable(out, folder=True)
    skipped: list[str] = []
    say("1/6 importing a float keyword spotter (MLPerf Tiny DS-CNN), unfolding its stored weights")
    source = load_model(FOLDER / "keywords.tflite")
    model = runnable(source)
    labelled = load_arrays("labelled.npz")
    calibration = load_arrays("calibration.npz")["x"]
    say(f"2/6 quantizing to int8 with ranges from {len(calibration)} clips")
    quantized = quantize(
        model,
        calibration,
        progress=lambda done, count: progress("calibrating", done, count),
        warn=lambda finding: say(str(finding)),
    )
    saved = os.path.join(out, "kws_int8.tflite")
    write_file(saved, dumps(quantized))
    quantized = load_model(saved)
    say(f"3/6 accuracy on {len(labelled['x'])} labelled clips, float and int8")
    runner = "host"
    accuracies = []
    for name, candidate in (("float", model), ("int8", quantized)):
        try:
            result = evaluate(candidate, labelled, runner, progress=_stage(progress, name))
        except ToolMissing:
            runner = "program"
            skipped.append("running the emitted C here: no C compiler (thimble-ml[toolchain])")
            result = evaluate(candidate, labelled, runner, progress=_stage(progress, name))
        accuracies.append(result.accuracy)
    say("4/6 comparing layer by layer")
    x = labelled["x"][:COMPARED_SAMPLES]
    checks = _checks(model, quantized, x, runner, skipped, progress)
    say(f"5/6 planning memory, emitting C, compiling for {TARGET}")
    firmware = os.path.join(out, "firmware")
    built = build(quantized, TARGET, firmware, data={"x": x}, name="kws", say=lambda text: None)
    say("6/6 measuring here and on the emulated core")
    try:
        measured = bench([quantized], [runner, TARGET], x, repeats=50, layers=True)
    except ToolMissing as error:
        skipped.append(f"emulated {TARGET}: {error.findings[0].message}; {error.findings[0].hint}")
        measured = bench([quantized], [runner], x, repeats=50, layers=True)
    return DemoReport(
        folder=out,
        float_accuracy=accuracies[0],
        int8_accuracy=accuracies[1],
        labelled_samples=len(labelled["x"]),
        checks=checks,
        build=built,
        bench=measured,
        skipped=skipped,
        provenance={
            "accuracy": f"measured on {runner}; labelled.npz of the package, see ATTRIBUTION.md",
            "checks": f"measured on the first {COMPARED_SAMPLES} labelled clips",
        },
    )


def load_arrays(name: str) -> dict[str, np.ndarray]:
    """Arrays of a data file of the package; samples as float32."""
    with np.load(FOLDER / name) as file:
        arrays = {key: file[key] for key in file.files}
    return {k: v.astype(np.float32) if v.dtype == np.float16 else v for k, v in arrays.items()}


def _stage(progress: Progress, name: str) -> Callable[[int, int], None]:
    return lambda done, count: progress(f"evaluating {name}", done, count)


def _checks(
    model: Model,
    quantized: Model,
    x: np.ndarray,
    runner: str,
    skipped: list[str],
    progress: Progress,
) -> list[Check]:
    """int8 against float, then int8 on every runner that is here against the reference."""
    wanted = [
        ("int8 against float", (model, "reference"), (quantized, "reference")),
        ("emitted C against reference", (quantized, "reference"), (quantized, runner)),
        ("LiteRT reference kernels", (quantized, "reference"), (quantized, "litert-ref")),
        ("LiteRT default kernels", (quantized, "reference"), (quantized, "litert")),
        ("TensorFlow Lite Micro", (quantized, "reference"), (quantized, "tflm")),
    ]
    checks = []
    for what, a, b in wanted:

        def tick(done: int, count: int, what: str = what) -> None:
            progress(what, done, count)

        try:
            report = compare(a, b, x, progress=tick)
        except ThimbleError as error:
            skipped.append(f"{what}: {error.findings[0].message}; {error.findings[0].hint}")
            continue
        checks.append(_check(what, report))
    return checks


def _check(what: str, report: CompareReport) -> Check:
    return Check(what, report.equal, report.max_abs_lsb, report.layers[-1].sqnr_db, report.samples)
