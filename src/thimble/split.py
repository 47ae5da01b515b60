"""One model cut into parts that run one after the other: where to cut, and the parts as models.

A part reads and writes the tensors that cross its cuts under their names in the whole model. What
is chosen is cut positions: cut c lies before layer c.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from operator import add

from thimble.errors import BadInput, Finding
from thimble.graph import Model
from thimble.inplace import pairs, shared_places
from thimble.memory import merged
from thimble.passes.compact import compact
from thimble.plan.lifetimes import lifetimes
from thimble.program import Program

GOALS = ("ram", "flash")


@dataclass(frozen=True, eq=False)
class Part:
    """Layers first..last of the whole, as a model whose ports are named like the whole's tensors.

    `inputs` and `outputs` are the tensors of the whole graph behind the part's ports, in order.
    """

    first: int
    last: int
    model: Model
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def cut_model(model: Model, cuts: Sequence[int], name: str = "model") -> tuple[Part, ...]:
    """The main graph of `model` cut before each layer of `cuts`, which rise; part k is called
    NAME_partK.tflite.

    Outputs of the whole that no layer writes belong to the last part.
    """
    graph = model.graph
    bounds = [0, *cuts, len(graph.nodes)]
    part_of = {i: k for k, (a, b) in enumerate(pairwise(bounds)) for i in range(a, b)}
    written_in = {t: part_of[i] for t, i in graph.producers().items()}
    last_read = {t: part_of[readers[-1]] for t, readers in graph.consumers().items()}
    end = len(bounds) - 2
    parts = []
    for k, (first, stop) in enumerate(pairwise(bounds)):
        nodes = graph.nodes[first:stop]
        late = [t for t in graph.outputs if t not in written_in] if k == end else []
        read = {t for node in nodes for t in node.inputs if t >= 0} | set(late)
        given = {t for t in read if not graph.tensors[t].is_constant and written_in.get(t, -1) < k}
        inputs = [t for t in graph.inputs if t in given]
        inputs += sorted(given - set(inputs), key=lambda t: (written_in.get(t, -1), t))
        outputs = [t for t in graph.outputs if written_in.get(t) == k] + late
        crossing = [t for node in nodes for t in node.outputs if last_read.get(t, -1) > k]
        outputs += [t for t in dict.fromkeys(crossing) if t not in outputs]
        piece = graph.with_(nodes=nodes, inputs=tuple(inputs), outputs=tuple(outputs))
        whole = Model((piece,), model.description, source=f"{name}_part{k}.tflite")
        parts.append(Part(first, stop - 1, compact(whole), tuple(inputs), tuple(outputs)))
    return tuple(parts)


@dataclass(frozen=True)
class Costs:
    """What each run of layers [first][last] needs alone; None where it cannot be a part.

    `peak_bytes` leaves out what is only live through the run: tensors it neither reads nor writes.
    """

    peak_bytes: tuple[tuple[int | None, ...], ...]
    weights_bytes: tuple[tuple[int, ...], ...]

    @property
    def layers(self) -> int:
        return len(self.peak_bytes)


def costs(model: Model, program: Program) -> Costs:
    """The costs of all runs of layers of `model`, which `program` was lowered from."""
    graph, buffers = model.graph, program.buffers
    count = len(graph.nodes)
    touched: list[set[int]] = [set() for _ in range(count)]
    constants: list[set[int]] = [set() for _ in range(count)]
    steps_of: list[list[int]] = [[] for _ in range(count)]
    reads_writes = program.reads_writes()
    for step, (at, (reads, writes)) in enumerate(zip(program.schedule, reads_writes)):
        layer = min(program.calls[at.call].layer, count - 1)
        steps_of[layer].append(step)
        for i in reads | writes:
            (constants if buffers[i].role == "const" else touched)[layer].add(i)
    ports = {role: [i for i, b in enumerate(buffers) if b.role == role] for role in _PORTS}
    spans = lifetimes(reads_writes, len(buffers), ports["input"], ports["output"])
    shared = shared_places(pairs(program), spans, lambda i: buffers[i].role == "output")
    spans = merged(spans, shared)
    touched = [{shared.get(i, i) for i in layer} for layer in touched]
    rows: list[tuple[int | None, ...]] = []
    weights: list[tuple[int, ...]] = []
    for first in range(count):
        live = [0] * len(program.schedule)
        seen: set[int] = set()
        stored: set[int] = set()
        mine: list[int] = []
        row: list[int | None] = [None] * count
        flash = [0] * count
        for last in range(first, count):
            for i in touched[last] - seen:
                if (span := spans[i]) is not None:
                    for step in range(span[0], span[1] + 1):
                        live[step] += -(-buffers[i].bytes // 4) * 4
            seen |= touched[last]
            stored |= constants[last]
            mine += steps_of[last]
            flash[last] = sum(buffers[i].bytes for i in stored)
            if mine:
                row[last] = max(live[step] for step in mine)
        rows.append(tuple(row))
        weights.append(tuple(flash))
    return Costs(_without_shared_ports(model, program, rows), tuple(weights))


_PORTS = ("input", "output")


def _without_shared_ports(
    model: Model, program: Program, rows: Sequence[Sequence[int | None]]
) -> tuple[tuple[int | None, ...], ...]:
    """`rows` without the parts of which two ports are one buffer of the whole: they would copy."""
    graph = model.graph
    producers, consumers = graph.producers(), graph.consumers()
    ends = len(graph.nodes)  # an output of the whole is read after all layers
    uses = {
        t: (
            producers.get(t, -1),
            consumers.get(t, []) + ([ends] if t in graph.outputs else []),
            program.values[t].arg.buffer,
        )
        for t in program.values
        if not graph.tensors[t].is_constant
    }
    shared: dict[int, int] = {}
    for _, _, buffer in uses.values():
        shared[buffer] = shared.get(buffer, 0) + 1
    suspects = [use for t, use in uses.items() if shared[use[2]] > 1]
    kept = []
    for first, row in enumerate(rows):
        new = list(row)
        for last, cost in enumerate(row):
            if cost is None:
                continue
            ports: set[int] = set()
            for written, readers, buffer in suspects:
                inside = first <= written <= last
                is_input = written < first and any(first <= r <= last for r in readers)
                is_output = inside and any(r > last for r in readers)
                if is_input or is_output:
                    if buffer in ports:
                        new[last] = None
                    ports.add(buffer)
        kept.append(tuple(new))
    return tuple(kept)


@dataclass(frozen=True)
class Cuts:
    """Cut positions and the largest cost of a part: bytes of RAM or of constants."""

    positions: tuple[int, ...]
    worst_bytes: int


def choose_cuts(table: Costs, parts: int, goal: str = "ram") -> Cuts | None:
    """The cuts into `parts` parts whose largest need of `goal` is smallest; of equals, those whose
    largest other need is, then those whose parts need least memory in sum. None where there are
    not that many parts.
    """
    peaks, weights = table.peak_bytes, table.weights_bytes

    def needs(first: int, last: int) -> tuple[float, float]:
        peak = peaks[first][last]
        pair = (inf if peak is None else peak, weights[first][last])
        return pair if goal == "ram" else pair[::-1]

    def main(first: int, last: int) -> float:
        return inf if peaks[first][last] is None else needs(first, last)[0]

    def other(first: int, last: int) -> float:
        return inf if main(first, last) > worst else needs(first, last)[1]

    def rest(first: int, last: int) -> float:
        return inf if other(first, last) > second else peaks[first][last] or 0

    worst, _ = _best(table.layers, parts, main, max)
    if worst == inf:
        return None
    second, _ = _best(table.layers, parts, other, max)
    _, positions = _best(table.layers, parts, rest, add)
    return Cuts(positions, int(worst))


def _best(
    count: int,
    parts: int,
    cost: Callable[[int, int], float],
    join: Callable[[float, float], float],
) -> tuple[float, tuple[int, ...]]:
    """(value, cuts): the least joined cost of the parts (dynamic programming); inf: impossible."""
    table = [[cost(first, last) for last in range(count)] for first in range(count)]
    row: list[tuple[float, tuple[int, ...]]] = [(table[0][last], ()) for last in range(count)]
    for _ in range(parts - 1):
        new: list[tuple[float, tuple[int, ...]]] = []
        for last in range(count):
            best: tuple[float, tuple[int, ...]] = (inf, ())
            for first in range(1, last + 1):
                value = join(row[first - 1][0], table[first][last])
                if value < best[0]:
                    best = (value, (*row[first - 1][1], first))
            new.append(best)
        row = new
    return row[-1] if row else (inf, ())


def check_goal(parts: int, goal: str, source: str) -> None:
    """Raises BadInput for an unknown goal and fewer than one part."""
    findings = []
    if goal not in GOALS:
        hint = f"use one of {', '.join(GOALS)}"
        findings.append(Finding("unknown-option", source, f"no goal is called `{goal}`", hint))
    if parts < 1:
        findings.append(Finding("split", source, f"cannot be split into {parts} parts"))
    if findings:
        raise BadInput(findings)


def too_many_parts(parts: int, table: Costs, source: str) -> BadInput:
    """The error of a model with fewer places to cut than `parts` needs."""
    most = [0] + [-1] * table.layers  # parts that the layers before can make at most
    for last in range(table.layers):
        possible = [most[a] for a in range(last + 1) if table.peak_bytes[a][last] is not None]
        most[last + 1] = 1 + max(possible) if max(possible, default=-1) >= 0 else -1
    found = max(most[-1], 0)
    message = f"cannot be split into {parts} parts: its {table.layers} layers allow {found} at most"
    return BadInput(Finding("split", source, message, f"ask for {found} parts or fewer"))
