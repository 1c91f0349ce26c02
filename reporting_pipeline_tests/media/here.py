"""Files looked at in the process of the test, which the workers' verdicts are held against."""

from __future__ import annotations

from reporting_pipeline.domain.documents import FileVerdict, file_type_of
from reporting_pipeline.media.verdicts import check_content, check_envelope


def verify_file(content: bytes | None, name: str, declared_sha256: str, declared_size: int) -> FileVerdict:
    """The verdict on `content` (None: nothing is stored) against its record. Sizes in bytes."""
    verdict = check_envelope(content, name, declared_sha256, declared_size)
    if verdict is not None:
        return verdict
    assert content is not None
    return check_content(content, file_type_of(name))
