"""An S3 inventory in the place of a listing: it says the same, and one that cannot be used is refused."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reporting_pipeline.stores.upkeep import last_upkeep
from reporting_pipeline_tests.operations.ledger import Ledger
from reporting_pipeline_tests.operations.reconciling import (
    document,
    reconciled,
    report_key_of,
)


def inventory(ledger: Ledger, folder: Path, form: str = "CSV") -> Path:
    """An inventory of the bucket as S3 writes one: in no order, with an old version among the rows."""
    rows: list[tuple[str, str, bool, bool, int | None, datetime]] = [
        (ledger.objects.bucket, entry.key, True, False, entry.size, entry.modified_at)
        for entry in sorted(ledger.objects.listing(""), key=lambda entry: entry.key[::-1])
    ]
    rows.append((ledger.objects.bucket, "reports/old", False, False, 1, rows[0][5]))
    rows.append((ledger.objects.bucket, "reports/deleted", True, True, None, rows[0][5]))
    if form == "CSV":
        text = io.StringIO()
        csv.writer(text, quoting=csv.QUOTE_ALL).writerows(
            (
                bucket,
                quote_plus(key),
                str(latest).lower(),
                str(mark).lower(),
                size,
                f"{at:%Y-%m-%dT%H:%M:%S.000Z}",
            )
            for bucket, key, latest, mark, size, at in rows
        )
        content, name = gzip.compress(text.getvalue().encode()), "data/1.csv.gz"
    else:
        columns = ("bucket", "key", "is_latest", "is_delete_marker", "size", "last_modified_date")
        buffer = io.BytesIO()
        pq.write_table(pa.table(dict(zip(columns, zip(*rows, strict=True), strict=True))), buffer)
        content, name = buffer.getvalue(), "data/1.parquet"
    (folder / Path(name).name).write_bytes(content)
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    manifest = {
        "sourceBucket": ledger.objects.bucket,
        "destinationBucket": "arn:aws:s3:::inventories",
        "version": "2016-11-30",
        "fileFormat": form,
        "fileSchema": "Bucket, Key, IsLatest, IsDeleteMarker, Size, LastModifiedDate",
        "files": [{"key": name, "size": len(content), "MD5checksum": md5}],
    }
    path = folder / "manifest.json"
    path.write_text(json.dumps(manifest))
    return path


@pytest.mark.parametrize("form", ["CSV", "Parquet"])
def test_an_inventory_says_the_same_as_a_listing(whole: Ledger, tmp_path: Path, form: str) -> None:
    whole.objects.put("reports/a b+c é", b"nobody's")
    whole.objects.delete(report_key_of(whole))
    path = inventory(whole, tmp_path, form)
    document(whole, "doc_after")
    listed = reconciled(whole, mending=False)
    findings = reconciled(whole, mending=False, inventory=str(path))
    assert findings.found == listed.found == {("orphan", "nobody"): 1, ("missing", "report"): 1}
    assert findings.examples["orphan", "nobody"][0].key == "reports/a b+c é"


def test_an_inventory_is_read_from_its_bucket(whole: Ledger, tmp_path: Path) -> None:
    path = inventory(whole, tmp_path)
    client, bucket = whole.objects.client, f"{whole.objects.bucket}-inventories"
    client.create_bucket(Bucket=bucket)
    try:
        client.put_object(Bucket=bucket, Key="a/manifest.json", Body=path.read_bytes())
        with pytest.raises(ValueError, match=r"no file s3://.*/data/1.csv.gz"):
            reconciled(whole, inventory=f"s3://{bucket}/a/manifest.json")
        client.put_object(Bucket=bucket, Key="data/1.csv.gz", Body=(tmp_path / "1.csv.gz").read_bytes())
        assert reconciled(whole, inventory=f"s3://{bucket}/a/manifest.json").found == {}
    finally:
        client.delete_bucket(Bucket=bucket)


def test_what_went_after_the_inventory_is_no_orphan(whole: Ledger, tmp_path: Path) -> None:
    whole.objects.put("reports/x", b"gone soon")
    path = inventory(whole, tmp_path)
    whole.objects.delete("reports/x")
    findings = reconciled(whole, inventory=str(path))
    assert findings.found == {}
    assert findings.left == {"gone meanwhile": 1}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"sourceBucket": "another"}, "is of the bucket 'another'"),
        ({"fileFormat": "ORC"}, "'ORC'; order one in CSV or Parquet"),
        ({"fileSchema": "Bucket, Key"}, "no Size and LastModifiedDate"),
        ({"files": 7}, "no manifest of an S3 inventory"),
        ({"files": [{"key": "data/1.csv.gz", "MD5checksum": "0"}]}, "not as its manifest says"),
        ({"files": [{"key": "data/2.csv.gz"}]}, "not beside its manifest"),
    ],
)
def test_an_inventory_that_cannot_be_used_is_refused_and_nothing_is_mended(
    whole: Ledger, tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    path = inventory(whole, tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    whole.objects.put("reports/x", b"x")
    with pytest.raises(ValueError, match=told):
        reconciled(whole, inventory=str(path))
    assert whole.database.orphans.count_documents({}) == 0
    assert last_upkeep(whole.database, "reconciliation") is None
