"""A model in parts computes the same bits in one arena no larger than the whole's."""

from __future__ import annotations

import itertools
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from models import ModelBuilder, random_inputs
from peers import isolated

from thimble.build import build
from thimble.cli import execute
from thimble.codegen.driver import in_one_unit
from thimble.errors import BadInput, DoesNotFit
from thimble.formats.tflite import dumps, load, loads
from thimble.graph import Model
from thimble.lower import lower
from thimble.memory import place
from thimble.ops.add import Add
from thimble.ops.relu import Relu
from thimble.ops.reshape import Reshape
from thimble.parts import PartsRunner, Split, split, split_report, with_self_test
from thimble.runners.host_library import HostLibrary
from thimble.runners.reference import ReferenceRunner
from thimble.split import choose_cuts, costs, cut_model

MODELS = [
    "bench/kws_ref_model",
    "bench/vww_96_int8",
    "bench/pretrainedResnet_quant",
    "tcn/tcn_b1_int8",
]


def residual() -> Model:
    """A ladder: four layers, each joined with the input, two outputs and an alias between."""
    b = ModelBuilder()
    shape = (1, 4, 4, 3)
    tensor = [(shape, "int8", 0.1, -3)]
    x = b.input("x", shape, "int8", 0.1, -3)
    first = b.op(Relu(), [x], tensor)
    y = first
    for _ in range(3):
        y = b.op(Add(), [y, x], tensor, version=2)
    flat = b.op(Reshape((1, 48)), [y], [((1, 48), "int8", 0.1, -3)])
    return b.build([flat, first])


def chained(given: Split, inputs: list[np.ndarray], resolver: str) -> list[np.ndarray]:
    """What LiteRT makes of the parts' files, each fed with what the parts before it gave."""
    graph = given.model.graph
    values = dict(zip(graph.inputs, inputs))
    for part in given.parts:
        found = isolated(
            "litert", dumps(part.model), [values[t] for t in part.inputs], resolver=resolver
        )
        values.update(zip(part.outputs, found))
    return [values[t] for t in graph.outputs]


@pytest.mark.parametrize("parts", [2, 3, 4])
@pytest.mark.parametrize("name", MODELS)
def test_open_models_in_parts(shared: Path, name: str, parts: int) -> None:
    model = load(shared / f"data/{name}.tflite")
    given = split(model, parts)
    assert len(given.parts) == parts
    assert given.arena_bytes <= given.whole_memory.arena_bytes
    sample = random_inputs(model.graph, parts)
    wanted = ReferenceRunner(model).run(sample)
    for found in (
        PartsRunner(given).run(sample),
        isolated("litert", dumps(model), sample, resolver="ref"),
        chained(given, sample, "ref"),
    ):
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(a, b)
    firmware = in_one_unit(with_self_test(given, sample))
    for in_arena in (True, False):
        library = HostLibrary(firmware, in_arena=in_arena)
        assert library.self_test() == 0
        for a, b in zip(library.run(sample), wanted, strict=True):
            np.testing.assert_array_equal(a, b)


def test_every_way_to_cut_gives_the_same_outputs() -> None:
    model = residual()
    sample = random_inputs(model.graph, 1)
    wanted = ReferenceRunner(model).run(sample)
    count = len(model.graph.nodes)
    for size in range(count):
        for cuts in itertools.combinations(range(1, count), size):
            values = dict(zip(model.graph.inputs, sample))
            for part in cut_model(model, cuts):
                again = loads(dumps(part.model))
                names = [part.model.graph.tensors[t].name for t in part.model.graph.inputs]
                assert names == [model.graph.tensors[t].name for t in part.inputs]
                found = ReferenceRunner(again).run([values[t] for t in part.inputs])
                values.update(zip(part.outputs, found))
            for t, want in zip(model.graph.outputs, wanted):
                np.testing.assert_array_equal(values[t], want)


@pytest.mark.parametrize("goal", ["ram", "flash"])
def test_the_chosen_cuts_are_the_best_of_all(shared: Path, goal: str) -> None:
    model = load(shared / "data/bench/kws_ref_model.tflite")
    table = costs(model, lower(model))
    main = table.peak_bytes if goal == "ram" else table.weights_bytes
    for parts in (2, 3):
        everything = []
        for cuts in itertools.combinations(range(1, table.layers), parts - 1):
            bounds = [0, *cuts, table.layers]
            runs = [(a, b - 1) for a, b in itertools.pairwise(bounds)]
            if all(table.peak_bytes[a][b] is not None for a, b in runs):
                everything.append(max(main[a][b] or 0 for a, b in runs))
        chosen = choose_cuts(table, parts, goal)
        assert chosen is not None
        assert chosen.worst_bytes == min(everything)


