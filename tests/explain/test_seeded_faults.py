"""Seeded faults: the guilty layer is named first in 95 %, the right cause in 85 % of the pairs.

`python tests/explain/matrix.py ../shared/data` does the same for ten models (docs/explain.md).
"""

from __future__ import annotations

from pathlib import Path

import pytest
from explain.damage import Site
from explain.faults import FILE_FAULTS
from explain.matrix import FAULTS, Result, attempt, scores, seeded
from explain.nets import float_net, int8_net, samples

from thimble.compare import compare
from thimble.demo import FOLDER
from thimble.formats import load_model
from thimble.graph import Model
from thimble.support import runnable

LEAST_LAYER, LEAST_CAUSE = 0.95, 0.85
OPEN = (
    "bench/micro_speech_quantized.tflite",
    "bench/hello_world_int8.tflite",
    "bench/ad01_int8.tflite",
)


def _check(results: list[Result], least: int) -> None:
    assert len(results) >= least
    layer, cause = scores(results)
    missed = [
        f"{r.fault}: guilty {r.guilty}, named {r.named} {r.cause}"
        for r in results
        if not (r.is_layer and r.is_cause)
    ]
    assert layer >= LEAST_LAYER, missed
    assert cause >= LEAST_CAUSE, missed


def _results(model: Model, seed: int) -> list[Result]:
    found = (attempt(model, fault, seed) for fault in FAULTS)
    return [result for result in found if result is not None]


def test_there_are_forty_kinds() -> None:
    names = [fault.name for fault in FAULTS]
    assert len(names) == len(set(names)) >= 40


@pytest.mark.parametrize("seed", [0, 1])
def test_faults_in_a_small_int8_net(seed: int) -> None:
    _check(_results(int8_net(), seed), 45)


def test_faults_in_a_small_float_net() -> None:
    _check(_results(float_net(), 0), 35)


def test_faults_in_the_bundled_model() -> None:
    _check(_results(runnable(load_model(str(FOLDER / "keywords.tflite"))), 0), 30)


@pytest.mark.parametrize("name", OPEN)
def test_faults_in_open_models(name: str, shared: Path) -> None:
    _check(_results(load_model(str(shared / "data" / name)), 0), 25)


def test_float_against_damaged_int8() -> None:
    """A calibration that is merely another one is no fault: zero points are left out."""
    placed = right_layer = right_cause = 0
    missed = []
    for fault in FILE_FAULTS:
        if "zero point" in fault.name and "weights" not in fault.name:
            continue
        rng = seeded("float against int8", fault.name)
        order = [int(i) for i in rng.permutation(len(int8_net().graph.nodes))]
        sites = (fault.damage(Site(int8_net(), i, rng)) for i in order)
        damaged = next((d for d in sites if d is not None), None)
        if damaged is None:
            continue
        causes = compare(float_net(), damaged.model, samples(), explain=True).causes
        first = causes[0] if causes else None
        placed += 1
        right_layer += first is not None and first.index in damaged.guilty
        right_cause += first is not None and first.rule in fault.causes
        if first is None or first.index not in damaged.guilty or first.rule not in fault.causes:
            missed.append((fault.name, damaged.guilty, first and (first.index, first.rule)))
    assert placed >= 35
    assert right_layer >= 0.9 * placed, missed
    assert right_cause >= LEAST_CAUSE * placed, missed
