"""Targets, compilers, the cache and the ELF reader."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import sample_firmware as sample

from thimble.errors import BadInput, ToolMissing
from thimble.targets import load_target, target_names
from thimble.toolchain import (
    CompileFailed,
    cached,
    compile_shared_library,
    compiler,
    find_compilers,
    read_elf,
)
from thimble.toolchain import compilers as compilers_module
from thimble.toolchain.compilers import WARNING_FLAGS
from thimble.toolchain.library import write_files

CROSS = [name for name in target_names() if load_target(name).machine is not None]
PAIRS = [(name, c.kind) for name in CROSS for c in find_compilers(load_target(name))]
# ACLE macros that the kernels choose by (Arm C Language Extensions, feature test macros).
FEATURES = {
    "cortex-m0": {"__ARM_ARCH": "6"},
    "cortex-m3": {"__ARM_ARCH": "7", "__ARM_FEATURE_UNALIGNED": "1"},
    "cortex-m4": {"__ARM_ARCH": "7", "__ARM_FEATURE_DSP": "1", "__ARM_PCS_VFP": "1"},
    "cortex-m7": {"__ARM_ARCH": "7", "__ARM_FEATURE_DSP": "1", "__ARM_PCS_VFP": "1"},
    "cortex-m33": {"__ARM_ARCH": "8", "__ARM_FEATURE_DSP": "1", "__ARM_PCS_VFP": "1"},
    # RISC-V C API specification, preprocessor definitions
    "riscv32": {
        "__riscv_xlen": "32",
        "__riscv_mul": "1",
        "__riscv_atomic": "1",
        "__riscv_compressed": "1",
    },
    "cortex-m55": {"__ARM_FEATURE_DSP": "1", "__ARM_FEATURE_MVE": "3", "__ARM_PCS_VFP": "1"},
}


def test_unknown_target_names_the_known_ones() -> None:
    with pytest.raises(BadInput, match=r"cortex-m0, cortex-m3, .*cortex-m55.*host"):
        load_target("cortex-m99")


def test_the_six_cores_have_a_machine_and_the_host_has_none() -> None:
    assert {"cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33"} <= set(CROSS)
    assert all(load_target(name).machine is not None for name in CROSS)
    assert load_target("host").machine is None


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_compilers_turn_on_what_the_core_has(tmp_path: Path, name: str, kind: str) -> None:
    checks = [f'_Static_assert({k} == {v}, "{k}");' for k, v in FEATURES[name].items()]
    absent = {"cortex-m0", "cortex-m3", "riscv32"} & {name}
    checks += (
        ["#if defined __ARM_FP || defined __riscv_flen", "#error FPU", "#endif"] if absent else []
    )
    checks += [] if absent else ["#ifndef __ARM_FP", "#error no FPU", "#endif"]
    checks += ["#ifdef __FAST_MATH__", "#error fast-math", "#endif"]
    write_files(tmp_path, {"a.c": "\n".join([*checks, "extern int x;", ""])})
    compiler(load_target(name), kind).compile_objects(tmp_path, ["a.c"], "speed", ("-Werror",))


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_objects_are_deterministic_and_hold_no_path(tmp_path: Path, name: str, kind: str) -> None:
    contents = []
    for folder in ("first", "second"):
        directory = tmp_path / folder
        directory.mkdir()
        write_files(directory, sample.firmware().files)
        with_ = compiler(load_target(name), kind)
        (made,) = with_.compile_objects(directory, ["sample.c"], "speed", WARNING_FLAGS)
        contents.append(made.read_bytes())
        assert not list(directory.glob(".*")), "scratch files were left"
    assert contents[0] == contents[1]
    assert str(tmp_path).encode() not in contents[0]


@pytest.mark.parametrize(("name", "kind"), PAIRS)
@pytest.mark.parametrize("part", ["harness.c", "semihosting.c", "core", "sample.c"])
def test_no_warnings(tmp_path: Path, name: str, kind: str, part: str) -> None:
    from thimble.runners.emulator.build import machine_of, resource

    core = f"{machine_of(load_target(name)).core}.c"
    write_files(
        tmp_path,
        {
            **sample.firmware().files,
            **{file: resource(file) for file in (core, "harness.c", "semihosting.c", "harness.h")},
        },
    )
    compiler(load_target(name), kind).compile_objects(
        tmp_path,
        [core if part == "core" else part],
        "speed",
        (*WARNING_FLAGS, "-Werror", "-DTHM_TRACE"),
    )


@pytest.mark.parametrize("kind", [c.kind for c in find_compilers(load_target("host"))])
def test_a_compile_error_carries_the_compilers_words(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.c").write_text("int f(void) { return nonsense; }\n")
    with pytest.raises(CompileFailed, match="nonsense"):
        compiler(load_target("host"), kind).compile_objects(tmp_path, ["a.c"], "speed")


def test_unknown_compiler_and_goal_are_findings() -> None:
    with pytest.raises(BadInput, match="auto, gcc or clang"):
        compiler(load_target("host"), "tcc")
    with pytest.raises(BadInput, match="speed, size"):
        compiler(load_target("host")).flags("smallest")


def test_missing_compilers_name_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilers_module, "zig_command", lambda: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ToolMissing, match=r"thimble-ml\[toolchain\].*gcc-arm-none-eabi"):
        compiler(load_target("cortex-m4"))
    with pytest.raises(ToolMissing, match=r"thimble-ml\[toolchain\]"):
        compiler(load_target("cortex-m4"), "clang")
    with pytest.raises(ToolMissing, match=r"Debian package.* gcc"):
        compiler(load_target("host"), "gcc")


def test_zig_serves_the_host_when_nothing_else_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    if compilers_module.zig_command() is None:
        pytest.skip("NO ZIG: the ziglang wheel is absent")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    found = compiler(load_target("host"))
    assert found.kind == "clang"
    assert found.is_zig


def test_a_library_is_built_once_and_again_for_other_text_or_flags(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("THIMBLE_CACHE", str(tmp_path))
    first = compile_shared_library(sample.firmware())
    stamp = first.stat().st_mtime_ns
    assert tmp_path in first.parents
    assert compile_shared_library(sample.firmware()) == first
    assert first.stat().st_mtime_ns == stamp
    assert compile_shared_library(sample.firmware(self_test="5")) != first
    assert compile_shared_library(sample.firmware(), flags=("-O1",)) != first
    assert compile_shared_library(sample.firmware(), optimize="size") != first


def test_a_failed_build_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("THIMBLE_CACHE", str(tmp_path))

    def fail(directory: Path) -> None:
        (directory / "half").write_text("")
        raise CompileFailed("no")

    with pytest.raises(CompileFailed):
        cached("k", fail)
    assert list((tmp_path / "built").iterdir()) == []


def test_the_cache_drops_the_least_recently_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from thimble.toolchain import cache

    monkeypatch.setenv("THIMBLE_CACHE", str(tmp_path))
    monkeypatch.setattr(cache, "MAX_BYTES", 250)
    monkeypatch.setattr(cache, "KEEP_ENTRIES", 1)

    def build(directory: Path) -> None:
        (directory / "x").write_bytes(bytes(100))

    for age, name in [(0, ".building-old"), (time.time(), ".building-now")]:
        (tmp_path / "built" / name).mkdir(parents=True)
        os.utime(tmp_path / "built" / name, (age, age))
    for age, key in enumerate(["a", "b"]):
        os.utime(cached(key, build), (age, age))
    cached("a", build)  # used again: b is now the oldest
    cached("c", build)
    assert {entry.name for entry in (tmp_path / "built").iterdir()} == {".building-now", "a", "c"}


def test_an_unwritable_cache_is_a_finding(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("THIMBLE_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(BadInput, match="THIMBLE_CACHE"):
        compile_shared_library(sample.firmware())


def test_files_stay_below_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="below"):
        write_files(tmp_path, {"../a.c": ""})


def test_elf_agrees_with_binutils(tmp_path: Path) -> None:
    nm = shutil.which("arm-none-eabi-nm")
    pairs = [pair for pair in PAIRS if pair == ("cortex-m4", "gcc")]
    if nm is None or not pairs:
        pytest.skip("NO BINUTILS: arm-none-eabi-nm or -gcc is absent")
    write_files(tmp_path, sample.firmware().files)
    with_ = compiler(load_target("cortex-m4"), "gcc")
    (path,) = with_.compile_objects(tmp_path, ["sample.c"], "speed")
    listed = subprocess.run([nm, "-S", path], capture_output=True, text=True, check=True).stdout
    wanted = {
        fields[3]: (int(fields[0], 16), int(fields[1], 16))
        for fields in map(str.split, listed.splitlines())
        if len(fields) == 4 and fields[2] in "tTrR"
    }
    elf = read_elf(path)
    assert {"sample_run", "sample_layer_0", "sample_const_0"} <= set(wanted)
    for name, (address, size) in wanted.items():
        symbol = elf.symbol(name)
        assert (symbol.address, symbol.bytes) == (address, size)
    with pytest.raises(ValueError, match="ELF32"):
        read_elf(tmp_path / "sample.c")
