"""The integer graph: constants quantized, QUANTIZE and DEQUANTIZE where float and integer meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np

from thimble import ops
from thimble.graph import Graph, Node, Quant, Tensor
from thimble.ops.contract import NodeView, Op
from thimble.quantize.assign import Assignment, roles
from thimble.quantize.ranges import (
    activation_quant,
    quantize_activation,
    quantize_bias,
    quantize_weights,
    weight_scales,
)
from thimble.quantize.versions import TABLES, version


def _op(name: str) -> Op:
    cls = ops.find(name)
    if cls is None:
        raise ValueError(f"no room for {name}")
    return cls()


def _integer_op(op: Op, dtype: str) -> Op:
    """The op with the options of its integer kernel."""
    if dtype != "int16":
        return op
    names = {field.name for field in fields(op)}  # type: ignore[arg-type]
    wanted = {"pot_scale_int16": False, "quantized_bias_type": "int64"}
    return replace(op, **{k: v for k, v in wanted.items() if k in names})  # type: ignore[type-var]


class Writer:
    """Builds the integer graph of `graph`, in which the nodes `chosen` compute on `dtype`.

    Old tensors keep their indices, so that signatures stay valid. A tensor keeps its name where it
    is written; what converts it is called `name_int8` or `name_float32`. Inputs and outputs of the
    model always keep theirs.
    """

    def __init__(
        self, graph: Graph, chosen: set[int], assignment: Assignment, dtype: str, io_dtype: str
    ):
        self.graph = graph
        self.chosen = chosen
        self.assignment = assignment
        self.dtype = dtype
        self.io_dtype = io_dtype
        self.tensors: list[Tensor] = list(graph.tensors)
        self.nodes: list[Node] = []
        self.origin: dict[int, int] = {}  # new node -> old node, for the chosen ones
        self._ints: dict[int, list[int]] = {}  # old tensor -> its integer forms
        self._floats: dict[int, int] = {}  # old tensor -> its float form
        self._constants: dict[tuple[object, ...], int] = {}

    def build(self) -> Graph:
        """The integer graph. Call once."""
        outputs = set(self.graph.outputs)
        for t in self.graph.inputs:
            if self._is_activation(t):
                if self.io_dtype == "float32":
                    self._floats[t] = t
                else:
                    self._set_int(t)
        for i in range(len(self.graph.nodes)):
            n = NodeView(self.graph, i)
            if i in self.chosen:
                self._integer_node(n, outputs)
            else:
                self._float_node(n, outputs)
        return self.graph.with_(tensors=tuple(self.tensors), nodes=tuple(self.nodes))

    # --- tensors
    # ------------------------------------------------------------------------------------

    def _is_activation(self, t: int) -> bool:
        tensor = self.graph.tensors[t]
        return tensor.dtype == "float32" and not tensor.is_constant and not tensor.is_variable

    def _add(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def _integer(self, t: int, quant: Quant) -> Tensor:
        extra = {k: v for k, v in self.graph.tensors[t].extra.items() if k != "range"}
        return replace(self.graph.tensors[t], dtype=self.dtype, quant=quant, extra=extra)

    def _set_int(self, t: int) -> None:
        """Tensor t becomes integer where it is."""
        self.tensors[t] = self._integer(t, self.assignment.params[t])
        self._ints.setdefault(t, []).append(t)

    def _int_form(self, t: int, quant: Quant) -> int:
        """Tensor t in integers with the params `quant`, converted here and now where need be."""
        forms = self._ints.setdefault(t, [])
        for form in forms:
            if quant.same_as(self.tensors[form].quant):
                return form
        source = forms[0] if forms else self._floats[t]
        suffix = f"_{self.dtype}" if not forms else f"_{self.dtype}_{len(forms)}"
        name = self.graph.tensors[t].name + suffix
        new = self._add(replace(self._integer(t, quant), name=name))
        self._convert("QUANTIZE", source, new)
        forms.append(new)
        return new

    def _float_form(self, t: int) -> int:
        """Tensor t in float32, converted here and now where need be."""
        if t not in self._floats:
            tensor = self.graph.tensors[t]
            self._floats[t] = self._add(replace(tensor, name=f"{tensor.name}_float32"))
            self._convert("DEQUANTIZE", self._ints[t][0], self._floats[t])
        return self._floats[t]

    def _convert(self, name: str, source: int, target: int) -> None:
        node = Node(_op(name), (source,), (target,), version=TABLES[self.dtype][name])
        self.nodes.append(node)

    def _constant(self, key: tuple[object, ...], t: int, data: np.ndarray, quant: Quant) -> int:
        """The integer form of constant t; the first of several keeps its name."""
        marks = (t, *key, quant.scale.tobytes(), quant.zero_point.tobytes())
        if marks not in self._constants:
            tensor = self.graph.tensors[t]
            used = sum(1 for other in self._constants if other[0] == t)
            name = tensor.name if not used else f"{tensor.name}_{used}"
            new = Tensor(name, tensor.shape, str(data.dtype), quant, data)
            self._constants[marks] = self._add(new)
        return self._constants[marks]

    # --- nodes
    # --------------------------------------------------------------------------------------

    def _outputs(self, n: NodeView, is_integer: bool, model_outputs: set[int]) -> tuple[int, ...]:
        """The tensors a node writes; model outputs of the other kind get a new one before them."""
        written = []
        for t in n.node.outputs:
            if t < 0 or not self._is_activation(t):
                written.append(t)
            elif is_integer:
                if t in model_outputs and self.io_dtype == "float32":
                    quant = self.assignment.params[t]
                    name = f"{self.graph.tensors[t].name}_{self.dtype}"
                    form = self._add(replace(self._integer(t, quant), name=name))
                    self._ints[t] = [form]
                    written.append(form)
                else:
                    self._set_int(t)
                    written.append(t)
            elif t in model_outputs and self.io_dtype != "float32":
                name = f"{self.graph.tensors[t].name}_float32"
                self._floats[t] = self._add(replace(self.graph.tensors[t], name=name))
                written.append(self._floats[t])
            else:
                self._floats[t] = t
                written.append(t)
        return tuple(written)

    def _finish_outputs(self, n: NodeView, written: Sequence[int]) -> None:
        """Convert what was written before a model output."""
        for t, form in zip(n.node.outputs, written):
            if form == t:
                continue
            if self.io_dtype == "float32":
                self._floats[t] = t
                self._convert("DEQUANTIZE", form, t)
            else:
                self._convert("QUANTIZE", form, t)
                self._set_int(t)

    def _float_node(self, n: NodeView, model_outputs: set[int]) -> None:
        inputs = tuple(
            self._float_form(t) if t >= 0 and self._is_activation(t) else t for t in n.node.inputs
        )
        written = self._outputs(n, False, model_outputs)
        self.nodes.append(replace(n.node, inputs=inputs, outputs=written))
        self._finish_outputs(n, written)

    def _integer_node(self, n: NodeView, model_outputs: set[int]) -> None:
        part = roles(n)
        inputs = list(n.node.inputs)
        common = self.assignment.wanted.get(n.index)
        for i in part.activations:
            t = n.node.inputs[i]
            data = self.graph.tensors[t].data
            if data is not None:
                quant = common or activation_quant(
                    float(data.min(initial=0)), float(data.max(initial=0)), self.dtype
                )
                values = quantize_activation(data, quant, self.dtype)
                inputs[i] = self._constant(("activation",), t, values, quant)
            else:
                inputs[i] = self._int_form(t, common or self.assignment.params[t])
        self._weights(n, inputs)
        written = self._outputs(n, True, model_outputs)
        self.origin[len(self.nodes)] = n.index
        op = _integer_op(n.node.op, self.dtype)
        self.nodes.append(replace(n.node, op=op, inputs=tuple(inputs), outputs=written))
        graph = self.graph.with_(tensors=tuple(self.tensors), nodes=tuple(self.nodes))
        view = NodeView(graph, len(self.nodes) - 1)
        self.nodes[-1] = replace(self.nodes[-1], version=version(view, self.dtype))
        self._finish_outputs(n, written)

    def _weights(self, n: NodeView, inputs: list[int]) -> None:
        """Replace weights and bias in `inputs`; the bias follows the first weights' scales."""
        part = roles(n)
        x = self.tensors[inputs[part.activations[0]]]
        bias_dtype = "int32" if self.dtype == "int8" else "int64"
        bias = n.constant(part.bias) if part.bias is not None else None
        scales = np.ones(1, np.float32)
        for k, (i, axis) in enumerate(part.weights.items()):
            weights = n.constant(i)
            own_bias = bias if k == 0 else None
            found = weight_scales(weights, axis, float(x.scale), own_bias, bias_dtype)
            scales = found if k == 0 else scales
            values, quant = quantize_weights(weights, axis, found)
            inputs[i] = self._constant(("weights", axis), n.node.inputs[i], values, quant)
        if part.bias is not None and bias is not None:
            values, quant = quantize_bias(bias, float(x.scale), scales, bias_dtype)
            inputs[part.bias] = self._constant(("bias",), n.node.inputs[part.bias], values, quant)
