"""What proves a report: its manifest, the signature under it, and whether a file is the one it speaks of.

The manifest says what a file is and what it was made from; it names nobody. It travels in an envelope as
DSSE has them (https://github.com/secure-systems-lab/dsse), signed with Ed25519; public keys travel as a
JSON Web Key Set (RFC 8037), each named by its thumbprint (RFC 7638). So others' tools read both.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PAYLOAD_TYPE = "application/vnd.reporting-pipeline.manifest+json"
MANIFEST_VERSION = 1
KEY_BYTES = 32
#: Beside a file `report.pdf` lies `report.pdf.manifest.json`.
BESIDE = ".manifest.json"


class ProofUnreadable(ValueError):
    """What should be an envelope or a set of keys is none; the message says what is wrong."""


class ProofVerdict(StrEnum):
    """What is known of a file and its envelope."""

    GENUINE = "genuine"
    ALTERED = "altered"  # the file is not the one the manifest speaks of
    FORGED = "forged"  # the manifest is not the one that was signed
    UNKNOWN_KEY = "unknown key"  # signed with a key that is not among those given


@dataclass(frozen=True)
class Envelope:
    """A manifest as it was signed: `payload` its very bytes, `key` the name of the key."""

    payload: bytes
    key: str
    signature: bytes

    @property
    def manifest(self) -> Mapping[str, Any]:
        """What it says, whoever signed it. Raises ProofUnreadable."""
        try:
            found = json.loads(self.payload)
        except ValueError:
            raise ProofUnreadable("the manifest in the envelope is no JSON") from None
        if not isinstance(found, dict) or not isinstance(found.get("sha256"), str):
            raise ProofUnreadable("the manifest in the envelope names no sha256")
        return found

    def written(self) -> bytes:
        """The file that lies beside the report."""
        document = {
            "payloadType": PAYLOAD_TYPE,
            "payload": b64encode(self.payload).decode(),
            "signatures": [{"keyid": self.key, "sig": b64encode(self.signature).decode()}],
        }
        return json.dumps(document, indent=1).encode() + b"\n"

    @classmethod
    def read(cls, text: bytes | str) -> Envelope:
        """Raises ProofUnreadable that says what is wrong."""
        try:
            document = json.loads(text)
        except ValueError:
            raise ProofUnreadable("it is no JSON") from None
        if not isinstance(document, dict) or document.get("payloadType") != PAYLOAD_TYPE:
            raise ProofUnreadable(f"payloadType: it must be {PAYLOAD_TYPE}")
        signatures = document.get("signatures")
        first = signatures[0] if isinstance(signatures, list) and signatures else None
        if not isinstance(first, dict) or not isinstance(first.get("keyid"), str):
            raise ProofUnreadable("signatures: there must be one with keyid and sig")
        return cls(_bytes(document, "payload"), first["keyid"], _bytes(first, "sig"))


def _bytes(holder: Mapping[str, Any], name: str) -> bytes:
    try:
        return b64decode(str(holder[name]), validate=True)
    except (KeyError, ValueError):
        raise ProofUnreadable(f"{name}: it must be base64") from None


@dataclass(frozen=True)
class SigningKey:
    """A private key and the name of its public one."""

    private: Ed25519PrivateKey = field(repr=False)
    name: str

    @classmethod
    def of(cls, seed: bytes) -> SigningKey:
        """From 32 secret bytes. ValueError for another number of them."""
        if len(seed) != KEY_BYTES:
            raise ValueError(f"a key is {KEY_BYTES} bytes in base64, as `openssl rand -base64 32` prints")
        private = Ed25519PrivateKey.from_private_bytes(seed)
        return cls(private, key_name(private.public_key()))

    def sign(self, manifest: Mapping[str, Any]) -> Envelope:
        """The same manifest gives the same envelope. 40 microseconds."""
        payload = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
        return Envelope(payload, self.name, self.private.sign(_signed_bytes(payload)))


def _signed_bytes(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def key_name(key: Ed25519PublicKey) -> str:
    """The key's RFC 7638 thumbprint: whoever has the key can compute its name."""
    said = json.dumps({"crv": "Ed25519", "kty": "OKP", "x": _url64(key.public_bytes_raw())}, sort_keys=True)
    return _url64(sha256(said.replace(" ", "").encode()).digest())


