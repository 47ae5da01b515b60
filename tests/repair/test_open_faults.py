"""Files of other tools that TensorFlow Lite Micro computes wrongly, repaired; both forms of one
convolution turned into each other.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from models import random_inputs
from peers import require

from thimble.formats.tflite import load, loads
from thimble.graph import Model
from thimble.repair import Repaired, repair
from thimble.run import run

Array = np.ndarray


def repaired_file(path: Path, only: list[str] | None = None, data: Array | None = None) -> Repaired:
    """The repair of a file, and that the file it would write is the model it returns."""
    repaired = repair(str(path), only, data)
    assert repaired.report.bytes_after == len(repaired.content)
    return repaired


def outputs(model: Model, data: Array | None, runner: str) -> Array:
    (values,) = run(model, data, runner).outputs.values()
    return values


def test_a_float_tcn_with_dynamic_batch_runs_in_tflm(shared: Path) -> None:
    require("tflm")
    folder = shared / "data/tcn"
    golden = np.load(folder / "tcn_io.npz")
    wrong = outputs(load(folder / "tcn_dyn_float.tflite"), golden["x"], "tflm")
    assert np.abs(wrong - golden["y_keras"]).max() > 1
    repaired = repaired_file(folder / "tcn_dyn_float.tflite", data=golden["x"])
    names = [r.name for r in repaired.report.repairs]
    assert names == ["static-batch", "dilated-convolution", "fuse-bias"]
    right = outputs(loads(repaired.content), golden["x"], "tflm")
    assert np.abs(right - golden["y_keras"]).max() < 1e-5


INT8 = {  # file -> where its goldens are, and what TFLM makes of the file
    "tcn_dyn_int8": ("tcn_dyn_int8_io", "y_tflm"),
    "dilconv2d_same_dyn_int8": ("dilconv2d_same_dyn_int8_io", "y_tflm"),
    # Its shapes are right: what is wrong in TFLM is the padding of SPACE_TO_BATCH_ND alone.
    "dilconv2d_same_dyn_int8_fixedshapes": ("dilconv2d_same_dyn_int8_io", "y_tflm_fixedshapes"),
}


@pytest.mark.parametrize("name", INT8)
def test_int8_dilation_has_the_bits_of_litert_in_tflm(shared: Path, name: str) -> None:
    require("tflm")
    folder = shared / "data/tcn"
    goldens, by_tflm = INT8[name]
    golden = np.load(folder / f"{goldens}.npz")
    assert not np.array_equal(golden[by_tflm], golden["y_ref"])
    repaired = repaired_file(folder / f"{name}.tflite", data=golden["x"])
    assert "dilated-convolution" in [r.name for r in repaired.report.repairs]
    right = outputs(loads(repaired.content), golden["x"], "tflm")
    np.testing.assert_array_equal(right, golden["y_ref"])


def test_mnist_with_per_channel_dequantize_is_right_in_tflm(shared: Path) -> None:
    """.238 of the test images in TFLM, .961 in LiteRT and after the repair."""
    require("tflm")
    path = shared / "data/models/ai-edge-quantizer__mnist_quantized__90b631.tflite"
    mnist = np.load(shared / "data/data/mnist.npz")
    x = mnist["x_test"][:1000, ..., None].astype(np.float32) / 255
    labels = mnist["y_test"][:1000]

    def accuracy(model: Model) -> float:
        return float((outputs(model, x, "tflm").argmax(axis=1) == labels).mean())

    assert accuracy(load(path)) < 0.3
    repaired = repaired_file(path, data=x[:8])
    assert "per-channel-dequantize" in [r.name for r in repaired.report.repairs]
    assert accuracy(loads(repaired.content)) > 0.95


FORMS = [
    f"tinyconv_{how}_{form}_{batch}_{dtype}"
    for how in ("keras", "tfnn")
    for form in ("conv2d", "depthwise")
    for batch in ("b1", "dyn")
    for dtype in ("float", "int8")
]


@pytest.mark.parametrize("name", FORMS)
def test_one_form_becomes_the_other(shared: Path, name: str) -> None:
    """And back; TFLM's outputs keep every byte, float32 included."""
    require("tflm")
    path = shared / f"data/structure/{name}.tflite"
    model = load(path)
    there, back = ("depthwise-form", "convolution-form")
    new, old = ("DEPTHWISE_CONV_2D", "CONV_2D")
    if "depthwise" in name:
        there, back, new, old = back, there, old, new
    x = np.load(shared / "data/structure/tinyconv_io.npz")["x"]
    other = loads(repaired_file(path, [there], x).content)
    before, after = (Counter(n.op.name for n in m.graph.nodes) for m in (model, other))
    assert (before - after, after - before) == (Counter({old: 1}), Counter({new: 1}))
    again = loads(repair(other, [back], x).content)
    assert Counter(n.op.name for n in again.graph.nodes) == before
    wanted = outputs(model, x, "tflm").tobytes()
    assert outputs(other, x, "tflm").tobytes() == wanted
    assert outputs(again, x, "tflm").tobytes() == wanted


def test_dynamic_and_static_files_of_one_convolution_become_the_same(shared: Path) -> None:
    """The same layers, shapes and constants; only the names are the converter's."""
    for how in ("keras", "tfnn"):
        for dtype in ("float", "int8"):
            stem = f"tinyconv_{how}_conv2d"
            dynamic = repair(str(shared / f"data/structure/{stem}_dyn_{dtype}.tflite")).model.graph
            static = load(shared / f"data/structure/{stem}_b1_{dtype}.tflite").graph
            assert [n.op.name for n in dynamic.nodes] == [n.op.name for n in static.nodes]
            for a, b in zip(dynamic.nodes, static.nodes):
                for s, t in zip((*a.inputs, *a.outputs), (*b.inputs, *b.outputs)):
                    x, y = dynamic.tensors[s], static.tensors[t]
                    assert s == t == -1 or (x.shape, x.dtype) == (y.shape, y.dtype)


@pytest.mark.parametrize("name", ["conv_groups8", "dw_dil2_b1", "dw_stride_hw_1_2", "dwconv1d"])
def test_channels_change_form_with_groups_dilation_and_strides(shared: Path, name: str) -> None:
    """A depthwise layer of 8 channels becomes a CONV_2D of 8 groups, and back."""
    require("tflm")
    model = load(shared / f"data/structure/{name}.tflite")
    is_depthwise = any(n.op.name == "DEPTHWISE_CONV_2D" for n in model.graph.nodes)
    names = ["convolution-form"] if is_depthwise else ["depthwise-form"]
    other = loads(repair(model, names).content)
    data = random_inputs(model.graph, 0)[0]
    wanted = outputs(model, data, "tflm")
    assert outputs(other, data, "tflm").tobytes() == wanted.tobytes()
