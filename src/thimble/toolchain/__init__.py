"""Compiling firmware: compilers, their cache, and what is in the files they make."""

from thimble.toolchain.cache import cache_directory, cached, content_key
from thimble.toolchain.compilers import CompileFailed, Compiler, compiler, find_compilers
from thimble.toolchain.elf import Elf, read_elf
from thimble.toolchain.library import compile_module, compile_shared_library, write_files
from thimble.toolchain.wasm import Wasm, read_wasm

__all__ = [
    "CompileFailed",
    "Compiler",
    "Elf",
    "Wasm",
    "cache_directory",
    "cached",
    "compile_module",
    "compile_shared_library",
    "compiler",
    "content_key",
    "find_compilers",
    "read_elf",
    "read_wasm",
    "write_files",
]
