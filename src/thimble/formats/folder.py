"""A folder as data: .npy arrays by name, or one sample per .npy, .wav or .png; subfolders are
labels.
"""

from __future__ import annotations

import struct
import wave
import zlib
from pathlib import Path

import numpy as np

from thimble.errors import BadInput, Finding

Array = np.ndarray

SAMPLE_SUFFIXES = (".npy", ".wav", ".png")
_DAMAGED = (OSError, ValueError, KeyError, EOFError, wave.Error, zlib.error, struct.error)
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # colour type -> samples per pixel


def read_folder(folder: Path) -> tuple[dict[str, Array], tuple[str, ...]]:
    """(arrays by name, notes). Raises BadInput with a finding for each file that cannot be read.

    Files directly in `folder`: .npy files called x, y or like an input are whole arrays; else every
    file is a sample of `x`, in the order of names. Files in subfolders are samples, and `y`
    numbers the subfolders in the order of their names.
    """
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in SAMPLE_SUFFIXES)
    classes = sorted(p for p in folder.iterdir() if p.is_dir())
    if files and all(p.suffix == ".npy" for p in files) and _are_named(files):
        arrays = _read_all(files)
        return {p.stem: array for p, array in zip(files, arrays)}, ()
    if files:
        return {"x": _stack(_read_all(files), folder)}, (f"{len(files)} files of {folder}",)
    labelled = [
        (label, p)
        for label, sub in enumerate(classes)
        for p in sorted(sub.iterdir())
        if p.suffix.lower() in SAMPLE_SUFFIXES
    ]
    if not labelled:
        raise BadInput(
            Finding(
                "data",
                str(folder),
                "holds no .npy, .wav or .png files, and neither do its subfolders",
                "give a .npz file or a folder of samples",
            )
        )
    x = _stack(_read_all([p for _, p in labelled]), folder)
    names = ", ".join(f"{i} {sub.name}" for i, sub in enumerate(classes))
    return {"x": x, "y": np.array([label for label, _ in labelled])}, (f"labels: {names}",)


def _are_named(files: list[Path]) -> bool:
    """Whether the files are arrays by name rather than samples: x.npy, or a single file."""
    return any(p.stem in ("x", "x0") for p in files) or len(files) == 1


def _read_all(files: list[Path]) -> list[Array]:
    arrays, findings = [], []
    for path in files:
        try:
            arrays.append(_READERS[path.suffix.lower()](path))
        except _DAMAGED as error:
            findings.append(Finding("data", str(path), f"cannot be read: {error}"))
    if findings:
        raise BadInput(findings)
    return arrays


def _stack(arrays: list[Array], folder: Path) -> Array:
    shapes = sorted({array.shape for array in arrays})
    if len(shapes) > 1:
        raise BadInput(
            Finding(
                "data",
                str(folder),
                f"the samples have different shapes: {', '.join(str(list(s)) for s in shapes[:4])}",
                "cut or resize them to the shape of the model's input",
            )
        )
    return np.stack(arrays)


def _read_npy(path: Path) -> Array:
    return np.load(path, allow_pickle=False)


def read_wav(path: Path) -> Array:
    """PCM samples [frames] or [frames, channels]: 16 bits as int16, 8, 24 and 32 bits as float32 /
    full scale.
    """
    with wave.open(str(path), "rb") as file:
        width, channels = file.getsampwidth(), file.getnchannels()
        raw = file.readframes(file.getnframes())
    if width == 2:
        x = np.frombuffer(raw, "<i2")
    elif width == 1:
        x = (np.frombuffer(raw, np.uint8).astype(np.float32) - 128) / np.float32(128)
    elif width == 4:
        x = (np.frombuffer(raw, "<i4") / 2.0**31).astype(np.float32)
    else:
        parts = np.frombuffer(raw, np.uint8).reshape(-1, 3).astype(np.int32)
        x = ((parts[:, 0] << 8 | parts[:, 1] << 16 | parts[:, 2] << 24) / 2.0**31).astype(
            np.float32
        )
    return x if channels == 1 else x.reshape(-1, channels)


def read_png(path: Path) -> Array:
    """Pixels [height, width, channels] uint8 of an 8-bit PNG that is not interlaced (palette
    resolved).
    """
    data = path.read_bytes()
    if data[:8] != PNG_MAGIC:
        raise ValueError("is not a PNG file")
    chunks: dict[bytes, bytes] = {}
    at = 8
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        chunks[kind] = chunks.get(kind, b"") + data[at + 8 : at + 8 + length]
        at += length + 12
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", chunks[b"IHDR"][:13])
    if depth != 8 or interlace or colour not in PNG_CHANNELS:
        raise ValueError(
            f"{depth} bits, interlace {interlace}: only 8 bits without interlace are read"
        )
    channels = PNG_CHANNELS[colour]
    rows = zlib.decompress(chunks.get(b"IDAT", b""))
    stride = width * channels
    if len(rows) < (stride + 1) * height:
        raise ValueError("the image data are cut short")
    image = np.zeros((height, stride), np.uint8)
    before = bytearray(stride)
    for y in range(height):
        start = y * (stride + 1)
        before = _unfilter(rows[start], rows[start + 1 : start + 1 + stride], before, channels)
        image[y] = np.frombuffer(bytes(before), np.uint8)
    if colour == 3:
        palette = np.frombuffer(chunks[b"PLTE"], np.uint8).reshape(-1, 3)
        return palette[np.minimum(image, len(palette) - 1)]
    return image.reshape(height, width, channels)


def _unfilter(kind: int, line: bytes, before: bytearray, step: int) -> bytearray:
    """One scan line without its filter (PNG specification, section 9)."""
    out = bytearray(line)
    for i in range(len(out)):
        left = out[i - step] if i >= step else 0
        up = before[i]
        corner = before[i - step] if i >= step else 0
        if kind == 1:
            guess = left
        elif kind == 2:
            guess = up
        elif kind == 3:
            guess = (left + up) // 2
        elif kind == 4:
            p = left + up - corner
            ranked = ((abs(p - left), 0, left), (abs(p - up), 1, up), (abs(p - corner), 2, corner))
            guess = min(ranked)[2]
        else:
            guess = 0
        out[i] = (out[i] + guess) & 255
    return out


_READERS = {".npy": _read_npy, ".wav": read_wav, ".png": read_png}
