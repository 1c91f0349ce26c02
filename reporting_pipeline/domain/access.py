"""Who may do what: one table of rules, asked by the routes, by rendering and by delivery.

Pure: users, resources and organisations are passed in. Who is calling is settled elsewhere (the
API's authentication); every decision carries its reason in words fit for the person it concerns.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, assert_never
from urllib.parse import urlsplit

import idna

from reporting_pipeline.domain.combining import combine_minutes_of
from reporting_pipeline.domain.entitlements import Entitlements, Extent, refusal
from reporting_pipeline.domain.subscriptions import Recipient, Subscription


class Role(StrEnum):
    SUBSCRIBER = "subscriber"  # own things
    ANALYST = "analyst"  # reads the organisation's
    MANAGER = "manager"  # writes the organisation's
    ADMIN = "admin"  # everything of the organisation
    SERVICE = "service"  # an outside worker: states, results, documents, deliveries


class ResourceKind(StrEnum):
    """What a rule is about."""

    SUBSCRIPTION = "subscription"
    JOB = "job"
    REPORT = "report"  # a file
    EDITION = "edition"  # shared by all organisations
    DELIVERY = "delivery"
    DOCUMENT = "document"
    TRIAL = "trial"
    ORGANISATION = "organisation"  # the home organisation's admins alone
    USER = "user"
    AUDIT = "audit"
    DEAD_LETTER = "dead letter"
    HOLD = "hold"  # of a report: no rule deletes it


class Action(StrEnum):
    READ = "read"
    CREATE = "create"
    CHANGE = "change"
    DELETE = "delete"
    RUN = "run"  # of a subscription: now; of an edition: send its mails
    SET_STATE = "set the state of"  # by an outside worker
    REQUEUE = "requeue"
    RELEASE = "release"  # a report that awaits it, before it is sent
    EXPORT = "export"
    ERASE = "erase"


class _Reach(StrEnum):
    OWN = "own"
    ORGANISATION = "organisation"


@dataclass(frozen=True)
class User:
    """A user as far as rights go: roles say what they may do, entitlements what they may see."""

    id: str
    organisation: str
    roles: frozenset[str] = frozenset({Role.SUBSCRIBER.value})
    entitlements: Entitlements = field(default_factory=Entitlements)
    active: bool = True
    email: str = ""
    name: str = ""
    timezone: str = "UTC"
    language: str = ""  # in which they would read, where there is a choice; "" where they said none
    combine_minutes: int = 0  # reports that are due within so many minutes go in one mail; 0: each in its own
    email_asked: str = ""  # an address that waits to be confirmed by whoever has it
    email_asked_until: datetime | None = None  # from then on nobody can confirm it
    authenticated_at: datetime | None = None  # when they signed in; None where nobody knows

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> User:
        """From a record of `users`."""
        return cls(
            id=record["_id"],
            organisation=record["organisation"],
            roles=frozenset(record.get("roles") or ()),
            entitlements=Entitlements.from_record(record),
            active=record.get("active") is True,
            email=record.get("email") or "",
            name=record.get("name") or "",
            timezone=record.get("timezone") or "UTC",
            language=record.get("language") or "",
            combine_minutes=combine_minutes_of(record),
            email_asked=str((record.get("email_asked") or {}).get("address") or ""),
            email_asked_until=(record.get("email_asked") or {}).get("expires_at"),
        )


@dataclass(frozen=True)
class Resource:
    """The thing a decision is about."""

    kind: ResourceKind
    organisation: str | None = None  # None: shared by all organisations, such as an edition
    owner: str | None = None  # user id; for a user, the user's own id
    extent: Extent = field(default_factory=Extent)  # whose data it shows


@dataclass(frozen=True)
class Decision:
    """Whether, and why (not). True in a condition when allowed."""

    allowed: bool
    reason: str = ""
    hidden: bool = field(default=False)  # denied so that even its existence must not be told: a 404

    def __bool__(self) -> bool:
        return self.allowed


_OWN, _ORG = _Reach.OWN, _Reach.ORGANISATION
_Rules = Mapping[tuple[ResourceKind, Action], _Reach]

_SUBSCRIBER: _Rules = {
    **{
        (ResourceKind.SUBSCRIPTION, action): _OWN
        for action in (Action.READ, Action.CREATE, Action.CHANGE, Action.DELETE, Action.RUN)
    },
    (ResourceKind.JOB, Action.READ): _OWN,
    (ResourceKind.REPORT, Action.READ): _OWN,
    (ResourceKind.DELIVERY, Action.READ): _OWN,
    (ResourceKind.USER, Action.READ): _OWN,
    (ResourceKind.USER, Action.CHANGE): _OWN,
    (ResourceKind.USER, Action.EXPORT): _OWN,
    (ResourceKind.USER, Action.ERASE): _OWN,
    (ResourceKind.TRIAL, Action.READ): _ORG,
    (ResourceKind.DOCUMENT, Action.READ): _ORG,
    (ResourceKind.EDITION, Action.READ): _ORG,
}
_ANALYST: _Rules = {
    **_SUBSCRIBER,
    **{
        (kind, Action.READ): _ORG
        for kind in (
            ResourceKind.SUBSCRIPTION,
            ResourceKind.JOB,
            ResourceKind.REPORT,
            ResourceKind.DELIVERY,
            ResourceKind.DEAD_LETTER,
        )
    },
}
_MANAGER: _Rules = {
    **_ANALYST,
    **{
        (ResourceKind.SUBSCRIPTION, action): _ORG
        for action in (Action.READ, Action.CHANGE, Action.CREATE, Action.DELETE, Action.RUN)
    },
    (ResourceKind.EDITION, Action.CREATE): _ORG,
    (ResourceKind.EDITION, Action.RUN): _ORG,
    (ResourceKind.JOB, Action.REQUEUE): _ORG,
    (ResourceKind.REPORT, Action.RELEASE): _ORG,
    (ResourceKind.DEAD_LETTER, Action.REQUEUE): _ORG,
    **{(ResourceKind.HOLD, action): _ORG for action in (Action.READ, Action.CREATE, Action.DELETE)},
    (ResourceKind.DELIVERY, Action.CREATE): _ORG,
    (ResourceKind.DELIVERY, Action.CHANGE): _ORG,
    (ResourceKind.DOCUMENT, Action.CREATE): _ORG,
    (ResourceKind.DOCUMENT, Action.CHANGE): _ORG,
    (ResourceKind.DOCUMENT, Action.DELETE): _ORG,
    (ResourceKind.TRIAL, Action.CHANGE): _ORG,
    (ResourceKind.USER, Action.READ): _ORG,
    (ResourceKind.USER, Action.CREATE): _ORG,
    (ResourceKind.USER, Action.CHANGE): _ORG,
    (ResourceKind.AUDIT, Action.READ): _ORG,
}
_ADMIN: _Rules = {
    **_MANAGER,
    (ResourceKind.TRIAL, Action.CREATE): _ORG,
    (ResourceKind.TRIAL, Action.DELETE): _ORG,  # close
    **{(ResourceKind.ORGANISATION, action): _ORG for action in (Action.READ, Action.CREATE, Action.CHANGE)},
    (ResourceKind.EDITION, Action.SET_STATE): _ORG,
    (ResourceKind.USER, Action.EXPORT): _ORG,
    (ResourceKind.USER, Action.ERASE): _ORG,
}
_SERVICE: _Rules = {
    (ResourceKind.EDITION, Action.READ): _ORG,
    (ResourceKind.EDITION, Action.CREATE): _ORG,
    (ResourceKind.EDITION, Action.RUN): _ORG,
    (ResourceKind.EDITION, Action.SET_STATE): _ORG,
    (ResourceKind.JOB, Action.READ): _ORG,
    (ResourceKind.SUBSCRIPTION, Action.READ): _ORG,
    (ResourceKind.DELIVERY, Action.READ): _ORG,
    (ResourceKind.DELIVERY, Action.CREATE): _ORG,
    (ResourceKind.DELIVERY, Action.CHANGE): _ORG,
    (ResourceKind.DOCUMENT, Action.READ): _ORG,
    (ResourceKind.DOCUMENT, Action.CREATE): _ORG,
    (ResourceKind.DOCUMENT, Action.CHANGE): _ORG,
    (ResourceKind.DOCUMENT, Action.DELETE): _ORG,
    (ResourceKind.TRIAL, Action.READ): _ORG,
}
_RULES: Mapping[Role, _Rules] = {
    Role.SUBSCRIBER: _SUBSCRIBER,
    Role.ANALYST: _ANALYST,
    Role.MANAGER: _MANAGER,
    Role.ADMIN: _ADMIN,
    Role.SERVICE: _SERVICE,
}


def allowed(user: User, action: Action, resource: Resource) -> Decision:
    """Whether `user` may do `action` to `resource`. A deactivated user may do nothing."""
    if not user.active:
        return Decision(False, "this user is deactivated")
    if resource.organisation is not None and resource.organisation != user.organisation:
        return Decision(False, f"no such {resource.kind}", hidden=True)
    reach = _reach(user.roles, action, resource.kind)
    if reach is None:
        return Decision(False, f"none of your roles may {action} this {resource.kind}")
    if reach is _OWN and resource.owner != user.id:
        # One's own may be read and another's may not: whether there is another stays untold.
        return Decision(False, f"you may {action} only your own {resource.kind}", hidden=True)
    outside = refusal(user.entitlements, resource.extent) if resource.extent.sites else None
    if outside is not None:
        return Decision(False, outside, hidden=True)
    return Decision(True)


def reach_of(user: User, action: Action, kind: ResourceKind) -> str | None:
    """How far `action` reaches for lists: "own", "organisation", or None for nothing."""
    reach = _reach(user.roles, action, kind)
    return reach.value if reach else None


def roles_that_may(action: Action, kind: ResourceKind) -> frozenset[str]:
    """The roles that may do `action` to any `kind` of their organisation, not only to their own."""
    return frozenset(role.value for role, rules in _RULES.items() if rules.get((kind, action)) is _ORG)


def _reach(roles: Iterable[str], action: Action, kind: ResourceKind) -> _Reach | None:
    reaches = {_RULES[Role(role)].get((kind, action)) for role in roles if role in Role.__members__.values()}
    return _ORG if _ORG in reaches else _OWN if _OWN in reaches else None


def visible_trials(user: User, trials: Iterable[Mapping[str, Any]]) -> list[str]:
    """The ids, sorted, of the `trials` records that `user` may see. What was inserted by hand with an id that
    is no text is no trial: nothing can name it."""
    own = [trial["_id"] for trial in trials if trial.get("organisation") == user.organisation]
    return sorted(one for one in own if isinstance(one, str) and user.entitlements.covers_trial(one))


def outside_trials(user: User, trials: Iterable[str]) -> list[str]:
    """Those of `trials` that are not open to the user, sorted."""
    return sorted(trial for trial in set(trials) if not user.entitlements.covers_trial(trial))


def may_receive(
    user: User | None,
    subscription: Subscription,
    trials: Iterable[Mapping[str, Any]],
    whom: str = "the owner of the subscription",
) -> Decision:
    """Whether a report may still be made for and sent to this subscription.

    Asked when the report is rendered and again when it is sent. `user` is the subscription's owner,
    or a user it goes to (`whom` in words), as of now (None: gone), `trials` the records of the
    organisation's trials.
    """
    if user is None:
        return Decision(False, f"{whom} does not exist any more")
    if not user.active:
        return Decision(False, f"{whom} is deactivated")
    if user.organisation != subscription.organisation:
        return Decision(False, f"{whom} has left its organisation")
    if subscription.status == "ended":
        return Decision(False, "the subscription has ended")
    visible = visible_trials(user, trials)
    withdrawn = sorted(set(subscription.filters.trials) - set(visible))
    if withdrawn:
        return Decision(False, f"trial {withdrawn[0]} was withdrawn from {whom}")
    if not visible:
        return Decision(False, f"no trial is open to {whom}")
    if user.entitlements.own_record_only and not user.entitlements.subject:
        return Decision(False, f"{whom} is a participant whose own record is not known")
    wanted = subscription.filters.trials or visible
    if all(user.entitlements.effective_sites(each, subscription.filters.sites) == () for each in wanted):
        return Decision(False, f"none of the sites is open to {whom}")
    return Decision(True)


def may_have(user: User | None, organisation: str, extent: Extent, whom: str = "you") -> Decision:
    """Whether a person may have a report, by what it was made from: the one rule for every way to it.

    Asked by download, link, export, sending, requeueing, added deliveries and preview.
    """
    if user is None:
        return Decision(False, f"{whom}: no such user any more", hidden=True)
    if not user.active:
        return Decision(False, f"{whom}: deactivated", hidden=True)
    if user.organisation != organisation:
        return Decision(False, f"{whom}: of another organisation", hidden=True)
    reason = refusal(user.entitlements, extent)
    return Decision(reason is None, f"{whom}: {reason}" if reason else "", hidden=reason is not None)


# --- recipients --------------------------------------------------------------------------------

_LOCAL_PART = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*", re.ASCII)
_SLACK_ID = re.compile(r"[CDG][A-Z0-9]{8,20}", re.ASCII)
_SLACK_CHANNEL = re.compile(r"#[\w-]{1,80}")  # letters of any script, small ones where there are two sizes


def normal_address(value: str) -> str:
    """The one spelling of an e-mail address: lower case, the domain in ASCII (punycode).

    Strict on purpose: no display name, no comment, no quoting, no line break. ValueError says what
    is wrong, without repeating the address.
    """
    if not value.isprintable() or any(c.isspace() for c in value):
        raise ValueError("the e-mail address holds a blank or a control character")
    if len(value) > 254:
        raise ValueError("the e-mail address is longer than 254 characters")
    if any(c in value for c in '<>"(),;:\\[]'):
        raise ValueError("write the bare e-mail address: no name, quotes, brackets or list")
    if value.count("@") != 1:
        raise ValueError("an e-mail address has one @, as in name@example.org")
    local, _, domain = value.partition("@")
    local = local.lower()
    if not local.isascii():
        raise ValueError("the part before the @ may hold ASCII characters only")
    if len(local) > 64 or not _LOCAL_PART.fullmatch(local):
        raise ValueError("the part before the @ is not valid")
    address = f"{local}@{normal_domain(domain)}"
    if len(address) > 254:
        raise ValueError("the e-mail address is longer than 254 characters")
    return address


@lru_cache(maxsize=1_000)
def normal_domain(value: str) -> str:
    """A mail domain in lower-case ASCII. Raises ValueError.

    Kept, since the readers of an edition are of a few, and each mail asks eight times.
    """
    try:
        domain = idna.encode(value, uts46=True, std3_rules=True).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError):
        raise ValueError("the part after the @ is no domain") from None
    labels = domain.split(".")
    if len(labels) < 2 or not all(labels) or len(domain) > 253:
        raise ValueError("the part after the @ is no full domain such as example.org")
    if labels[-1].isdecimal():
        raise ValueError("the part after the @ must be a domain, not a number")
    return domain


def may_be_recipient(
    recipient: Recipient,
    organisation: Mapping[str, Any],
    user_ids: Collection[str],
    addresses: Collection[str],
) -> Decision:
    """Whether a subscription of `organisation` may send to `recipient`.

    `organisation` is a record of `organisations` ({_id, name, allowed_domains, allowed_hosts}); `user_ids`
    and `addresses` (normal spelling) are of its active users. An allowed domain does not cover its
    subdomains. Without allowed hosts a webhook may go to any public one.
    """
    if recipient.type == "user":
        known = recipient.value in user_ids
        return Decision(known, "" if known else "is no active user of the organisation")
    if recipient.type == "webhook":
        return _on_allowed_host(recipient.value, _web_address(recipient.value, None), organisation)
    if recipient.type == "slack":
        if _SLACK_ID.fullmatch(recipient.value):
            return Decision(True)
        if recipient.value.startswith("#"):
            return _slack_channel(recipient.value)
        form = _web_address(recipient.value, "hooks.slack.com")
        return _on_allowed_host(recipient.value, form, organisation)
    if recipient.type != "email":
        assert_never(recipient.type)
    try:
        address = normal_address(recipient.value)
    except ValueError as error:
        return Decision(False, str(error))
    domains = {str(domain).lower() for domain in organisation.get("allowed_domains") or ()}
    if address in addresses or address.partition("@")[2] in domains:
        return Decision(True)
    return Decision(False, "is neither a user of the organisation nor on one of its allowed domains")


def _on_allowed_host(value: str, form: Decision, organisation: Mapping[str, Any]) -> Decision:
    """An organisation that names hosts sends to no other."""
    hosts = {str(host).lower() for host in organisation.get("allowed_hosts") or ()}
    if not form or not hosts or urlsplit(value).hostname in hosts:
        return form
    return Decision(False, "is on none of the organisation's allowed hosts")


def _slack_channel(value: str) -> Decision:
    if value != value.lower():
        return Decision(False, f"must be in small letters, as Slack has channels: {value.lower()[:81]}")
    if not _SLACK_CHANNEL.fullmatch(value):
        return Decision(False, "is no Slack channel: 1 to 80 letters, digits, - and _ after the #")
    return Decision(True)


def _web_address(value: str, host: str | None) -> Decision:
    """The form only; that the host is public is checked when connecting, where it cannot change any more."""
    if "…" in value:
        return Decision(False, "is a shortened address that does not stand here; write the whole one")
    try:
        parts = urlsplit(value)
        port_is_sane = parts.port is None or parts.port > 0
    except ValueError:
        return Decision(False, "is no URL")
    if len(value) > 2000 or not value.isprintable() or " " in value or not value.isascii():
        return Decision(False, "is no URL: it holds blanks or other characters, or is too long")
    if parts.scheme != "https" or not parts.hostname or not port_is_sane:
        return Decision(False, "must be an https URL")
    if parts.username or parts.password or parts.fragment:
        return Decision(False, "must not hold a user name, password or fragment")
    if host is not None and parts.hostname != host:
        return Decision(False, f"must be a channel such as #reports or a URL at {host}")
    return Decision(True)
