"""thimble compare --explain on the command line: JSON fields, exit status, files, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cli.test_cli import execute
from explain.damage import Site
from explain.faults import FILE_FAULTS
from explain.nets import int8_net, samples

from thimble.formats import load_model

FIELDS = [
    *["rule", "index", "op", "name", "message", "hint", "evidence", "score", "proof", "repair"],
]


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str, str]:
    """A good model, a damaged one, samples."""
    fault = next(f for f in FILE_FAULTS if f.name == "weight scale x 1.1")
    damaged = fault.damage(Site(int8_net(), 2, np.random.default_rng(0)))
    assert damaged is not None
    paths = [str(tmp_path / name) for name in ("good.tflite", "bad.tflite", "x.npy")]
    int8_net().save(paths[0])
    damaged.model.save(paths[1])
    np.save(paths[2], samples())
    return paths[0], paths[1], paths[2]


def test_causes_in_json(
    files: tuple[str, str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    good, bad, data = files
    layer = tmp_path / "layer.tflite"
    options = ["--data", data, "--explain", "--isolate", str(layer), "--json"]
    assert execute(["compare", good, bad, *options]) == 1
    report = json.loads(capsys.readouterr().out)
    first = report["causes"][0]
    assert list(first) == FIELDS
    assert (first["rule"], first["index"], first["proof"]) == ("weights-scale", 2, "shown")
    assert report["layers"][2]["cause"].startswith("weights-scale: ")
    assert report["layers"][2]["introduced_lsb"] > 0
    assert [row["matched"] for row in report["layers"]] == [row["name"] for row in report["layers"]]
    assert len(load_model(str(layer)).graph.nodes) == 1
    assert layer.with_suffix(".npz").exists()


def test_text_names_the_cause_first(
    files: tuple[str, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad, data = files
    assert execute(["compare", good, bad, "--data", data, "--explain", "-q"]) == 1
    assert capsys.readouterr().out.startswith("cause[weights-scale]:")
    assert execute(["compare", good, good, "--data", data, "--explain", "-q"]) == 0
    assert "cause[" not in capsys.readouterr().out


def test_nothing_to_fix_writes_nothing(
    files: tuple[str, str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    good, bad, data = files
    target = tmp_path / "fixed.tflite"
    status = execute(["compare", good, bad, "--data", data, "--fix", str(target)])
    assert status in (1, 2)
    assert "nothing-to-fix" in capsys.readouterr().err
    assert not target.exists()
    assert execute(["compare", good, good, "--data", data, "--isolate", str(target)]) in (1, 2)
    assert "nothing-to-isolate" in capsys.readouterr().err
    assert not target.exists()


def test_other_data_for_b(
    files: tuple[str, str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    good, _, data = files
    other = str(tmp_path / "other.npy")
    np.save(other, (0.6 * samples() + 0.1).astype(np.float32))
    options = ["--data", data, "--data-b", other, "--explain", "--json"]
    assert execute(["compare", good, good, *options]) == 1
    first = json.loads(capsys.readouterr().out)["causes"][0]
    assert (first["rule"], first["index"], first["op"]) == ("preprocessing", -1, "INPUT")
