"""Estimated instructions against counted ones, and the reasons in build reports."""

from __future__ import annotations

import emulators
import numpy as np
import pytest

import thimble
from thimble.build import prepare
from thimble.cost import _table, estimate_layers
from thimble.demo import FOLDER
from thimble.formats.data import random_dataset
from thimble.quantize import quantize
from thimble.runners import measuring_runner
from thimble.targets import load_target

CORES = ("cortex-m0", "cortex-m4", "cortex-m55")


def small_model() -> thimble.graph.Model:  # type: ignore[name-defined]
    """The bundled keyword model in int8: none of the models that the weights were fitted to."""
    model = thimble.load(str(FOLDER / "keywords.tflite"))
    return quantize(model, random_dataset(model, 4))


@pytest.mark.emulator
@pytest.mark.skipif(not emulators.machines(), reason="NO EMULATOR: qemu-system-arm is absent")
@pytest.mark.parametrize("core", CORES)
def test_estimates_are_near_the_counts(core: str) -> None:
    """Sums within a quarter, every layer of more than a twentieth of the work within a third."""
    target, model = load_target(core), small_model()
    prepared = prepare(model, target, "speed")
    estimates = estimate_layers(prepared.program, core)
    sample = random_dataset(model, 1).sample(0)
    counts = measuring_runner(prepared.firmware, target).run(sample).layer_instructions
    known = {layer: e for layer, e in estimates.items() if e is not None and counts.get(layer)}
    total = sum(counts[layer] for layer in known)
    assert len(known) >= 3
    assert total > 0.7 * sum(counts.values())
    assert abs(sum(known.values()) / total - 1) < 0.25
    for layer, estimated in known.items():
        if counts[layer] > total / 20:
            assert abs(estimated / counts[layer] - 1) < 1 / 3, (layer, estimated, counts[layer])


@pytest.mark.parametrize("core", CORES)
def test_fits_are_good_on_layers_kept_out(core: str) -> None:
    """Of the kernels that do most of the work, half of the layers within a fifth."""
    for kernel, fitted in _table()[core].items():
        assert min(fitted["weights"]) >= 0, kernel
        if "conv" in kernel and fitted["layers"][0] >= 20:
            assert fitted["error_median"][0] < 0.2, kernel


def test_every_layer_has_a_reason() -> None:
    report = thimble.build(small_model(), "cortex-m4", samples=1)
    assert all(layer.why for layer in report.layers)
    estimated = [layer.estimated_instructions for layer in report.layers]
    assert np.sum([e for e in estimated if e]) > report.macs / 2
