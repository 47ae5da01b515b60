"""The TCN layer of keras-tcn: residual blocks of two dilated convolutions (Bai et al., 2018).

    block: x -> [Conv1D, norm, activation] twice -> s;  activation(match(x) + s) -> next block
    TCN:   the last block's output, or the sum of all s; the last (or middle) step, or all steps

Options and names of the parts are those of keras-tcn 3.5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from thimble.formats.keras.activations import activate
from thimble.formats.keras.builder import Builder, Call, Unsupported
from thimble.formats.keras.convolutions import conv1d
from thimble.formats.keras.normalizing import batch_normalization, layer_normalization
from thimble.ops.add import Add
from thimble.ops.reverse_v2 import ReverseV2
from thimble.ops.strided_slice import StridedSlice

_IDEMPOTENT = ("linear", "relu", "relu6")


def tcn(b: Builder, call: Call) -> int:
    """A whole TCN layer."""
    if call.get("return_state", False):
        raise Unsupported("it returns its state", "build it with return_state=False")
    padding = str(call.get("padding", "causal"))
    if padding not in ("causal", "same"):
        raise ValueError(f"its padding is {padding!r}")
    x = call.x
    if len(b.shape(x)) != 3:
        raise ValueError(f"it has an input {list(b.shape(x))}")
    if call.get("go_backwards", False):
        axis = b.const(f"{call.scope}/axis", [1], "int32")
        x = b.add(ReverseV2(), [x, axis], f"{call.scope}/ReverseV2")
    dilations = [int(d) for d in call["dilations"]] * int(call.get("nb_stacks", 1))
    if not dilations:
        raise ValueError("it has no dilations")
    skips = []
    for number, dilation in enumerate(dilations):
        x, skip = _block(b, call, x, number, dilation, padding)
        skips.append(skip)
    if call.get("use_skip_connections", True):
        x = skips[0]
        for skip in skips[1:]:
            x = b.add(Add(), [x, skip], f"{call.scope}/Add_Skip_Connections/Add")
    if call.get("return_sequences", False):
        return x
    steps = b.shape(x)[1]
    return _step(b, call, x, steps - 1 if padding == "causal" else steps // 2)


def _block(
    b: Builder, call: Call, x: int, number: int, dilation: int, padding: str
) -> tuple[int, int]:
    """(the sum, the skip connection) of residual block `number`."""
    name = f"residual_block_{number}"
    weights, scope = call.weights.part(name), f"{call.scope}/{name}"

    def part(part_name: str, inputs: Sequence[int], config: Mapping[str, Any]) -> Call:
        return replace(
            call,
            name=part_name,
            scope=f"{scope}/{part_name}",
            config=config,
            weights=weights.part(part_name),
            inputs=inputs,
        )

    function, y = call.get("activation", "relu"), x
    for k in range(2):
        options = {"padding": padding, "dilation_rate": dilation}
        y = conv1d(b, part(f"conv1D_{k}", [y], options))
        norm = replace(part(f"norm_{k}", [y], {}), weights=weights)
        y = _normalized(b, call, norm, k)
        y = activate(b, part(f"Act_Conv1D_{k}", [y], {}), y, function)
    if function not in _IDEMPOTENT:
        y = activate(b, part("Act_Conv_Blocks", [y], {}), y, function)
    matched = x
    if b.shape(x)[2] != b.shape(y)[2]:
        matched = conv1d(b, part("matching_conv1D", [x], {"padding": "same"}))
    total = b.add(Add(), [matched, y], f"{scope}/Add_Res/Add")
    last = part("Act_Res_Block", [total], {})
    return activate(b, last, total, function), y


def _normalized(b: Builder, call: Call, norm: Call, k: int) -> int:
    """Its input after the normalization behind convolution `k`, if the layer has one."""
    for option, held, name, make in (
        ("use_batch_norm", "batch_norm_layers", "batch_normalization", batch_normalization),
        ("use_layer_norm", "layer_norm_layers", "layer_normalization", layer_normalization),
    ):
        if call.get(option, False):
            # In .h5 files Keras numbers these names over the whole session: only their order is
            # known. A .keras archive has them where the block lists them.
            both = norm.weights.part(held).parts(name) or norm.weights.parts(name)
            if len(both) != 2:
                raise ValueError(f"{norm.scope} has {len(both)} parts `{name}` instead of 2")
            return make(b, replace(norm, weights=both[k]))
    return norm.x


def _step(b: Builder, call: Call, x: int, step: int) -> int:
    """[1, W, C] -> [1, C] at one step."""
    n, _, c = b.shape(x)
    given = [
        b.const(f"{call.scope}/Slice_Output/{name}", values, "int32")
        for name, values in (
            ("begin", [0, step, 0]),
            ("end", [n, step + 1, c]),
            ("strides", [1, 1, 1]),
        )
    ]
    op = StridedSlice(shrink_axis_mask=2)
    return b.add(op, [x, *given], f"{call.scope}/Slice_Output/strided_slice")


LAYERS: Mapping[str, Callable[[Builder, Call], int]] = {"TCN": tcn}
