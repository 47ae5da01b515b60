"""`evaluate`: every figure beside its definition, several candidates, and wrong requests."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from models import ModelBuilder

import thimble
from thimble.cli import execute
from thimble.demo import FOLDER, load_arrays
from thimble.errors import BadInput
from thimble.graph import Model
from thimble.ops.relu import Relu
from thimble.ops.reshape import Reshape
from thimble.ops.slice import Slice

MODEL = str(FOLDER / "keywords.tflite")


def passing(shape: tuple[int, ...], outputs: int, dtype: str = "float32") -> Model:
    """A model whose output [1, outputs] holds its input's values."""
    builder = ModelBuilder()
    quant = (None, 0) if dtype == "float32" else (1 / 256, -128)
    x = builder.input("x", shape, dtype, *quant)
    y = builder.op(Reshape((1, outputs)), [x], outputs=[((1, outputs), dtype, *quant)])
    return builder.build(outputs=[y])


def first_of(inputs: int, outputs: int) -> Model:
    """A model that gives the first of its input's values."""
    builder = ModelBuilder()
    x = builder.input("x", (1, inputs), "float32", None, 0)
    begin = builder.const("begin", np.array([0, 0], np.int32))
    size = builder.const("size", np.array([1, outputs], np.int32))
    y = builder.op(Slice(), [x, begin, size], outputs=[((1, outputs), "float32", None, 0)])
    return builder.build(outputs=[y])


