"""Whether a file is what its record says and can be shown: pure, bytes in, verdict out.

`check_envelope` needs no decoder and is safe anywhere; `check_content` hands the bytes to Pillow or
pdfium and belongs in a worker process (`sandbox`) when the file comes from outside.
"""

from __future__ import annotations

import hashlib
import re

from reporting_pipeline.domain.documents import FileVerdict, file_type_of
from reporting_pipeline.media.decoding import (
    AGAIN,
    NotInspected,
    Undecodable,
    check_dicom,
    check_image,
    check_pdf,
)
from reporting_pipeline.media.file_types import DECODED_TYPES, IMAGE_FORMATS, TEXT_TYPES, mismatch

_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


def needs_decoder(file_type: str) -> bool:
    """Whether `check_content` opens this type with a library."""
    return file_type in DECODED_TYPES


def check_envelope(
    content: bytes | None, name: str, declared_sha256: str, declared_size: int
) -> FileVerdict | None:
    """The verdict as far as it needs no decoder; None when an image or PDF must still be opened."""
    if content is None:
        return _missing(name)
    file_type = file_type_of(name)
    problem = _identity_problem(content, declared_sha256, declared_size)
    if problem is None and (found := mismatch(content, file_type)) is not None:
        problem = f"The name says {file_type.upper()}, but the content is {found}. {AGAIN}"
    if problem is not None:
        return FileVerdict("corrupt", problem, file_type)
    return None if needs_decoder(file_type) else check_content(content, file_type)


def check_content(content: bytes, file_type: str) -> FileVerdict:
    """The verdict on bytes whose size, hash and signature are already right."""
    try:
        return FileVerdict("ok", _decode(content, file_type), file_type)
    except NotInspected as error:
        return FileVerdict("not_inspected", f"Not inspected: {error}", file_type)
    except Undecodable as error:
        return FileVerdict("corrupt", str(error), file_type)


def _missing(name: str) -> FileVerdict:
    return FileVerdict("missing", f"The file is not in the store. {AGAIN}", file_type_of(name))


def _identity_problem(content: bytes, declared_sha256: str, declared_size: int) -> str | None:
    """Why `content` is not the file that was registered, None when it is."""
    if not content:
        return f"The file is empty (0 bytes). {AGAIN}"
    if len(content) != declared_size:
        return f"The file has {len(content)} bytes, its record says {declared_size}. {AGAIN}"
    declared = str(declared_sha256).strip().lower()
    if not _SHA256.match(declared):
        return f"The record has no valid SHA-256, so the file cannot be proven unchanged. {AGAIN}"
    if hashlib.sha256(content).hexdigest() != declared:
        return f"The file is not the one that was registered: its SHA-256 differs. {AGAIN}"
    return None


def _decode(content: bytes, file_type: str) -> str:
    """A remark or "" when `content` decodes; raises Undecodable or NotInspected."""
    if file_type in IMAGE_FORMATS:
        return check_image(content, file_type)
    if file_type == "pdf":
        return check_pdf(content)
    if file_type in TEXT_TYPES:
        return _check_text(content)
    if file_type == "dcm":
        return check_dicom(content)
    raise NotInspected("files of this type are not opened here; size and SHA-256 are right.")


def _check_text(content: bytes) -> str:
    """UTF-8, or UTF-16 by its mark; else a remark that says which encoding was assumed."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _decoded_as(content, "utf-16", "The text is UTF-16, not UTF-8.")
    if b"\x00" in content:
        raise Undecodable(f"The file is not text: it holds binary data. {AGAIN}")
    try:
        content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return _decoded_as(
            content, "cp1252", "The text is not UTF-8; it is read as Windows-1252, check special characters."
        )
    return ""


def _decoded_as(content: bytes, encoding: str, remark: str) -> str:
    try:
        content.decode(encoding)
    except UnicodeDecodeError as error:
        raise Undecodable(f"The text cannot be read in any known encoding. {AGAIN}") from error
    return remark
