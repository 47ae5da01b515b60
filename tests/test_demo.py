"""`thimble demo` from start to end, in a fresh folder."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from thimble.cli import execute
from thimble.demo import FOLDER


def test_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert execute(["demo", "--json", "-q"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["float_accuracy"] > 0.8
    assert report["int8_accuracy"] >= report["float_accuracy"] - 0.03
    checks = {check["what"]: check for check in report["checks"]}
    assert checks["emitted C against reference"]["equal"]
    for peer in ("LiteRT reference kernels", "TensorFlow Lite Micro"):
        assert peer not in checks or checks[peer]["equal"], checks[peer]
    assert report["build"]["verification"]["mismatched"] == 0
    assert (tmp_path / "thimble-demo" / "kws_int8.tflite").exists()
    if shutil.which("make") and shutil.which("cc"):
        done = subprocess.run(
            ["make", "-C", str(tmp_path / "thimble-demo" / "firmware"), "host"],
            capture_output=True,
            text=True,
        )
        assert "self test passed" in done.stdout, done.stderr


def test_the_demo_s_files_are_small_and_attributed() -> None:
    files = [p for p in FOLDER.iterdir() if p.suffix in (".npz", ".tflite")]
    assert sum(p.stat().st_size for p in files) < 400 << 10
    text = (FOLDER / "ATTRIBUTION.md").read_text()
    assert all(p.name in text for p in files)