def test_a_part_needs_what_its_costs_say() -> None:
    model = residual()
    given = split(model, 3)
    for part in given.parts:
        alone = place(lower(part.model))
        peak = given.table.peak_bytes[part.first][part.last]
        assert peak is not None
        assert peak >= alone.plan.bound_bytes  # alone it may overwrite inputs that live on
        assert peak <= place(lower(part.model), "greedy").arena_bytes


def test_pass_through_repeated_and_early_outputs() -> None:
    b = ModelBuilder()
    tensor = [((1, 4), "int8", 0.1, -3)]
    x = b.input("x", (1, 4), "int8", 0.1, -3)
    y = b.op(Relu(), [x], tensor)
    z = b.op(Add(), [y, x], tensor, version=2)
    model = b.build([y, x, z, y])
    given = split(model, 2)
    sample = random_inputs(model.graph, 3)
    wanted = ReferenceRunner(model).run(sample)
    library = HostLibrary(in_one_unit(with_self_test(given, sample)))
    assert library.self_test() == 0
    for found in (library.run(sample), PartsRunner(given).run(sample)):
        for a, b_ in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(a, b_)


def test_it_says_why_splitting_does_not_help_and_what_does(shared: Path) -> None:
    model = load(shared / "data/bench/kws_ref_model.tflite")
    report = split_report(split(model, 3))
    assert report.largest_layer_bytes == report.arena_bytes == report.whole_bytes
    text = report.text()
    assert "splitting cannot lower the peak" in text
    assert "DEPTHWISE_CONV_2D" in text
    assert f"--stream needs {report.streamed_bytes:,}" in " ".join(text.split())
    with pytest.raises(DoesNotFit, match="no split makes it fit"):
        split(model, ram=8000)


def test_fewest_parts_that_fit(shared: Path) -> None:
    model = load(shared / "data/tcn/tcn_b1_int8.tflite")
    whole = split(model, 1)
    assert whole.arena_bytes == whole.whole_memory.arena_bytes
    given = split(model, ram=2100)
    needs = [row.peak_bytes for row in split_report(given).parts]
    assert len(needs) > 1
    assert max(needs) <= 2100 < whole.whole_memory.arena_bytes
    names = {t.name for t in split_report(split(model, 4)).long_lived}
    assert len(names) == 2


def test_more_parts_than_layers() -> None:
    with pytest.raises(BadInput, match=r"allow [0-9]+ at most"):
        split(residual(), 40)
    with pytest.raises(BadInput, match="no goal"):
        split(residual(), 2, goal="luck")


def test_build_writes_parts_and_driver(tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = build(residual(), "host", str(out), split=2, name="ladder")
    assert report.verification is not None
    assert report.verification.mismatched == 0
    for k in range(2):
        assert load(out / f"ladder_part{k}.tflite").graph.nodes
        assert f"ladder_part{k}_run(" in (out / "ladder.c").read_text()
    assert json.loads((out / "split.json").read_text())["arena_bytes"] == report.ram.arena_bytes
    done = subprocess.run(["make", "-s", "host"], cwd=out, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "self test passed" in done.stdout
    flags = "-std=c11 -Wall -Wextra -Wconversion -Werror -I. -fsyntax-only"
    for unit in out.glob("ladder*.c"):
        subprocess.run(["gcc", *flags.split(), unit.name], cwd=out, check=True)
    with pytest.raises(BadInput, match="split and streamed"):
        build(residual(), "host", split=2, stream=True)


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "ladder.tflite")
    residual().save(path)
    assert execute(["plan", path, "--split", "3", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [p["index"] for p in report["parts"]] == [0, 1, 2]
    assert execute(["plan", path, "--ram", "200", "-q"]) == 0
    capsys.readouterr()
    assert execute(["plan", path, "--ram", "16", "-q"]) == 1
    assert "no split makes it fit" in capsys.readouterr().err
