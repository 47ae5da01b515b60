"""Budgets of code_bytes on real models, with the compiler that a target prefers."""

from __future__ import annotations

from pathlib import Path

import pytest

import thimble
from thimble.build import prepare
from thimble.errors import ToolMissing
from thimble.runners import model_sizes
from thimble.targets import load_target
from thimble.toolchain import compiler

MODELS = [
    *["kws_ref_model", "vww_96_int8", "pretrainedResnet_quant", "ad01_int8", "str_ww_ref_model"],
    *["person_detect", "micro_speech_quantized"],
]
BUDGETS = {"size": 6 << 10, "auto": 12 << 10}  # bytes


@pytest.mark.parametrize("target", ["cortex-m4", "cortex-m55"])
@pytest.mark.parametrize("name", MODELS)
def test_code_bytes(shared: Path, name: str, target: str) -> None:
    model = thimble.load(str(shared / "data" / "bench" / f"{name}.tflite"))
    core = load_target(target)
    try:
        with_ = compiler(core)
    except ToolMissing as missing:
        pytest.skip(f"NO COMPILER: {missing.findings[0].message}")
    for optimize, budget in BUDGETS.items():
        firmware = prepare(model, core, optimize).firmware
        goal = "size" if optimize == "size" else "speed"
        assert 500 < model_sizes(firmware, with_, goal).code_bytes <= budget, optimize