def ranked(seed: int, samples: int = 90, classes: int = 7) -> dict[str, np.ndarray]:
    """Scores for `passing`, better than chance, with ties."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, samples)
    y[:classes] = np.arange(classes)
    y[y == classes - 1] = 0  # a class without samples
    x = rng.normal(0, 1, (samples, classes)) + 1.5 * np.eye(classes)[y]
    return {"x": np.round(x, 1).astype(np.float32), "y": y}


def test_classes_by_definition() -> None:
    data = ranked(0)
    x, y = data["x"], data["y"]
    report = thimble.evaluate(passing((1, 7), 7), data, "program", top_k=2)
    answers = x.argmax(1)
    assert report.task == "classes"
    assert report.accuracy == (answers == y).mean()
    order = np.argsort(-x, axis=1, kind="stable")
    assert report.top5 == np.mean([label in row[:5] for label, row in zip(y, order)])
    assert report.top_k is not None
    assert report.top_k.k == 2
    assert report.top_k.accuracy == np.mean([label in row[:2] for label, row in zip(y, order)])
    assert report.top_k.interval[0] < report.top_k.accuracy < report.top_k.interval[1]
    confusion = np.array(report.confusion)
    for c in report.per_class:
        said, is_so = answers == c.label, y == c.label
        assert c.samples == is_so.sum()
        assert c.precision == (is_so[said].mean() if said.any() else None)
        assert c.recall == (said[is_so].mean() if is_so.any() else None)
        assert c.f1 == pytest.approx(2 * (said & is_so).sum() / (said.sum() + is_so.sum()))
        assert confusion[c.label].sum() == c.samples
        pairs = [(a > b) + 0.5 * (a == b) for a in x[is_so, c.label] for b in x[~is_so, c.label]]
        assert c.auc == (pytest.approx(np.mean(pairs)) if pairs else None)
    aucs = [c.auc for c in report.per_class if c.auc is not None]
    assert len(aucs) == 6
    assert report.auc == pytest.approx(np.mean(aucs))
    assert report.auc_interval is not None
    assert report.auc_interval[0] < report.auc < report.auc_interval[1]


@pytest.mark.parametrize("outputs", [1, 2])
def test_two_classes(outputs: int) -> None:
    rng = np.random.default_rng(4)
    y = rng.integers(0, 2, 60)
    one = np.clip(0.3 * y + rng.uniform(0, 0.7, 60), 0, 1)
    x = one[:, None] if outputs == 1 else np.stack([1 - one, one], 1)
    report = thimble.evaluate(
        passing((1, outputs), outputs),
        {"x": x.astype(np.float32), "y": y},
        "program",
        task="classes",
    )
    assert report.accuracy == ((one > 0.5) == y).mean()
    pairs = [a > b for a in one[y == 1] for b in one[y == 0]]
    assert report.auc == pytest.approx(np.mean(pairs))
    assert [c.auc for c in report.per_class] == [report.auc] * 2


@pytest.mark.parametrize("shape", [(40,), (40, 3)])
def test_values(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(5)
    y = rng.normal(0, 1, shape)
    x = (y + rng.normal(0.1, 0.3, shape)).reshape(40, -1).astype(np.float32)
    report = thimble.evaluate(passing((1, x.shape[1]), x.shape[1]), {"x": x, "y": y}, "program")
    gap = x - y.reshape(40, -1)
    assert report.task == "values"
    assert report.accuracy is None
    assert report.mae == pytest.approx(np.abs(gap).mean())
    assert report.rmse == pytest.approx(np.sqrt(np.square(gap).mean()))
    assert report.mae_interval is not None
    assert report.mae_interval[0] < report.mae < report.mae_interval[1]


def reconstruction() -> tuple[Model, dict[str, np.ndarray]]:
    """An int8 model that gives 16 zeros and ones back rounded up or down, and inputs of it."""
    builder = ModelBuilder()
    x = builder.input("x", (1, 16), "int8", 1 / 64, 0)
    y = builder.op(Relu(), [x], outputs=[((1, 16), "int8", 1 / 64, 0)])
    rng = np.random.default_rng(6)
    labels = np.arange(50) % 2
    real = np.where(labels[:, None], rng.normal(0, 0.6, (50, 16)), rng.normal(0.4, 0.5, (50, 16)))
    return builder.build(outputs=[y]), {"x": real.astype(np.float32), "y": labels}


def test_anomalies_are_scored_by_their_reconstruction_error() -> None:
    model, data = reconstruction()
    report = thimble.evaluate(model, data, "program")
    stored = np.clip(np.round(data["x"] * 64), -128, 127) / 64
    scores = np.square(np.minimum(stored, 0)).mean(1)  # RELU loses what is below 0
    pairs = [
        (a > b) + 0.5 * (a == b) for a in scores[data["y"] == 1] for b in scores[data["y"] == 0]
    ]
    assert report.task == "anomaly"
    assert report.auc == pytest.approx(np.mean(pairs))
    assert report.auc_interval is not None
    assert any("reconstruction" in note for note in report.notes)


@pytest.fixture(scope="module")
def spoken() -> dict[str, np.ndarray]:
    labelled = load_arrays("labelled.npz")
    return {"x": labelled["x"][:48], "y": labelled["y"][:48]}


def test_several_models_and_runners(spoken: dict[str, np.ndarray], tmp_path: Path) -> None:
    report = thimble.evaluate([f"{MODEL}@reference", MODEL], spoken, ["program", "host"])
    assert [r.runner for r in report.results] == ["reference", "program", "host"]
    assert report.runner == "reference"
    assert len({r.accuracy for r in report.results}) == 1
    accuracy = [d for d in report.differences if d.figure == "accuracy"]
    assert [d.second for d in accuracy] == ["keywords.tflite@program", "keywords.tflite@host"]
    for d in accuracy:
        assert (d.other_answers, d.only_first, d.only_second, d.p) == (0, 0, 0, 1.0)
        assert not d.differ
        assert "answers each of 48 samples as keywords.tflite@reference does" in d.sentence


def test_a_worse_model_really_differs(tmp_path: Path) -> None:
    data = ranked(7, samples=300)
    worse = ranked(8, samples=300)["x"]
    builder = ModelBuilder()
    good = builder.input("good", (1, 7), "float32", None, 0)
    bad = builder.input("bad", (1, 7), "float32", None, 0)
    first = builder.op(Reshape((1, 7)), [good], outputs=[((1, 7), "float32", None, 0)])
    second = builder.op(Reshape((1, 7)), [bad], outputs=[((1, 7), "float32", None, 0)])
    models = [builder.build(outputs=[first, second]), builder.build(outputs=[second, first])]
    samples = {"good": data["x"], "bad": worse, "y": data["y"]}
    report = thimble.evaluate(models, samples, "reference")
    accuracy, auc = report.differences
    a, b = (x.argmax(1) == data["y"] for x in (data["x"], worse))
    assert accuracy.difference == pytest.approx(b.mean() - a.mean())
    assert (accuracy.only_first, accuracy.only_second) == ((a & ~b).sum(), (~a & b).sum())
    assert accuracy.differ
    assert auc.differ
    assert accuracy.interval is not None
    assert accuracy.interval[1] < 0
    assert "really differs" in str(report)


def test_a_peer_shows_what_its_process_costs(spoken: dict[str, np.ndarray]) -> None:
    import peers

    peers.require("litert")
    report = thimble.evaluate(MODEL, spoken, ["host", "litert"])
    for result in report.results:
        assert result.latency_seconds.median is not None
        assert result.latency_seconds.p99 is not None
        assert result.latency_seconds.median <= result.latency_seconds.p99
        assert result.peak_rss_bytes is not None
        assert result.peak_rss_bytes > 10 << 20


def test_class_names_come_with_the_data() -> None:
    names = np.array([f"word {i}" for i in range(7)])
    report = thimble.evaluate(passing((1, 7), 7), ranked(9) | {"labels": names}, "program")
    assert [c.name for c in report.per_class][:2] == ["word 0", "word 1"]
    assert "word 3" in str(report)


WRONG = {
    "outside": ({"y": np.array([0, 1, 7])}, {}, r"labels \[7\] lie outside"),
    "negative": ({"y": np.array([0, -1, 2])}, {}, r"labels \[-1\] lie outside"),
    "NaN": ({"y": np.array([0, np.nan, 1])}, {}, "NaN"),
    "names": ({"y": np.array(["a", "b", "c"])}, {}, "not numbers"),
    "fractions": ({"y": np.array([0.5, 1, 2])}, {}, r"labels of shape \[3\] do not match"),
    "two columns": ({"y": np.zeros((3, 2))}, {}, r"\[3, 2\] do not match the model's 7 outputs"),
    "no one-hot rows": ({"y": np.ones((3, 7))}, {"task": "classes"}, "no one-hot rows"),
    "no class numbers": ({"y": np.full(3, 0.5)}, {"task": "classes"}, "fractions"),
    "no reconstruction": ({"y": np.zeros(3, int)}, {"task": "anomaly"}, "no reconstruction"),
    "no labels": ({}, {}, "no labels"),
    "count": ({"y": np.zeros(2, int)}, {}, "different numbers of samples"),
    "shape": ({"x": np.zeros((3, 8), np.float32), "y": np.zeros(3, int)}, {}, "takes"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_labels_are_findings(case: str) -> None:
    data, options, message = WRONG[case]
    model = first_of(14, 7)
    with pytest.raises(BadInput, match=message):
        thimble.evaluate(model, {"x": np.zeros((3, 14), np.float32)} | data, "program", **options)


def test_models_of_different_kinds_are_refused() -> None:
    data = {"x": np.zeros((4, 6), np.float32), "y": np.array([0, 1, 0, 1])}
    with pytest.raises(BadInput, match="different kinds"):
        thimble.evaluate([passing((1, 6), 6), first_of(6, 2)], data, "program")


def test_the_command_takes_several(
    tmp_path: Path, spoken: dict[str, np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "data.npz", **spoken)
    arguments = [MODEL, f"{MODEL}@reference", "--data", str(tmp_path / "data.npz"), "--limit", "20"]
    assert execute(["evaluate", *arguments, "--on", "program", "--json", "-q"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["samples"] == 20
    assert [r["runner"] for r in report["results"]] == ["program", "reference"]
    assert report["results"][0]["accuracy"] == report["accuracy"]
    assert report["differences"][0]["differ"] is False
    assert len(report["accuracy_interval"]) == 2
    assert set(report["latency_seconds"]) == {"median", "p95", "p99"}
    assert execute(["evaluate", f"{MODEL}@gpu", "--data", str(tmp_path / "data.npz")]) == 2
