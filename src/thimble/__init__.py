"""Thimble: fits trained neural networks into microcontrollers.

What is named here is public; nothing else is. Models are given as a path or as a loaded `Model`;
data as an array with samples on axis 0, a dict of such arrays by input name, or an iterable of
samples. Everything that refuses its input raises a `ThimbleError` that carries all findings.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from thimble.errors import (
    BadInput,
    DoesNotFit,
    Finding,
    InvalidModel,
    ThimbleError,
    ToolMissing,
    UnsupportedModel,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from thimble.graph import Model
    from thimble.interpreter import Interpreter
    from thimble.lock import Lock
    from thimble.lower import Streaming
    from thimble.repair import Repaired
    from thimble.report import (
        BenchReport,
        BuildReport,
        CheckReport,
        CompareReport,
        EvaluateReport,
        InspectReport,
        PlanReport,
    )
    from thimble.trace import Trace

__version__ = "0.1.0"

__all__ = [
    "BadInput",
    "DoesNotFit",
    "Finding",
    "Interpreter",
    "InvalidModel",
    "ThimbleError",
    "ToolMissing",
    "UnsupportedModel",
    "bench",
    "build",
    "check",
    "compare",
    "evaluate",
    "inspect",
    "load",
    "lock",
    "plan",
    "quantize",
    "repair",
    "run",
]


def load(model: Any) -> Model:
    """The model in a file, chosen by its suffix; a `Model` is returned as it is.

    Raises BadInput, InvalidModel or UnsupportedModel.
    """
    from thimble.formats import load_model

    return load_model(model)


def quantize(model: Any, data: Any, scheme: str = "int8", **options: Any) -> Model:
    """`model` with weights and activations quantized; ranges are calibrated on `data`.

    Options: ranges, io, keep (see `thimble quantize --help`). Raises BadInput or UnsupportedModel.
    """
    from thimble.formats.data import as_dataset
    from thimble.quantize import quantize as quantize_model

    loaded = load(model)
    return quantize_model(loaded, as_dataset(data, loaded), scheme=scheme, **options)


def repair(
    model: Any, only: Sequence[str] | None = None, data: Any = None, **options: Any
) -> Repaired:
    """`.model` is `model` with its faults mended, verified on `data`; `.report` says what and how.

    only: names of repairs (docs/repair.md); None: all that mend something. Options: samples,
    tolerance_lsb, runtime. Raises BadInput, and ThimbleError where the repaired model computes
    something else.
    """
    from thimble.repair import repair as repair_model

    return repair_model(model, only, data, **options)


def run(model: Any, data: Any = None, on: str = "host", *, trace: bool = False) -> Trace:
    """Outputs of every sample, `[samples, ...]`, by name; with `trace` every layer's outputs too.

    Raises BadInput for data that do not fit and for unknown runners, ToolMissing where the runner
    needs something that is not installed.
    """
    from thimble.run import run as run_model

    return run_model(load(model), data, on, trace=trace)


def compare(a: Any, b: Any, data: Any = None, *, tolerance_lsb: float = 0.0) -> CompareReport:
    """How far B is from A, layer by layer. A and B: a model, "FILE@RUNNER", or (model, runner).

    Raises BadInput when the two have different inputs.
    """
    from thimble.compare import compare as compare_models

    return compare_models(a, b, data, tolerance_lsb=tolerance_lsb)


def build(
    model: Any, target: str = "cortex-m55", out: str | None = None, **options: Any
) -> BuildReport:
    """Emit `model` as C for `target` into the folder `out`, verified; nothing is written without
    `out`.

    Options: data (quantizes a float model first), scheme, optimize, name, ram, flash, strategy,
    samples. Raises UnsupportedModel, DoesNotFit or BadInput.
    """
    from thimble.build import build as build_model

    return build_model(load(model), target, out, **options)


def plan(model: Any, strategy: str = "exact", *, stream: Streaming = False) -> PlanReport:
    """Where every tensor of `model` lies in its arena, and when; `stream`: layers row by row.

    Raises UnsupportedModel.
    """
    from thimble.memory_map import plan_report

    return plan_report(load(model), strategy, stream=stream)


def bench(
    models: Any, on: Sequence[str] = ("host",), data: Any = None, **options: Any
) -> BenchReport:
    """Latency on host runners, instructions, RAM and code on emulated targets.

    Options: repeats, baseline. Raises BadInput or ToolMissing.
    """
    from thimble.bench import bench as bench_models

    several = models if isinstance(models, (list, tuple)) else [models]
    return bench_models([load(model) for model in several], list(on), data, **options)


def evaluate(
    models: Any, data: Any, on: str | Sequence[str] = "host", **options: Any
) -> EvaluateReport:
    """Accuracy, top-k, AUC, confusion or errors, with latency and memory, on labelled data.

    Several models ("FILE@RUNNER" too) or runners come side by side, each tested against the first.
    Options: samples, task, pixels, top_k, resume (see `thimble evaluate --help`). Raises BadInput
    when the data have no labels `y` or do not fit.
    """
    from thimble.evaluate import evaluate as evaluate_models

    return evaluate_models(models, data, on, **options)


def inspect(model: Any) -> InspectReport:
    """Layers, shapes, dtypes, quantization, bytes and MACs of `model`."""
    from thimble.inspect import inspect as inspect_model

    return inspect_model(load(model), model if isinstance(model, str) else None)


def check(model: Any, **options: Any) -> CheckReport:
    """Every rule on `model`, what changed since `like` or since `lock` was written.

    Options: like, lock, policy, target, runtime, ram, flash, macs, rules, scale_tolerance. Raises
    BadInput for files that are not there and wrong options.
    """
    from thimble.policy.verdict import check as check_model

    return check_model(model, **options)


def lock(model: Any, out: str | None = None) -> Lock:
    """What `model` is, as `thimble check` compares it later; written to `out` where it is given.

    `.text` is the file. Raises BadInput where it cannot be written.
    """
    from thimble.lock import lock as lock_model

    made = lock_model(model)
    if out is not None:
        made.save(out)
    return made


def __getattr__(name: str) -> Any:
    if name == "Interpreter":  # a class, so a function that imports it late cannot stand for it
        from thimble.interpreter import Interpreter

        return Interpreter
    raise AttributeError(f"module 'thimble' has no attribute {name!r}")


class _Package(ModuleType):
    """Keeps `thimble.build` the function: importing the submodule of that name would replace it."""

    def __setattr__(self, name: str, value: object) -> None:
        if name in __all__ and isinstance(value, ModuleType):
            return  # the submodule stays reachable as sys.modules["thimble.build"]
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
