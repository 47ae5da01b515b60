"""`program` for programs that go on for ever: rows go in, outputs come out after every hop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from thimble.memory import Memory
from thimble.program import Arg, Program
from thimble.runners.program import Array, ProgramRunner


class HopRunner(ProgramRunner):
    """Runs a `program` with a `hop` in the memory that `memory` planned, which keeps its state."""

    def __init__(self, program: Program, memory: Memory):
        super().__init__(program, memory)
        assert program.hop is not None
        self.hop = program.hop
        self.source = next(i for i, b in enumerate(program.buffers) if b.role == "port")
        self.reset()

    def reset(self) -> None:
        """Forget all rows. What is not state holds junk, as on a device."""
        self.arena[:] = 0xA5
        for buffer, value in self.hop.fills.items():
            self._bytes(Arg(buffer))[:] = value
        self.position = self.hop.first_step
        self.warm_up = self.hop.warm_up
        self.counters = [0] * len(self.hop.moduli)

    def push(self, rows: Array) -> list[list[Array]]:
        """Take rows [n, ...] of the input; the outputs of each window that they complete."""
        found = []
        for row in np.ascontiguousarray(rows):
            if self._take(row) and self._is_warm():
                found.append(self._results())
        return found

    def run(self, inputs: Sequence[Array], after_layer: object = None) -> list[Array]:
        """Outputs after one hop, `inputs` being its rows; junk while warming up."""
        if after_layer is not None:
            raise ValueError("a hop has no tensors to show layer by layer")
        self.push(inputs[0].reshape(self.hop.rows, -1))
        return self._results()

    def _take(self, row: Array) -> bool:
        """Run what a row allows; True at the end of the hop."""
        steps = self.program.schedule
        arrival = steps[self.position].call
        data = row.reshape(-1).view(np.uint8)
        while True:
            step = steps[self.position]
            call = self.program.calls[step.call]
            counter, rows = self.hop.advance.get(step.call, (0, 0))
            y_first = step.y_first + (self.counters[counter] * rows if rows else 0)
            if step.call == arrival:
                target, at = call.args["y"], y_first % int(call.params["y_ring"])
                assert target is not None
                if step.y_count:
                    self._bytes(target)[at * len(data) : (at + 1) * len(data)] = data
            else:
                self.step(call, y_first, step.y_count)
            self.position += 1
            if self.position == len(steps):
                break
            if steps[self.position].call == arrival:
                return False
        self.position = 0
        self.counters = [(c + 1) % m for c, m in zip(self.counters, self.hop.moduli)]
        return True

    def _is_warm(self) -> bool:
        if self.warm_up:
            self.warm_up -= 1
            return False
        return True

    def _results(self) -> list[Array]:
        outputs = []
        for port, index in enumerate(self.program.outputs):
            buffers = enumerate(self.program.buffers)
            at = next(i for i, b in buffers if b.role == "output" and b.port == port)
            value = self.program.values[index]
            data = self._bytes(Arg(at)).view(np.dtype(value.dtype))
            outputs.append(data.reshape(value.shape).copy())
        return outputs
