"""A firmware as a shared library of the host, built once for each content."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from thimble.codegen.firmware import Firmware
from thimble.host import host_layers, layer_flags
from thimble.targets import load_target
from thimble.toolchain.cache import cached, content_key
from thimble.toolchain.compilers import Compiler, compiler


def write_files(directory: Path, files: Mapping[str, str]) -> None:
    """Write `files` (relative path -> text) below `directory`."""
    for name, text in files.items():
        relative = PurePosixPath(name)
        if relative.is_absolute() or ".." in relative.parts:
            raise ValueError(f"{name} does not stay below the project's folder")
        path = directory / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def build_key(
    files: Mapping[str, str], with_: Compiler, optimize: str, extra: Sequence[str] = ()
) -> str:
    """Cache key of a build of `files`."""
    texts = [part for name in sorted(files) for part in (name, files[name])]
    return content_key([*with_.identity(optimize, extra), "--", *texts])


def compile_shared_library(
    firmware: Firmware,
    compiler_name: str = "auto",
    optimize: str = "speed",
    flags: Sequence[str] = (),
    wrapper: str | None = None,
    layer: str | None = None,
) -> Path:
    """The shared library of `firmware` for this machine, built unless the cache has it.

    `layer`: the vector instructions to use, one of `host_layers()`; None takes the fastest.
    `wrapper`: text of a translation unit to compile instead of NAME.c, which it includes.
    Raises ToolMissing without a compiler and CompileFailed when the C does not compile.
    """
    with_ = compiler(load_target("host"), compiler_name)
    files = dict(firmware.files)
    source = firmware.source
    if wrapper is not None:
        source = f"{firmware.name}_host.c"
        files[source] = wrapper
    flags = (*layer_flags(layer or host_layers()[0]), *flags)
    output = f"{firmware.name}{'.dll' if sys.platform == 'win32' else '.so'}"

    def build(directory: Path) -> None:
        write_files(directory, files)
        with_.compile_library(directory, source, output, optimize, flags)

    return cached(build_key(files, with_, optimize, ("library", source, *flags)), build) / output


def compile_module(
    firmware: Firmware, with_: Compiler, optimize: str, unit: str, exports: Sequence[str]
) -> Path:
    """A folder with the WebAssembly module NAME.wasm of `firmware` and its object NAME.o, from the

    cache where it has been built before. `unit`: text of the translation unit, which includes
    NAME.c. Raises CompileFailed when the C does not compile.
    """
    source = f"{firmware.name}_wasm.c"
    files = {**firmware.files, source: unit}

    def build(directory: Path) -> None:
        write_files(directory, files)
        (made,) = with_.compile_objects(directory, [source], optimize)
        with_.link_module([made], directory / f"{firmware.name}.wasm", exports, optimize)
        made.rename(directory / f"{firmware.name}.o")

    return cached(build_key(files, with_, optimize, ("module", *exports)), build)
