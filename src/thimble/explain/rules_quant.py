"""Rules about quantization: ranges, zero points, scales and biases that cannot be right."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from thimble.explain.causes import LEAST_SCORE, SHOWN, SILENT, SUSPECT, Found, Rule
from thimble.explain.edits import BIAS, WEIGHTS
from thimble.explain.evidence import Evidence, Layer
from thimble.explain.rounding import accumulators
from thimble.explain.values import quantization
from thimble.graph import Tensor

WIDE = 8.0  # times: a range that wide leaves 3 of 8 bits unused
LEAST_SHARE = 1e-4  # of the elements, to call a range too small
SMALL_SHARE = 2e-3  # every calibration leaves a few values outside
BIAS_MISMATCH = 0.02  # relative: LiteRT accepts as much
# Outputs whose scale is given by the op.
FIXED_RANGE = ("SOFTMAX", "LOGISTIC", "TANH", "L2_NORMALIZATION", "LOG_SOFTMAX")
COPIES = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "MAX_POOL_2D", "SLICE", "STRIDED_SLICE",
          "PAD", "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND", "GATHER", "SPLIT", "PACK",
          "UNPACK", "TILE", "DEPTH_TO_SPACE", "SPACE_TO_DEPTH", "REVERSE_V2")  # fmt: skip
INT32_LIMIT = 2**31 - 1


def _range(tensor: Tensor) -> tuple[float, float]:
    scale, zero = quantization(tensor)
    limits = np.iinfo(tensor.dtype)
    return scale * (limits.min - zero), scale * (limits.max - zero)


def _at_fault(evidence: Evidence, layer: Layer) -> bool:
    is_runner = evidence.is_runner_at_fault("b", layer.tensor_b.name)
    return layer.is_file_at_fault() or is_runner


def _is_activation_tensor(layer: Layer) -> bool:
    return (
        layer.tensor_b.dtype in ("int8", "int16", "uint8") and quantization(layer.tensor_b)[0] > 0
    )


def _saturation(evidence: Evidence) -> Iterator[Found]:
    for layer in evidence.layers:
        if not _is_activation_tensor(layer) or layer.is_exact or not layer.is_file_at_fault():
            continue
        low, high = _range(layer.tensor_b)
        step = layer.step
        wanted = [s.judge for s in layer.samples if s.judge is not None]
        if not wanted:
            continue
        values = np.concatenate([w.reshape(-1) for w in wanted])
        outside = (values < low - step) | (values > high + step)
        share = float(outside.mean())
        if share < LEAST_SHARE:
            continue
        rest = whole = 0.0
        for s in layer.samples:
            if s.judge is not None and s.b_of_b is not None:
                gap = np.abs(s.judge.reshape(-1) - s.b_of_b.reshape(-1))
                clipped = np.abs(np.clip(s.judge.reshape(-1), low, high) - s.b_of_b.reshape(-1))
                whole += float(np.square(gap).sum())
                rest += float(np.square(clipped).sum())
        score = 1 - rest / whole if whole else 0.0
        is_plain = evidence.has_real_data or _is_rescaled(layer)
        if score < LEAST_SCORE:
            continue
        yield Found(
            layer,
            f"the range [{low:.4g}, {high:.4g}] of `{layer.tensor_b.name}` is too small:"
            f" {100 * share:.3g} % of the values lie outside and saturate,"
            f" up to {float(np.abs(values).max()):.4g}",
            max(score, 0.0),
            SHOWN if is_plain and score > 0.5 and share > SMALL_SHARE else SUSPECT,
            f"{100 * score:.3g} % of the layer's squared error is saturation",
        )


def _is_rescaled(layer: Layer) -> bool:
    return any(edit.part == "quantization" for edit in layer.edits)


def _too_wide(evidence: Evidence) -> Iterator[Found]:
    if evidence.is_same_file:
        return
    for layer in evidence.layers:
        is_fixed = layer.op in FIXED_RANGE or layer.op in COPIES
        if not _is_activation_tensor(layer) or is_fixed or layer.is_exact:
            continue
        low, high = _range(layer.tensor_b)
        seen = [s.judge for s in layer.samples if s.judge is not None and s.judge.size]
        if not seen:
            continue
        reach = max(float(np.abs(x).max()) for x in seen)
        factor = max(-low, high) / reach if reach else 0.0
        finer = quantization(layer.tensor_a)[0]
        coarse = layer.step / finer if finer else WIDE if _is_given(evidence) else 0.0
        if factor >= WIDE and coarse >= WIDE / 2:
            yield Found(
                layer,
                f"the range [{low:.4g}, {high:.4g}] of `{layer.tensor_b.name}` is {factor:.3g} x"
                f" as wide as the values reach ({reach:.4g}): a step is {layer.step:.3g}",
                0.9,
                SHOWN if finer else SUSPECT,
            )


def _is_given(evidence: Evidence) -> bool:
    return evidence.has_real_data


def _linear(evidence: Evidence) -> Iterator[tuple[Layer, int, Tensor, Tensor, Tensor | None]]:
    """(layer, node, input, weights, bias) of B's layers with constant weights."""
    graph = evidence.b.graph
    for layer in evidence.layers:
        for j in layer.nodes_b:
            node = graph.nodes[j]
            k, b = WEIGHTS.get(node.op.name), BIAS.get(node.op.name, -1)
            if k is None or k >= len(node.inputs) or node.inputs[k] < 0:
                continue
            bias = graph.tensors[node.inputs[b]] if 0 <= b < len(node.inputs) else None
            bias = bias if b < len(node.inputs) and node.inputs[b] >= 0 else None
            if graph.tensors[node.inputs[k]].data is not None:
                yield layer, j, graph.tensors[node.inputs[0]], graph.tensors[node.inputs[k]], bias


