"""Graph -> Program: the only crossing between what and how.

Each op's `lower` is given a `Lowering`, through which it names constants, scratch memory and
kernel calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from thimble.arch import ARCHS, Arch
from thimble.errors import Finding, UnsupportedModel
from thimble.graph import Graph, Model, Tensor
from thimble.ops.contract import NodeView, OpaqueOp
from thimble.program import (
    DTYPE_TO_C,
    Arg,
    Buffer,
    KernelCall,
    Layer,
    Program,
    Step,
    Value,
    Window,
)

# False: tensors are whole; True: rows, for few more instructions; "least": however many it takes.
Streaming = bool | Literal["least"]
Rows = bool | frozenset[int]  # whether layers take rows, or which of them do

MAX_TENSOR_BYTES = 1 << 28  # a sanity bound against hostile shapes; far above any microcontroller


def unsupported(model: Model) -> list[Finding]:
    """Every reason why the main graph of `model` has no kernels, one finding per layer."""
    graph = model.graph
    findings = []
    for tensor in graph.tensors:
        if any(dim < 0 for dim in tensor.shape) or tensor.bytes > MAX_TENSOR_BYTES:
            findings.append(
                Finding(
                    "shape",
                    f"{model.source}, tensor `{tensor.name}`",
                    f"shape {list(tensor.shape)} is unknown or over {MAX_TENSOR_BYTES} bytes",
                    "export the model with fixed shapes",
                )
            )
    for t in sorted(_runtime_tensors(graph)):
        tensor = graph.tensors[t]
        if tensor.dtype not in DTYPE_TO_C:
            findings.append(
                Finding(
                    "unsupported",
                    f"{model.source}, tensor `{tensor.name}`",
                    f"{tensor.dtype} values cannot be computed at run time",
                    f"run-time tensors may be {', '.join(DTYPE_TO_C)}",
                )
            )
    for i in range(len(graph.nodes)):
        view = NodeView(graph, i)
        where = f"{model.source}, {graph.layer(i)}"
        if isinstance(view.op, OpaqueOp):
            kind = "custom op" if view.op.is_custom else "op"
            findings.append(
                Finding(
                    "unsupported",
                    where,
                    f"{kind} {view.op.name} has no kernel",
                    "see `thimble ops`",
                )
            )
            continue
        present = sum(view.has(k) for k in range(view.op.min_inputs))
        if present < view.op.min_inputs or not view.outputs:
            message = f"{view.op.name} needs {view.op.min_inputs} inputs and an output"
            findings.append(Finding("arity", where, f"{message}; found {present}", "re-export it"))
            continue
        sparse = [t.name for t in view.inputs if t is not None and "sparsity" in t.extra]
        if sparse:
            message = f"{view.op.name} reads sparse constants: {', '.join(sparse)}"
            hint = "the passes of `thimble build` make float ones dense"
            findings.append(Finding("sparse", where, message, hint))
            continue
        for limit in view.op.limits:
            if not limit.holds(view):
                found = limit.found(view)
                message = f"{view.op.name}: {limit.sentence}" + (
                    f"; found {found}" if found else ""
                )
                hint = limit.hint or f"see docs/ops.md#{view.op.name.lower()}"
                findings.append(Finding("unsupported", where, message, hint))
                break
    return findings


def cannot_push(model: Model) -> list[Finding]:
    """Why the input of `model` cannot be taken row by row; empty where it can."""
    graph = model.graph
    shapes = [list(graph.tensors[t].shape) for t in graph.inputs]
    is_image = len(shapes) == 1 and len(shapes[0]) >= 3 and shapes[0][0] == 1 and shapes[0][1] > 1
    if is_image and graph.inputs[0] not in graph.outputs:
        return []
    message = "only one input of shape [1, rows, ...] can be pushed by rows"
    return [Finding("push-input", model.source, f"{message}; found {shapes}", "leave it out")]


def _runtime_tensors(graph: Graph) -> set[int]:
    """Inputs, outputs and everything that a node writes."""
    used = {*graph.inputs, *graph.outputs, *(t for node in graph.nodes for t in node.outputs)}
    return {t for t in used if t >= 0 and graph.tensors[t].data is None}


class _Builder:
    """Collects buffers, values and calls while the nodes are lowered."""

    def __init__(self, graph: Graph, arch: Arch, by_rows: Rows, pushes: bool):
        self.graph = graph
        self.by_rows, self.pushes = by_rows, pushes
        self.arch = arch
        self.buffers: list[Buffer] = []
        self.values: dict[int, Arg] = {}
        self.calls: list[KernelCall] = []
        self._consts: dict[tuple[str, bytes], int] = {}
        self._by_identity: dict[int, tuple[np.ndarray, int]] = {}

    def add(self, buffer: Buffer) -> int:
        self.buffers.append(buffer)
        return len(self.buffers) - 1

    def const(self, array: np.ndarray, name: str) -> Arg:
        known = self._by_identity.get(id(array))
        if known is None:
            flat = np.ascontiguousarray(array).reshape(-1)
            key = (str(flat.dtype), flat.tobytes())
            if key not in self._consts:
                buffer = Buffer(
                    name, flat.nbytes, "const", str(flat.dtype), max(4, flat.itemsize), flat
                )
                self._consts[key] = self.add(buffer)
            known = self._by_identity[id(array)] = (array, self._consts[key])
        return Arg(known[1])

    def value(self, index: int) -> Arg:
        if index not in self.values:
            tensor = self.graph.tensors[index]
            if tensor.data is not None:
                self.values[index] = self.const(tensor.data, tensor.name)
            else:
                self.values[index] = Arg(self.add(_buffer(tensor, "arena")))
        return self.values[index]


def _buffer(tensor: Tensor, role: str, port: int = 0) -> Buffer:
    item = {"int64": 8, "float64": 8}.get(tensor.dtype, 4)
    return Buffer(tensor.name, tensor.bytes, role, tensor.dtype, item, port=port)


class Lowering(NodeView):
    """What an op's `lower` may do."""

    def __init__(self, builder: _Builder, index: int):
        super().__init__(builder.graph, index)
        self._builder = builder
        self.arch = builder.arch
        by_rows = builder.by_rows
        is_one = index in by_rows if isinstance(by_rows, frozenset) else by_rows
        self.by_rows = is_one  # prefer kernels that take their input row by row
        # rows of images must stay rows of calls
        self.keeps_rows = is_one or (builder.pushes and by_rows is False)

    def input(self, i: int = 0) -> Arg:
        """Where input i lies (its constant, if it is one)."""
        return self._builder.value(self.node.inputs[i])

    def output(self, i: int = 0) -> Arg:
        """Where output i lies."""
        return self._builder.value(self.node.outputs[i])

    def const(self, array: np.ndarray, name: str) -> Arg:
        """A constant table, stored once however often it is used."""
        return self._builder.const(array, f"{self.graph.layer_name(self.index)}/{name}")

    def scratch(self, nbytes: int, dtype: str = "int8") -> Arg:
        """Working memory of this layer only."""
        name = f"{self.graph.layer_name(self.index)}/scratch"
        return Arg(self._builder.add(Buffer(name, nbytes, "scratch", dtype, 8)))

    def sums(self, count: int) -> Arg:
        """int32 accumulators that one call of this layer writes and another reads."""
        name = f"{self.graph.layer_name(self.index)}/sums"
        return Arg(self._builder.add(Buffer(name, 4 * count, "arena", "int32")))

    def image_rows(self, i: int = 0) -> int:
        """Rows of the image that input i is the flattened form of; 1 where it is none."""
        producers = self.graph.producers()
        t = self.node.inputs[i]
        while t in producers and self.graph.nodes[producers[t]].op.is_alias:
            t = self.graph.nodes[producers[t]].inputs[0]
        shape = self.graph.tensors[t].shape
        return shape[1] if len(shape) == 4 and shape[0] == 1 and t in producers else 1

    def is_aliased(self, i: int = 0, o: int = 0) -> bool:
        """Whether output o already is the memory of input i, so that a copy needs no call."""
        return self.input(i) == self.output(o)

    def call(
        self,
        kernel: str,
        *,
        rows: int = 1,
        batches: int = 1,
        windows: Mapping[str, Window] | None = None,
        accumulates: bool = False,
        alike: str = "",
        overwrites: str = "",
        lead: int | None = None,
        why: str = "",
        **words_and_buffers: int | float | Arg | None,
    ) -> None:
        """Append one kernel call; keyword names are those of the header."""
        args = {k: v for k, v in words_and_buffers.items() if v is None or isinstance(v, Arg)}
        params: dict[str, int | float] = {}
        for key, value in words_and_buffers.items():
            if isinstance(value, (float, np.floating)):
                params[key] = float(value)
            elif isinstance(value, (int, np.integer)):
                params[key] = int(value)
        call = KernelCall(
            kernel,
            params,
            args,
            self.index,
            rows,
            batches,
            windows or {},
            accumulates,
            alike,
            overwrites,
            lead,
            why=why,
        )
        if problems := call.problems():
            raise ValueError("; ".join(problems))
        self._builder.calls.append(call)


