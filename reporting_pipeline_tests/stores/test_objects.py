"""Files in S3: what is large goes in parts."""

from __future__ import annotations

from io import BytesIO
from tempfile import TemporaryFile

import pytest

from reporting_pipeline.stores.objects import PART_BYTES, ObjectStore


def test_a_file_of_many_parts_is_stored_whole_and_a_broken_one_not_at_all(objects: ObjectStore) -> None:
    """Three parts; reading the second time fails after the first part, and nothing of it stays."""
    whole = b"0123456789abcdef" * (PART_BYTES // 16 * 2 + 1)
    with TemporaryFile() as file:
        file.write(whole)
        assert objects.put_file("reports/large", file, "application/zip") == len(whole)
    assert objects.get("reports/large") == whole
    assert objects.tags("reports/large") == {"retention": "standard"}

    class Breaking(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() >= PART_BYTES:
                raise OSError("the disk is gone")
            return super().read(size)

    with pytest.raises(OSError, match="the disk is gone"):
        objects.put_file("reports/broken", Breaking(whole), "application/zip")
    assert not objects.exists("reports/broken")
    uploads = objects.client.list_multipart_uploads(Bucket=objects.bucket, Prefix="reports/")
    assert uploads.get("Uploads", []) == []
