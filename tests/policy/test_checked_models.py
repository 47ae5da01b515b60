"""`check` and `lock` on every open model, and the table of TFLM's kernels beside TFLM itself."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path

import numpy as np
import pytest
from peers import PeerFailed, isolated
from structure.edited import tiny
from test_hostile_models import classifier, damage

import thimble
from thimble.errors import ThimbleError
from thimble.formats.tflite import loads
from thimble.graph import Graph, Model, Quant
from thimble.invariants import check_model
from thimble.lock import changes_since, lock_of
from thimble.policy import tflm
from thimble.policy.contract import Subject, is_integer
from thimble.structure.golden import golden_inputs, too_costly

FOLDERS = ("models", "models_unit", "bench", "tcn", "structure")
INVOKED = "invocation failed"
QUICK_MACS = 2_000_000  # locks of larger models are written, not verified as well
DAMAGED = {"LiteRT__blockwise_quantized__77cb85"}  # reads what nothing writes


def models(shared: Path, folder: str) -> list[Path]:
    return sorted((shared / "data" / folder).glob("*.tflite"))


def one_scale_up(model: Model) -> tuple[Model, str] | None:
    """`model` with one output scale 10 % larger, and where; None where it has no scale."""
    graph: Graph = model.graph
    for i, node in enumerate(graph.nodes):
        for t in node.outputs[:1]:
            quant = graph.tensors[t].quant
            if quant is None or len(quant.scale) != 1 or not is_integer(graph.tensors[t]):
                continue
            tensors = list(graph.tensors)
            scale = quant.scale * np.float32(1.1)
            larger = Quant(scale, quant.zero_point, quant.axis)
            tensors[t] = dataclasses.replace(tensors[t], quant=larger)
            place = f"layer {i} {node.op.name}"
            return model.with_graph(graph.with_(tensors=tuple(tensors))), place
    return None


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_open_model_is_checked_and_its_lock_verifies(shared: Path, folder: str) -> None:
    found = models(shared, folder)
    assert found
    for path in found:
        try:
            model = thimble.load(str(path))
        except ThimbleError:
            assert path.stem in DAMAGED
            continue
        report = thimble.check(str(path))
        assert all(f["message"].isprintable() for f in report.findings), path.name
        unsupported = any(f["rule"] == "supported-ops" for f in report.findings)
        assert unsupported == (report.arena_bytes is None), path.name
        subject = Subject(model, path.read_bytes())
        text = lock_of(subject).text
        document = tomllib.loads(text)
        assert str(path.parent) not in text
        if subject.macs > QUICK_MACS:
            continue
        assert changes_since(document, subject) == [], path.name
        changed = one_scale_up(model)
        if changed is not None:
            since = changes_since(document, Subject(changed[0], subject.content))
            assert any(
                c.kind == "changed-scale" and c.where.startswith(changed[1]) for c in since
            ), path.name


def test_no_false_alarm_on_models_that_converters_wrote(shared: Path) -> None:
    """Errors of the quantization rules mean a layer that computes something else."""
    alarms = {}
    for path in [*models(shared, "bench"), *models(shared, "structure"), *models(shared, "tcn")]:
        found = thimble.check(str(path), runtime="none").findings
        if errors := [f for f in found if f["severity"] == "error"]:
            alarms[path.name] = errors
    assert alarms == {}


def refused_by_tflm(path: Path, model: Model) -> str:
    """What TFLM says where it refuses the model or its first inference."""
    try:
        isolated("tflm", path.read_bytes(), golden_inputs(model, 0))
    except PeerFailed as error:
        return str(error)
    return ""


@pytest.mark.parametrize("folder", ["bench", "models_unit", "tcn", "structure"])
def test_the_table_of_tflm_says_what_tflm_says(shared: Path, folder: str) -> None:
    wrong = []
    for path in models(shared, folder):
        try:
            model = thimble.load(str(path))
            golden_inputs(model, 0)
        except ThimbleError:  # damaged, or inputs that have no samples
            continue
        if too_costly(model):  # more than the arena of the peer
            continue
        ours = [tflm.refusal(view) for _, view in Subject(model).layers]
        theirs = refused_by_tflm(path, model)
        # TFLM also fails at values: the root of a negative number, boxes without a score
        if any(ours) != bool(theirs) and not (INVOKED in theirs and not any(ours)):
            wrong.append((path.name, theirs, [text for text in ours if text][:2]))
    assert not wrong


def test_damaged_files_end_in_findings(shared: Path) -> None:
    rng = np.random.default_rng(0)
    files = [
        *models(shared, "structure")[::5],
        shared / "data" / "bench" / "hello_world_int8.tflite",
    ]
    outcomes = {"findings": 0, "refused": 0}
    for n in range(160):
        data = bytearray(files[n % len(files)].read_bytes())
        header = min(len(data), 3000) if n % 2 else len(data)
        for _ in range(1 + n % 4):
            at = (
                int(rng.integers(8, len(data)))
                if n % 3
                else len(data) - 1 - int(rng.integers(header))
            )
            data[at] = int(rng.integers(256))
        try:
            model = loads(bytes(data), "damaged.tflite")
        except ThimbleError:
            outcomes["refused"] += 1
            continue
        subject = Subject(model, bytes(data))
        report = thimble.check(model, like=thimble.load(str(files[0])))
        document = tomllib.loads(lock_of(subject).text)
        assert changes_since(document, subject) == []
        assert report.model == "damaged.tflite"
        outcomes["findings"] += 1
    assert min(outcomes.values()) > 10


def test_damaged_graphs_end_in_findings() -> None:
    """Shapes, dtypes, options and wires that no converter writes; without the open models."""
    rng = np.random.default_rng(5)
    bases = (tiny(), classifier())
    told = 0
    for n in range(150):
        model = damage(bases[n % 2], rng)
        if check_model(model):  # what no reader lets through
            continue
        report = thimble.check(model, like=bases[n % 2], runtime="both")
        subject = Subject(model)
        assert changes_since(tomllib.loads(lock_of(subject).text), subject) == []
        told += bool(report.findings)
    assert told > 30
