"""Sections and symbols of an ELF32 little-endian executable, for sizes and marker addresses.

Layout facts: Tool Interface Standard, Executable and Linking Format 1.2, and ELF for the Arm
Architecture (bit 0 of a function's symbol value marks Thumb code).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

SHF_ALLOC = 2
SHT_SYMTAB = 2
SHT_NOBITS = 8
STT_FUNC = 2


@dataclass(frozen=True)
class Section:
    """A section header: where it lies in memory and how long it is."""

    name: str
    type: int
    flags: int
    address: int
    bytes: int

    @property
    def is_allocated(self) -> bool:
        return bool(self.flags & SHF_ALLOC)


@dataclass(frozen=True)
class Symbol:
    """A named address. `section` is the name of the section that holds it, "" for absolute ones."""

    name: str
    value: int
    bytes: int
    section: str
    is_function: bool

    @property
    def address(self) -> int:
        """The address without the Thumb bit."""
        return self.value & ~1 if self.is_function else self.value


@dataclass(frozen=True)
class Elf:
    """Sections and defined symbols of one file."""

    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]

    def section_bytes(self, name: str) -> int:
        """Size of the section called `name`, 0 when there is none."""
        return sum(section.bytes for section in self.sections if section.name == name)

    def symbol(self, name: str) -> Symbol:
        """The symbol called `name`. Raises KeyError."""
        for symbol in self.symbols:
            if symbol.name == name:
                return symbol
        raise KeyError(f"no symbol {name}")


def _string(table: bytes, offset: int) -> str:
    return table[offset : table.index(b"\0", offset)].decode()


def read_elf(path: Path) -> Elf:
    """Sections and symbols of the ELF32 file at `path`. Raises ValueError for anything else."""
    data = path.read_bytes()
    if data[:6] != b"\x7fELF\x01\x01":
        raise ValueError(f"{path} is no little-endian ELF32 file")
    (headers,) = struct.unpack_from("<I", data, 32)
    entry_bytes, count, names_index = struct.unpack_from("<HHH", data, 46)
    raw = [struct.unpack_from("<10I", data, headers + i * entry_bytes) for i in range(count)]

    def content(index: int) -> bytes:
        offset, size = raw[index][4:6]
        return data[offset : offset + size]

    names = content(names_index)
    sections = tuple(Section(_string(names, h[0]), h[1], h[2], h[3], h[5]) for h in raw)
    symbols = []
    for index, header in enumerate(raw):
        if header[1] != SHT_SYMTAB:
            continue
        strings = content(header[6])
        for name, value, size, info, _, owner in struct.iter_unpack("<IIIBBH", content(index)):
            if owner != 0 and name:
                section = sections[owner].name if owner < count else ""
                symbols.append(
                    Symbol(_string(strings, name), value, size, section, (info & 15) == STT_FUNC)
                )
    return Elf(sections, tuple(symbols))
