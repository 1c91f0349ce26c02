"""The lifecycle rules of the bucket: written and verified by the product, beside those of its owner.

    reporting-expire-<prefix>  deletes what is made from documents, a month after retention should have:
                               only what carries the tag retention=standard, so never what is held
    reporting-archive-<prefix> moves files to a cheaper class that can be read at once
    reporting-abort-uploads    ends multipart uploads that nobody completed
    reporting-old-versions     deletes what was deleted or replaced, where the bucket keeps versions

Uploaded documents (`files/`) and the audit's anchor are never deleted by a rule.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.objects import RETENTION_TAG, STANDARD, ObjectStore

OURS = "reporting-"
#: The product's own retention comes first; the rule is for what it missed.
LATER_DAYS = 30
ABORT_UPLOADS_DAYS = 7
OLD_VERSIONS_DAYS = 30
ARCHIVED = ("reports/", "snapshots/", "files/")
#: The names that ours have had: an owner's rule may begin with "reporting-", too.
_OURS = re.compile(
    rf"{OURS}(expire-(reports|snapshots|datasets|media)|archive-(reports|snapshots|files)|"
    r"abort-uploads|old-versions)"
)

#: What servers say that know expiry but no classes to move to (SeaweedFS, MinIO without tiers).
_NO_SUCH_CLASS = ("NotImplemented", "InvalidStorageClass", "InvalidRequest", "MalformedXML")

Rule = dict[str, Any]


class RulesNotTaken(ValueError):
    """The bucket's server cannot do what the rules ask; the message says which setting to change."""


def wanted_rules(settings: Settings, days: Mapping[str, int]) -> list[Rule]:
    """The rules of a deployment. `days` per prefix: after how many days the product itself deletes."""
    rules = [
        _rule(
            f"expire-{_name(prefix)}",
            {"And": {"Prefix": prefix, "Tags": [{"Key": RETENTION_TAG, "Value": STANDARD}]}},
            Expiration={"Days": age + LATER_DAYS},
        )
        for prefix, age in sorted(days.items())
    ]
    if settings.archive_class != "none":
        transition = [{"Days": settings.archive_after_days, "StorageClass": settings.archive_class}]
        rules += [
            _rule(f"archive-{_name(prefix)}", {"Prefix": prefix}, Transitions=transition)
            for prefix in ARCHIVED
        ]
    rules += [
        _rule(
            "abort-uploads",
            {"Prefix": ""},
            AbortIncompleteMultipartUpload={"DaysAfterInitiation": ABORT_UPLOADS_DAYS},
        ),
        _rule(
            "old-versions",
            {"Prefix": ""},
            NoncurrentVersionExpiration={"NoncurrentDays": OLD_VERSIONS_DAYS},
        ),
    ]
    return sorted(rules, key=lambda rule: str(rule["ID"]))


def standing_rules(objects: ObjectStore) -> list[Rule]:
    """The bucket's rules, ours and others', in the order of their ids."""
    rules = _configuration(objects).get("Rules", ())
    return sorted((dict(rule) for rule in rules), key=lambda rule: str(rule.get("ID", "")))


def _configuration(objects: ObjectStore) -> Mapping[str, Any]:
    """What the server says of the bucket's life cycle; nothing where it has none."""
    try:
        return dict(objects.client.get_bucket_lifecycle_configuration(Bucket=objects.bucket))
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchLifecycleConfiguration", "404"):
            return {}
        raise


def _is_ours(identifier: str) -> bool:
    return _OURS.fullmatch(identifier) is not None


def _filtered(rule: Rule) -> Rule:
    """What a rule of the first kind (`Prefix` beside `ID`) says, by a filter: S3 takes no mixture of both."""
    if "Filter" in rule:
        return rule
    return {name: value for name, value in rule.items() if name != "Prefix"} | {
        "Filter": {"Prefix": rule.get("Prefix", "")}
    }


