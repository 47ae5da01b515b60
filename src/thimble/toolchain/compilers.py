"""C compilers: which are here for a target, and what compiling and linking with them means.

Two kinds: `gcc` (the system's cc, or arm-none-eabi-gcc with newlib) and `clang` (the one on PATH
for the host, else the one in the `ziglang` wheel, whose compiler-rt brings memcpy, 64-bit and soft-
float arithmetic). Flags depend only on the target file and this one, never on the machine.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from thimble.errors import BadInput, Finding, ToolMissing
from thimble.targets import Target
from thimble.toolchain.cache import cache_directory

# -ffp-contract=off: a fused multiply-add rounds once where the reference rounds twice.
# -fno-math-errno: lets sqrtf and floorf be instructions; changes no result.
COMMON_FLAGS = (
    "-std=c11",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-ffunction-sections",
    "-fdata-sections",
    "-fno-unwind-tables",
    "-fno-asynchronous-unwind-tables",
)
WARNING_FLAGS = ("-Wall", "-Wextra", "-Wconversion")

# zig cc adds -fsanitize=undefined in debug builds and takes a freestanding target for
# -ffreestanding, under which clang neither inlines memcpy nor turns sqrtf into an instruction.
# Its debug information names the build folder.
ZIG_FLAGS = ("-g0", "-fno-sanitize=undefined", "-fno-stack-protector")
ZIG_CROSS_FLAGS = ("-fhosted", "-isystem", str(Path(__file__).parent / "include"))
# A zig link of a native target would otherwise tune for this very CPU.
ZIG_HOST_FLAGS = ("-mcpu=baseline",)

COMMAND_TIMEOUT_SECONDS = 900
WASM_STACK_BYTES = 128 << 10
# lld: "undefined symbol: tanhf"; GNU ld: "undefined reference to `tanhf'"
_UNDEFINED = re.compile(r"undefined (?:symbol: |reference to [`'])(\w+)")


class CompileFailed(RuntimeError):
    """The compiler refused our C, or the linker its objects: a bug of Thimble."""


@dataclass(frozen=True)
class Compiler:
    """One compiler for one target. `command` is what precedes the arguments."""

    kind: str  # "gcc" | "clang"
    command: tuple[str, ...]
    version: str
    target: Target

    @property
    def name(self) -> str:
        """The kind and version for reports: `gcc (arm-none-eabi-gcc (...) 12.2.1 20221205)`."""
        return f"{self.kind} ({self.version})"

    @property
    def is_zig(self) -> bool:
        return self.command[-1] == "cc" and len(self.command) > 1

    def flags(self, optimize: str, extra: Sequence[str] = ()) -> tuple[str, ...]:
        """All flags of a compilation for the goal `optimize` ("speed" or "size")."""
        if optimize not in self.target.optimize:
            raise BadInput(
                Finding(
                    "unknown-option",
                    f"optimize `{optimize}`",
                    f"target {self.target.name} has no such goal",
                    f"one of: {', '.join(self.target.optimize)}",
                )
            )
        zig: tuple[str, ...] = ()
        if self.is_zig:
            zig = ZIG_FLAGS + (ZIG_HOST_FLAGS if self.target.is_host else ZIG_CROSS_FLAGS)
        spec = self.target.compilers[self.kind].flags
        return (*spec, *self.target.optimize[optimize], *COMMON_FLAGS, *zig, *extra)

    def identity(self, optimize: str, extra: Sequence[str] = ()) -> tuple[str, ...]:
        """What a build's cache key must hold of the compiler, and of how this file calls it."""
        return (
            Path(__file__).read_text(encoding="utf-8"),
            *self.command,
            self.version,
            *self.flags(optimize, extra),
        )

    def compile_objects(
        self, directory: Path, sources: Iterable[str], optimize: str, extra: Sequence[str] = ()
    ) -> list[Path]:
        """Compile `sources` (paths below `directory`) to objects beside them.

        Raises CompileFailed with the compiler's output.
        """
        objects = []
        for source in sources:
            output = Path(source).with_suffix(".o")
            # The working directory is the source's, so that no machine path enters the object.
            arguments = ["-I.", "-c", source, "-o", str(output)]
            self._run([*self.flags(optimize, extra), *arguments], directory)
            objects.append(directory / output)
        return objects

    def compile_library(
        self, directory: Path, source: str, output: str, optimize: str, extra: Sequence[str] = ()
    ) -> Path:
        """Compile `source` and link it to the shared library `output`. Raises CompileFailed."""
        flags = self.flags(optimize, ("-fPIC", "-shared", *extra))
        self._run([*flags, "-I.", source, "-o", output, "-lm"], directory)
        return directory / output

    def link_program(
        self, objects: Sequence[Path], output: Path, optimize: str, extra: Sequence[str] = ()
    ) -> Path:
        """Link objects to an executable of the host. Raises CompileFailed."""
        arguments = [*map(str, objects), "-o", str(output), "-lm"]
        self._run([*self.flags(optimize, extra), *arguments], output.parent)
        return output

    def link(
        self, objects: Sequence[Path], output: Path, script: Path, entry: str, optimize: str
    ) -> Path:
        """Link bare metal with our linker script, keeping only what is reachable from `entry`.

        libm comes from the C library of the target's gcc; compiler-rt has part of it, so clang
        asks for that library only when functions are missing. Raises CompileFailed, or ToolMissing
        when it is needed and absent.
        """
        arguments = [
            *self.flags(optimize),
            "-nostdlib" if not self.is_zig else "-g",  # zig strips the symbols without -g
            f"-Wl,-e,{entry}",
            "-Wl,--gc-sections",
            "-T",
            str(script),
            *map(str, objects),
        ]
        if not self.is_zig:
            libraries = ["-lm", "-lc", "-lgcc"]
            self._run([*arguments, *libraries, "-o", str(output)], output.parent)
            return output
        try:
            self._run([*arguments, "-o", str(output)], output.parent)
        except CompileFailed as failure:
            missing = sorted(set(_UNDEFINED.findall(str(failure))))
            if not missing:
                raise
            newlib = self._newlib(missing)
            self._run([*arguments, *newlib, "-o", str(output)], output.parent)
        return output

    def link_module(
        self, objects: Sequence[Path], output: Path, exports: Iterable[str], optimize: str
    ) -> Path:
        """Link a WebAssembly module that has `exports` and its memory, and imports nothing.

        Its stack is the first thing in memory. What compiler-rt lacks of libm comes from wasi-libc,
        which zig builds the first time (about a minute). Raises CompileFailed.
        """
        stack = f"-Wl,-z,stack-size={WASM_STACK_BYTES}"  # codegen/wasm.py has the same for make
        arguments = ["-s", "-Wl,--no-entry", "-Wl,--gc-sections", stack]
        arguments += [f"-Wl,--export={name}" for name in exports]
        arguments += [*map(str, objects), "-o", str(output)]
        try:
            self._run([*self.flags(optimize), *arguments], output.parent)
        except CompileFailed as failure:
            if not _UNDEFINED.search(str(failure)):
                raise
            wasi = ("-target", "wasm32-wasi", "-mexec-model=reactor")
            self._run([*self.flags(optimize, wasi), *arguments], output.parent)
        return output

    def _newlib(self, missing: Sequence[str]) -> list[str]:
        """libm and libc as built for this target, which its gcc knows."""
        spec = self.target.compilers.get("gcc")
        gcc = next(
            (path for path in map(shutil.which, spec.commands if spec else ()) if path), None
        )
        libraries = []
        if gcc is not None and spec is not None:
            for library in ("libm.a", "libc.a"):
                command = [gcc, *spec.flags, f"-print-file-name={library}"]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                path = done.stdout.strip()
                if os.path.isabs(path):  # a bare name: gcc does not have it
                    libraries.append(path)
        if len(libraries) < 2:
            raise ToolMissing(
                Finding(
                    "tool-missing",
                    f"target {self.target.name}, clang",
                    f"the model calls {', '.join(missing)}, which clang's runtime does not have:"
                    " float functions on the target need newlib",
                    f"install the Debian packages {' and '.join(spec.packages)},"
                    " or quantize the model to int8"
                    if spec and spec.packages
                    else "quantize the model to int8",
                )
            )
        return libraries

    def _run(self, arguments: Sequence[str], directory: Path) -> None:
        environment = dict(os.environ, LC_ALL="C")
        if self.is_zig:
            # The global cache keeps compiler-rt (about 5 s to build, once for a target); objects go
            # into the build's own directory, which keeps the cache from growing with each build.
            environment["ZIG_GLOBAL_CACHE_DIR"] = str(cache_directory() / "zig")
            environment["ZIG_LOCAL_CACHE_DIR"] = str(directory / ".zig-cache")
        command = [*self.command, *arguments]
        try:
            done = subprocess.run(
                command,
                cwd=directory,
                env=environment,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=COMMAND_TIMEOUT_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise CompileFailed(
                f"{command[0]} did not finish in {COMMAND_TIMEOUT_SECONDS} s"
            ) from error
        finally:
            if self.is_zig:
                shutil.rmtree(directory / ".zig-cache", ignore_errors=True)
        if done.returncode != 0:
            raise CompileFailed(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def zig_command() -> tuple[str, ...] | None:
    """`zig cc` of the ziglang wheel, else of PATH; None when there is neither."""
    spec = importlib.util.find_spec("ziglang")
    for folder in spec.submodule_search_locations or () if spec else ():
        for name in ("zig", "zig.exe"):
            path = Path(folder) / name
            if path.is_file():
                return (str(path), "cc")
    found = shutil.which("zig")
    return (found, "cc") if found else None


@cache
def _version(command: tuple[str, ...]) -> str | None:
    """First line of `--version`, None when the command does not work."""
    try:
        done = subprocess.run(
            [*command, "--version"], capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    first = done.stdout.strip().splitlines()[:1]
    return first[0] if first else None


def find_compilers(target: Target) -> list[Compiler]:
    """The compilers that are here for `target`, the preferred first, as its file orders them."""
    found: list[Compiler] = []
    for kind, spec in target.compilers.items():
        candidates: list[tuple[str, ...]] = []
        for path in map(shutil.which, spec.commands):
            # A gcc without the C library that the flags name does not work.
            if path and _version((path, *spec.flags)) is not None:
                candidates.append((path,))
        zig = zig_command() if kind == "clang" else None
        for command in [*candidates, *([zig] if zig else [])]:
            version = _version(command)
            if version is None:
                continue
            actual = "clang" if "clang" in version else "gcc"
            if actual not in {compiler.kind for compiler in found}:
                found.append(Compiler(actual, command, version, target))
    return found


def compiler(target: Target, name: str = "auto") -> Compiler:
    """The compiler of kind `name` for `target`; "auto" takes the preferred one.

    Raises BadInput for an unknown kind and ToolMissing, naming what to install, when it is not
    here.
    """
    if name not in ("auto", "gcc", "clang"):
        raise BadInput(
            Finding("unknown-option", f"compiler `{name}`", "no such kind", "auto, gcc or clang")
        )
    found = find_compilers(target)
    for candidate in found:
        if name in ("auto", candidate.kind):
            return candidate
    wheel = "pip install 'thimble-ml[toolchain]'"
    gcc = target.compilers.get("gcc")
    packages = f"install the Debian package(s) {' and '.join(gcc.packages)}" if gcc else wheel
    hints = {
        "gcc": packages,
        "clang": wheel,
        "auto": f"{wheel}, or {packages}" if gcc else wheel,
    }
    raise ToolMissing(
        Finding(
            "tool-missing",
            f"target {target.name}",
            f"no {'C compiler' if name == 'auto' else name} for this target was found",
            hints[name],
        )
    )
