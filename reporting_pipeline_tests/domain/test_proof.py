"""A signed manifest speaks for one file, and for nothing that was changed since."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from hashlib import sha256

import pytest

from reporting_pipeline.domain.proof import (
    Envelope,
    ProofUnreadable,
    ProofVerdict,
    SigningKeys,
    key_set,
    manifest_of,
    read_key_set,
    seeds,
    verdict_on,
)

FILE = b"%PDF the report"
DIGEST = sha256(FILE).hexdigest()
AT = datetime(2026, 11, 23, 7, tzinfo=UTC)
KEYS = SigningKeys.of([b"k" * 32])
REPORT = {
    "id": "rep_0",
    "sha256": DIGEST,
    "size": len(FILE),
    "pages": 1,
    "format": "pdf",
    "cadence": "weekly",
    "period": "2026-11-16",
    "data_as_of": AT,
    "rendered_at": AT,
    "code_version": "1/4",
    "inputs": [{"trial": "T1", "documents": "d1", "dataset": "s1", "media": "m1", "media_key": "media/x"}],
}


def envelope() -> Envelope:
    return KEYS.current.sign(manifest_of(REPORT, "11"))


def test_what_was_signed_is_genuine_with_the_published_keys_alone() -> None:
    published = read_key_set(json.dumps(key_set(KEYS.public)))
    assert (
        verdict_on(DIGEST, len(FILE), Envelope.read(envelope().written()), published) is ProofVerdict.GENUINE
    )


def test_the_same_report_is_signed_alike_whenever() -> None:
    assert envelope().written() == envelope().written()


def test_another_file_is_altered_and_another_manifest_forged() -> None:
    other = sha256(FILE + b" ").hexdigest()
    assert verdict_on(other, len(FILE) + 1, envelope(), KEYS.public) is ProofVerdict.ALTERED
    signed = envelope()
    changed = signed.payload.replace(DIGEST.encode(), other.encode())
    forged = Envelope(changed, signed.key, signed.signature)
    assert verdict_on(other, len(FILE), forged, KEYS.public) is ProofVerdict.FORGED


def test_a_key_that_is_not_ours_is_unknown_even_under_our_name() -> None:
    stranger = SigningKeys.of([b"s" * 32])
    signed = stranger.current.sign(manifest_of(REPORT, "11"))
    assert verdict_on(DIGEST, len(FILE), signed, KEYS.public) is ProofVerdict.UNKNOWN_KEY
    under_our_name = Envelope(signed.payload, KEYS.current.name, signed.signature)
    assert verdict_on(DIGEST, len(FILE), under_our_name, KEYS.public) is ProofVerdict.FORGED


def test_what_an_earlier_key_signed_stays_genuine_also_once_its_secret_is_gone() -> None:
    new = SigningKeys.of([b"n" * 32, b"k" * 32])
    assert new.current.name != KEYS.current.name
    (raw,) = (key.public_bytes_raw() for key in KEYS.public.values())
    for keys in (new, SigningKeys.of([b"n" * 32], retired=[raw])):
        assert verdict_on(DIGEST, len(FILE), envelope(), keys.public) is ProofVerdict.GENUINE


def test_a_set_of_keys_names_each_by_what_it_is_and_not_by_what_it_says() -> None:
    published = key_set(KEYS.public)
    published["keys"][0]["kid"] = "somebody-else"
    assert set(read_key_set(json.dumps(published))) == {KEYS.current.name}


def test_a_manifest_names_its_inputs_and_nobody() -> None:
    said = envelope().manifest
    assert said["inputs"] == [{"trial": "T1", "documents": "d1", "dataset": "s1", "media": "m1"}]
    assert said["layout"] == "11"
    named = manifest_of({**REPORT, "worded": {"owner_name": "Ada"}, "subject": "01-701"}, "11")
    assert "Ada" not in json.dumps(named)
    assert "01-701" not in json.dumps(named)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "no JSON"),
        ("[]", "payloadType"),
        ('{"payloadType": "other"}', "payloadType"),
        (envelope().written().replace(b'"sig"', b'"sog"').decode(), "sig: it must be base64"),
        (envelope().written().replace(b'"keyid"', b'"key"').decode(), "signatures"),
    ],
)
def test_what_is_no_envelope_is_refused_with_its_field(text: str, told: str) -> None:
    with pytest.raises(ProofUnreadable, match=told):
        Envelope.read(text)


@pytest.mark.parametrize(
    "text", ["", "{}", '{"keys": [{"kty": "RSA"}]}', '{"keys": [{"kty":"OKP","crv":"Ed25519","x":"A"}]}']
)
def test_what_is_no_set_of_keys_is_refused(text: str) -> None:
    with pytest.raises(ProofUnreadable):
        read_key_set(text)


def test_keys_of_a_setting_are_said_by_their_place_and_never_repeated() -> None:
    good = b64encode(b"k" * 32).decode()
    assert seeds(f"{good}, {b64encode(b'l' * 32).decode()}") == [b"k" * 32, b"l" * 32]
    short, long = (b64encode(b"k" * size).decode() for size in (31, 33))
    for wrong, told in (
        (f"{good},short", "key 2 is not base64"),
        (f"short,{good}", "key 1 is not base64"),
        (f"{good},{short}", "key 2 is not 32 bytes"),
        (f"{long},{good}", "key 1 is not 32 bytes"),
        (f"{good},{good}", "a key is given twice"),
    ):
        with pytest.raises(ValueError, match=told) as raised:
            seeds(wrong)
        assert good not in str(raised.value)
    assert b64decode(good) == b"k" * 32
