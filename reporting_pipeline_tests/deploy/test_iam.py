"""The policies: all that the code asks of S3 is allowed to somebody, and nobody is allowed more."""

from __future__ import annotations

import ast
import fnmatch
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import boto3
import pytest

from reporting_pipeline.stores.objects import DERIVED_PREFIXES
from reporting_pipeline_tests.deploy import artefacts

IAM = artefacts.DEPLOY / "iam"
BUCKET = "arn:aws:s3:::REPORTING-BUCKET"
COMPONENTS = ("api", "workers", "retention", "operator")
POLICIES: dict[str, list[dict[str, Any]]] = {
    name: json.loads((IAM / f"{name}.json").read_text())["Statement"] for name in (*COMPONENTS, "kms")
}
#: What a request needs (AWS, Service Authorization Reference, "Actions for Amazon S3"). A HEAD of a key
#: that is not there answers 404 to who may list, and 403 to others.
NEEDED: dict[str, set[str]] = {
    "abort_multipart_upload": {"s3:AbortMultipartUpload"},
    "complete_multipart_upload": {"s3:PutObject"},
    "create_multipart_upload": {"s3:PutObject", "s3:PutObjectTagging"},
    "delete_object": {"s3:DeleteObject", "s3:DeleteObjectVersion"},
    "delete_objects": {"s3:DeleteObject"},
    "get_bucket_lifecycle_configuration": {"s3:GetLifecycleConfiguration"},
    "get_bucket_versioning": {"s3:GetBucketVersioning"},
    "get_object": {"s3:GetObject", "s3:GetObjectVersion"},
    "get_object_lock_configuration": {"s3:GetBucketObjectLockConfiguration"},
    "get_object_tagging": {"s3:GetObjectTagging"},
    "head_bucket": {"s3:ListBucket"},
    "head_object": {"s3:GetObject", "s3:ListBucket"},
    "list_object_versions": {"s3:ListBucketVersions"},
    "list_objects_v2": {"s3:ListBucket"},
    "put_bucket_lifecycle_configuration": {"s3:PutLifecycleConfiguration"},
    "put_object": {"s3:PutObject", "s3:PutObjectTagging", "s3:PutObjectRetention"},
    "put_object_tagging": {"s3:PutObjectTagging"},
    "upload_part": {"s3:PutObject"},
}
#: Only `ensure_bucket` of a local home: in a deployment the bucket has an owner who makes it.
LOCAL_ONLY = {"create_bucket"}


@lru_cache(maxsize=1)
def known_operations() -> frozenset[str]:
    """Of S3, as boto3 names them. Once: a client takes a tenth of a second, and each module is read."""
    return frozenset(boto3.client("s3", region_name="us-east-1").meta.method_to_api_mapping)


def s3_operations(source: str) -> Iterator[str]:
    """The operations that a module calls on an S3 client, also by a paginator or a signed URL."""
    known = known_operations()
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if node.func.attr in known and ast.unparse(node.func.value).endswith("client"):
            yield node.func.attr
        elif node.func.attr in ("get_paginator", "get_waiter", "generate_presigned_url") and node.args:
            assert isinstance(node.args[0], ast.Constant)
            yield str(node.args[0].value)


def called() -> set[str]:
    files = (artefacts.ROOT / "reporting_pipeline").rglob("*.py")
    return {operation for file in files for operation in s3_operations(file.read_text())}


def allowed(component: str, action: str, key: str | None = None) -> bool:
    """Whether a policy allows an action on a key, or on the bucket itself."""
    resource = BUCKET if key is None else f"{BUCKET}/{key}"
    return any(
        action in statement["Action"]
        and any(fnmatch.fnmatchcase(resource, pattern) for pattern in statement["Resource"])
        for statement in POLICIES[component]
    )


def test_every_operation_of_the_code_is_known_here() -> None:
    assert called() == set(NEEDED) | LOCAL_ONLY


def test_an_operation_is_found_however_it_is_asked_for() -> None:
    source = "self.client.copy_object(); x.get_paginator('list_parts'); boto.client.abc(); a.copy()"
    assert set(s3_operations(source)) == {"copy_object", "list_parts"}


@pytest.mark.parametrize("operation", NEEDED)
def test_every_operation_is_allowed_to_somebody(operation: str) -> None:
    granted = {action for name in COMPONENTS for one in POLICIES[name] for action in one["Action"]}
    assert NEEDED[operation] <= granted


