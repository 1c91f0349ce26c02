"""What is suspected is looked at again, both sides at one moment, before it is told or mended.

The streams were read minutes apart: meanwhile a report was rendered anew, retention took a record and
then its file, a file was named that nobody named.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from botocore.exceptions import ClientError

from reporting_pipeline.domain.reconciliation import DifferenceKind, Named, Source, Stored
from reporting_pipeline.operations.reconciliation.findings import Difference
from reporting_pipeline.operations.reconciliation.names import belonging, names_now
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ASKED_AT_ONCE, ObjectStore


@dataclass(frozen=True)
class ObjectHead:
    """An object as the store itself describes it."""

    size: int  # bytes
    sha256: str  # hex; "" where the store keeps none


def standing_object(objects: ObjectStore, key: str) -> ObjectHead | None:
    """The object under `key`, or None."""
    try:
        answer = objects.client.head_object(Bucket=objects.bucket, Key=key, ChecksumMode="ENABLED")
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "404", "NotFound"):
            return None
        raise
    checksum = answer.get("ChecksumSHA256", "")
    whole = checksum and "-" not in checksum  # that of parts is no hash of the content
    return ObjectHead(answer["ContentLength"], base64.b64decode(checksum).hex() if whole else "")


def confirmed_names(
    database: Database, objects: ObjectStore, suspects: Sequence[Named]
) -> Iterator[Difference]:
    """What of these names is wrong now: the object is missing, or has another size or hash."""
    by_source: dict[Source, list[Named]] = {}
    for one in suspects:
        by_source.setdefault(one.source, []).append(one)
    for source, some in by_source.items():
        named = names_now(database, source, [one.record for one in some])
        still = [one for one in some if one in named]
        if not still:
            continue
        with ThreadPoolExecutor(ASKED_AT_ONCE, thread_name_prefix="asking") as pool:
            answers = list(pool.map(lambda one: standing_object(objects, one.key), still))
        for one, standing in zip(still, answers, strict=True):
            finding = _difference(one, standing)
            if finding is not None:
                yield finding


def confirmed_orphans(database: Database, suspects: Sequence[Stored]) -> list[Stored]:
    """Those that belong to no record now."""
    standing = belonging(database, [one.key for one in suspects])
    return [one for one in suspects if one.key not in standing]


def _difference(named: Named, standing: ObjectHead | None) -> Difference | None:
    def finding(kind: DifferenceKind, told: str) -> Difference:
        return Difference(kind, named.source, named.key, named.record, told)

    if standing is None:
        return finding(DifferenceKind.MISSING, "the object is not there")
    if named.size is not None and named.size != standing.size:
        return finding(DifferenceKind.WRONG_SIZE, f"{standing.size:,} bytes, the record says {named.size:,}")
    if named.sha256 and standing.sha256 and named.sha256 != standing.sha256:
        return finding(
            DifferenceKind.WRONG_HASH,
            f"SHA-256 {standing.sha256[:16]}…, the record says {named.sha256[:16]}…",
        )
    return None
