"""Buffers over several memory regions: sound, hot ones where it is fast, the same bits."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import ModelBuilder, random_inputs

from thimble.build import build, prepare, with_self_test
from thimble.cli import execute
from thimble.errors import BadInput, DoesNotFit
from thimble.formats.tflite import load
from thimble.graph import Model
from thimble.ops.add import Add
from thimble.ops.relu import Relu
from thimble.plan import Block, plan_blocks
from thimble.plan.regions import Region, spread_blocks
from thimble.plan.validate import check_regions
from thimble.regions import parse_regions
from thimble.runners.emulator import Emulator
from thimble.runners.host_library import HostLibrary
from thimble.runners.program import ProgramRunner
from thimble.runners.reference import ReferenceRunner
from thimble.runners.shadow import ShadowRunner
from thimble.targets import load_target, target_names
from thimble.toolchain import find_compilers

needs_m4 = pytest.mark.skipif(
    not (shutil.which("qemu-system-arm") and find_compilers(load_target("cortex-m4"))),
    reason="no emulated Cortex-M4 here",
)


def ladder(side: int = 6) -> Model:
    """Six layers, each joined with the input, which lives through all of them."""
    b = ModelBuilder()
    shape = (1, side, side, 4)
    tensor = [(shape, "int8", 0.1, -3)]
    x = b.input("x", shape, "int8", 0.1, -3)
    y = b.op(Relu(), [x], tensor)
    for _ in range(5):
        y = b.op(Add(), [y, x], tensor, version=2)
    return b.build([y])


def sizes(regions: str) -> list[Region]:
    return [Region(chr(ord("a") + k), int(size)) for k, size in enumerate(regions.split())]


@st.composite
def crowds(draw: st.DrawFn) -> tuple[list[Block], list[float], list[Region]]:
    """Blocks, their accesses, and regions that may be too small."""
    blocks = []
    for i in range(draw(st.integers(0, 12))):
        first = draw(st.integers(0, 8))
        size, align = draw(st.integers(1, 40)), draw(st.sampled_from([1, 4, 8]))
        blocks.append(Block(f"b{i}", size, first, draw(st.integers(first, 9)), align))
    heat = [draw(st.floats(0, 1e6)) for _ in blocks]
    regions = [Region(f"r{k}", draw(st.integers(0, 120))) for k in range(draw(st.integers(1, 3)))]
    return blocks, heat, regions


@settings(deadline=None, max_examples=150)
@given(crowds())
def test_what_has_a_place_is_sound(drawn: tuple[list[Block], list[float], list[Region]]) -> None:
    blocks, heat, regions = drawn
    found = spread_blocks(blocks, heat, regions, time_limit_s=0.2)
    limits = [(region.name, region.bytes) for region in regions]
    placed = [i for i in range(len(blocks)) if i not in found.left]
    assert all(found.region[i] == -1 for i in found.left)
    mine = [blocks[i] for i in placed]
    where = [found.region[i] for i in placed]
    assert check_regions(mine, where, [found.offsets[i] for i in placed], limits) == []
    if all(block.bytes > region.bytes for block in mine for region in regions):
        assert not mine


@settings(deadline=None, max_examples=60)
@given(crowds())
def test_a_region_for_all_holds_all(
    drawn: tuple[list[Block], list[float], list[Region]],
) -> None:
    blocks, heat, _ = drawn
    total = sum(-(-block.bytes // 8) * 8 for block in blocks)
    found = spread_blocks(blocks, heat, [Region("all", total)], time_limit_s=0.1)
    assert set(found.region) <= {0}
    whole = plan_blocks(blocks, time_limit_s=0.1)
    assert found.plans[0].bound_bytes <= whole.arena_bytes


def test_the_validator_sees_every_region() -> None:
    blocks = [Block("a", 8, 0, 1), Block("b", 8, 1, 2), Block("c", 8, 2, 3)]
    limits = [("fast", 8), ("slow", 16)]
    assert check_regions(blocks, [0, 1, 0], [0, 0, 0], limits) == []
    for region, offsets, rule in (
        ([0, 0, 1], [0, 0, 0], "plan-overlap"),
        ([1, 1, 0], [0, 4, 0], "plan-overlap"),
        ([0, 1, 0], [4, 0, 0], "plan-region"),
        ([0, 2, 0], [0, 0, 0], "plan-region"),
        ([0, 1, 0], [0, 2, 0], "plan-alignment"),
    ):
        assert rule in {f.rule for f in check_regions(blocks, region, offsets, limits)}


def test_hot_blocks_come_first_and_the_rest_spills() -> None:
    blocks = [Block("cold", 64, 0, 3), Block("hot", 64, 0, 3), Block("warm", 64, 0, 3)]
    found = spread_blocks(blocks, [10.0, 1000.0, 100.0], sizes("64 64 64"))
    assert found.region == (2, 0, 1)
    # By heat alone the small one would leave no place for the large one.
    blocks = [Block("small", 8, 0, 0), Block("large", 64, 0, 0)]
    found = spread_blocks(blocks, [1e6, 1.0], sizes("64 8"))
    assert (found.region, found.left) == ((1, 0), ())


@pytest.mark.parametrize("how", ["whole", "stream", "stream_input", "size"])
def test_small_model_has_the_same_bits_everywhere(how: str) -> None:
    model = ladder()
    options = {how: True} if how.startswith("stream") else {}
    optimize = "size" if how == "size" else "auto"
    alone = prepare(model, optimize=optimize, name="m", **options)  # type: ignore[arg-type]
    most = alone.memory.arena_bytes
    inputs = random_inputs(model.graph, 1)
    wanted = ReferenceRunner(model).run(inputs)
    for fast in (most // 4 // 8 * 8 + 16, most // 2, most):
        given = prepare(
            model,
            optimize=optimize,
            name="m",
            regions=[f"tcm={fast}", f"ram={most}"],
            **options,  # type: ignore[arg-type]
        )
        used = given.memory.regions
        assert used[0].bytes <= fast
        assert used[1].bytes > 0 or fast == most
        assert given.firmware.arena_bytes == max(used[0].bytes, 1)
        firmware = with_self_test(given, inputs)
        library = HostLibrary(firmware)
        assert library.self_test() == 0
        shadow = ShadowRunner(given.program, given.memory)
        for runner in (ProgramRunner(given.program, given.memory), library, shadow):
            for got, want in zip(runner.run(inputs), wanted, strict=True):
                np.testing.assert_array_equal(got, want)


@needs_m4
def test_on_an_emulated_core() -> None:
    model = ladder(9)
    target = load_target("cortex-m4")
    given = prepare(model, target, name="m", regions=["tcm=400", "ram=4k"])
    assert min(region.bytes for region in given.memory.regions) > 0
    samples = [random_inputs(model.graph, seed) for seed in range(3)]
    result = Emulator(given.firmware, target).run_samples(samples)
    for inputs, found in zip(samples, result.samples, strict=True):
        for got, want in zip(found, ReferenceRunner(model).run(inputs), strict=True):
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("name", ["kws_ref_model", "pretrainedResnet_quant"])
def test_open_models_spill(shared: Path, name: str) -> None:
    model = load(shared / f"data/bench/{name}.tflite")
    whole = prepare(model).memory.arena_bytes
    report = build(model, "host", samples=2, regions=[f"tcm={whole * 2 // 3}", f"sram={whole}"])
    assert report.verification is not None
    assert report.verification.mismatched == 0
    assert [region.name for region in report.regions] == ["tcm", "sram"]
    assert all(0 < region.bytes <= region.limit_bytes for region in report.regions)
    assert f"tcm {report.regions[0].bytes:,} of" in report.text()


def test_sections_are_chosen_when_it_is_compiled(tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(ladder(), "host", str(out), name="m", regions=["tcm=200", "sram=1000"])
    header = (out / "m.h").read_text()
    assert "#define m_REGION_sram_BYTES" in header
    assert "m_region_sram[" in header
    flags = ['-DTHM_REGION_sram=__attribute__((section(".fast_sram")))', "-I.", "-Werror"]
    strict = ["-std=c11", "-Wall", "-Wextra", "-Wconversion", "-c", "m.c", "-o", "m.o"]
    subprocess.run(["gcc", *flags, *strict], cwd=out, check=True)
    shown = subprocess.run(["objdump", "-t", "m.o"], cwd=out, check=True, capture_output=True)
    (line,) = [row for row in shown.stdout.decode().splitlines() if "m_region_sram" in row]
    assert ".fast_sram" in line
    done = subprocess.run(["make", "-s", "host"], cwd=out, capture_output=True, text=True)
    assert "self test passed" in done.stdout, done.stdout + done.stderr


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "ladder.tflite")
    ladder().save(path)
    assert execute(["plan", path, "--region", "tcm=200", "--region", "sram=1k", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    used = {region["name"]: region for region in report["regions"]}
    assert {t["region"] for t in report["tensors"]} == set(used) == {"tcm", "sram"}
    for t in report["tensors"]:
        assert 0 <= t["offset"] <= used[t["region"]]["bytes"] - t["bytes"]
    assert report["arena_bytes"] == sum(region["bytes"] for region in report["regions"])
    assert execute(["plan", path, "--region", "tcm=200", "--region", "sram=1k"]) == 0
    assert "tcm 1" in capsys.readouterr().out
    assert execute(["plan", path, "--region", "tcm=100", "--region", "sram=150"]) == 1
    said = capsys.readouterr().err
    assert "which no region has left" in said
    assert execute(["plan", path, "--region", "dtcm", "--target", "cortex-m7", "-q"]) == 0
    assert execute(["plan", path, "--region", "dtcm=much"]) == 2
    assert execute(["plan", path, "--region", "a=1k", "--split", "2"]) == 2
    assert execute(["build", path, "--region", "a=1k", "--split", "2", "-q"]) == 2


def test_names_and_sizes_of_regions() -> None:
    m7 = load_target("cortex-m7")
    assert parse_regions(["dtcm", "ext=2M"], m7) == (
        Region("dtcm", m7.memory["dtcm"]),
        Region("ext", 2 << 20),
    )
    for wrong in (["nowhere"], ["tcm="], ["2=1k"], ["a=1k", "a=2k"]):
        with pytest.raises(BadInput):
            parse_regions(wrong, m7)
    for name in target_names():
        memory = load_target(name).memory
        assert all(size > 0 for size in memory.values())
        assert list(memory.values()) == sorted(memory.values())


def test_state_comes_first(shared: Path) -> None:
    from thimble.regions import in_regions
    from thimble.time_stream import stream_time

    time = stream_time(load(shared / "data/tcn/tcn_b1_int8.tflite"), 1)
    state = time.memory.state_bytes
    memory = in_regions(time.program, time.memory, sizes(f"{state} 4096"), "tcn")
    assert memory.regions[0].bytes == state
    for i, at in memory.offsets.items():
        if time.program.buffers[i].role == "state":
            assert at == time.memory.offsets[i]
        else:
            assert memory.region_at(at) is not None
    with pytest.raises(DoesNotFit, match="the state needs"):
        in_regions(time.program, time.memory, sizes(f"{state - 1} 4096"), "tcn")
    moved = replace(time.memory, regions=memory.regions)
    assert moved.given_bytes == state
