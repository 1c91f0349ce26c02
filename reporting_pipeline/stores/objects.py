"""Files in S3: one client per process, every write encrypted and checked against its hash.

Keys start with what they hold: `files/` (uploaded documents), `logos/` (of organisations), `snapshots/`,
`datasets/`, `media/`, `reports/`. A key never contains a name or an address.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from itertools import chain
from typing import IO, TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from reporting_pipeline.domain.file_names import content_disposition
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.measures import MEASURES
from reporting_pipeline.stores.mongo import unprepared_database
from reporting_pipeline.stores.request_limit import SharedLimit, limit_requests

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

# boto3 presigns SigV2 in us-east-1 unless told otherwise; timeouts so that a dead server is an error.
CLIENT_CONFIG = Config(
    signature_version="s3v4",
    s3={"addressing_style": "path"},
    retries={"max_attempts": 4, "mode": "standard"},
    connect_timeout=5,
    read_timeout=30,
    max_pool_connections=32,
)
#: So many objects are asked after side by side.
ASKED_AT_ONCE = 8
PART_BYTES = 8 << 20  # of a multipart upload; S3 takes 10,000 parts
READ_BYTES = 1 << 20  # of what is read in pieces
DELETED_AT_ONCE = 1_000  # what S3 takes in one request


#: What is made from documents goes by its age: such an object carries this tag, and a bucket's rules
#: name it with the prefix, so that one that is held (another value) is not deleted by them.
RETENTION_TAG = "retention"
STANDARD, HELD, ORPHAN = "standard", "held", "orphan"
DERIVED_PREFIXES = ("reports/", "snapshots/", "datasets/", "media/")


class ObjectMissing(KeyError):
    """No object stands under the key."""


class ObjectExists(ValueError):
    """An object that is written once stands already."""


class ObjectTooLarge(ValueError):
    """The object has more bytes than the reader takes."""


@dataclass(frozen=True)
class StoredObject:
    key: str
    size: int  # bytes
    sha256: str  # hex


@dataclass(frozen=True)
class ListedObject:
    """One entry of a listing.

    S3 lists in the order of the keys' UTF-8 bytes; stores on a file system do not (a/b before a-/b), so
    whoever needs an order sorts.
    """

    key: str
    size: int  # bytes
    modified_at: datetime  # UTC


@dataclass(frozen=True)
class ObjectVersion:
    """One version of an object in a bucket that keeps them."""

    key: str
    version: str
    newest: bool
    deletion: bool  # it says that the object was deleted, and has no content


@dataclass(frozen=True)
class ObjectStore:
    """One bucket. Safe to share between threads."""

    client: S3Client
    bucket: str
    encryption: str = "AES256"  # AES256, aws:kms or none
    kms_key_id: str | None = None

    def answers(self, seconds: float) -> bool:
        """Whether the bucket is there for us, asked once and within `seconds` each for connecting and answer.

        Not with the client, whose patience and tries are those of work.
        """
        import requests  # of the API alone: a run starts without it

        try:
            url = self.client.generate_presigned_url("head_bucket", {"Bucket": self.bucket}, ExpiresIn=60)
            return requests.head(url, timeout=seconds).ok
        except (BotoCoreError, requests.RequestException):
            return False

    def put(self, key: str, body: bytes, content_type: str = "application/octet-stream") -> StoredObject:
        """Store `body` under `key`. The server verifies the SHA-256 before it answers."""
        digest = hashlib.sha256(body)
        with MEASURES.timed("s3", operation="put"):
            self.client.put_object(
                Bucket=self.bucket,
                Key=key,
                Body=body,
                ContentType=content_type,
                ChecksumSHA256=base64.b64encode(digest.digest()).decode(),
                **_tagging(key),
                **self._encryption_arguments(),
            )
        MEASURES.count("s3_bytes", len(body), direction="put", kind=key.partition("/")[0])
        return StoredObject(key, len(body), digest.hexdigest())

    def put_file(self, key: str, file: bytes | IO[bytes], content_type: str) -> int:
        """Store a file from its beginning; its size in bytes. What is larger than a part goes by multipart
        upload, a part in memory at a time, each verified by the server; a broken one leaves nothing."""
        if isinstance(file, bytes):
            return self.put(key, file, content_type).size
        file.seek(0)
        first = file.read(PART_BYTES)
        if len(first) < PART_BYTES:
            return self.put(key, first, content_type).size
        with MEASURES.timed("s3", operation="put"):
            size = self._put_parts(
                key, chain([first], iter(partial(file.read, PART_BYTES), b"")), content_type
            )
        MEASURES.count("s3_bytes", size, direction="put", kind=key.partition("/")[0])
        return size

    def _put_parts(self, key: str, parts: Iterable[bytes], content_type: str) -> int:
        where: Any = {"Bucket": self.bucket, "Key": key}
        upload = self.client.create_multipart_upload(
            **where,
            ContentType=content_type,
            ChecksumAlgorithm="SHA256",
            **_tagging(key),
            **self._encryption_arguments(),
        )["UploadId"]
        try:
            size, stored = 0, []
            for number, part in enumerate(parts, 1):
                checksum = base64.b64encode(hashlib.sha256(part).digest()).decode()
                answer = self.client.upload_part(
                    **where, UploadId=upload, PartNumber=number, Body=part, ChecksumSHA256=checksum
                )
                stored.append({"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": checksum})
                size += len(part)
            whole: Any = {"Parts": stored}
            self.client.complete_multipart_upload(**where, UploadId=upload, MultipartUpload=whole)
        except BaseException:
            with suppress(ClientError, BotoCoreError):  # the bucket's rules end what is left of it
                self.client.abort_multipart_upload(**where, UploadId=upload)
            raise
        return size

    def put_once(self, key: str, body: bytes, content_type: str, kept_until: datetime) -> None:
        """Store what is never written over. Locked until `kept_until` where the bucket locks objects.

        Raises ObjectExists.
        """
        lock: dict[str, Any] = (
            {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": kept_until} if self.locks() else {}
        )
        try:
            self.client.put_object(
                Bucket=self.bucket,
                Key=key,
                Body=body,
                ContentType=content_type,
                ChecksumSHA256=base64.b64encode(hashlib.sha256(body).digest()).decode(),
                IfNoneMatch="*",
                **lock,
                **self._encryption_arguments(),
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in ("PreconditionFailed", "412", "ConditionalRequestConflict"):
                raise ObjectExists(key) from None
            raise

    def locks(self) -> bool:
        """Whether the bucket has Object Lock. One that does not say so, or does not know it, has none."""
        try:
            answer = self.client.get_object_lock_configuration(Bucket=self.bucket)
        except ClientError:
            return False
        return answer.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled"

    def get(self, key: str, max_bytes: int | None = None) -> bytes:
        """The object's bytes; ObjectMissing when there is none, ObjectTooLarge when over `max_bytes`."""
        answer = self._answer(key)
        size = answer["ContentLength"]
        if max_bytes is not None and size > max_bytes:
            answer["Body"].close()
            raise ObjectTooLarge(f"object {key} has {size} bytes; the limit is {max_bytes}")
        return answer["Body"].read()

    def digest(self, key: str) -> str:
        """The SHA-256 of an object in hexadecimal, read in pieces. Raises ObjectMissing."""
        found = hashlib.sha256()
        for part in self.begun(key, 0)[1]:
            found.update(part)
        return found.hexdigest()

    def begun(self, key: str, first: int) -> tuple[bytes, Iterator[bytes]]:
        """An object's `first` bytes, and the rest, one piece in memory at a time. Raises ObjectMissing."""
        body = self._answer(key)["Body"]
        return (body.read(first) if first else b""), body.iter_chunks(READ_BYTES)

    def _answer(self, key: str) -> GetObjectOutputTypeDef:
        try:
            return self.client.get_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                raise ObjectMissing(key) from None
            raise

    def exists(self, key: str) -> bool:
        try:
            self.client.head_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "404", "NotFound"):
                return False
            raise
        return True

    def missing(self, keys: Sequence[str]) -> set[str]:
        """Those of `keys` under which no object stands; asked side by side."""
        if not keys:
            return set()
        with ThreadPoolExecutor(min(ASKED_AT_ONCE, len(keys)), thread_name_prefix="asking") as pool:
            return {key for key, there in zip(keys, pool.map(self.exists, keys), strict=True) if not there}

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=key)

    def delete_many(self, keys: Sequence[str]) -> None:
        """Delete these keys, a thousand in a request. RuntimeError names the first that was refused."""
        for start in range(0, len(keys), DELETED_AT_ONCE):
            some = keys[start : start + DELETED_AT_ONCE]
            answer = self.client.delete_objects(
                Bucket=self.bucket, Delete={"Objects": [{"Key": key} for key in some], "Quiet": True}
            )
            for refused in answer.get("Errors", []):
                raise RuntimeError(f"{refused.get('Key')} cannot be deleted: {refused.get('Message')}")

    def delete_versions(self, key: str) -> None:
        """Delete an object with all its versions; in a bucket without versions simply delete it."""
        found = [one.version for one in self.versions(key) if one.key == key]
        for version in found:
            self.client.delete_object(Bucket=self.bucket, Key=key, VersionId=version)
        if not found or self.exists(key):
            self.delete(key)

    def versions(self, prefix: str) -> list[ObjectVersion]:
        """Every version and deletion under `prefix`, in a bucket that keeps them; [] in any other."""
        try:
            pages = list(
                self.client.get_paginator("list_object_versions").paginate(Bucket=self.bucket, Prefix=prefix)
            )
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("NotImplemented", "MethodNotAllowed", "501"):
                raise
            return []
        found: list[tuple[Any, bool]] = []
        for page in pages:
            found += [(one, False) for one in page.get("Versions", [])]
            found += [(one, True) for one in page.get("DeleteMarkers", [])]
        return [
            ObjectVersion(one["Key"], one["VersionId"], bool(one.get("IsLatest")), deletion)
            for one, deletion in found
            if one.get("VersionId") not in (None, "null")
        ]

    def get_version(self, one: ObjectVersion, max_bytes: int) -> bytes:
        """The bytes of an older version; ObjectTooLarge when over `max_bytes`."""
        answer = self.client.get_object(Bucket=self.bucket, Key=one.key, VersionId=one.version)
        if answer["ContentLength"] > max_bytes:
            raise ObjectTooLarge(one.key)
        body: bytes = answer["Body"].read()
        return body

    def keys(self, prefix: str) -> Iterator[str]:
        return (entry.key for entry in self.listing(prefix))

    def listing(self, prefix: str, after: str = "") -> Iterator[ListedObject]:
        """Every object under `prefix` whose key is greater than `after`, page by page."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=prefix, StartAfter=after
        )
        for page in pages:
            for entry in page.get("Contents", []):
                yield ListedObject(entry["Key"], entry["Size"], entry["LastModified"])

    def folders(self, prefix: str) -> Iterator[str]:
        """What stands directly under `prefix` (which ends with a slash), each with its slash."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=prefix, Delimiter="/"
        )
        for page in pages:
            for entry in page.get("CommonPrefixes", []):
                yield entry["Prefix"]

    def mark(self, key: str, value: str) -> None:
        """Set the object's retention tag to STANDARD, HELD or ORPHAN; its other tags stay."""
        tags = {**self.tags(key), RETENTION_TAG: value}
        self.client.put_object_tagging(
            Bucket=self.bucket,
            Key=key,
            Tagging={"TagSet": [{"Key": name, "Value": text} for name, text in sorted(tags.items())]},
        )

    def tags(self, key: str) -> dict[str, str]:
        found = self.client.get_object_tagging(Bucket=self.bucket, Key=key)["TagSet"]
        return {tag["Key"]: tag["Value"] for tag in found}

    def presigned_url(self, key: str, file_name: str, seconds: int = 60) -> str:
        """A URL that downloads the object as `file_name` and dies after `seconds`."""
        return self.client.generate_presigned_url(
            "get_object",
            Params={
                "Bucket": self.bucket,
                "Key": key,
                "ResponseContentDisposition": content_disposition(file_name),
            },
            ExpiresIn=seconds,
        )

    def ensure_bucket(self) -> None:
        """Create the bucket where it is missing; for local servers, production buckets have an owner."""
        try:
            self.client.head_bucket(Bucket=self.bucket)
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("404", "NoSuchBucket", "NotFound"):
                raise
            self.client.create_bucket(Bucket=self.bucket)

    def _encryption_arguments(self) -> dict[str, Any]:
        if self.encryption == "none":
            return {}
        arguments: dict[str, Any] = {"ServerSideEncryption": self.encryption}
        if self.encryption == "aws:kms" and self.kms_key_id:
            arguments["SSEKMSKeyId"] = self.kms_key_id
        return arguments