def test_nothing_is_allowed_that_no_operation_needs() -> None:
    needed = {action for actions in NEEDED.values() for action in actions}
    granted = {action for name in COMPONENTS for one in POLICIES[name] for action in one["Action"]}
    assert granted - needed == set()


@pytest.mark.parametrize("name", POLICIES)
def test_nothing_is_allowed_by_a_star(name: str) -> None:
    """The one star is at the end of a named prefix of a named bucket."""
    for statement in POLICIES[name]:
        assert set(statement) == {"Sid", "Effect", "Action", "Resource"}
        assert statement["Effect"] == "Allow"
        assert not [action for action in statement["Action"] if "*" in action]
        for resource in statement["Resource"]:
            bucket, _, prefix = resource.removeprefix("arn:aws:s3:::").partition("/")
            assert "*" not in bucket
            assert name == "kms" or not prefix or (prefix[:-2].strip("/") and prefix.endswith("/*"))
            assert resource.count("*") <= 1


@pytest.mark.parametrize("name", POLICIES)
def test_actions_on_the_bucket_stand_apart_from_those_on_objects(name: str) -> None:
    """An action of the bucket on an object's ARN, or the other way round, allows nothing, silently."""
    of_bucket = {
        "s3:ListBucket",
        "s3:ListBucketVersions",
        "s3:GetBucketObjectLockConfiguration",
        "s3:GetBucketVersioning",
        "s3:GetLifecycleConfiguration",
        "s3:PutLifecycleConfiguration",
    }
    for statement in POLICIES[name]:
        if name == "kms":
            continue
        about_bucket = {"/" not in resource for resource in statement["Resource"]}
        assert about_bucket == {action in of_bucket for action in statement["Action"]}, statement["Sid"]


@pytest.mark.parametrize("prefix", DERIVED_PREFIXES)
def test_workers_make_what_is_derived_and_retention_alone_deletes_it(prefix: str) -> None:
    key = f"{prefix}weekly/x"
    assert allowed("workers", "s3:PutObject", key)
    assert allowed("workers", "s3:PutObjectTagging", key)
    assert allowed("workers", "s3:GetObject", key)
    assert allowed("retention", "s3:DeleteObject", key)
    assert not allowed("workers", "s3:DeleteObject", key)
    assert not allowed("retention", "s3:PutObject", key)
    assert allowed("api", "s3:DeleteObjectVersion", key) == (prefix == "reports/")  # a person's erasure


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("key", ["files/T-1/x.pdf", "audit/anchors/7.json", "audit/anchor.json", "other/x"])
def test_nobody_deletes_documents_or_the_audit(component: str, key: str) -> None:
    assert not allowed(component, "s3:DeleteObject", key)
    assert not allowed(component, "s3:DeleteObjectVersion", key)


def test_a_component_has_what_its_requests_need() -> None:
    for component in ("api", "workers", "retention"):
        assert allowed(component, "s3:ListBucket"), component
    assert allowed("api", "s3:PutObject", "files/T-1/x.pdf")
    assert not allowed("api", "s3:PutObject", "reports/weekly/x")
    assert not allowed("api", "s3:GetObject", "snapshots/weekly/x")
    # Previews and reports in the browser are drawn by it.
    assert allowed("api", "s3:GetObject", "datasets/weekly/x")
    assert allowed("api", "s3:GetObject", "media/manifests/weekly/x")
    assert allowed("api", "s3:PutObject", "logos/x/y.jpg")
    assert allowed("api", "s3:GetObject", "logos/x/y.jpg")
    assert allowed("workers", "s3:GetObject", "logos/x/y.jpg")
    assert not allowed("workers", "s3:PutObject", "logos/x/y.jpg")
    assert allowed("workers", "s3:PutObjectRetention", "audit/anchors/7.json")
    assert not allowed("workers", "s3:PutObject", "files/T-1/x.pdf")
    assert allowed("workers", "s3:PutObject", "compute-logs/x")
    assert allowed("operator", "s3:PutLifecycleConfiguration")


def test_the_policies_are_no_longer_than_iam_takes() -> None:
    for path in IAM.glob("*.json"):
        assert len(json.dumps(json.loads(Path(path).read_text()), separators=(",", ":"))) < 6_144, path.name