def seeds(text: str) -> list[bytes]:
    """The keys of a setting: base64 of 32 bytes each, commas between them. Never repeats one in an error."""
    found = []
    for number, part in enumerate(text.split(","), 1):
        try:
            raw = b64decode(part.strip(), validate=True)
        except ValueError:
            raise ValueError(f"key {number} is not base64") from None
        if len(raw) != KEY_BYTES:
            raise ValueError(f"key {number} is not {KEY_BYTES} bytes in base64 (`openssl rand -base64 32`)")
        found.append(raw)
    if len(set(found)) != len(found):
        raise ValueError("a key is given twice")
    return found


@dataclass(frozen=True)
class SigningKeys:
    """What a deployment signs with, and all public keys by name: those that signed earlier, too."""

    current: SigningKey
    public: Mapping[str, Ed25519PublicKey]

    @classmethod
    def of(cls, private: Iterable[bytes], retired: Iterable[bytes] = ()) -> SigningKeys:
        """From secret seeds, of which the first signs, and public keys of which nobody has the secret now."""
        keys = [SigningKey.of(seed) for seed in private]
        public = [key.private.public_key() for key in keys]
        public += [Ed25519PublicKey.from_public_bytes(raw) for raw in retired]
        return cls(keys[0], {key_name(key): key for key in public})


def key_set(keys: Mapping[str, Ed25519PublicKey]) -> dict[str, Any]:
    """Public keys as others read them: a JSON Web Key Set."""
    return {
        "keys": [
            {
                "kty": "OKP",
                "crv": "Ed25519",
                "use": "sig",
                "alg": "EdDSA",
                "kid": name,
                "x": _url64(key.public_bytes_raw()),
            }
            for name, key in keys.items()
        ]
    }


def read_key_set(text: bytes | str) -> dict[str, Ed25519PublicKey]:
    """The Ed25519 keys of a set, by the name that follows from the key, whatever `kid` says.

    Raises ProofUnreadable.
    """
    try:
        listed = json.loads(text)["keys"]
        ours = [one for one in listed if one.get("kty") == "OKP" and one.get("crv") == "Ed25519"]
        raws = [urlsafe_b64decode(one["x"] + "=" * (-len(one["x"]) % 4)) for one in ours]
        keys = [Ed25519PublicKey.from_public_bytes(raw) for raw in raws]
    except (ValueError, LookupError, TypeError, AttributeError):
        raise ProofUnreadable("it is no JSON Web Key Set with Ed25519 keys") from None
    if not keys:
        raise ProofUnreadable("it holds no Ed25519 key")
    return {key_name(key): key for key in keys}


def verdict_on(
    digest: str, size: int, envelope: Envelope, keys: Mapping[str, Ed25519PublicKey]
) -> ProofVerdict:
    """Whether a file (its SHA-256 in hexadecimal, its bytes) is the one of the envelope, and ours."""
    key = keys.get(envelope.key)
    if key is None:
        return ProofVerdict.UNKNOWN_KEY
    try:
        key.verify(envelope.signature, _signed_bytes(envelope.payload))
    except InvalidSignature:
        return ProofVerdict.FORGED
    manifest = envelope.manifest
    if manifest["sha256"] != digest or manifest.get("size") != size:
        return ProofVerdict.ALTERED
    return ProofVerdict.GENUINE


def manifest_of(report: Mapping[str, Any], layout_version: str) -> dict[str, Any]:
    """The manifest of a stored report, from the fields of its record. Times are UTC; sizes bytes."""
    restates = report.get("restates") or {}
    return {
        "version": MANIFEST_VERSION,
        "report": report["id"],
        "code": report.get("code") or None,
        "sha256": report["sha256"],
        "size": report["size"],
        "pages": report["pages"],
        "format": report["format"],
        "cadence": report["cadence"],
        "period": report["period"],
        "report_type": report.get("report_type") or None,
        "audience": report.get("audience") or None,
        "data_as_of": _instant(report["data_as_of"]),
        "rendered_at": _instant(report["rendered_at"]),
        "product": report["code_version"],
        "layout": layout_version,
        "inputs": [
            {
                name: one[name]
                for name in ("trial", "documents", "dataset", "media", "status")
                if one.get(name)
            }
            for one in report.get("inputs") or ()
        ],
        "omissions": len(report.get("omissions") or ()),
        "restates": restates.get("sha256"),
    }


def _instant(value: datetime) -> str:
    return value.isoformat()


def _url64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
