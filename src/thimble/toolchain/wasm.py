"""Sections of a WebAssembly module or object, for sizes.

Layout facts: WebAssembly Core Specification, Binary Format; data segment names of objects: the
"linking" section of the tool conventions (Linking.md, WASM_SEGMENT_INFO).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HEADER = b"\0asm\x01\0\0\0"
CUSTOM, DATA = 0, 11
_SEGMENT_INFO = 5
_I32_CONST, _END = 0x41, 0x0B


@dataclass(frozen=True)
class Wasm:
    """A module: bytes without its custom sections, and the sizes of its data segments.

    segments: name -> bytes; objects have names, of linked modules there is one called by number.
    """

    bytes: int
    segments: Mapping[str, int]


class _Reader:
    def __init__(self, data: bytes):
        self.data = data
        self.position = 0

    @property
    def is_done(self) -> bool:
        return self.position >= len(self.data)

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self) -> int:
        """An unsigned LEB128 integer. A signed one takes as many bytes."""
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def take(self, size: int) -> bytes:
        part = self.data[self.position : self.position + size]
        if len(part) != size:
            raise ValueError("a WebAssembly file ends too early")
        self.position += size
        return part


def read_wasm(path: Path) -> Wasm:
    """Sizes of the module or object at `path`. Raises ValueError for anything else."""
    data = path.read_bytes()
    if data[:8] != HEADER:
        raise ValueError(f"{path} is no WebAssembly module")
    reader = _Reader(data)
    reader.take(len(HEADER))
    size, lengths, names = len(HEADER), list[int](), list[str]()
    while not reader.is_done:
        start = reader.position
        kind = reader.byte()
        payload = _Reader(reader.take(reader.number()))
        if kind != CUSTOM:
            size += reader.position - start
        elif payload.take(payload.number()) == b"linking":
            names = _segment_names(payload)
        if kind == DATA:
            lengths = _segment_lengths(payload)
    names += [str(i) for i in range(len(names), len(lengths))]
    return Wasm(size, dict(zip(names, lengths)))


def _segment_lengths(section: _Reader) -> list[int]:
    lengths = []
    for _ in range(section.number()):
        flags = section.number()  # 1: passive, 2: names its memory
        if flags == 2:
            section.number()
        if flags != 1:
            if section.byte() != _I32_CONST:
                raise ValueError("a data segment whose address is no constant")
            section.number()
            if section.byte() != _END:
                raise ValueError("a data segment whose address is an expression")
        lengths.append(section.number())
        section.take(lengths[-1])
    return lengths


def _segment_names(linking: _Reader) -> list[str]:
    linking.number()  # version
    names = []
    while not linking.is_done:
        kind = linking.byte()
        part = _Reader(linking.take(linking.number()))
        if kind == _SEGMENT_INFO:
            for _ in range(part.number()):
                names.append(part.take(part.number()).decode())
                part.number()  # alignment
                part.number()  # flags
    return names