def _alias(builder: _Builder, graph: Graph) -> None:
    """Let RESHAPE-like nodes share the memory of their input, where inputs and outputs allow it."""
    io_inputs, io_outputs = set(graph.inputs), set(graph.outputs)
    for node in reversed(graph.nodes):  # outputs pull: y's memory is known before x's
        if not node.op.is_alias:
            continue
        x, y = node.inputs[0], node.outputs[0]
        if x in io_inputs or x in io_outputs or graph.tensors[x].is_constant or x in builder.values:
            continue
        if y in io_outputs or y in builder.values:
            builder.values[x] = builder.value(y)
    for node in graph.nodes:  # inputs push
        if not node.op.is_alias:
            continue
        x, y = node.inputs[0], node.outputs[0]
        if y not in io_outputs and y not in builder.values:
            builder.values[y] = builder.value(x)


def _push(builder: _Builder, tensor: Tensor, index: int, port: int) -> None:
    """The call that takes the rows of an input as they come."""
    rows = tensor.shape[1]
    source = builder.add(_buffer(tensor, "port", port))
    builder.values[index] = Arg(builder.add(_buffer(tensor, "arena")))
    builder.add(Buffer("progress", 8, "progress", "int32"))
    builder.calls.append(
        KernelCall(
            "thm_input_rows",
            {"row_bytes": tensor.bytes // rows, "y_ring": rows},
            {"x": Arg(source), "y": builder.values[index]},
            0,
            rows,
        )
    )


def lower(
    model: Model,
    name: str = "model",
    arch: str = "scalar",
    by_rows: Rows = False,
    push_input: bool = False,
) -> Program:
    """Choose kernels for every layer, constants packed for `arch`.

    by_rows: all or some layers take rows as they come, also where only sums of an image count (for
    `streaming`).
    push_input: the input arrives by rows and is never held as a whole. Raises
    UnsupportedModel with one finding per layer that has none.
    """
    if findings := unsupported(model):
        raise UnsupportedModel(findings)
    graph = model.graph
    if push_input and (findings := cannot_push(model)):
        raise UnsupportedModel(findings)
    builder = _Builder(graph, ARCHS[arch], by_rows, push_input)
    for port, index in enumerate(graph.inputs):
        tensor = graph.tensors[index]
        if push_input:
            _push(builder, tensor, index, port)
        else:
            builder.values.setdefault(index, Arg(builder.add(_buffer(tensor, "input", port))))
    copies: list[
        tuple[int, int]
    ] = []  # (output port, tensor): outputs that no layer of ours writes
    written = {t for node in graph.nodes for t in node.outputs}
    for port, index in enumerate(graph.outputs):
        tensor = graph.tensors[index]
        if index in builder.values or index not in written:
            copies.append((port, index))
        else:
            builder.values[index] = Arg(builder.add(_buffer(tensor, "output", port)))
    _alias(builder, graph)
    layers = []
    for i, node in enumerate(graph.nodes):
        view = Lowering(builder, i)
        first = len(builder.calls)
        node.op.lower(view)
        builder.calls[first:] = _with_costs(builder.calls[first:], node.op.macs(view), builder.arch)
        for t in node.outputs:
            builder.value(t)
        shapes = ", ".join(f"{list(t.shape)} {t.dtype}" for t in view.outputs)
        given = ", ".join("-" if t is None else str(list(t.shape)) for t in view.inputs)
        layers.append(
            Layer(
                i,
                node.op.name,
                graph.layer_name(i),
                node.op.macs(view),
                tuple(node.outputs),
                f"{given} -> {shapes}",
            )
        )
    for port, index in copies:
        tensor = graph.tensors[index]
        target = Arg(builder.add(_buffer(tensor, "output", port)))
        builder.calls.append(
            KernelCall(
                "thm_copy",
                {"bytes": tensor.bytes},
                {"x": builder.value(index), "y": target},
                len(graph.nodes),
            )
        )
    if copies:
        names = ", ".join(f"`{graph.tensors[t].name}`" for _, t in copies)
        layers.append(Layer(len(graph.nodes), "COPY", "outputs", 0, (), f"outputs {names}"))
    schedule = tuple(Step(i, 0, call.rows) for i, call in enumerate(builder.calls))
    values = {t: _value(graph.tensors[t], arg) for t, arg in builder.values.items()}
    return Program(
        name,
        tuple(builder.buffers),
        tuple(builder.calls),
        schedule,
        tuple(layers),
        values,
        tuple(graph.inputs),
        tuple(graph.outputs),
    )


def _with_costs(calls: Sequence[KernelCall], macs: int, arch: Arch) -> list[KernelCall]:
    """The calls of a layer with the instructions that they will take, roughly."""
    costs, found = arch.costs, []
    for call in calls:
        p, step, mac = call.params, float(costs.step), costs.mac
        if "depthwise" in call.kernel:
            channels = p["channels"] if "channels" in p else p["in_c"]
            window, mac = call.windows["x"], costs.depthwise_mac
            again = max(window.extent - window.stride, 0) * p["in_w"]
            step += channels * (costs.step_channel + again * costs.step_pixel)
        elif "outputs" in p:
            step += p["outputs"] * costs.step_output
        insns = round(macs * mac / len(calls)) + costs.step
        found.append(replace(call, insns=insns, step_insns=round(step)))
    return found


def _value(tensor: Tensor, arg: Arg) -> Value:
    single = tensor.quant is not None and len(tensor.quant.scale) == 1
    scale, zero_point = (float(tensor.scale), tensor.zero_point) if single else (0.0, 0)
    return Value(tensor.name, tensor.shape, tensor.dtype, arg, scale, zero_point)


def with_schedule(program: Program, schedule: tuple[Step, ...]) -> Program:
    """The same program run in other steps."""
    return replace(program, schedule=schedule)
