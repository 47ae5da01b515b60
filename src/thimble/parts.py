"""A split model on its way to C: parts chosen, lowered, planned in one arena, emitted, reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from thimble.build import Prepared, model_name
from thimble.codegen import driver, selftest
from thimble.codegen.c import emit as emit_c
from thimble.codegen.driver import PartCall, Place
from thimble.codegen.firmware import Firmware, Port
from thimble.errors import DoesNotFit, Finding
from thimble.formats.tflite import dumps
from thimble.graph import Model
from thimble.lower import lower
from thimble.memory import Memory, place
from thimble.plan import TIME_LIMIT_S
from thimble.program import Program
from thimble.report import LongLived, SplitPart, SplitReport
from thimble.report.base import short
from thimble.runners.program import ProgramRunner
from thimble.shared_arena import Together, place_in_turn
from thimble.split import (
    Costs,
    Cuts,
    Part,
    check_goal,
    choose_cuts,
    costs,
    cut_model,
    too_many_parts,
)
from thimble.targets import Target
from thimble.trace import Trace

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Split:
    """A model in parts. `whole` and `whole_memory` are the same model in one piece."""

    source: Model  # as loaded
    model: Model  # after the passes; the parts are cut from it
    whole: Program
    whole_memory: Memory
    table: Costs
    parts: tuple[Part, ...]
    programs: tuple[Program, ...]
    together: Together
    firmware: Firmware  # the driver with its parts

    @property
    def arena_bytes(self) -> int:
        return self.together.arena_bytes

    def prepared(self) -> Prepared:
        """The driver as `thimble.build` knows models."""
        plan = replace(self.whole_memory, plan=self.together.plan)
        return Prepared(self.source, self.model, self.whole, plan, self.firmware)


def split(
    model: Model,
    parts: int | None = None,
    *,
    ram: int | None = None,
    goal: str = "ram",
    target: Target | None = None,
    optimize: str = "auto",
    name: str | None = None,
    strategy: str = "exact",
    shrink: bool = True,
    time_limit_s: float = TIME_LIMIT_S,
) -> Split:
    """`model` in `parts` parts, or in the fewest of which each runs alone in `ram` bytes.

    goal: "ram" makes the largest memory of a part smallest, "flash" the largest constants. Raises
    BadInput where there are not that many places to cut, DoesNotFit where one layer exceeds `ram`,
    UnsupportedModel.
    """
    from thimble.arch import ARCHS
    from thimble.passes import pipeline, run_passes

    check_goal(1 if parts is None else parts, goal, model.source)
    arch = target.arch if target is not None and target.arch in ARCHS else "scalar"
    chosen = name or model_name(model)
    optimized = run_passes(model, pipeline(shrink))
    whole = lower(optimized, chosen, arch)
    whole_memory = place(whole, strategy, time_limit_s)
    table = costs(optimized, whole)
    cuts = _cuts(optimized, whole, table, parts, ram, goal)
    pieces = cut_model(optimized, cuts.positions, chosen)
    programs = tuple(lower(p.model, f"{chosen}_part{k}", arch) for k, p in enumerate(pieces))
    graph = optimized.graph
    ports = _numbers(pieces, graph.inputs)
    handed_out = [t for _, written in ports for t in written if t in graph.outputs or t < 0]
    together = place_in_turn(programs, ports, graph.inputs, handed_out, strategy, time_limit_s)
    firmware = _driver(chosen, optimized, whole, pieces, programs, ports, together, optimize)
    return Split(model, optimized, whole, whole_memory, table, pieces, programs, together, firmware)


def _cuts(
    model: Model, whole: Program, table: Costs, parts: int | None, ram: int | None, goal: str
) -> Cuts:
    if parts is not None:
        found = choose_cuts(table, parts, goal)
        if found is None:
            raise too_many_parts(parts, table, model.source)
        return found
    limit = ram if ram is not None else 0
    for count in range(1, table.layers + 1):
        found = choose_cuts(table, count, goal)
        if found is not None and _largest(table, found.positions) <= limit:
            return found
        if found is None and count > 1:
            break
    layer, needed = largest_layer(table, whole)
    streamed = _streamed_bytes(model, whole.name)
    raise DoesNotFit(
        Finding(
            "does-not-fit",
            f"{model.source}, {layer}",
            f"needs {needed:,} bytes alone, {limit:,} are allowed: no split makes it fit",
            f"run it row by row: --stream needs {streamed:,} bytes; or make that layer smaller",
        )
    )


def _largest(table: Costs, positions: Sequence[int]) -> int:
    """The largest memory of a part."""
    bounds = [0, *positions, table.layers]
    return max(table.peak_bytes[a][b - 1] or 0 for a, b in pairwise(bounds))


def largest_layer(table: Costs, whole: Program) -> tuple[str, int]:
    """The layer that needs most memory alone, and its bytes."""
    alone = [table.peak_bytes[i][i] or 0 for i in range(table.layers)]
    worst = max(range(table.layers), key=lambda i: alone[i])
    layer = whole.layers[worst]
    return f"layer {layer.index} {layer.op} `{short(layer.name)}`", alone[worst]


def _numbers(
    parts: Sequence[Part], model_inputs: Sequence[int]
) -> list[tuple[list[int], list[int]]]:
    """The memory behind the ports of each part, as numbers: tensors of the whole, and negative ones
    for outputs that a part copies.
    """
    found: list[tuple[list[int], list[int]]] = []
    copies = 0
    for part in parts:
        outputs: list[int] = []
        for t in part.outputs:
            if t in outputs or t in part.inputs or t in model_inputs:
                copies += 1
                outputs.append(-copies)
            else:
                outputs.append(t)
        found.append((list(part.inputs), outputs))
    return found


def _driver(
    name: str,
    model: Model,
    whole: Program,
    parts: Sequence[Part],
    programs: Sequence[Program],
    ports: Sequence[tuple[list[int], list[int]]],
    together: Together,
    optimize: str,
) -> Firmware:
    graph = model.graph
    firmwares = [emit_c(p, m, optimize) for p, m in zip(programs, together.memories)]
    offsets: dict[int, int] = {}
    for firmware, (read, written) in zip(firmwares, ports):
        for port, t in zip((*firmware.inputs, *firmware.outputs), (*read, *written)):
            if port.arena_offset is not None:
                offsets[t] = port.arena_offset
    whole_outputs = _whole_outputs(graph.outputs, parts, ports)
    inputs = _ports(whole, graph.inputs, graph.inputs, offsets, "input")
    outputs = _ports(whole, graph.outputs, whole_outputs, offsets, "output")
    places = {t: Place(port.c_name) for t, port in zip(graph.inputs, inputs)}
    places |= {t: Place(port.c_name) for t, port in zip(whole_outputs, outputs)}
    calls = [
        PartCall(
            firmware,
            tuple(places.get(t, Place(offset=offsets.get(t, 0))) for t in read),
            tuple(places.get(t, Place(offset=offsets.get(t, 0))) for t in written),
        )
        for firmware, (read, written) in zip(firmwares, ports)
    ]
    kept = [f"{t.name} lives from part {t.first} to {t.last}" for t in long_lived(model, parts)]
    arena = max(together.arena_bytes, 1)
    return driver.emit(name, calls, inputs, outputs, arena, together.align, kept)


def _whole_outputs(
    outputs: Sequence[int], parts: Sequence[Part], ports: Sequence[tuple[list[int], list[int]]]
) -> list[int]:
    """The number of the memory of each output of the whole, in order."""
    numbers: list[int] = []
    for t in outputs:
        candidates = [
            number
            for part, (_, written) in zip(parts, ports)
            for tensor, number in zip(part.outputs, written)
            if tensor == t and number not in numbers
        ]
        numbers.append(candidates[0])
    return numbers


def _ports(
    whole: Program,
    tensors: Sequence[int],
    numbers: Sequence[int],
    offsets: dict[int, int],
    role: str,
) -> tuple[Port, ...]:
    values = [whole.values[t] for t in tensors]
    names = [role if len(values) == 1 else f"{role}{i}" for i in range(len(values))]
    return tuple(
        Port(v.name, c_name, v.shape, v.dtype, v.scale, v.zero_point, offsets.get(number))
        for v, c_name, number in zip(values, names, numbers)
    )


def long_lived(model: Model, parts: Sequence[Part]) -> list[LongLived]:
    """The tensors that are live through a whole part that does not use them, or across several."""
    graph = model.graph
    found = []
    for t in dict.fromkeys(t for part in parts for t in (*part.inputs, *part.outputs)):
        writers = [k for k, part in enumerate(parts) if t in part.outputs]
        readers = [k for k, part in enumerate(parts) if t in part.inputs]
        first = writers[0] if writers else -1
        last = len(parts) - 1 if t in graph.outputs else max(readers, default=first)
        if last - first > 1 and (t not in graph.outputs or readers):
            tensor = graph.tensors[t]
            found.append(LongLived(tensor.name, tensor.bytes, first, last))
    return found


class PartsRunner:
    """Runs the parts with the kernels' twins, one after the other in one arena."""

    def __init__(self, given: Split):
        self.given = given
        self.arena = np.zeros(given.arena_bytes, np.uint8)

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """Outputs for `inputs` (in the model's order, dtype and shape)."""
        outputs = self.tensors(inputs)
        return [outputs[t] for t in self.given.model.graph.outputs]

    def tensors(self, inputs: Sequence[Array]) -> dict[int, Array]:
        """All tensors that cross cuts, and the outputs, by tensor of the whole."""
        graph = self.given.model.graph
        values = dict(zip(graph.inputs, inputs))
        for part, program, memory in zip(
            self.given.parts, self.given.programs, self.given.together.memories
        ):
            runner = ProgramRunner(program, memory, self.arena)
            found = runner.run([values[t] for t in part.inputs])
            values.update(zip(part.outputs, found))
        return values

    def trace(self, inputs: Sequence[Array]) -> Trace:
        """Outputs, and what each part hands on."""
        graph = self.given.model.graph
        values = {graph.tensors[t].name: v for t, v in self.tensors(inputs).items()}
        rows = tuple(
            (k, "PART", f"part {k}", tuple(graph.tensors[t].name for t in part.outputs))
            for k, part in enumerate(self.given.parts)
        )
        outputs = {graph.tensors[t].name: values[graph.tensors[t].name] for t in graph.outputs}
        return Trace(outputs, values, rows, "program", {})


