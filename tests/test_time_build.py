"""`build(..., stream_time=HOP)`: verified, measured, written; refused where padding differs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import thimble
from thimble.errors import BadInput, UnsupportedModel
from thimble.formats.tflite import load
from thimble.graph import Model
from thimble.report import TimeReport

DILATED_HISTORIES = 472  # bytes of the TCN: (taps - 1) x dilation x channels of every layer


@pytest.fixture(scope="module")
def tcn(shared: Path) -> Model:
    """The TCN with batch 1, int8."""
    return load(shared / "data/tcn/tcn_b1_int8.tflite")


def test_build_verifies_measures_and_writes_a_project(tcn: Model, tmp_path: Path) -> None:
    out = tmp_path / "firmware"
    report = thimble.build(tcn, "cortex-m4", str(out), stream_time=1, rows_per_second=100.0)
    assert isinstance(report, TimeReport)
    assert report.exact
    assert report.verification is not None
    assert report.verification.mismatched == 0
    assert report.ram.state_bytes <= 1.2 * DILATED_HISTORIES
    assert report.hop is not None
    assert report.recomputing is not None
    assert report.hop.macs_per_second == 100.0 * report.macs
    assert report.recomputing.macs >= 10 * report.hop.macs
    header = (out / "tcn_b1_int8.h").read_text()
    assert f"tcn_b1_int8_STATE_BYTES {report.ram.state_bytes}" in header
    total = report.ram.arena_bytes + report.ram.state_bytes
    assert f"tcn_b1_int8_ARENA_BYTES {total}" in header
    assert "1,496 instead of 94,232" in report.text()
    done = subprocess.run(["make", "host"], cwd=out, capture_output=True, text=True)
    assert "self test passed" in done.stdout, done.stdout + done.stderr


def test_build_refuses_padding_in_time_unless_told(shared: Path, tmp_path: Path) -> None:
    model = load(shared / "data/bench/kws_ref_model.tflite")
    out = tmp_path / "firmware"
    with pytest.raises(UnsupportedModel) as caught:
        thimble.build(model, "host", str(out), stream_time=2, samples=3)
    assert len(caught.value.findings) == 6
    assert not out.exists()
    report = thimble.build(model, "host", str(out), stream_time=2, samples=3, inexact=True)
    assert isinstance(report, TimeReport)
    assert not report.exact
    assert report.latency_rows == 13
    assert [f["severity"] for f in report.findings] == ["warning"] * 6
    assert (out / "kws_ref_model.c").exists()


def test_build_cannot_stream_twice(tcn: Model) -> None:
    with pytest.raises(BadInput):
        thimble.build(tcn, "host", stream_time=1, stream=True)
