"""Fits src/thimble/targets/costs.json: instructions of each kernel, from counts on emulated cores.

    python bench/costs.py ../shared/data

Every layer of the open int8 models that is one kernel call in code of its own is a sample. Weights
are the least squares of the relative error with none below zero; one layer in five is kept out of
the fit, and the error on those is what the table states.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

import thimble
from thimble.build import prepare
from thimble.cost import TABLE, work
from thimble.errors import ThimbleError
from thimble.formats.data import random_dataset
from thimble.runners import measuring_runner
from thimble.runners.emulator import EmulationFailed
from thimble.targets import load_target

CORES = ("cortex-m55", "cortex-m4", "cortex-m0")
MOST_MACS = 12_000_000
KEPT_OUT = 5
Sample = tuple[tuple[float, ...], int]


def samples(path: Path, core: str) -> list[tuple[str, Sample]]:
    """(kernel, (work, instructions)) of each layer of one call."""
    target = load_target(core)
    model = thimble.load(str(path))
    prepared = prepare(model, target, "speed")
    if not 0 < prepared.firmware.macs <= MOST_MACS:
        return []
    program = prepared.program
    calls = defaultdict(list)
    for call in program.calls:
        calls[call.layer].append(call)
    result = measuring_runner(prepared.firmware, target).run(random_dataset(model, 1).sample(0))
    return [
        (calls[layer][0].kernel, (work(program, calls[layer][0]), count))
        for layer, count in result.layer_instructions.items()
        if count and len(calls[layer]) == 1
    ]


def fit(found: list[Sample]) -> list[float]:
    """Weights >= 0 with the least sum of squared relative errors (active set)."""
    counts = np.array([count for _, count in found], float)
    a = np.array([x for x, _ in found], float) / counts[:, None]
    active = np.ones(a.shape[1], bool)
    while True:
        weights = np.zeros(a.shape[1])
        weights[active] = np.linalg.lstsq(a[:, active], np.ones(len(a)), rcond=None)[0]
        if (weights >= 0).all():
            return [float(f"{w:.5g}") for w in weights]
        active &= weights > 0


def errors(weights: list[float], found: list[Sample]) -> list[float]:
    """|estimate / count - 1| of each."""
    return [abs(sum(w * x for w, x in zip(weights, xs)) / count - 1) for xs, count in found]


def main() -> int:
    """Measure, fit, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    arguments = parser.parse_args()
    paths = sorted((arguments.data / "bench").glob("*.tflite"))
    paths += sorted((arguments.data / "models").glob("*.tflite"))
    cores: dict[str, dict[str, dict[str, list[float]]]] = {}
    for core in CORES:
        by_kernel: dict[str, list[Sample]] = defaultdict(list)
        for path in paths:
            try:
                for kernel, sample in samples(path, core):
                    if kernel.endswith("s8") and sample not in by_kernel[kernel]:
                        by_kernel[kernel].append(sample)
            except (ThimbleError, EmulationFailed) as error:
                print(f"{core} {path.name}: left out: {str(error)[:120]}", file=sys.stderr)
        cores[core] = {}
        for kernel, found in sorted(by_kernel.items()):
            kept = found[KEPT_OUT - 1 :: KEPT_OUT]
            fitted = [s for i, s in enumerate(found) if i % KEPT_OUT != KEPT_OUT - 1]
            off = errors(fit(fitted), kept)
            cores[core][kernel] = {
                "weights": fit(found),
                "layers": [len(found)],
                "error_median": [round(float(np.median(off)), 3)] if off else [],
                "error_worst": [round(float(np.max(off)), 3)] if off else [],
            }
            print(core, kernel, cores[core][kernel], file=sys.stderr)
    text = json.dumps({"made by": "bench/costs.py", "cores": cores}, indent=1)
    TABLE.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