def _bias_overflow(evidence: Evidence) -> Iterator[Found]:
    for layer, j, x, _, bias in _linear(evidence):
        if (
            bias is None
            or bias.data is None
            or bias.dtype != "int32"
            or not _at_fault(evidence, layer)
        ):
            continue
        extreme = int(np.count_nonzero(np.abs(bias.data.astype(np.int64)) >= INT32_LIMIT - 1))
        if extreme:
            text = f"{extreme} elements of the bias `{bias.name}` are at the end of int32"
            yield Found(layer, text, 1.0, SHOWN, node=j)
            continue
        for values in evidence.values_b[:1]:
            acc = accumulators(evidence.b, j, values) if x.dtype == "int8" else None
            if acc is not None and np.abs(acc).max(initial=0) > INT32_LIMIT:
                share = float((np.abs(acc) > INT32_LIMIT).mean())
                text = f"the sums with the bias `{bias.name}` overflow int32 in {share:.2%}"
                yield Found(layer, text, 1.0, SHOWN, node=j)


def _weight_scales(evidence: Evidence) -> Iterator[Found]:
    for layer, j, _, w, _ in _linear(evidence):
        if w.quant is None or w.dtype not in ("int8", "int4") or not _suspicious(evidence, layer):
            continue
        bad = ~np.isfinite(w.quant.scale) | (w.quant.scale <= np.finfo(np.float32).tiny)
        if bad.any():
            text = f"{int(bad.sum())} scales of the weights `{w.name}` are 0 or not finite"
            yield Found(layer, text, 1.0, SHOWN if _at_fault(evidence, layer) else SUSPECT, node=j)


def _asymmetric(evidence: Evidence) -> Iterator[Found]:
    for layer, j, _, w, _ in _linear(evidence):
        if w.quant is None or w.dtype not in ("int8", "int4") or not _suspicious(evidence, layer):
            continue
        if np.any(w.quant.zero_point != 0):
            text = (
                f"the weights `{w.name}` have zero point {int(w.quant.zero_point[0])}, which"
                " kernels take as 0"
            )
            yield Found(layer, text, 0.95, SHOWN if _at_fault(evidence, layer) else SILENT, node=j)


def _suspicious(evidence: Evidence, layer: Layer) -> bool:
    return bool(layer.edits) or _at_fault(evidence, layer)


def _bias_scales(evidence: Evidence) -> Iterator[Found]:
    for layer, j, x, w, bias in _linear(evidence):
        if (
            bias is None
            or bias.quant is None
            or w.quant is None
            or not _suspicious(evidence, layer)
        ):
            continue
        scale = quantization(x)[0]
        if not scale or bias.dtype not in ("int32", "int64") or not len(bias.quant.scale):
            continue
        wanted = scale * w.quant.scale.astype(np.float64)
        found = bias.quant.scale.astype(np.float64)
        if len(found) not in (1, len(wanted)) and len(wanted) != 1:
            continue
        off = np.abs(found / np.where(wanted > 0, wanted, 1) - 1)
        if float(off.max()) > BIAS_MISMATCH:
            text = (
                f"the scale of the bias `{bias.name}` is {found[0]:.4g}, input x weight scale is"
                f" {wanted[0]:.4g}: kernels take the latter"
            )
            yield Found(layer, text, 0.3, SUSPECT, node=j)


