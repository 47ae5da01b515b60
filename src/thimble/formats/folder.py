"""A folder as data: .npy arrays by name, or one sample per .npy, .wav or image; subfolders are
labels.
"""

from __future__ import annotations

import struct
import wave
import zlib
from pathlib import Path

import numpy as np

from thimble.errors import BadInput, Finding, ToolMissing
from thimble.formats.images import IMAGE_SUFFIXES, ImageReader

Array = np.ndarray

SAMPLE_SUFFIXES = (".npy", ".wav", *IMAGE_SUFFIXES)
_DAMAGED = (
    *(OSError, ValueError, KeyError, EOFError, IndexError, wave.Error, zlib.error, struct.error),
)


def read_folder(
    folder: Path, shape: tuple[int, int, int] | None = None
) -> tuple[dict[str, Array], tuple[str, ...]]:
    """(arrays by name, notes). Raises BadInput with a finding for each file that cannot be read.

    Files directly in `folder`: .npy files called x, y or like an input are whole arrays; else every
    file is a sample of `x`, in the order of names. Files in subfolders are samples, `y` numbers
    the subfolders in the order of their names, and `classes` holds these names. Images are brought
    to `shape` (height, width, channels), where that is given; the notes say what was done.
    """
    images = ImageReader(shape)
    entries = sorted(p for p in folder.iterdir() if not p.name.startswith((".", "__")))
    files = [p for p in entries if p.is_file() and p.suffix.lower() in SAMPLE_SUFFIXES]
    classes = [p for p in entries if p.is_dir()]
    if files and all(p.suffix == ".npy" for p in files) and _are_named(files):
        return {p.stem: array for p, array in zip(files, _read_all(files, images))}, ()
    if files:
        x = _stack(_read_all(files, images), folder)
        return {"x": x}, (f"{len(files)} files of {folder}", *images.notes())
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
                f"holds no {', '.join(SAMPLE_SUFFIXES)} files, and neither do its subfolders",
                "give a .npz file or a folder of samples",
            )
        )
    x = _stack(_read_all([p for _, p in labelled], images), folder)
    names = ", ".join(f"{i} {sub.name}" for i, sub in enumerate(classes))
    arrays = {
        "x": x,
        "y": np.array([label for label, _ in labelled]),
        "classes": np.array([sub.name for sub in classes]),
    }
    return arrays, (f"labels: {names}", *images.notes())


def _are_named(files: list[Path]) -> bool:
    """Whether the files are arrays by name rather than samples: x.npy, or a single file."""
    return any(p.stem in ("x", "x0") for p in files) or len(files) == 1


def _read_all(files: list[Path], images: ImageReader) -> list[Array]:
    arrays, findings = [], []
    readers = {".npy": _read_npy, ".wav": read_wav}
    for path in files:
        try:
            arrays.append(readers.get(path.suffix.lower(), images.read)(path))
        except ToolMissing:  # the same for every image
            raise
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
