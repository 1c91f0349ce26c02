"""Named secrets: what was signed with one is verified with it alone, and by no short beginning."""

from __future__ import annotations

import pytest

from reporting_pipeline.domain.keyring import Keyring

RING = Keyring("new", {"new": b"n" * 32, "old": b"o" * 32})
MESSAGE = b"what was said"


@pytest.mark.parametrize(("name", "good"), [("new", True), ("old", False), ("unknown", False)])
def test_a_signature_is_that_of_the_key_it_names(name: str, good: bool) -> None:
    assert RING.verifies(MESSAGE, RING.sign(MESSAGE), name) is good
    assert not RING.verifies(b"something else", RING.sign(MESSAGE), name)


@pytest.mark.parametrize(
    ("kept", "good"), [(32, True), (17, True), (16, True), (15, False), (1, False), (0, False)]
)
def test_sixteen_bytes_of_a_signature_are_the_least(kept: int, good: bool) -> None:
    assert RING.verifies(MESSAGE, RING.sign(MESSAGE)[:kept], "new") is good


def test_what_an_earlier_key_signed_is_verified_by_its_name() -> None:
    signed = RING.sign(MESSAGE, "old")
    assert RING.verifies(MESSAGE, signed, "old")
    assert not RING.verifies(MESSAGE, signed, "new")
    with pytest.raises(KeyError):
        RING.sign(MESSAGE, "unknown")


def test_a_key_of_one_purpose_never_passes_for_that_of_another() -> None:
    links, mails = RING.derived("links"), RING.derived("mails")
    assert links.verifies(MESSAGE, links.sign(MESSAGE), "new")
    assert not mails.verifies(MESSAGE, links.sign(MESSAGE), "new")
    assert not RING.verifies(MESSAGE, links.sign(MESSAGE), "new")
