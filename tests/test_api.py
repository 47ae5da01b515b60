"""The public functions on the bundled model, and that their names stay functions."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import thimble
from thimble.demo import FOLDER, load_arrays
from thimble.evaluate import auc_of
from thimble.graph import Model
from thimble.runners import make_runner, runner_names
from thimble.support import markdown

MODEL = str(FOLDER / "keywords.tflite")


@pytest.fixture(scope="module")
def labelled() -> dict[str, np.ndarray]:
    return load_arrays("labelled.npz")


@pytest.fixture(scope="module")
def int8() -> Model:
    data = load_arrays("calibration.npz")["x"][:16]
    return thimble.quantize(thimble.load(MODEL), data, ranges="minmax")


def test_importing_submodules_keeps_the_functions() -> None:
    code = (
        "import thimble, types\n"
        "import thimble.build, thimble.compare, thimble.plan.exact, thimble.quantize\n"
        "from thimble.inspect import inspect\n"
        "names = [n for n in thimble.__all__ if n[0].islower()]\n"
        "assert all(isinstance(getattr(thimble, n), types.FunctionType) for n in names), names\n"
        "from thimble.build import prepare\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_import_is_light() -> None:
    code = "import sys, thimble; print({'numpy', 'click', 'rich', 'tflite'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_runners_agree(int8: Model, labelled: dict[str, np.ndarray]) -> None:
    x = labelled["x"][:3]
    expected = thimble.run(int8, x, on="reference", trace=True)
    for name in ("program", "host"):
        got = thimble.run(int8, x, on=name, trace=True)
        assert got.tensors.keys() == expected.tensors.keys()
        for tensor in got.tensors:
            np.testing.assert_array_equal(got[tensor], expected[tensor], err_msg=tensor)
    (output,) = expected.outputs.values()
    assert output.shape == (3, 12)


@pytest.mark.parametrize("peer", ["litert-ref", "litert", "tflm"])
def test_peers_show_every_layer(int8: Model, peer: str, labelled: dict[str, np.ndarray]) -> None:
    import peers

    peers.require(peer.split("-")[0])
    report = thimble.compare(int8, (int8, peer), labelled["x"][:2])
    assert len(report.layers) == len(int8.graph.nodes)
    if peer != "litert":  # whose XNNPACK rounds otherwise
        assert report.equal, str(report)


def test_a_peer_that_crashes_is_a_finding(int8: Model) -> None:
    import peers

    from thimble.runners.peer import PeerFailed

    peers.require("tflm")
    with make_runner("tflm", int8) as runner:
        good = [np.zeros((1, 49, 10, 1), np.int8)]
        runner.outputs(good)
        runner._process.kill()  # type: ignore[attr-defined]
        with pytest.raises(PeerFailed, match="process ended"):
            runner.outputs(good)
        runner.outputs(good)  # and a new process serves the next one


def test_a_peer_s_refusal_carries_its_words() -> None:
    import peers

    peers.require("tflm")
    with pytest.raises(thimble.ThimbleError, match="Hybrid models are not supported"):
        thimble.run(MODEL, on="tflm")


def test_evaluate_counts_like_numpy(int8: Model, labelled: dict[str, np.ndarray]) -> None:
    report = thimble.evaluate(int8, labelled)
    (y,) = thimble.run(int8, labelled["x"]).outputs.values()
    assert report.accuracy == (y.argmax(1) == labelled["y"]).mean()
    assert report.confusion is not None
    assert np.sum(report.confusion) == len(y)
    assert np.trace(report.confusion) / len(y) == report.accuracy
    assert report.top5 is not None
    assert report.top5 >= report.accuracy > 0.8


def test_auc_by_definition() -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(0, 8, 60).astype(float), rng.integers(0, 2, 60)
    ones, zeros = scores[labels == 1], scores[labels == 0]
    pairs = [(a > b) + 0.5 * (a == b) for a in ones for b in zeros]
    assert auc_of(scores, labels) == pytest.approx(np.mean(pairs))
    assert auc_of(scores, np.zeros(60)) is None


def test_compare_float_with_int8(labelled: dict[str, np.ndarray], int8: Model) -> None:
    report = thimble.compare(MODEL, int8, labelled["x"][:2], tolerance_lsb=1000)
    assert report.equal
    first = report.layers[0]
    assert first.inherited is not None
    assert first.introduced is not None
    # The first layer inherits the rounding of its input only; what the others get is not theirs.
    assert first.max_abs <= first.introduced + first.inherited + 1e-9
    assert report.layers[-1].sqnr_db is not None
    assert report.layers[-1].sqnr_db > 15


def test_build_reports_what_the_firmware_uses(int8: Model, tmp_path: Path) -> None:
    report = thimble.build(int8, "host", str(tmp_path / "firmware"), name="kws")
    header = (tmp_path / "firmware" / "kws.h").read_text()
    assert f"#define kws_ARENA_BYTES {report.ram.arena_bytes}" in header
    assert report.ram.arena_bytes == thimble.plan(int8).arena_bytes
    assert report.verification is not None
    assert report.verification.mismatched == 0
    assert report.macs == thimble.inspect(int8).macs
    assert sorted(report.files) == sorted(
        str(p.relative_to(tmp_path / "firmware"))
        for p in (tmp_path / "firmware").rglob("*")
        if p.is_file()
    )


def test_build_quantizes_a_float_model(tmp_path: Path, labelled: dict[str, np.ndarray]) -> None:
    report = thimble.build(MODEL, "host", data=labelled["x"][:8])
    assert any("quantized to int8" in note for note in report.notes)
    assert report.flash.weights_bytes < 40_000


def test_plan_accounts_for_every_byte(int8: Model) -> None:
    report = thimble.plan(int8)
    assert report.live_bytes[report.peak_step] == max(report.live_bytes)
    assert max(t.offset + t.bytes for t in report.tensors) <= report.arena_bytes
    assert max(report.live_bytes) <= report.bound_bytes <= report.arena_bytes


def test_every_runner_name_can_be_made_or_lacks_a_tool(int8: Model) -> None:
    for name in runner_names():
        with contextlib.suppress(thimble.ToolMissing), make_runner(name, int8) as runner:
            assert callable(runner.trace)


def test_the_support_table_names_every_op() -> None:
    from thimble.ops import all_ops

    text = markdown()
    for name in all_ops():
        assert f"## {name}\n" in text


def test_the_support_table_is_fresh() -> None:
    path = Path(__file__).resolve().parents[1] / "docs" / "ops.md"
    assert path.read_text() == markdown(), "run `thimble ops --write docs/ops.md`"


def test_inspect_marks_the_layers_that_are_not_supported() -> None:
    """DEQUANTIZE of a constant disappears before layers are judged, so their numbers differ."""
    from models import ModelBuilder, op

    builder = ModelBuilder()
    x = builder.input("x", (1, 4), "float32")
    w = builder.const("w", np.ones((4, 4), np.int8), scale=0.5)
    unfolded = builder.op(op("DEQUANTIZE"), [w], outputs=[((4, 4), "float32", None, 0)])
    y = builder.op(
        op("FULLY_CONNECTED", "FullyConnectedOptions"),
        [x, unfolded, None],
        outputs=[((1, 4), "float32", None, 0)],
    )
    z = builder.op(op("BUCKETIZE"), [y], outputs=[((1, 4), "float32", None, 0)])
    report = thimble.inspect(builder.build(outputs=[z]))
    assert [layer.supported for layer in report.layers] == [True, True, False]
    assert report.layers[1].macs == 16
