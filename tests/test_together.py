"""Several models in one arena: in turn, as often and in whatever order, they give what they give
alone; states stay untouched.
"""

from __future__ import annotations

import ctypes
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from models import ModelBuilder
from time_models import TimeModelBuilder

from thimble.cli import execute
from thimble.codegen.driver import in_one_unit
from thimble.errors import BadInput, DoesNotFit, UnsupportedModel
from thimble.formats.tflite import load
from thimble.graph import Model
from thimble.ops.add import Add
from thimble.ops.relu import Relu
from thimble.runners.emulator import Emulator
from thimble.runners.host_library import HostLibrary
from thimble.targets import load_target
from thimble.together import Together, build_together, rounds, together, warm_rounds
from thimble.toolchain import find_compilers


def small(name: str, side: int) -> Model:
    """y = relu(x) + x, in a file of that name."""
    b = ModelBuilder()
    shape = (1, side, side, 4)
    tensor = [(shape, "int8", 0.1, -3)]
    x = b.input("x", shape, "int8", 0.1, -3)
    model = b.build([b.op(Add(), [b.op(Relu(), [x], tensor), x], tensor, version=2)])
    return Model(model.graphs, model.description, source=f"{name}.tflite")


def causal(name: str, seed: int = 0) -> Model:
    """A causal network over time, in a file of that name."""
    b = TimeModelBuilder(seed, 12, 0, 3)
    for dilation in (1, 2):
        b.conv(3, dilation, 1, causal=False)
    model = b.end("last")
    return Model(model.graphs, model.description, source=f"{name}.tflite")


@pytest.fixture(scope="module")
def mixed() -> Together:
    """Two models with a state between two without."""
    models = [small("big", 12), causal("early", 1), small("little", 5), causal("late", 2)]
    return together(models, "four", hops={"early": 1, "late": 2})


def test_the_arena_is_the_states_and_the_largest_rest(mixed: Together) -> None:
    plans = [m.memory.plan.arena_bytes for m in mixed.members]
    states = sum(m.memory.state_bytes for m in mixed.members)
    assert states == mixed.state_bytes > 0
    assert states + max(plans) <= mixed.arena_bytes <= states + max(plans) + 16
    apart = sum(plans) + states
    assert mixed.arena_bytes < apart


def test_in_turn_they_give_what_they_give_alone(mixed: Together) -> None:
    library = HostLibrary(in_one_unit(mixed.firmware))
    assert library.self_test() == 0
    library.reset()
    inputs, wanted = rounds(mixed, warm_rounds(mixed))
    compared = [0] * len(mixed.members)
    for given, want in zip(inputs, wanted):
        for k, (found, output) in enumerate(zip(library.run(given), want)):
            if output is not None:
                np.testing.assert_array_equal(found.reshape(output.shape), output)
                compared[k] += 1
    assert min(compared) >= 2


def test_no_model_touches_the_state_of_another(mixed: Together) -> None:
    library = HostLibrary(in_one_unit(mixed.firmware))
    arena = library._arena
    at = {m.firmware.name: m for m in mixed.members}
    rng = np.random.default_rng(1)
    arena.data[:] = rng.integers(0, 256, arena.size, np.uint8)
    before = arena.data[: mixed.state_bytes].copy()
    for name in ("big", "little"):
        ports = (*at[name].firmware.inputs, *at[name].firmware.outputs)
        rooms = [rng.integers(0, 256, port.elements, np.uint8) for port in ports]
        run = getattr(library._library, f"{name}_run")
        run(ctypes.c_void_p(arena.address), *(ctypes.c_void_p(r.ctypes.data) for r in rooms))
        np.testing.assert_array_equal(arena.data[: mixed.state_bytes], before)
    early = at["early"].memory.state_bytes
    library._library.late_reset(ctypes.c_void_p(arena.address))
    np.testing.assert_array_equal(arena.data[:early], before[:early])
    assert (arena.data[early : mixed.state_bytes] != before[early:]).any()


