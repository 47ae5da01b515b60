"""Rules about what differs between the files: each edit of a layer is one cause, measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from thimble.explain.causes import LEAST_SCORE, SHOWN, SILENT, Found, Rule
from thimble.explain.edits import Edit
from thimble.explain.evidence import Evidence, Layer
from thimble.explain.values import real

Matches = Callable[[Edit, Layer], str | None]

# Edits that say nothing by themselves where the layers compute the same numbers.
STRUCTURAL = ("lacking", "added", "op")
SHAPE_OPS = ("RESHAPE", "EXPAND_DIMS", "SQUEEZE", "STRIDED_SLICE", "SLICE", "SPLIT", "PACK")
CONSTANTS = ("weights", "bias", "constant", "scale", "bias-scale")
MANY = 0.25  # of the layers: where so many scales differ, the file was calibrated anew


def _weights(*kinds: str) -> Matches:
    return partial(_part, ("weights",), kinds)


def _part(parts: tuple[str, ...], kinds: tuple[str, ...], edit: Edit, layer: Layer) -> str | None:
    if edit.part not in parts or edit.relation is None or edit.relation.kind not in kinds:
        return None
    return f"the {edit.part} `{edit.name}`: {edit.relation.detail}"


def _bias(*kinds: str) -> Matches:
    return partial(_part, ("bias",), kinds)


def _scale(edit: Edit, layer: Layer) -> str | None:
    if edit.part != "scale" or edit.relation is None:
        return None
    return f"the scales of the weights `{edit.name}` differ: the real values are" + (
        f" {edit.relation.detail}"
    )


def _bias_scale(edit: Edit, layer: Layer) -> str | None:
    if edit.part != "bias-scale" or edit.relation is None:
        return None
    return f"the scales of the bias `{edit.name}` differ: {edit.relation.detail}"


def _option(*names: str) -> Matches:
    def matches(edit: Edit, layer: Layer) -> str | None:
        if edit.part != "option" or not edit.name.startswith(names):
            return None
        return f"{edit.name} is {edit.new} in B, {edit.old} in A"

    return matches


def _activation(edit: Edit, layer: Layer) -> str | None:
    if edit.part == "option" and edit.name == "fused_activation_function":
        if edit.new == "NONE":
            return f"the activation {edit.old} is gone in B"
        if edit.old == "NONE":
            return f"B has an activation {edit.new} that A lacks"
        return f"the activation is {edit.new} in B, {edit.old} in A"
    if edit.part in ("lacking", "added") and _is_activation(edit.name):
        return f"only {'A' if edit.part == 'lacking' else 'B'} has the activation {edit.name}"
    if edit.part == "op" and _is_activation(edit.old) and _is_activation(edit.new):
        return f"the activation is {edit.new} in B, {edit.old} in A"
    return None


def _is_activation(name: str) -> bool:
    return "RELU" in name or name in ("TANH", "LOGISTIC", "HARD_SWISH", "ELU", "GELU")


def _padding(edit: Edit, layer: Layer) -> str | None:
    if edit.part == "constant" and layer.op in ("PAD", "PADV2", "MIRROR_PAD"):
        return f"the amounts of padding differ: {edit.old.tolist()} in A, {edit.new.tolist()} in B"
    if edit.part in ("lacking", "added") and edit.name in ("PAD", "PADV2", "MIRROR_PAD"):
        return f"only {'A' if edit.part == 'lacking' else 'B'} pads with a layer of its own"
    return _option("padding")(edit, layer)


AXIS_OPS = {
    "MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "ARG_MAX", "ARG_MIN", "TRANSPOSE",
    "SPLIT", "SPLIT_V", "REVERSE_V2", "CUMSUM", "EXPAND_DIMS",
}  # fmt: skip


def _axis(edit: Edit, layer: Layer) -> str | None:
    is_axes = edit.part == "constant" and layer.op in AXIS_OPS and edit.old.size <= 8
    if is_axes and (layer.op != "SPLIT" or edit.old.size == 1):
        return f"the axes differ: {edit.old.tolist()} in A, {edit.new.tolist()} in B"
    return _option("axis", "seq_dim", "batch_dim")(edit, layer)


def _constant(edit: Edit, layer: Layer) -> str | None:
    if edit.part != "constant" or _axis(edit, layer) or _padding(edit, layer):
        return None
    assert edit.relation is not None
    return f"the constant `{edit.name}`: {edit.relation.kind}, {edit.relation.detail}"


def _other_option(edit: Edit, layer: Layer) -> str | None:
    known = ("padding", "stride", "dilation", "fused_activation", "axis", "seq_dim", "batch_dim")
    if edit.part != "option" or edit.name.startswith((*known, "filter_", "block_size")):
        return None
    return f"{edit.name} is {edit.new} in B, {edit.old} in A"


def _op(edit: Edit, layer: Layer) -> str | None:
    if edit.part != "op" or _activation(edit, layer):
        return None
    return f"the layer is {edit.new} in B, {edit.old} in A"


def _operands(kind: str, edit: Edit, layer: Layer) -> str | None:
    if edit.part != "operands" or edit.name != kind:
        return None
    return f"it reads {_quoted(edit.new)} where A reads {_quoted(edit.old)}"


def _quoted(names: list[str]) -> str:
    return ", ".join(f"`{n}`" for n in names)


def _layers(part: str, edit: Edit, layer: Layer) -> str | None:
    if edit.part != part or _activation(edit, layer) or _padding(edit, layer):
        return None
    return f"{edit.name} is only in {'A' if part == 'lacking' else 'B'}"


def _quantization(which: str, edit: Edit, layer: Layer | None) -> str | None:
    if edit.part != "quantization":
        return None
    old, new = edit.old, edit.new
    if len(old.scale) != len(new.scale):
        return "one has a scale per channel, the other a single one" if which == "scale" else None
    ratio = float(np.max(np.abs(new.scale / np.where(old.scale, old.scale, 1) - 1)))
    moved = int(np.max(np.abs(new.zero_point - old.zero_point)))
    if which == "scale" and ratio > 0:
        factor = float(new.scale[0] / old.scale[0]) if old.scale[0] else float("inf")
        return f"the scale of `{edit.name}` is {new.scale[0]:.6g}, {factor:.4g} x that of A"
    if which == "zero-point" and moved and ratio == 0:
        return (
            f"the zero point of `{edit.name}` is {int(new.zero_point[0])} in B,"
            f" {int(old.zero_point[0])} in A"
        )
    return None


def _effect(evidence: Evidence, layer: Layer, edit: Edit) -> tuple[float, str, str]:
    """(share of the layer's difference that the edit makes, proof, figures)."""
    gap, figures = layer.file_gap, ""
    if gap is not None:
        lsb = f" ({gap / layer.step:.3g} LSB)" if layer.step else ""
        figures = f"with B's inputs, A's layer differs from B's by up to {gap:.4g}{lsb}"
    if gap is None or not layer.is_file_at_fault():
        if layer.is_exact and gap:
            return 0.5, SHOWN, figures
        return 0.5, SILENT, figures or "the layer could not be computed here"
    if not layer.is_exact and layer.other_gap is not None:
        # Two grids: what is left with all of B's constants is not due to constants.
        is_constant = edit.part in CONSTANTS
        rest = layer.other_gap > layer.noise
        explained = layer.explained_by_constants if rest else 1.0
        return (explained if is_constant else 1 - explained), SHOWN, figures
    if len(layer.edits) == 1:
        return 1.0, SHOWN, figures
    return _explained(evidence, layer, edit), SHOWN, figures


def _explained(evidence: Evidence, layer: Layer, edit: Edit) -> float:
    """1 - |rest| / |difference| after applying `edit` alone to A's layer (exact layers)."""
    if not layer.is_exact or edit.patch is None or not evidence.kept:
        return 0.6
    functions = evidence.patched(edit)
    assert functions is not None
    s = evidence.a.names[layer.tensor_a.name]
    rest = whole = 0.0
    for moved, number in evidence.kept:
        if number >= len(layer.samples):
            continue
        sample = layer.samples[number]
        found = functions.tensor(s, moved, {})
        if found is None or sample.a_of_b is None or sample.b_of_b is None:
            return 0.5
        values = real(found, functions.graph.tensors[s]).reshape(-1)
        if values.size != sample.b_of_b.size:
            return 0.5
        rest += float(np.linalg.norm(values - sample.b_of_b.reshape(-1)))
        whole += float(np.linalg.norm(sample.a_of_b.reshape(-1) - sample.b_of_b.reshape(-1)))
    return max(0.0, min(1.0, 1 - rest / whole)) if whole else 0.5


def _finder(matches: Matches) -> Callable[[Evidence], Iterator[Found]]:
    def find(evidence: Evidence) -> Iterator[Found]:
        if evidence.is_same_file:
            return
        anew = _is_calibrated_anew(evidence)
        for layer in evidence.layers:
            for edit in layer.edits:
                message = matches(edit, layer)
                if message is None:
                    continue
                if edit.part == "quantization" and anew and not layer.is_file_at_fault():
                    continue
                if not layer.is_file_at_fault() and _is_form(edit, layer):
                    continue
                score, proof, figures = _effect(evidence, layer, edit)
                if not layer.is_exact and proof == SILENT and edit.part not in _ALWAYS:
                    continue
                if score >= LEAST_SCORE or layer.is_exact:
                    yield Found(layer, message, score, proof, figures, edit.node_b)

    return find


def _is_form(edit: Edit, layer: Layer) -> bool:
    """Whether an edit may be another way to write the same function."""
    is_shape = edit.part in ("constant", "option") and layer.op in SHAPE_OPS
    return edit.part in STRUCTURAL or not layer.is_alike or is_shape


_ALWAYS = ("weights", "bias", "scale", "quantization", "option", "operands")


def _is_calibrated_anew(evidence: Evidence) -> bool:
    moved = sum(1 for layer in evidence.layers for e in layer.edits if e.part == "quantization")
    return moved > max(2, MANY * len(evidence.layers))


def _input_quantization(which: str) -> Callable[[Evidence], Iterator[Found]]:
    def find(evidence: Evidence) -> Iterator[Found]:
        for edit in evidence.inputs:
            message = _quantization(which, edit, None)
            if message is not None and not _is_calibrated_anew(evidence):
                yield Found(None, f"of the input: {message}", 1.0, SHOWN)

    return find


_CONVERT = "convert the model again from the original, or take the file that was verified"


def _rule(name: str, sentence: str, matches: Matches, hint: str = _CONVERT) -> Rule:
    return Rule(name, sentence, hint, _finder(matches))


_DAMAGED = "the file was changed after training: take the original, and lock it (`thimble lock`)"
_EXPORT = "compare the layer's definition in both sources, and export the model again"
_CALIBRATE = "calibrate again with representative data, and keep both sides on the same file"

FILE_RULES = (
    _rule("weights-scale", "the scales of the weights differ, the stored numbers do not", _scale),
    _rule("weights-scaled", "the weights are scaled or offset",
          _weights("scaled", "offset", "affine")),
    _rule("weights-scaled-by-channel", "each channel's weights have a factor of their own",
          _weights("scaled-channels"),
          "look for a batch normalisation folded in one file only"),
    _rule("weights-negated", "the signs of the weights are flipped", _weights("negated"), _DAMAGED),
    _rule("weights-channels-swapped", "the weights of output channels are in another order",
          _weights("permuted"), _EXPORT),
    _rule("weights-inputs-swapped", "the weights read the input's channels in another order",
          _weights("permuted-inputs"),
          "look for RGB against BGR, or for another order of the channels before this layer"),
    _rule("weights-row", "the weights of single channels differ", _weights("rows"), _DAMAGED),
    _rule("weights-zeroed", "the weights are zero, all or in part",
          _weights("zeroed", "zeros"), _DAMAGED),
    _rule("weights-bit-flip", "single bits of the weights are flipped", _weights("bit"),
          "the file or flash is damaged: compare checksums, write it again"),
    _rule("weights-elements", "single weights differ", _weights("elements"), _DAMAGED),
    _rule("weights-transposed", "the weights are stored with axes swapped",
          _weights("transposed"), "look for OIHW against OHWI, or HWIO, in the converter"),
    _rule("weights-mirrored", "the weights are mirrored or shifted",
          _weights("mirrored", "shifted"),
          "look for convolution against correlation in the exporter"),
    _rule("weights-coarse", "the weights were rounded to a coarser grid or clipped",
          _weights("coarse", "clipped"), "quantize with more bits or per channel"),
    _rule("weights-not-finite", "the weights hold NaN or infinite values", _weights("not-finite"),
          _DAMAGED),
    _rule("weights-differ", "the weights are not the same", _weights(
        "noise", "differ", "shuffled", "resized"), _DAMAGED),
    _rule("bias-missing", "the bias is missing, or there is one too many",
          _bias("missing", "zeroed", "extra"), _EXPORT),
    _rule("bias-offset", "the bias is offset", _bias("offset"), _DAMAGED),
    _rule("bias-scaled", "the bias is scaled", _bias("scaled", "affine"),
          "the bias's scale has to be input scale x weight scale"),
    _rule("bias-negated", "the signs of the bias are flipped", _bias("negated"), _DAMAGED),
    _rule("bias-permuted", "the bias is in another order",
          _bias("permuted", "shuffled", "mirrored", "shifted", "permuted-inputs"), _EXPORT),
    _rule("bias-elements", "single elements of the bias differ",
          _bias("elements", "rows", "bit", "zeros"), _DAMAGED),
    _rule("bias-differs", "the bias is not the same", _bias(
        "noise", "differ", "coarse", "clipped", "resized", "not-finite", "scaled-channels",
        "transposed"), _DAMAGED),
    _rule("bias-scale", "the scale of the bias differs, the stored numbers do not", _bias_scale,
          "the bias's scale has to be input scale x weight scale; kernels believe that it is"),
    _rule("padding", "the padding differs", _padding, _EXPORT),
    _rule("stride", "the stride differs", _option("stride", "filter_", "block_size"), _EXPORT),
    _rule("dilation", "the dilation differs", _option("dilation"), _EXPORT),
    _rule("activation", "an activation was dropped, added or changed", _activation, _EXPORT),
    _rule("axis", "the layer works along another axis", _axis, _EXPORT),
    _rule("option", "an option of the layer differs", _other_option, _EXPORT),
    _rule("op", "the layer is of another kind", _op, _EXPORT),
    _rule("operand-order", "the operands are in another order",
          partial(_operands, "order"), _EXPORT),
    _rule("wrong-input", "the layer reads another tensor", partial(_operands, "other"),
          "look for a buffer that was overwritten or is stale, or a wrong connection"),
    _rule("layer-missing", "A has a layer that B lacks", partial(_layers, "lacking"), _EXPORT),
    _rule("layer-added", "B has a layer that A lacks", partial(_layers, "added"), _EXPORT),
    _rule("constant", "a constant of the layer differs", _constant, _DAMAGED),
    _rule("quantization-scale", "the scale of the output differs",
          partial(_quantization, "scale"), _CALIBRATE),
    _rule("zero-point", "the zero point of the output differs",
          partial(_quantization, "zero-point"), _CALIBRATE),
    Rule("input-scale", "the input's scale differs",
         "quantize the input with the parameters of the file that runs",
         _input_quantization("scale")),
    Rule("input-zero-point", "the input's zero point differs",
         "quantize the input with the parameters of the file that runs",
         _input_quantization("zero-point")),
)  # fmt: skip
