"""The calls of one window as those of an endless signal, with rings that outlive the hop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import lcm

from thimble.plan.hop import ARRIVAL, HopOrder, counters, modulus
from thimble.program import Arg, Buffer, Hop, KernelCall, Layer, Program, Step
from thimble.time_stream.axis import TimeGraph
from thimble.time_stream.rows import ByRows, Result, fill_of, outputs_of

ENDLESS = 1 << 30  # rows of a tensor that has no last one: no kernel clips
MOST_ROWS = 1 << 28  # no counter leads to a larger row number
STATE_WORDS = 2  # position in the schedule and hops of warm-up; counters follow
_HEIGHTS = ("in_h", "out_h", "x_rows")


class _Endless:
    """Collects calls, their counters and buffers."""

    def __init__(self, rows: ByRows, found: HopOrder, rings: Mapping[int, int]):
        self.rows, self.found, self.rings = rows, found, rings
        self.buffers = list(rows.program.buffers)
        self.calls: list[KernelCall] = []
        self.periods: dict[int, int] = {}  # call -> hops after which its rows are in their slots
        self.steps: dict[int, int] = {}  # call -> rows per hop
        self.schedule: list[Step] = []
        self.new: dict[int, int] = {}  # model output that is a sequence -> its rows of a hop
        # Row numbers are shifted by whole hops so that none is negative.
        self.shift = max(-(rows.need[b][0] // f.step) for b, f in rows.fresh.items())

    def add(self, call: KernelCall, buffers: set[int], moves: int | None) -> int:
        """Append a call that touches time `buffers`; `moves` is the one whose rows it counts."""
        self.calls.append(call)
        i = len(self.calls) - 1
        fresh = self.rows.fresh
        period = lcm(*(modulus(self.rings[b], fresh[b].step) for b in buffers & set(fresh)))
        if moves is not None and period > 1:
            self.periods[i], self.steps[i] = period, fresh[moves].step
        return i

    def row(self, buffer: int, row: int) -> int:
        """`row` of the window as the schedule counts it."""
        return row + self.shift * self.rows.fresh[buffer].step

    # --- calls by rows ---------------------------------------------------------------------------

    def by_rows(self) -> None:
        """The arrival, the tasks, and their turns."""
        rows, position = self.rows, {}
        call = rows.calls[rows.arrival]
        params = {**call.params, "y_ring": self.rings[rows.source]}
        arrival = self.add(replace(call, params=params), {rows.source}, rows.source)
        for k, (index, task) in enumerate(zip(rows.task_calls, rows.tasks)):
            touched = {task.output, *(use.buffer for use in task.uses)}
            position[k] = self.add(self.endless(rows.calls[index]), touched, task.output)
        for turn in self.found.turns:
            is_arrival = turn.task == ARRIVAL
            buffer = rows.source if is_arrival else rows.tasks[turn.task].output
            at = arrival if is_arrival else position[turn.task]
            self.schedule.append(Step(at, self.row(buffer, turn.y_first), turn.y_count))

    def endless(self, call: KernelCall) -> KernelCall:
        """The call on rings, of tensors without first or last row."""
        params = dict(call.params)
        for name, arg in call.args.items():
            if arg is not None and arg.buffer in self.rings and f"{name}_ring" in params:
                params[f"{name}_ring"] = self.rings[arg.buffer]
        params |= {word: ENDLESS for word in _HEIGHTS if word in params}
        return replace(call, params=params)

    # --- the tail --------------------------------------------------------------------------------

    def tail(self) -> None:
        """What runs at the end of a hop, on whole tensors."""
        copies: dict[int, int] = {}
        for index in self.rows.tail:
            call = self.rows.calls[index]
            args = dict(call.args)
            for name, arg in call.args.items():
                if arg is None or arg.buffer not in self.rings or name in outputs_of(call):
                    continue
                if self.lies_whole(call, arg.buffer):
                    continue
                if arg.buffer not in copies:
                    copies[arg.buffer] = self.laid_out(arg.buffer, call.layer)
                args[name] = replace(arg, buffer=copies[arg.buffer])
            at = self.add(replace(call, args=args), set(), None)
            self.schedule.append(Step(at, 0, call.rows))
        for result in self.rows.results:
            self.result(result)

    def lies_whole(self, call: KernelCall, buffer: int) -> bool:
        """Whether the ring can be read as the window: in order, or where no order matters."""
        ring, height = self.rings[buffer], self.rows.heights[buffer]
        if ring != height:
            return False
        if modulus(ring, self.rows.fresh[buffer].step) == 1 and self.row(buffer, 0) % ring == 0:
            return True
        if not call.kernel.startswith("thm_reduce_") or call.kernel.endswith("_f32"):
            return False
        p = call.params  # rows of x are the outermost that is reduced
        reduced = p["red1"] if p["red0"] * p["mid"] == 1 else p["red0"]
        return p["outer"] == 1 and reduced % height == 0

    def laid_out(self, buffer: int, layer: int) -> int:
        """A new buffer that gets the window's rows in order."""
        old = self.rows.program.buffers[buffer]
        self.buffers.append(Buffer(f"{old.name}/window", old.bytes, "arena", old.dtype, old.align))
        self.copy(buffer, len(self.buffers) - 1, 0, self.rows.heights[buffer], layer)
        return len(self.buffers) - 1

    def result(self, result: Result) -> None:
        """Copy rows to a model output, which gets a buffer of its own."""
        read, buffers = result.read, self.buffers
        old = next(i for i, b in enumerate(buffers) if (b.role, b.port) == ("output", result.port))
        size = (read.end - read.first) * self.rows.row_bytes(read.buffer)
        buffers.append(replace(buffers[old], bytes=size))
        buffers[old] = replace(buffers[old], role="arena", port=0)
        self.new[result.port] = read.end - read.first
        self.copy(read.buffer, len(buffers) - 1, read.first, read.end, result.layer)

    def copy(self, x: int, y: int, first: int, end: int, layer: int) -> None:
        params = {"row_bytes": self.rows.row_bytes(x), "x_ring": self.rings[x]}
        call = KernelCall("thm_window_rows", params, {"x": Arg(x), "y": Arg(y)}, layer)
        at = self.add(call, {x}, x)
        self.schedule.append(Step(at, self.row(x, first), end - first))

    # --- the program -----------------------------------------------------------------------------

    def resize(self, hop: int, words: int) -> None:
        """Rings instead of whole tensors, and the state they need."""
        for b, ring in self.rings.items():
            role = "state" if b in self.found.kept else "arena"
            size = self.rows.row_bytes(b) * ring
            self.buffers[b] = replace(self.buffers[b], bytes=size, role=role)
        for i, buffer in enumerate(self.buffers):
            if buffer.role == "progress":
                self.buffers[i] = replace(buffer, role="state", bytes=4 * words)
            elif buffer.role == "port":
                size = hop * self.rows.row_bytes(self.rows.source)
                self.buffers[i] = replace(buffer, bytes=size)

    def layers(self) -> tuple[Layer, ...]:
        """The layers with the MACs of a hop."""
        share = {}
        for index, task in zip(self.rows.task_calls, self.rows.tasks):
            f = self.rows.fresh[task.output]
            share[self.rows.calls[index].layer] = (f.end - f.first, self.rows.heights[task.output])
        for index in self.rows.tail:
            share[self.rows.calls[index].layer] = (1, 1)
        found = []
        for layer in self.rows.program.layers:
            rows, height = share.get(layer.index, (0, 1))
            found.append(replace(layer, macs=layer.macs * rows // height))
        return tuple(found)


def endless_program(
    rows: ByRows, found: HopOrder, graph: TimeGraph, hop: int, input_shape: tuple[int, ...]
) -> Program:
    """The program of one hop; its input has `input_shape`, `hop` long along time."""
    limit = MOST_ROWS // max(f.step for f in rows.fresh.values())
    for rings in (found.rings, {b: 1 << (r - 1).bit_length() for b, r in found.rings.items()}):
        made = _Endless(rows, found, rings)
        made.by_rows()
        made.tail()
        try:
            moduli, numbers = counters(list(made.periods.values()), limit)
        except ValueError:
            continue  # rings of powers of two have short common periods
        break
    else:
        raise AssertionError(f"{rows.program.name}: rings of more than {limit} rows")
    made.resize(hop, STATE_WORDS + len(moduli))
    counter = dict(zip(made.periods, numbers))
    arrivals = [i for i, step in enumerate(made.schedule) if step.call == 0]
    first_rows = rows.arrivals.stop % hop
    program = rows.program
    values = {t: replace(v, is_whole=False) for t, v in program.values.items()}
    given = program.inputs[0]
    values[given] = replace(values[given], shape=input_shape)
    for port, (t, place) in enumerate(zip(program.outputs, graph.outputs)):
        if place is not None and port in made.new:
            shape = values[t].shape
            cut = (*shape[: place.axis], made.new[port], *shape[place.axis + 1 :])
            values[t] = replace(values[t], shape=cut)
    return replace(
        program,
        buffers=tuple(made.buffers),
        calls=tuple(made.calls),
        schedule=tuple(made.schedule),
        layers=made.layers(),
        values=values,
        hop=Hop(
            hop,
            arrivals[hop - first_rows if first_rows else 0],
            -(-rows.arrivals.stop // hop) - 1,
            {i: (counter[i], made.steps[i]) for i in made.periods},
            tuple(moduli),
            {b: fill_of(program, b) for b in found.kept},
        ),
    )
