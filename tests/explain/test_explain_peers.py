"""Explanations of what the peers do: XNNPACK's rounding, TFLM's dilated convolutions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from peers import require

from thimble.compare import compare
from thimble.formats import load_model
from thimble.report import CompareReport
from thimble.runners import make_runner

RESNET = "bench/pretrainedResnet_quant.tflite"
AGREE = (  # open models that TFLM and the reference compute alike
    "bench/micro_speech_quantized.tflite",
    "bench/ad01_int8.tflite",
    "bench/kws_ref_model.tflite",
    "tcn/tcn_b1_int8.tflite",
)


def _explained(a: str, b: str, **options: object) -> CompareReport:
    return compare(a, b, samples=2, explain=True, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("order", ["litert first", "litert second"])
def test_xnnpack_rounds_otherwise_not_our_runner(order: str, shared: Path) -> None:
    require("litert")
    path = str(shared / "data" / RESNET)
    sides = [f"{path}@litert", f"{path}@program"]
    report = _explained(*(sides if order == "litert first" else sides[::-1]))
    side = "A" if order == "litert first" else "B"
    assert report.causes
    assert {c.rule for c in report.causes} == {"xnnpack-rounding"}
    assert all(c.message.startswith(f"{side} (litert)") for c in report.causes)
    assert all("bit for bit" in c.message and "1 LSB" in c.message for c in report.causes)
    assert all("(program) equals the reference" in c.message for c in report.causes)
    layers = [layer for layer in report.layers if layer.cause]
    assert [layer.index for layer in layers] == [c.index for c in report.causes]


@pytest.mark.parametrize("name", AGREE)
def test_no_false_alarm(name: str, shared: Path) -> None:
    require("tflm")
    path = str(shared / "data" / name)
    report = _explained(f"{path}@tflm", f"{path}@reference")
    assert report.equal
    assert not report.causes


@pytest.mark.parametrize("name", ["tcn_dyn_float", "tcn_dyn_int8", "dilconv2d_same_dyn_int8"])
def test_dynamic_batch_is_found_and_mended(name: str, shared: Path, tmp_path: Path) -> None:
    require("tflm")
    path = str(shared / "data" / "tcn" / f"{name}.tflite")
    fixed = str(tmp_path / "fixed.tflite")
    report = _explained(path, f"{path}@tflm", fix=fixed)
    first = report.causes[0]
    assert (first.rule, first.op) == ("dynamic-batch", "SPACE_TO_BATCH_ND")
    assert report.first_divergence is not None
    assert first.index <= report.first_divergence.index
    assert _explained(path, f"{fixed}@tflm").equal


def test_dynamic_batch_against_the_other_export(shared: Path) -> None:
    require("tflm")
    folder = shared / "data" / "tcn"
    good, bad = folder / "tcn_b1_float.tflite", folder / "tcn_dyn_float.tflite"
    assert _explained(str(good), f"{bad}@tflm").causes[0].rule == "dynamic-batch"
    plain = _explained(str(good), str(bad))
    assert plain.equal
    assert not plain.causes


def test_space_to_batch_padding_of_int8(shared: Path) -> None:
    require("tflm")
    path = str(shared / "data" / "tcn" / "dilconv2d_same_dyn_int8_fixedshapes.tflite")
    first = _explained(path, f"{path}@tflm").causes[0]
    assert (first.rule, first.op) == ("space-to-batch-padding", "SPACE_TO_BATCH_ND")
    assert first.repair == "dilated-convolution"


def test_per_channel_dequantize(shared: Path, tmp_path: Path) -> None:
    require("tflm")
    path = str(shared / "data/models/ai-edge-quantizer__mnist_quantized__90b631.tflite")
    fixed = str(tmp_path / "fixed.tflite")
    report = _explained(path, f"{path}@tflm", fix=fixed)
    assert report.causes[0].rule == "per-channel-dequantize"
    assert _explained(path, f"{fixed}@tflm").equal


@pytest.mark.parametrize("b", ["depthwise_b1", "depthwise_dyn", "conv2d_dyn"])
@pytest.mark.parametrize("dtype", ["float", "int8"])
def test_other_forms_of_a_convolution_are_the_same_function(
    b: str, dtype: str, shared: Path
) -> None:
    folder = shared / "data" / "structure"
    first = str(folder / "tinyconv_tfnn_conv2d_b1_float.tflite")
    report = _explained(first, str(folder / f"tinyconv_keras_{b}_{dtype}.tflite"))
    assert len(report.layers) == 5
    assert not report.causes
    assert report.layers[-1].sqnr_db is None or report.layers[-1].sqnr_db > 25


def test_the_isolated_layer_reproduces(shared: Path, tmp_path: Path) -> None:
    require("litert")
    path = str(shared / "data" / RESNET)
    target = tmp_path / "layer.tflite"
    report = _explained(f"{path}@program", f"{path}@litert", isolate=target)
    arrays = np.load(target.with_suffix(".npz"))
    model = load_model(str(target))
    assert len(model.graph.nodes) == 1
    inputs = [arrays[model.graph.tensors[t].name] for t in model.graph.inputs]
    output = model.graph.tensors[model.graph.outputs[0]].name
    with make_runner("litert", model) as litert, make_runner("litert-ref", model) as plain:
        for i in range(len(inputs[0])):
            sample = [x[i] for x in inputs]
            made = litert.outputs(sample)[output]
            assert np.array_equal(made, arrays[f"output_{output}"][i])
            made = plain.outputs(sample)[output]
            assert np.array_equal(made, arrays[f"reference_{output}"][i])
    assert any(str(target) in note for note in report.notes)
