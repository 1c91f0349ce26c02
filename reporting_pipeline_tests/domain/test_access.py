"""Rights: a table held cell by cell, recipients, and addresses that cannot smuggle anything in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reporting_pipeline.domain.access import (
    Action,
    Resource,
    ResourceKind,
    Role,
    User,
    allowed,
    may_be_recipient,
    may_have,
    may_receive,
    normal_address,
    reach_of,
    visible_trials,
)
from reporting_pipeline.domain.entitlements import ALL, Entitlements, Extent, Trials
from reporting_pipeline.domain.schedules import Schedule
from reporting_pipeline.domain.subscriptions import Filters, Recipient, Subscription

TRIALS = [
    {"_id": "T1", "organisation": "org_1"},
    {"_id": "T2", "organisation": "org_1"},
    {"_id": "X1", "organisation": "org_2"},
]
ORGANISATION = {"_id": "org_1", "allowed_domains": ["example.org", "xn--mnchen-3ya.de"]}
OWN = Resource(ResourceKind.SUBSCRIPTION, "org_1", "usr_1")
OTHERS = Resource(ResourceKind.SUBSCRIPTION, "org_1", "usr_2")
FOREIGN = Resource(ResourceKind.SUBSCRIPTION, "org_2", "usr_1")


def user(*roles: str, trials: Trials = ALL, **fields: Any) -> User:
    return User("usr_1", "org_1", frozenset(roles), Entitlements(trials), **fields)


def subscription(*trials: str, **fields: Any) -> Subscription:
    now = datetime(2026, 11, 23, tzinfo=UTC)
    return Subscription(
        id="sub_1",
        organisation="org_1",
        owner="usr_1",
        name="Mine",
        filters=Filters(trials=trials),
        schedule=Schedule(),
        created_at=now,
        updated_at=now,
        **fields,
    )


# role -> may it read and change (own, another's, another organisation's) subscriptions
@pytest.mark.parametrize(
    ("role", "read", "change"),
    [
        (Role.SUBSCRIBER, (True, False, False), (True, False, False)),
        (Role.ANALYST, (True, True, False), (True, False, False)),
        (Role.MANAGER, (True, True, False), (True, True, False)),
        (Role.ADMIN, (True, True, False), (True, True, False)),
        (Role.SERVICE, (True, True, False), (False, False, False)),
        ("nonsense", (False, False, False), (False, False, False)),
    ],
)
def test_a_role_reaches_as_far_as_the_table_says(
    role: str, read: tuple[bool, ...], change: tuple[bool, ...]
) -> None:
    caller = user(role)

    assert tuple(bool(allowed(caller, Action.READ, it)) for it in (OWN, OTHERS, FOREIGN)) == read
    assert tuple(bool(allowed(caller, Action.CHANGE, it)) for it in (OWN, OTHERS, FOREIGN)) == change


def test_nobody_reaches_into_another_organisation() -> None:
    for role in Role:
        for action in Action:
            for kind in ResourceKind:
                decision = allowed(user(role), action, Resource(kind, "org_2", "usr_1"))
                assert not decision
                assert decision.hidden


def test_a_deactivated_user_may_do_nothing() -> None:
    for role in Role:
        for action in Action:
            for kind in ResourceKind:
                assert not allowed(user(role, active=False), action, Resource(kind, "org_1", "usr_1"))


@pytest.mark.parametrize(
    ("action", "kind", "roles"),
    [
        (Action.SET_STATE, ResourceKind.EDITION, {Role.SERVICE, Role.ADMIN}),
        (Action.CREATE, ResourceKind.EDITION, {Role.SERVICE, Role.MANAGER, Role.ADMIN}),
        (Action.READ, ResourceKind.AUDIT, {Role.MANAGER, Role.ADMIN}),
        (Action.REQUEUE, ResourceKind.DEAD_LETTER, {Role.MANAGER, Role.ADMIN}),
        (Action.READ, ResourceKind.DEAD_LETTER, {Role.ANALYST, Role.MANAGER, Role.ADMIN}),
        (Action.CREATE, ResourceKind.DOCUMENT, {Role.SERVICE, Role.MANAGER, Role.ADMIN}),
        (Action.DELETE, ResourceKind.AUDIT, set()),
        (Action.CHANGE, ResourceKind.AUDIT, set()),
    ],
)
def test_organisation_wide_rights_are_those_of_the_table(
    action: Action, kind: ResourceKind, roles: set[Role]
) -> None:
    assert {role for role in Role if reach_of(user(role), action, kind) == "organisation"} == roles


def test_only_an_admin_erases_somebody_else() -> None:
    other = Resource(ResourceKind.USER, "org_1", "usr_2")

    assert {role for role in Role if allowed(user(role), Action.ERASE, other)} == {Role.ADMIN}
    assert allowed(user(Role.SUBSCRIBER), Action.ERASE, Resource(ResourceKind.USER, "org_1", "usr_1"))


def test_a_trial_that_is_not_open_to_a_manager_stays_closed() -> None:
    manager = user(Role.MANAGER, trials=("T1",))

    assert allowed(
        manager, Action.READ, Resource(ResourceKind.DOCUMENT, "org_1", extent=Extent({"T1": None}))
    )
    decision = allowed(
        manager,
        Action.READ,
        Resource(ResourceKind.DOCUMENT, "org_1", extent=Extent({"T1": None, "T2": None})),
    )
    assert (decision.allowed, decision.hidden) == (False, True)


def test_visible_trials_are_those_of_the_organisation_and_of_the_list() -> None:
    assert visible_trials(user(), TRIALS) == ["T1", "T2"]
    assert visible_trials(user(trials=("T2", "X1")), TRIALS) == ["T2"]


@pytest.mark.parametrize(
    ("owner", "wanted", "reason"),
    [
        (user(), subscription("T1"), ""),
        (user(trials=("T1",)), subscription("T1"), ""),
        (user(trials=("T1",)), subscription(), ""),
        (None, subscription(), "the owner of the subscription does not exist any more"),
        (user(active=False), subscription(), "the owner of the subscription is deactivated"),
        (
            user(trials=("T1",)),
            subscription("T1", "T2"),
            "trial T2 was withdrawn from the owner of the subscription",
        ),
        (user(), subscription("X1"), "trial X1 was withdrawn from the owner of the subscription"),
        (user(trials=("gone",)), subscription(), "no trial is open to the owner of the subscription"),
        (
            User("usr_1", "org_2", entitlements=Entitlements(ALL)),
            subscription(),
            "the owner of the subscription has left its organisation",
        ),
        (user(), subscription(status="ended"), "the subscription has ended"),
    ],
)
def test_what_was_withdrawn_stops_the_report(owner: User | None, wanted: Subscription, reason: str) -> None:
    decision = may_receive(owner, wanted, TRIALS)

    assert (decision.allowed, decision.reason) == (not reason, reason)
    assert not decision.hidden, "the owner may know why"


@pytest.mark.parametrize(
    ("kind", "value", "good"),
    [
        ("email", "anyone@example.org", True),
        ("email", "Anyone@EXAMPLE.org", True),
        ("email", "x@münchen.de", True),
        ("email", "guest@elsewhere.net", True),
        ("email", "Guest@Elsewhere.NET", True),
        ("email", "other@elsewhere.net", False),
        ("email", "x@sub.example.org", False),
        ("email", "x@example.org.evil.net", False),
        ("email", "x@notexample.org", False),
        ("email", "guest@elsewhere.net, x@evil.net", False),
        ("user", "usr_1", True),
        ("user", "usr_9", False),
        ("webhook", "https://hooks.example.net/x", True),
        ("webhook", "http://hooks.example.net/x", False),
        ("webhook", "https://user:secret@hooks.example.net/x", False),
        ("webhook", "https://", False),
        ("webhook", "https://[::1", False),
        ("webhook", "https://a.b/\r\nHost: x", False),
        ("webhook", "https://a.b:99999/", False),
        ("slack", "#trial-reports", True),
        ("slack", "#안전-보고", True),
        ("slack", "#sicherheit_köln", True),
        ("slack", "#Trial-Reports", False),
        ("slack", "#", False),
        ("slack", "#two words", False),
        ("slack", "#<!channel>", False),
        ("slack", "#" + "x" * 81, False),
        ("slack", "C0123456789", True),
        ("slack", "https://hooks.slack.com/services/T0/B0/x", True),
        ("slack", "https://hooks.slack.com.evil.net/services/T0", False),
    ],
)
def test_reports_leave_the_organisation_only_to_allowed_recipients(kind: Any, value: str, good: bool) -> None:
    recipient = Recipient(type=kind, value=value)

    decision = may_be_recipient(recipient, ORGANISATION, {"usr_1"}, {"guest@elsewhere.net"})

    assert decision.allowed is good
    assert bool(decision.reason) is not good


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("A.Person@Example.ORG", "a.person@example.org"),
        ("x@MÜNCHEN.de", "x@xn--mnchen-3ya.de"),
        ("x@xn--mnchen-3ya.de", "x@xn--mnchen-3ya.de"),
        ("a+b_c-d@example.org", "a+b_c-d@example.org"),
        ("o'brien@example.org", "o'brien@example.org"),
        ("x@例え.jp", "x@xn--r8jz45g.jp"),
    ],
)
def test_an_address_has_one_spelling(written: str, normal: str) -> None:
    assert normal_address(written) == normal
    assert normal_address(normal) == normal


@pytest.mark.parametrize(
    "written",
    [
        "",
        "x",
        "@example.org",
        "x@",
        "x@localhost",
        "x@1.2.3.4",
        "x@[127.0.0.1]",
        "x@example.org.",
        "x@.example.org",
        "x@-bad.org",
        "x@under_score.org",
        "a..b@example.org",
        ".a@example.org",
        "a.@example.org",
        "a@b@example.org",
        "Ann <ann@example.org>",
        '"ann smith"@example.org',
        "ann@example.org,bob@example.org",
        "ann@example.org;bob@example.org",
        "ann(comment)@example.org",
        "ann@example.org\nBcc: bob@example.org",
        "ann\r@example.org",
        "ann\x00@example.org",
        "ann@exam\u200bple.org ",
        " ann@example.org",
        "änn@example.org",
        "ann\u202e@example.org",
        "a" * 65 + "@example.org",
        "a@" + "b" * 64 + ".org",
        "a@" + "b." * 130 + "org",
    ],
)
def test_what_is_no_bare_address_is_refused_without_being_repeated(written: str) -> None:
    with pytest.raises(ValueError, match=r"e-mail|before the @|after the @") as caught:
        normal_address(written)

    assert not written or len(written) < 3 or written not in str(caught.value)


@given(st.text(max_size=80))
def test_no_text_gets_a_line_break_or_a_second_mailbox_through(text: str) -> None:
    try:
        address = normal_address(text)
    except ValueError:
        return
    assert address.isascii()
    assert address.isprintable()
    assert address.count("@") == 1
    assert not set(address) & set(" ,;<>\"'()\r\n\t") - {"'"}


@pytest.mark.parametrize(
    ("who", "organisation", "trial", "reason"),
    [
        (None, "org_1", "T1", "you: no such user any more"),
        (user("subscriber", active=False), "org_1", "T1", "you: deactivated"),
        (user("subscriber"), "org_2", "T1", "you: of another organisation"),
        (
            user("subscriber", trials=("T2",)),
            "org_1",
            "T1",
            "you: trial T1 is not among the trials open to you",
        ),
    ],
)
def test_a_report_that_is_not_ones_own_is_not_even_said_to_exist(
    who: User | None, organisation: str, trial: str, reason: str
) -> None:
    decision = may_have(who, organisation, Extent({trial: None}))

    assert (decision.allowed, decision.hidden, decision.reason) == (False, True, reason)


def test_a_report_that_is_ones_own_is_had_without_a_word() -> None:
    decision = may_have(user("subscriber", trials=("T1",)), "org_1", Extent({"T1": None}))

    assert (decision.allowed, decision.hidden, decision.reason) == (True, False, "")


def test_a_user_is_read_from_their_record_and_what_is_not_said_is_empty() -> None:
    until = datetime(2026, 11, 28, tzinfo=UTC)
    said = {
        **{"_id": "usr_1", "organisation": "org_1", "roles": ["manager"], "active": True},
        **{"email": "a@example.org", "name": "Ada", "timezone": "Europe/Zurich", "language": "de"},
        "email_asked": {"address": "b@example.org", "expires_at": until},
    }
    read = User.from_record(said)

    assert (read.roles, read.active, read.email, read.name) == (
        frozenset({"manager"}),
        True,
        "a@example.org",
        "Ada",
    )
    assert (read.timezone, read.language) == ("Europe/Zurich", "de")
    assert (read.email_asked, read.email_asked_until) == ("b@example.org", until)
    assert User.from_record({"_id": "usr_1", "organisation": "org_1", "active": 1}) == User(
        "usr_1", "org_1", frozenset(), active=False
    )