def _unfit_inputs(evidence: Evidence) -> Iterator[tuple[int, str]]:
    """(tensor, sentence): scales that the bias of a reading layer contradicts by one factor."""
    graph = evidence.b.graph
    for layer, j, x, w, bias in _linear(evidence):
        if bias is None or bias.quant is None or w.quant is None or not quantization(x)[0]:
            continue
        if any(edit.part in ("scale", "weights", "bias-scale", "operands") for edit in layer.edits):
            continue
        found = bias.quant.scale.astype(np.float64)
        wanted = quantization(x)[0] * w.quant.scale.astype(np.float64)
        if len(found) != len(wanted) or not (found > 0).all() or not (wanted > 0).all():
            continue
        factors = wanted / found
        if abs(factors[0] - 1) > BIAS_MISMATCH and np.ptp(factors) < 1e-3 * factors[0]:
            yield (
                graph.nodes[j].inputs[0],
                f"the scale of `{x.name}` is {quantization(x)[0]:.6g}, but the bias of the layer"
                f" that reads it was made for {quantization(x)[0] / factors[0]:.6g}"
                f" ({factors[0]:.4g} x)",
            )


def _unfit_scales(evidence: Evidence) -> Iterator[Found]:
    if evidence.is_same_file:
        return
    known = {e.name for layer in evidence.layers for e in layer.edits if e.part == "quantization"}
    for t, text in _unfit_inputs(evidence):
        tensor = evidence.b.graph.tensors[t]
        if t not in evidence.b.graph.inputs and tensor.name not in known:
            yield Found(None, text, 0.8, SHOWN, tensor=tensor.name)


def _unfit_input_scale(evidence: Evidence) -> Iterator[Found]:
    known = {edit.name for edit in evidence.inputs}
    for t, text in _unfit_inputs(evidence):
        tensor = evidence.b.graph.tensors[t]
        if t in evidence.b.graph.inputs and tensor.name not in known and not evidence.is_same_file:
            yield Found(None, text, 0.8, SHOWN)


def _copies(evidence: Evidence) -> Iterator[Found]:
    graph = evidence.b.graph
    edited = {e.name for layer in evidence.layers for e in layer.edits if e.part == "quantization"}
    for layer in evidence.layers:
        for j in layer.nodes_b:
            node = graph.nodes[j]
            if node.op.name not in COPIES or not _suspicious(evidence, layer):
                continue
            x, y = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
            if x.dtype != y.dtype or not quantization(x)[0] or not quantization(y)[0]:
                continue
            if quantization(x) != quantization(y):
                text = (
                    f"{node.op.name} copies numbers, but its input has (scale, zero point)"
                    f" {_said(x)} and its output {_said(y)}"
                )
                is_new = _at_fault(evidence, layer) and x.name not in edited
                yield Found(layer, text, 0.9, SHOWN if is_new else SUSPECT, node=j)


def _said(tensor: Tensor) -> str:
    scale, zero = quantization(tensor)
    return f"({scale:.6g}, {zero})"


_WEIGHTS = "quantize again with symmetric weights (zero point 0) and positive scales"

_RECALIBRATE = "take scales and biases from the same conversion: convert the model again"

QUANT_RULES = (
    Rule("quantization-scale", "the scale of a tensor is not the one its readers were made for",
         _RECALIBRATE, _unfit_scales),
    Rule("input-scale", "the scale of the input is not the one its reader was made for",
         _RECALIBRATE, _unfit_input_scale),
    Rule("saturation", "the range of a tensor is too small: values saturate",
         "calibrate with data that cover the range, or with --ranges minmax", _saturation),
    Rule("range-too-wide", "the range of a tensor is far wider than its values",
         "calibrate without outliers (--ranges percentile, mse)", _too_wide),
    Rule("bias-overflow", "the bias does not fit into int32",
         "raise the weights' scale, or keep the layer in float", _bias_overflow),
    Rule("zero-scale", "a scale of the weights is zero or not finite", _WEIGHTS, _weight_scales),
    Rule("asymmetric-weights", "the weights have a zero point", _WEIGHTS, _asymmetric),
    Rule("bias-scale-mismatch", "the bias's scale is not input scale x weight scale",
         "quantize the bias with input scale x weight scale", _bias_scales),
    Rule("copy-scale", "a layer that copies has another quantization before and after",
         "give both tensors the same scale and zero point, or requantize between", _copies),
)  # fmt: skip