def with_self_test(given: Split, inputs: Sequence[Array]) -> Firmware:
    """The driver and the parts, each with a self test for the golden sample `inputs`."""
    values = PartsRunner(given).tensors(inputs)
    files = dict(given.firmware.files)
    for part, program, memory in zip(given.parts, given.programs, given.together.memories):
        sample = [values[t] for t in part.inputs]
        own = emit_c(program, memory)
        trace = ProgramRunner(program, memory, np.zeros(given.arena_bytes, np.uint8)).trace(sample)
        files[own.source] += selftest.emit(own, sample, trace)
    firmware = given.firmware
    text = selftest.emit(firmware, inputs, PartsRunner(given).trace(inputs))
    files[firmware.source] += text
    return replace(firmware, files=files)


def files(given: Split) -> dict[str, bytes | str]:
    """What a split build writes besides the C: every part as .tflite, and the report."""
    report = split_report(given)
    found: dict[str, bytes | str] = {p.model.source: dumps(p.model) for p in given.parts}
    return found | {"split.json": report.to_json() + "\n", "split.txt": report.text()}


def split_report(given: Split) -> SplitReport:
    """What the parts need, and whether splitting helps."""
    table, whole = given.table, given.whole_memory.arena_bytes
    rows = []
    for k, (part, program) in enumerate(zip(given.parts, given.programs)):
        graph = part.model.graph
        rows.append(
            SplitPart(
                k,
                part.first,
                part.last,
                table.peak_bytes[part.first][part.last] or 0,
                table.weights_bytes[part.first][part.last],
                sum(layer.macs for layer in program.layers),
                [graph.tensors[t].name for t in graph.inputs],
                [graph.tensors[t].name for t in graph.outputs],
            )
        )
    layer, needed = largest_layer(table, given.whole)
    kept = long_lived(given.model, given.parts)
    streamed = _streamed_bytes(given.model, given.whole.name)
    return SplitReport(
        given.source.source,
        given.arena_bytes,
        whole,
        layer,
        needed,
        rows,
        kept,
        streamed,
        advice=_advice(rows, kept, whole, layer, needed, streamed),
        provenance={
            "arena_bytes": "planned over all parts and checked by an independent validator",
            "peak_bytes": "largest live set within the part, tensors that it does not use left out",
            "streamed_bytes": "planned arena of the whole model run row by row",
        },
    )


def _streamed_bytes(model: Model, name: str) -> int:
    from thimble.streaming import stream

    return place(stream(lower(model, name, by_rows=True))).arena_bytes


def _advice(
    rows: Sequence[SplitPart],
    kept: Sequence[LongLived],
    whole: int,
    layer: str,
    needed: int,
    streamed: int,
) -> list[str]:
    """Whether splitting helps, and what does, in sentences."""
    largest = max(row.peak_bytes for row in rows)
    lines = []
    if largest >= whole:
        lines.append(
            f"splitting cannot lower the peak: one part still needs {largest:,} of the whole's "
            f"{whole:,} bytes"
            + (f"; {layer} alone needs {needed:,}" if needed * 10 >= largest * 9 else "")
        )
    else:
        moved = sum(t.bytes for t in kept)
        lines.append(
            f"run apart, with the long-lived tensors ({moved:,} bytes) in another memory, the parts"
            f" need {largest:,} bytes instead of {whole:,}; in one arena they need all of it"
        )
    if streamed < min(largest, whole):
        lines.append(f"running layers row by row does: --stream needs {streamed:,} bytes")
    return lines
