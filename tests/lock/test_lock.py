"""A lock verifies what it was written for, and names one scale, one op or one byte that is not."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structure.edited import (
    CONV,
    DENSE,
    POOL,
    SOFTMAX,
    flipped,
    output_of,
    scaled,
    tiny,
    with_layer_between,
    with_node,
    with_options,
    with_tensor,
)

import thimble
from thimble.cli import execute
from thimble.formats.tflite import dumps as tflite_bytes
from thimble.graph import Model
from thimble.lock import changes_since, lock
from thimble.ops.contract import OpaqueOp
from thimble.policy.contract import Subject
from thimble.structure.facts import model_facts
from thimble.structure.golden import MAX_MACS


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with model.tflite and model.lock."""
    monkeypatch.chdir(tmp_path)
    tiny().save("model.tflite")
    assert execute(["lock", "model.tflite", "-o", "model.lock", "-q"]) == 0
    return tmp_path


def test_the_model_it_was_written_for(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert execute(["check", "model.tflite", "--lock", "model.lock", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["changes"] == []
    assert report["findings"] == []


CHANGES: dict[str, tuple[Callable[[Model], Model], str, str]] = {
    "one scale": (
        lambda m: scaled(m, output_of(m.graph, DENSE), 1.0001),
        "changed-scale",
        "layer 4 FULLY_CONNECTED",
    ),
    "one scale of a channel": (
        lambda m: scaled(m, m.graph.nodes[CONV].inputs[1], 1.1, 3),
        "changed-scale",
        "layer 0 CONV_2D",
    ),
    "one zero point": (
        lambda m: scaled(m, m.graph.inputs[0], 1, move=1),
        "changed-zero-point",
        "input 0 `x`",
    ),
    "one weight": (flipped, "changed-weights", "layer 4 FULLY_CONNECTED"),
    "one op": (
        lambda m: with_node(
            m,
            SOFTMAX,
            op=type(m.graph.nodes[SOFTMAX].op)(beta=0.5),
        ),
        "changed-option",
        "layer 5 SOFTMAX",
    ),
    "one layer more": (with_layer_between, "added-layer", "layer 3 RELU"),
    "padding": (lambda m: with_options(m, POOL, padding="SAME"), "changed-padding", "layer 2"),
    "version": (lambda m: with_node(m, POOL, version=2), "changed-version", "layer 2"),
    "name of an input": (
        lambda m: with_tensor(m, m.graph.inputs[0], name="audio"),
        "changed-name",
        "input 0 `audio`",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_named_and_fails(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit, rule, where = CHANGES[name]
    edit(tiny()).save("model.tflite")
    capsys.readouterr()
    status = execute(["check", "model.tflite", "--lock", "model.lock", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert any(c["rule"] == rule and where in c["where"] for c in report["changes"]), report
    assert status == (0 if rule == "changed-name" else 1)
    text = execute(["check", "model.tflite", "--lock", "model.lock"])
    assert text == status
    assert where in capsys.readouterr().out


def test_bytes_that_change_nothing_are_a_warning(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = Path("model.tflite").read_bytes()
    Path("model.tflite").write_bytes(content + bytes(16))
    capsys.readouterr()
    assert execute(["check", "model.tflite", "--lock", "model.lock", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [(f["rule"], f["severity"]) for f in report["findings"]] == [("changed-file", "warning")]


def test_it_is_the_same_file_every_time_and_knows_no_place(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        tiny().save(str(tmp_path / name / "model.tflite"))
    script = "import sys, thimble; print(thimble.lock(sys.argv[1]).text, end='')"
    texts = {
        subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / name / "model.tflite")],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for name, seed in (("a", "1"), ("b", "2"))
    }
    assert len(texts) == 1
    assert str(tmp_path) not in texts.pop()


def test_stdout_json_and_the_function(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = Path("model.lock").read_text()
    capsys.readouterr()
    assert execute(["lock", "model.tflite"]) == 0
    assert capsys.readouterr().out == written
    assert execute(["lock", "model.tflite", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == tomllib.loads(written)
    assert thimble.lock("model.tflite", "other.lock").text == Path("other.lock").read_text()
    assert Path("other.lock").read_text() == written


def test_float_outputs_are_values_with_a_tolerance() -> None:
    from models import ModelBuilder, op

    b = ModelBuilder()
    x = b.input("x", (1, 64), "float32")
    model = b.build([b.op(op("TANH"), [x])])
    document = tomllib.loads(lock(model).text)
    [output] = document["golden"]["outputs"]
    assert "sha256" not in output
    output["values"] = [[value * 1.0005 for value in sample] for sample in output["values"]]
    assert changes_since(document, Subject(model)) == []
    output["values"][1][3] += 0.01
    [change] = changes_since(document, Subject(model))
    assert change.kind == "changed-golden"
    assert "seeded sample 1" in change.message


def test_what_cannot_be_run_is_locked_by_its_structure() -> None:
    from models import ModelBuilder, op

    b = ModelBuilder()
    x = b.input("x", (1, 5, 4), "float32")
    y = b.op(op("UNIDIRECTIONAL_SEQUENCE_LSTM"), [x], [((1, 5, 3), "float32")])
    model = b.build([b.op(op("LOGISTIC"), [y], [((1, 5, 3), "float32")])])
    document = tomllib.loads(lock(model).text)
    assert "UNIDIRECTIONAL_SEQUENCE_LSTM" in document["golden"]["reason"]
    assert "UNIDIRECTIONAL_SEQUENCE_LSTM" in document["memory"]["reason"]
    assert changes_since(document, Subject(model)) == []
    changed = with_node(model, 1, op=op("TANH"))
    assert [c.kind for c in changes_since(document, Subject(changed))] == ["changed-op"]


def test_large_models_have_no_golden_vectors_and_say_why() -> None:
    from models import ModelBuilder, op

    b = ModelBuilder()
    x = b.input("x", (1, 128, 128, 64), "int8", 0.1)
    w = b.const("w", np.zeros((128, 1, 1, 64), np.int8), scale=[0.1] * 128)
    conv = op("CONV_2D", "Conv2DOptions", stride_h=1, stride_w=1)
    y = b.op(conv, [x, w], [((1, 128, 128, 128), "int8", 0.1)])
    document = lock(b.build([y])).document
    assert document["golden"]["samples"] == 0
    assert f"more than {MAX_MACS:,}" in document["golden"]["reason"]


def broken_locks(text: str) -> dict[str, str]:
    """Ways to spoil a lock."""
    return {
        "empty": "",
        "no TOML": "[[[",
        "not UTF-8": "\udcff",
        "another version": text.replace("lock_version = 1", "lock_version = 2"),
        "no version": text.replace("lock_version = 1\n", ""),
        "a number for a table": text.replace("[memory]", "memory = 3\n[memo]"),
        "a string for a number": text.replace("version = 3", 'version = "3"'),
        "an unknown dtype": text.replace('dtype = "int8"', 'dtype = "int7"'),
        "no layer": text.replace('"layer 0"', '"layer zero"'),
        "cut": text[: len(text) // 2],
        "nested": "x = " + "[" * 3000,
    }


@pytest.mark.parametrize("name", broken_locks(""))
def test_a_broken_lock_is_a_finding(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoiled = broken_locks(Path("model.lock").read_text())[name]
    Path("model.lock").write_bytes(spoiled.encode("utf-8", "surrogateescape"))
    capsys.readouterr()
    assert execute(["check", "model.tflite", "--lock", "model.lock", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert "lock-file" in {f["rule"] for f in report["findings"]}


def _mutations(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(value, dict):
        for key, item in value.items():
            found += _mutations(item, (*path, key))
    if isinstance(value, list):
        for i, item in enumerate(value):
            found += _mutations(item, (*path, i))
    return found


def test_any_value_of_a_lock_may_be_anything() -> None:
    model = tiny()
    text = lock(model).text
    subject = Subject(model)
    paths = _mutations(tomllib.loads(text))
    assert len(paths) > 200
    for n, path in enumerate(paths[::3]):
        document: Any = tomllib.loads(text)
        place = document
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = ({}, [], "x", -1, 1e300, True, [{}], [[]])[n % 8]
        for change in changes_since(document, subject):
            assert change.kind
            assert isinstance(change.message, str)


def test_the_lock_says_when_only_thimble_changed() -> None:
    model = tiny()
    content = tflite_bytes(model)
    subject = Subject(model, content)
    from thimble.lock import lock_of

    document = tomllib.loads(lock_of(subject).text)
    document["memory"]["arena_bytes"] += 8
    [change] = changes_since(document, subject)
    assert change.kind == "changed-planner"
    assert "the file is the same" in change.message
    document["model"]["sha256"] = "0" * 64
    assert [c.kind for c in changes_since(document, subject)] == ["changed-memory"]


def test_nothing_is_written_where_it_cannot_be(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["lock", "model.tflite", "-o", str(folder), "-q"]) == 2
    assert "is a folder" in capsys.readouterr().err
    assert execute(["check", "model.tflite", "--lock", "none.lock"]) == 2
    assert "No such file" in capsys.readouterr().err
    assert dataclasses.is_dataclass(thimble.lock("model.tflite"))


OTHER_MACHINE = {
    "OPENBLAS_CORETYPE": "Prescott",
    "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL"
    " AVX512_ICL F16C",
    "PYTHONHASHSEED": "7",
    "LC_ALL": "C",
}
VERIFY = """
import sys, thimble
for model in sys.argv[1:]:
    report = thimble.check(model, lock=model + ".lock")
    print([c.message for c in report.changes])
"""


def test_a_lock_verifies_where_floats_have_other_bits(shared: Path, tmp_path: Path) -> None:
    """Older vector instructions stand for another machine: sums and exponentials differ there."""
    names = ["kws_ref_model", "vww_96_float", "pretrainedResnet", "keyword_scrambled_8bit"]
    paths = []
    for name in names:
        path = tmp_path / f"{name}.tflite"
        path.write_bytes((shared / "data" / "bench" / path.name).read_bytes())
        thimble.lock(str(path), f"{path}.lock")
        paths.append(str(path))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", VERIFY, *paths],
        capture_output=True,
        text=True,
        env={**OTHER_MACHINE, "PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout.splitlines() == ["[]"] * len(names), done.stderr


def test_records_do_not_depend_on_which_ops_thimble_knows(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock of today verifies when an op gets a room of its own."""
    files = sorted((shared / "data" / "bench").glob("*.tflite"))
    known = [model_facts(thimble.load(str(path))) for path in files]
    monkeypatch.setattr("thimble.formats.tflite.read.op_rooms.find", lambda name: None)
    opaque = [thimble.load(str(path)) for path in files]
    assert all(isinstance(n.op, OpaqueOp) for m in opaque for n in m.graph.nodes)
    assert [model_facts(model).graphs for model in opaque] == [facts.graphs for facts in known]
