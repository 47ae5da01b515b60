"""A float model on Helium: compilers know all sizes, and clang made vectors of its pooling loops
that read beyond the arena.
"""

from __future__ import annotations

from pathlib import Path

import emulators
import numpy as np
import pytest

import thimble
from thimble.build import prepare
from thimble.formats.data import random_dataset
from thimble.runners import make_runner
from thimble.runners.emulator import Emulator
from thimble.targets import load_target

MODEL = "data/models/mlonmcu-models__micro_kws_m_fp32__560893.tflite"

pytestmark = [
    pytest.mark.emulator,
    pytest.mark.skipif(not emulators.machines(), reason="NO EMULATOR: qemu-system-arm is absent"),
]


@pytest.mark.parametrize(
    "kind", [kind for target, kind in emulators.pairs() if target == "cortex-m55"]
)
def test_float_pools_stay_in_the_arena(shared: Path, kind: str) -> None:
    model = thimble.load(str(shared / MODEL))
    inputs = random_dataset(model, 1).sample(0)
    core = load_target("cortex-m55")
    found = Emulator(prepare(model, core).firmware, core, kind, "speed").run(inputs).outputs
    with make_runner("reference", model) as reference:
        wanted = list(reference.outputs(inputs).outputs.values())
    np.testing.assert_allclose(found[0], wanted[0], rtol=1e-5, atol=1e-6)
