"""`program`: the planned Program, run with the kernels' NumPy twins in one arena of exactly
arena_bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace

import numpy as np

from thimble import ops
from thimble.memory import Memory
from thimble.program import Arg, KernelCall, Layer, Program, Value
from thimble.trace import Trace

Array = np.ndarray


class ProgramRunner:
    """Runs `program` in the memory that `memory` planned. Constants are never copied.

    `arena`: at least arena_bytes to run in, where programs share one.
    """

    def __init__(self, program: Program, memory: Memory, arena: Array | None = None):
        self.program = program
        self.memory = memory
        self.arena = np.zeros(memory.arena_bytes, np.uint8) if arena is None else arena
        self._spare: dict[int, Array] = {}  # ports that no step touches have no place in the arena

    def _bytes(self, arg: Arg, batch: int = 0) -> Array:
        buffer = self.program.buffers[arg.buffer]
        start = arg.offset + batch * arg.batch_stride
        if buffer.data is not None:
            return buffer.data.reshape(-1).view(np.uint8)[start:]
        if arg.buffer in self.memory.offsets:
            offset = self.memory.offsets[arg.buffer]
            return self.arena[offset + start : offset + buffer.bytes]
        spare = self._spare.setdefault(arg.buffer, np.zeros(buffer.bytes, np.uint8))
        return spare[start:]

    def _read(self, value: Value) -> Array:
        dtype = np.dtype(value.dtype)
        count = int(np.prod(value.shape, dtype=np.int64)) * dtype.itemsize
        return self._bytes(value.arg)[:count].view(dtype).reshape(value.shape).copy()

    def _whole(self, layer: Layer) -> list[Value]:
        values = (self.program.values[t] for t in layer.outputs)
        return [value for value in values if value.is_whole]

    def _outputs(self, layer: Layer) -> list[Array]:
        return [self._read(value) for value in self._whole(layer)]

    def step(self, call: KernelCall, y_first: int, y_count: int) -> None:
        """Rows [y_first, y_first + y_count) of one call, all batches."""
        params = SimpleNamespace(**call.params)
        twin = ops.twin(call.kernel)
        for batch in range(call.batches):
            views: list[Array | None] = []
            for param in call.signature.buffers:
                arg = call.args[param.name]
                if arg is None:
                    views.append(None)
                    continue
                data = self._bytes(arg, batch)
                item = np.dtype(param.dtype).itemsize
                views.append(data[: len(data) // item * item].view(param.dtype))
            twin(params, y_first, y_count, *views)

    def run(
        self,
        inputs: Sequence[Array],
        after_layer: Callable[[int, list[Array]], None] | None = None,
    ) -> list[Array]:
        """Outputs for `inputs` (in the model's order, dtype and shape).

        `after_layer(layer index, its outputs)` is called as soon as a layer's last step has run.
        """
        buffers = self.program.buffers
        for i, buffer in enumerate(buffers):
            if buffer.role in ("input", "port"):
                data = np.ascontiguousarray(inputs[buffer.port]).reshape(-1).view(np.uint8)
                self._bytes(Arg(i))[:] = data
        steps = self.program.schedule
        last_step = {self.program.calls[step.call].layer: k for k, step in enumerate(steps)}
        layers = self.program.layers
        done = 0

        def finish(end: int) -> None:
            """Hand on the layers below `end` and those after it that need no code: what they share
            memory with may be overwritten by the next step.
            """
            nonlocal done
            while end < len(layers) and end not in last_step:
                end += 1
            for layer in layers[done:end]:
                if after_layer is not None:
                    after_layer(layer.index, self._outputs(layer))
            done = max(done, end)

        finish(0)
        for k, step in enumerate(steps):
            call = self.program.calls[step.call]
            self.step(call, step.y_first, step.y_count)
            if last_step[call.layer] == k:
                finish(call.layer + 1)
        outputs = []
        for port, index in enumerate(self.program.outputs):
            buffer_index = next(
                i for i, b in enumerate(buffers) if b.role == "output" and b.port == port
            )
            value = self.program.values[index]
            dtype = np.dtype(value.dtype)
            outputs.append(self._bytes(Arg(buffer_index)).view(dtype).reshape(value.shape).copy())
        return outputs

    def trace(self, inputs: Sequence[Array]) -> Trace:
        """Outputs and every layer's outputs, by tensor name."""
        tensors: dict[str, Array] = {}
        rows = []

        def keep(index: int, values: list[Array]) -> None:
            layer = self.program.layers[index]
            names = [v.name for v in self._whole(layer)]
            tensors.update(zip(names, values))
            rows.append((layer.index, layer.op, layer.name, tuple(names)))

        outputs = self.run(inputs, keep)
        names = [self.program.values[t].name for t in self.program.outputs]
        return Trace(dict(zip(names, outputs)), tensors, tuple(rows), "program", {})
