"""The reports whose pages are looked at: every kind, of a real keyword spotter on Cortex-M55."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from emulators import bundled, require

import thimble
from thimble.compare import compare
from thimble.demo import FOLDER, load_arrays
from thimble.graph import Model
from thimble.memory_map import plan_report
from thimble.parts import split, split_report
from thimble.policy.verdict import check
from thimble.repair import list_repairs, repair
from thimble.report import Report

TARGET = "cortex-m55"
KINDS = (
    "inspect",
    "compare",
    "quantized",
    "plan",
    "streamed",
    "build",
    "bench",
    "evaluate",
    "split",
    "check",
    "repair",
    "anything",
)
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "bench" / "kws_ref_model.tflite"


@cache
def model() -> Model:
    """MLPerf Tiny's int8 keyword spotter; without the folder of models, the one of the package."""
    return thimble.load(str(SHARED)) if SHARED.exists() else bundled()


@cache
def report(kind: str) -> Report:
    """One report of each kind. Skips (in CI fails) where the emulated core is missing."""
    if kind == "inspect":
        return thimble.inspect(model())
    if kind == "compare":
        return compare((model(), "reference"), (model(), "host"), samples=2, explain=True)
    if kind == "quantized":
        float_model = thimble.load(str(FOLDER / "keywords.tflite"))
        return compare(float_model, bundled(), load_arrays("labelled.npz")["x"][:8], explain=True)
    if kind == "plan":
        return plan_report(model(), target=TARGET)
    if kind == "streamed":
        return plan_report(model(), target=TARGET, stream_input=True)
    if kind == "build":
        return thimble.build(model(), TARGET, samples=2)
    if kind == "bench":
        require(TARGET)
        return thimble.bench(model(), [TARGET, "host"], repeats=10, layers=True)
    if kind == "evaluate":
        given = load_arrays("labelled.npz")
        data = {"x": given["x"][:24], "y": given["y"][:24]}
        return thimble.evaluate(bundled(), data, "host")
    if kind == "check":
        return check(model(), like=bundled(), ram=4096)
    if kind == "repair":
        return repair(model(), ["depthwise-form"], samples=2).report
    if kind == "anything":
        return list_repairs()
    assert kind == "split"
    return split_report(split(model(), 2))