@pytest.mark.skipif(
    not (shutil.which("qemu-system-arm") and find_compilers(load_target("cortex-m4"))),
    reason="no emulated Cortex-M4 here",
)
def test_in_turn_on_an_emulated_core(mixed: Together) -> None:
    inputs, wanted = rounds(mixed, warm_rounds(mixed))
    result = Emulator(in_one_unit(mixed.firmware), load_target("cortex-m4")).run_samples(inputs)
    compared = 0
    for found, want in zip(result.samples, wanted, strict=True):
        for a, b in zip(found, want, strict=True):
            if b is not None:
                np.testing.assert_array_equal(a.reshape(b.shape), b)
                compared += 1
    assert compared > 2 * len(wanted)


def test_open_models_with_a_stream_in_time(shared: Path, tmp_path: Path) -> None:
    names = ("tcn/tcn_b1_int8", "bench/kws_ref_model")
    models = [load(shared / f"data/{name}.tflite") for name in names]
    out = tmp_path / "out"
    report = build_together(models, "host", str(out), name="two", hops={"tcn_b1_int8": 1})
    assert report.verification is not None
    assert report.verification.mismatched == 0
    by_name = {m.name: m for m in report.models}
    assert report.ram.arena_bytes == by_name["kws_ref_model"].arena_bytes
    assert report.ram.state_bytes == by_name["tcn_b1_int8"].state_bytes
    assert report.saved_bytes == report.separate_bytes - report.ram.arena_bytes - (
        report.ram.state_bytes
    )
    assert f"saved by sharing  {report.saved_bytes:,} bytes" in report.text()
    done = subprocess.run(["make", "-s", "host"], cwd=out, capture_output=True, text=True)
    assert "self test passed" in done.stdout, done.stdout + done.stderr


def test_command_line_writes_one_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = []
    for model in (small("a", 6), causal("b")):
        paths.append(str(tmp_path / model.source))
        model.save(paths[-1])
    out = tmp_path / "out"
    call = ["build", *paths, "--target", "host", "-o", str(out), "--name", "both"]
    assert execute([*call, "--stream-time", "b=1", "--json", "-q"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [m["name"] for m in report["models"]] == ["a", "b"]
    assert report["ram"]["state_bytes"] == report["models"][1]["state_bytes"] > 0
    flags = "-std=c11 -Wall -Wextra -Wconversion -Werror -I. -fsyntax-only"
    for unit in out.glob("*.c"):
        subprocess.run(["gcc", *flags.split(), unit.name], cwd=out, check=True)
    header = (out / "both.h").read_text()
    assert '#include "a.h"' in header
    assert "void both_reset(void *arena);" in header
    done = subprocess.run(["make", "-s", "host"], cwd=out, capture_output=True, text=True)
    assert "self test passed" in done.stdout, done.stdout + done.stderr
    assert execute([*call, "--split", "2", "-q"]) == 2
    assert "--split" in capsys.readouterr().err
    assert execute([*call, "--stream-time", "c=1", "-q"]) == 2
    assert "no model is called so" in capsys.readouterr().err
    assert execute([*call, "--stream-time", "b=often", "-q"]) == 2
    assert execute(["build", paths[1], "--target", "host", "--stream-time", "b=1", "-q"]) == 0


def test_what_cannot_be_together(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="like another model"):
        together([small("a", 4), small("a", 5)])
    with pytest.raises(DoesNotFit):
        build_together([small("a", 6), small("b", 6)], "host", ram=100)
    with pytest.raises(BadInput, match="one module for each"):
        build_together([small("a", 6), small("b", 6)], "wasm")


def test_padding_in_time_is_refused_unless_told(shared: Path) -> None:
    model = load(shared / "data/bench/kws_ref_model.tflite")
    with pytest.raises(UnsupportedModel, match="pads in time"):
        together([model, small("a", 4)], hops={"kws_ref_model": 2})
