"""Files attached to a .tflite file: TFLite Metadata appends labels and vocabularies as a zip."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping

_END_OF_ARCHIVE = b"PK\x05\x06"
_END_BYTES = 22 + 65535  # the end record and the longest comment
MAX_ATTACHED_BYTES = 64 << 20
MAX_ATTACHED_FILES = 1000


def attached_files(data: bytes) -> dict[str, bytes]:
    """name -> content of the attached files.

    They take no part in inference: an archive that is damaged, encrypted or larger than
    `MAX_ATTACHED_BYTES` counts as none.
    """
    if data.rfind(_END_OF_ARCHIVE, max(0, len(data) - _END_BYTES)) < 0:
        return {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if len(members) > MAX_ATTACHED_FILES:
                return {}
            files: dict[str, bytes] = {}
            left = MAX_ATTACHED_BYTES
            for member in members:
                with archive.open(member) as stream:
                    content = stream.read(left + 1)  # what a header claims may be a lie
                left -= len(content)
                if left < 0:
                    return {}
                files[member.filename] = content
            return files
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError):
        return {}  # RuntimeError: encrypted; NotImplementedError, its subclass: unknown compression


def attach(data: bytes, files: Mapping[str, bytes]) -> bytes:
    """`data` followed by an uncompressed zip of the files, as TFLite Metadata wants it."""
    if not files:
        return data
    stream = io.BytesIO(data)
    stream.seek(0, io.SEEK_END)
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)  # no date: same model, same bytes
    return stream.getvalue()