def write_rules(objects: ObjectStore, wanted: Sequence[Rule]) -> None:
    """Write our rules; those of others stay as they are.

    Raises RulesNotTaken where the server cannot do what they ask.
    """
    standing = _configuration(objects)
    others = [_filtered(dict(rule)) for rule in standing.get("Rules", ()) if not _is_ours(rule.get("ID", ""))]
    # What holds for all rules of a bucket is the owner's choice, and S3's own again where it is not said.
    chosen = {name: standing[name] for name in ("TransitionDefaultMinimumObjectSize",) if standing.get(name)}
    rules: Any = [*others, *wanted]
    try:
        objects.client.put_bucket_lifecycle_configuration(
            Bucket=objects.bucket, LifecycleConfiguration={"Rules": rules}, **chosen
        )
    except ClientError as error:
        if error.response["Error"]["Code"] not in _NO_SUCH_CLASS:
            raise
        moving = any("Transitions" in rule for rule in wanted)
        raise RulesNotTaken(
            f"the S3 refuses the rules ({error.response['Error']['Code']}). "
            + (
                "They move files to another storage class, which this server may not have: set "
                "REPORTING_ARCHIVE_CLASS=none"
                if moving
                else "It keeps no lifecycle rules: `reporting-pipeline retention` deletes all the same"
            )
        ) from None


def rule_problems(wanted: Sequence[Rule], standing: Sequence[Rule]) -> list[str]:
    """What is missing or different, and which rule of others deletes what must stay; for a person."""
    by_id = {str(rule.get("ID", "")): rule for rule in standing}
    problems = []
    for rule in wanted:
        found = by_id.pop(str(rule["ID"]), None)
        if found is None:
            problems.append(f"the rule {rule['ID']} is missing; `reporting-pipeline bucket-rules --write`")
        elif _core(found) != _core(rule):
            problems.append(f"the rule {rule['ID']} is another; `reporting-pipeline bucket-rules --write`")
    for identifier, rule in sorted(by_id.items()):
        if _is_ours(identifier):
            problems.append(f"the rule {identifier} is not wanted any more; write the rules again")
        elif _deletes(rule, "files/") or _deletes(rule, "audit/"):
            problems.append(
                f"the rule {identifier or 'without an id'} deletes uploaded documents or the audit's anchor; "
                "they have no second copy: end it or narrow its prefix"
            )
        elif _deletes(rule, "reports/"):
            problems.append(f"the rule {identifier} deletes reports, also those that are held: narrow it")
    return problems


def _rule(name: str, where: Rule, **what: Any) -> Rule:
    return {"ID": f"{OURS}{name}", "Status": "Enabled", "Filter": where, **what}


def _name(prefix: str) -> str:
    return prefix.strip("/").replace("/", "-")


_ACTIONS = ("Expiration", "Transitions", "AbortIncompleteMultipartUpload", "NoncurrentVersionExpiration")


def _core(rule: Rule) -> Rule:
    """What matters of a rule, however a server writes it back."""
    core = {name: rule[name] for name in _ACTIONS if rule.get(name)}
    return {"enabled": rule.get("Status") == "Enabled", "prefix": _prefix(rule), "tags": _tags(rule), **core}


def _prefix(rule: Rule) -> str:
    where = rule.get("Filter") or {}
    return str(where.get("And", {}).get("Prefix") or where.get("Prefix") or rule.get("Prefix") or "")


def _tags(rule: Rule) -> list[tuple[str, str]]:
    where = rule.get("Filter") or {}
    tags = [*where.get("And", {}).get("Tags", []), *([where["Tag"]] if where.get("Tag") else [])]
    return sorted((tag["Key"], tag["Value"]) for tag in tags)


def _deletes(rule: Rule, prefix: str) -> bool:
    """Whether an enabled rule deletes current objects under `prefix`, tagged by us or not."""
    own = _prefix(rule)
    meets = prefix.startswith(own) or own.startswith(prefix)
    expiration = rule.get("Expiration") or {}
    ends = any(expiration.get(name) for name in ("Days", "Date"))
    return rule.get("Status") == "Enabled" and ends and meets and not _tags(rule)
