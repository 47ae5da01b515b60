"""The way of a user, command by command: what is wrong, mend it, is it right now?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peers import require

from thimble.cli import execute


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a verb with --json: (exit status, report)."""

    def run(*arguments: object) -> tuple[int, dict[str, Any]]:
        status = execute([*map(str, arguments), "--json", "-q"])
        return status, json.loads(capsys.readouterr().out)

    return run


def test_a_tcn_that_tflm_computes_wrongly(shared: Path, tmp_path: Path, command: Any) -> None:
    """Keras' own model is the judge: explained, repaired, equal."""
    require("tflm")
    pytest.importorskip("h5py")
    folder = shared / "data/tcn"
    keras, wrong, right = (
        folder / "tcn.keras",
        folder / "tcn_dyn_float.tflite",
        tmp_path / "r.tflite",
    )
    data = tmp_path / "x.npz"
    np.savez(data, x=np.load(folder / "tcn_io.npz")["x"][:4])

    status, found = command("compare", keras, f"{wrong}@tflm", "--data", data, "--explain")
    assert status == 1
    first = found["causes"][0]
    assert first["rule"] == "dynamic-batch"
    assert "SPACE_TO_BATCH_ND" in json.dumps(first)
    assert first["repair"] == "static-batch"

    status, found = command("repair", wrong, "-o", right, "--data", data)
    assert status == 0
    assert {r["name"] for r in found["repairs"]} >= {"static-batch", "dilated-convolution"}
    tflm = next(row for row in found["verification"] if row["runner"] == "tflm")
    assert tflm["before_max_abs"] > 1 > 1e-5 > tflm["after_max_abs"]

    status, found = command("compare", keras, f"{right}@tflm", "--data", data)
    assert status == 0
    assert found["max_abs"] < 1e-5


def test_weights_that_tflm_dequantizes_wrongly(shared: Path, tmp_path: Path, command: Any) -> None:
    """`--fix` and `repair` write models that are equal to LiteRT's reference in TFLM."""
    require("tflm")
    model = shared / "data/models/ai-edge-quantizer__mnist_quantized__90b631.tflite"
    fixed, mended = tmp_path / "fixed.tflite", tmp_path / "mended.tflite"
    pair = (f"{model}@litert-ref", f"{model}@tflm")
    status, found = command("compare", *pair, "--explain", "--fix", fixed)
    assert status == 1
    assert {cause["rule"] for cause in found["causes"]} == {"per-channel-dequantize"}
    assert command("repair", model, "-o", mended)[0] == 0
    for path in (fixed, mended):
        assert command("compare", f"{model}@litert-ref", f"{path}@tflm")[0] == 0


def test_one_form_instead_of_the_other(shared: Path, tmp_path: Path, command: Any) -> None:
    """`check --like` names the change; the repair undoes it."""
    require("tflm")
    folder = shared / "data/structure"
    base = folder / "tinyconv_keras_conv2d_b1_int8.tflite"
    changed = folder / "tinyconv_keras_depthwise_b1_int8.tflite"
    undone = tmp_path / "undone.tflite"
    status, found = command("check", changed, "--like", base)
    assert status == 1
    assert "changed-op" in {f["rule"] for f in found["findings"]}
    assert command("repair", changed, "-o", undone, "--only", "convolution-form")[0] == 0
    _, found = command("check", undone, "--like", base)
    assert "changed-op" not in {f["rule"] for f in found["findings"]}
    assert command("compare", f"{changed}@tflm", f"{undone}@tflm")[0] == 0