def _tagging(key: str) -> dict[str, Any]:
    return {"Tagging": f"{RETENTION_TAG}={STANDARD}"} if key.startswith(DERIVED_PREFIXES) else {}


def connection_arguments(settings: Settings) -> dict[str, Any]:
    """The boto3 client arguments of a deployment; what is not set falls to boto3's own chain."""
    secret = settings.s3_secret_access_key
    return {
        "endpoint_url": settings.s3_endpoint_url,
        "region_name": settings.s3_region,
        "aws_access_key_id": settings.s3_access_key_id,
        "aws_secret_access_key": secret.get_secret_value() if secret else None,
    }


def s3_client(connection: Mapping[str, Any]) -> S3Client:
    """A client as the product configures it, for these arguments of `connection_arguments`."""
    return boto3.client("s3", config=CLIENT_CONFIG, **connection)


@lru_cache(maxsize=4)
def open_object_store(settings: Settings) -> ObjectStore:
    """The store of a deployment, once per process: a new boto3 client costs 0.13 s."""
    client = s3_client(connection_arguments(settings))
    if settings.s3_requests_per_second is not None and settings.mongodb_uri is not None:
        database = unprepared_database(settings.mongodb_uri.get_secret_value(), settings.mongodb_database)
        limit_requests(client, SharedLimit(database, settings.s3_requests_per_second))
    return ObjectStore(client, settings.s3_bucket, settings.s3_encryption, settings.s3_kms_key_id)
