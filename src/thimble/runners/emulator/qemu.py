"""QEMU on a test program: files in and out, the counting plugin, an end in any case."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from thimble.errors import Finding, ToolMissing
from thimble.runners.emulator.build import Image, resource
from thimble.targets import Machine, load_target
from thimble.toolchain import CompileFailed, cached, compiler, content_key

# Plugin interface version by first QEMU major version (docs/devel/tcg-plugins); ours uses functions
# that did not change between them.
_PLUGIN_VERSIONS = ((9, 2), (0, 1))

Counting = Literal["plugin", "icount"]


class EmulationFailed(RuntimeError):
    """The test program faulted, hung or broke off; the message is what the emulator said."""


@dataclass(frozen=True)
class QemuRun:
    """What one start of QEMU left: output.bin, and per mark (address, instructions before it)."""

    output: bytes
    marks: tuple[tuple[int, int], ...]


@cache
def qemu_version(qemu: str, package: str) -> tuple[int, ...]:
    """Version of the program `qemu`. Raises ToolMissing when it is not installed."""
    path = shutil.which(qemu)
    if path is None:
        raise ToolMissing(
            Finding(
                "tool-missing",
                "emulator",
                f"{qemu} was not found",
                f"install the Debian package {package}",
            )
        )
    done = subprocess.run([path, "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"version (\d+)\.(\d+)\.(\d+)", done.stdout)
    if found is None:
        raise EmulationFailed(f"{qemu} --version says: {done.stdout}")
    return tuple(int(part) for part in found.groups())


@cache
def _built_plugin(major_version: int) -> Path | None:
    """The counting plugin for that QEMU, compiled once for this host; None when no host compiler

    makes one.
    """
    text = resource("count.c")
    version = next(api for major, api in _PLUGIN_VERSIONS if major_version >= major)
    flag = f"-DTHM_QEMU_PLUGIN_VERSION={version}"
    try:
        with_ = compiler(load_target("host"))
    except ToolMissing:
        return None

    def build(directory: Path) -> None:
        (directory / "count.c").write_text(text, encoding="utf-8")
        with_.compile_library(directory, "count.c", "count.so", "speed", (flag,))

    try:
        key = content_key([*with_.identity("speed", (flag,)), text])
        return cached(key, build) / "count.so"
    except CompileFailed:  # a host whose linker wants QEMU's functions defined: count by -icount
        return None


def plugin_path(major_version: int) -> Path | None:
    """The counting plugin for that QEMU; None when no host compiler makes one.

    Built anew where the bounded cache has dropped it since this process last asked.
    """
    path = _built_plugin(major_version)
    if path is not None and not path.exists():
        _built_plugin.cache_clear()
        path = _built_plugin(major_version)
    return path


def run_qemu(
    machine: Machine,
    image: Image,
    data: bytes,
    counting: Counting | None,
    marks: Sequence[int],
    timeout_seconds: float,
) -> QemuRun:
    """Run `image` with `data` as input.bin until it ends.

    counting: "plugin" notes the count at each of `marks`; "icount" makes SysTick count
    instructions. Raises EmulationFailed on a fault, a failing exit or after `timeout_seconds`,
    ToolMissing without QEMU.
    """
    version = qemu_version(machine.qemu, machine.package)
    command = [machine.qemu, "-M", machine.machine, *machine.options]
    command += ["-display", "none", "-monitor", "none", "-serial", "none"]
    command += ["-semihosting-config", "enable=on,target=native", "-no-reboot"]
    command += ["-kernel", str(image.path)]
    with tempfile.TemporaryDirectory(prefix="thimble-qemu-") as name:
        folder = Path(name)
        (folder / "input.bin").write_bytes(data)
        if counting == "plugin":
            (folder / "marks.txt").write_text("".join(f"{mark:x}\n" for mark in marks))
            command += ["-plugin", str(plugin_path(version[0]))]
        elif counting == "icount":
            command += ["-icount", "shift=0"]
        try:
            # subprocess.run kills QEMU when the time is over or on any exception, an interrupt
            # included.
            done = subprocess.run(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_seconds,
            )
        except subprocess.TimeoutExpired as error:
            raise EmulationFailed(
                f"{machine.machine}: the program did not end within {timeout_seconds:g} s"
            ) from error
        said = (done.stdout + done.stderr).strip()
        if done.returncode != 0:
            raise EmulationFailed(f"{machine.machine}: exit status {done.returncode}: {said}")
        output = folder / "output.bin"
        if not output.exists():
            raise EmulationFailed(f"{machine.machine}: the program wrote nothing: {said}")
        counts = folder / "counts.bin"
        records = counts.read_bytes() if counts.exists() else b""
        return QemuRun(output.read_bytes(), tuple(struct.iter_unpack("<QQ", records)))
