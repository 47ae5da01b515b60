"""What can change between two models, as rules: a name, a sentence, how severe it is by default.

`like`: against a base given with --like, where retrained weights are routine. `lock`: against a
lock, where nothing may change that nobody meant to change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ChangeKind:
    """A sentence that is true when nothing of this kind changed, and the severity of a change."""

    name: str
    sentence: str
    like: str
    lock: str
    hint: str = ""


_CONVERT = "convert with the version and options of before (see the converter in the diff)"
_CALIBRATE = "calibrate on the same data, or accept it with --scale-tolerance"

KINDS: Mapping[str, ChangeKind] = {
    kind.name: kind
    for kind in (
        ChangeKind("changed-op", "every layer has the op of before", "error", "error", _CONVERT),
        ChangeKind("removed-layer", "no layer is missing", "error", "error", _CONVERT),
        ChangeKind("added-layer", "no layer is new", "error", "error", _CONVERT),
        ChangeKind("moved-layer", "layers run in the order of before", "warning", "error"),
        ChangeKind("changed-version", "ops have the versions of before", "warning", "error"),
        ChangeKind("changed-padding", "paddings are those of before", "error", "error"),
        ChangeKind("changed-stride", "strides are those of before", "error", "error"),
        ChangeKind("changed-dilation", "dilations are those of before", "error", "error"),
        ChangeKind("changed-activation", "fused activations are those of before", "error", "error"),
        ChangeKind("changed-option", "all other options are those of before", "error", "error"),
        ChangeKind("changed-dtype", "tensors have the dtypes of before", "error", "error"),
        ChangeKind("changed-shape", "tensors have the shapes of before", "error", "error"),
        ChangeKind(
            "changed-dynamic",
            "what had a fixed shape has one now",
            "error",
            "error",
            "export with a fixed batch size, or fix it with `thimble repair`",
        ),
        ChangeKind(
            "changed-scale",
            "scales moved by no more than the tolerance",
            "error",
            "error",
            _CALIBRATE,
        ),
        ChangeKind(
            "changed-zero-point", "zero points are those of before", "error", "error", _CALIBRATE
        ),
        ChangeKind(
            "changed-quantization",
            "tensors are quantized per tensor or per channel as before",
            "error",
            "error",
            _CONVERT,
        ),
        ChangeKind("changed-weights", "constants are those of before", "warning", "error"),
        ChangeKind("changed-wiring", "layers read what they read before", "error", "error"),
        ChangeKind("changed-input", "the model's inputs are those of before", "error", "error"),
        ChangeKind("changed-output", "the model's outputs are those of before", "error", "error"),
        ChangeKind(
            "changed-name", "tensors and layers have the names of before", "warning", "warning"
        ),
        ChangeKind("changed-signature", "signatures are those of before", "warning", "error"),
        ChangeKind("changed-subgraphs", "there are as many subgraphs as before", "error", "error"),
        ChangeKind(
            "changed-converter",
            "the metadata name the converter and framework of before",
            "warning",
            "warning",
        ),
        ChangeKind(
            "changed-memory", "arena and constants take the bytes of before", "off", "error"
        ),
        ChangeKind("changed-golden", "golden vectors have the outputs of before", "off", "error"),
        ChangeKind(
            "changed-planner",
            "Thimble plans an unchanged file as before",
            "off",
            "warning",
            "write the lock again with this version of Thimble",
        ),
        ChangeKind("changed-file", "the file has the bytes of before", "off", "warning"),
        ChangeKind(
            "lock-file",
            "the lock is as `thimble lock` wrote it",
            "off",
            "error",
            "write it again with `thimble lock MODEL -o LOCK`",
        ),
        ChangeKind(
            "same-function",
            "the model computes the function of the base",
            "off",
            "off",
            "compare them with `thimble compare BASE MODEL`",
        ),
    )
}


@dataclass(frozen=True)
class Change:
    """One difference. `layer` is of the new model, `base_layer` of the base; `where` names them."""

    kind: str
    where: str
    message: str
    layer: int | None = None
    base_layer: int | None = None
    subgraph: int = 0
