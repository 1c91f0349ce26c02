"""Who may do what, for every route: a table of expected answers, complete by comparison with OpenAPI.

Cells: no token, expired, other audience, other issuer, no expiry, alg none, another secret, RS256
against a shared secret (and HS256 with the public key against a JWKS), no role at all, each role that
may not, another organisation, and one that may.
"""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from reporting_pipeline.api.app import is_public, openapi_document
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.usecases.callers.shapes.registry import EXAMPLE_LOGO
from reporting_pipeline_tests.api.conftest import Api, expired, weekly
from reporting_pipeline_tests.api.world import FILE, REGISTERED, populate

#: Of the report that waits.
LOOKED_AT = sha256(FILE).hexdigest()

SCHEDULED = {
    "name": "Managed",
    "schedule_config": {"cadence": "daily", "time": "06:00", "timezone": "UTC"},
    "recipients": [{"type": "user", "value": "usr_default_subscriber"}],
}
USER = {"name": "Sub", "email": "subscriber@default.example", "roles": ["subscriber"], "trials": "all"}
LINE = b'{"trial": "T1", "site": "701", "kind": "note", "title": "A line"}\n'
LINES = {"data": LINE, "headers": {"Content-Type": "application/x-ndjson"}}
CORRECTION = {
    "document": {"trial": "T1", "site": "701", "kind": "note", "title": "Corrected"},
    "reason": "Misspelt",
}
UPLOAD = {"trial": "T1", "site": "701", "kind": "note", "title": "Uploaded"}
NOT_OWNER = {"analyst": 404, "service": 403}
ADMINS_ONLY = {"subscriber": 403, "analyst": 403, "manager": 403, "service": 403}
TRIAL = {"id": "T3", "title": "Third"}
SITE = {"id": "801", "name": "Site 801"}
ORGANISATION = {"id": "acme", "name": "Acme"}
LOGO = {"image": EXAMPLE_LOGO}
HOLD = {"kind": "legal_hold", "reason": "Inspection"}
MANAGERS_ONLY = {"subscriber": 403, "analyst": 403, "service": 403}
WORKERS_ONLY = {"subscriber": 403, "analyst": 403}


#: Looked at before anything is saved; and what is not paused or closed is neither resumed nor reopened.
CHANGES_NOTHING = frozenset(
    {
        "/api/scheduled-reports/preview",
        "/api/reports/preview",
        "/api/scheduled-reports/{subscription}/resume",
        "/api/trials/T1/reopen",
    }
)


@dataclass(frozen=True)
class Route:
    """One row: how to call it, who may, and what the others hear."""

    method: str
    path: str  # as in OpenAPI, but with the names of `world` for ids
    status: int = 200
    role: str = "subscriber"  # one that may
    denied: dict[str, int] = field(default_factory=dict)  # roles that may not
    other: int = 404  # an admin of another organisation
    other_sees_nothing: bool = False
    arguments: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def body(content: Any) -> dict[str, Any]:
    return {"json": content}


SUB, SCHED = "/api/subscriptions/{subscription}", "/api/scheduled-reports/{subscription}"
MAILS, LETTERS = "/api/reports/emails", "/api/dead-letters"
ROUTES = [
    Route("POST", f"{SUB}/confirm", denied=NOT_OWNER),
    Route("GET", "/api/subscriptions", other=200, other_sees_nothing=True),
    Route("POST", "/api/subscriptions", 201, denied=NOT_OWNER, other=422, arguments=body(weekly())),
    Route("GET", SUB),
    Route("PATCH", SUB, denied=NOT_OWNER, arguments=body({"name": "new"})),
    Route("DELETE", SUB, 204, denied=NOT_OWNER),
    Route("GET", f"{SUB}/jobs"),
    Route("GET", "/api/jobs/{job}"),
    Route("GET", "/api/events?job={job}&lasting=1"),
    Route(  # b@default.example had it before
        "POST",
        "/api/jobs/{job}/resend",
        202,
        "manager",
        WORKERS_ONLY,
        arguments=body({"recipient": "b@default.example"}),
    ),
    Route("GET", "/api/scheduled-reports", other=200, other_sees_nothing=True),
    Route(
        "POST", "/api/scheduled-reports", 201, denied={"service": 403}, other=422, arguments=body(SCHEDULED)
    ),
    Route("POST", "/api/scheduled-reports/preview", other=200, arguments=body({"schedule_config": {}})),
    Route("GET", SCHED),
    Route("PUT", SCHED, denied=NOT_OWNER, arguments=body(SCHEDULED)),
    Route("DELETE", SCHED, 204, denied=NOT_OWNER),
    Route("POST", f"{SCHED}/pause", denied=NOT_OWNER),
    Route("POST", f"{SCHED}/resume", denied=NOT_OWNER),
    Route(  # no data of the period stands here
        "POST", "/api/reports/preview", 409, denied={"service": 403}, other=422, arguments=body(SCHEDULED)
    ),
    Route("POST", f"{SCHED}/run", 202, denied=NOT_OWNER),
    Route("GET", f"{SCHED}/executions"),
    Route("GET", "/api/report-executions/{job}"),
    Route("GET", "/api/report-executions/{job}/download", 307, denied={"service": 403}),
    Route(
        "POST",
        "/api/reports",
        201,
        "manager",
        WORKERS_ONLY,
        other=403,
        arguments=body({"reportType": "daily", "force": True}),
    ),
    Route("GET", "/api/reports", other=200),
    Route("GET", "/api/reports/{edition}", other=200),
    Route(
        "PATCH",
        "/api/reports/{edition}/state",
        200,
        "service",
        {"subscriber": 403, "analyst": 403, "manager": 403},
        other=403,
        arguments=body({"state": "completed"}),
    ),
    Route(
        "PATCH",
        "/api/reports/{edition}/result",
        200,
        "service",
        {"subscriber": 403, "analyst": 403, "manager": 403},
        other=403,
        arguments=body({"reports": 1}),
    ),
    Route(
        "POST",
        "/api/reports/registered-users",
        201,
        "manager",
        MANAGERS_ONLY,
        other=422,
        arguments=body({"email": "new@default.example"}),
    ),
    Route(
        "GET",
        "/api/reports/registered-users",
        200,
        "manager",
        other=200,
        other_sees_nothing=True,
    ),
    Route("DELETE", "/api/reports/registered-users/{email}", 204, "manager", MANAGERS_ONLY),
    Route("POST", f"{MAILS}/send/{{edition}}", 202, "manager", WORKERS_ONLY, other=202),
    Route(
        "POST",
        MAILS,
        201,
        "manager",
        WORKERS_ONLY,
        arguments=body({"jobId": "{job}", "recipient": "c@default.example"}),
    ),
    Route("GET", f"{MAILS}/{{edition}}", other=200, other_sees_nothing=True),
    Route(
        "PATCH",
        f"{MAILS}/{{delivery}}",
        200,
        "service",
        WORKERS_ONLY,
        arguments=body({"status": "delivered"}),
    ),
    Route("GET", "/api/documents", other=200, other_sees_nothing=True),
    Route("GET", "/api/documents/{document}"),
    Route("GET", "/api/documents/{document}/file", 307),
    Route(
        "POST",
        "/api/documents",
        201,
        "manager",
        WORKERS_ONLY,
        other=422,
        arguments={"data": UPLOAD, "files": {"file": ("note.txt", b"hello", "text/plain")}},
    ),
    Route("POST", "/api/documents:batch", 200, "manager", WORKERS_ONLY, other=200, arguments=LINES),
    Route("PUT", "/api/documents/{document}", 200, "manager", WORKERS_ONLY, arguments=body(CORRECTION)),
    Route("DELETE", "/api/documents/{document}?reason=wrong", 204, "manager", WORKERS_ONLY),
    Route("GET", "/api/documents/{document}/versions"),
    Route("GET", "/api/report-types", other=200),
    Route("GET", "/api/trials", other=200),
    # An id is one in the deployment: the other organisation had it first.
    Route("POST", "/api/trials", 409, "admin", ADMINS_ONLY, other=201, arguments=body(TRIAL)),
    Route("GET", "/api/trials/T1"),
    Route("PUT", "/api/trials/T1", 200, "manager", MANAGERS_ONLY, arguments=body({"title": "Other"})),
    Route("POST", "/api/trials/T1/close", 200, "admin", ADMINS_ONLY),
    Route("POST", "/api/trials/T1/reopen", 200, "admin", ADMINS_ONLY),
    Route("GET", "/api/trials/T1/sites"),
    Route("POST", "/api/trials/T1/sites", 201, "manager", MANAGERS_ONLY, arguments=body(SITE)),
    Route("GET", "/api/organisations", 200, "admin", ADMINS_ONLY, other=403),
    Route("POST", "/api/organisations", 201, "admin", ADMINS_ONLY, other=403, arguments=body(ORGANISATION)),
    Route("POST", "/api/jobs/{job}/cancel", 409, denied=NOT_OWNER),
    Route("POST", "/api/report-executions/{job}/replay", 202, denied=NOT_OWNER),
    # The deployment's own organisation is never closed.
    Route("POST", "/api/organisations/default/close", 409, "admin", ADMINS_ONLY, other=403),
    Route("GET", "/api/organisations/default", 200, "admin", ADMINS_ONLY, other=403),
    Route(
        "PUT",
        "/api/organisations/default",
        200,
        "admin",
        ADMINS_ONLY,
        other=403,
        arguments=body({"name": "Default"}),
    ),
    Route(
        "PUT", "/api/organisations/default/logo", 200, "admin", ADMINS_ONLY, other=403, arguments=body(LOGO)
    ),
    Route("DELETE", "/api/organisations/default/logo", 200, "admin", ADMINS_ONLY, other=403),
    Route("GET", "/api/trace/{report}", 200, denied={"service": 403}),
    Route("GET", "/api/report-manifests/{report}", 200, denied={"service": 403}),
    Route("GET", "/api/trace/{report}/documents", 410, denied={"service": 403}),
    Route(
        "GET",
        LETTERS,
        200,
        "analyst",
        {"subscriber": 403, "service": 403},
        other=200,
        other_sees_nothing=True,
    ),
    Route("POST", f"{LETTERS}/{{letter}}/requeue", 200, "manager", MANAGERS_ONLY),
    *(
        Route("GET", f"/api/{name}", 200, "manager", MANAGERS_ONLY, other=200, other_sees_nothing=True)
        for name in ("reports-awaiting-release", "held-reports")
    ),
    Route(
        "POST",
        "/api/report-executions/{awaiting}/release",
        200,
        "manager",
        MANAGERS_ONLY,
        arguments=body({"sha256": LOOKED_AT, "meaning": "approval", "reason": "Looked at"}),
    ),
    Route(
        "POST",
        "/api/report-executions/{awaiting}/reject",
        200,
        "manager",
        MANAGERS_ONLY,
        arguments=body({"sha256": LOOKED_AT, "reason": "A test file"}),
    ),
    Route("GET", "/api/holds", 200, "manager", MANAGERS_ONLY, other=200, other_sees_nothing=True),
    Route("PUT", "/api/holds/{report}", 200, "manager", MANAGERS_ONLY, arguments=body(HOLD)),
    Route("DELETE", "/api/holds/{report}", 204, "manager", MANAGERS_ONLY),
    Route(
        "POST",
        f"{LETTERS}/requeue",
        200,
        "manager",
        MANAGERS_ONLY,
        other=200,
        arguments=body({"channel": "email"}),
    ),
    Route("GET", "/api/audit", 200, "manager", MANAGERS_ONLY, other=200, other_sees_nothing=True),
    Route("GET", "/api/users", denied={"service": 403}, other=200),  # their own people
    Route("GET", "/api/users/{user}", denied=NOT_OWNER),
    Route("PUT", "/api/users/{user}", 200, "manager", NOT_OWNER, arguments=body(USER)),
    Route("GET", "/api/users/{user}/export", denied={**NOT_OWNER, "manager": 404}),
    Route("DELETE", "/api/users/{user}", 204, "admin", {**NOT_OWNER, "manager": 404}),
]
#: What the table calls by a fixed name, as the documentation calls it.
_FIXED = {
    "/trials/T1": "/trials/{trial}",
    "/organisations/default/logo": "/organisations/{organisation}/logo",
    "/organisations/default": "/organisations/{organisation}",
    "{report}/documents": "{report}/{figure}",
    "/trace/{report}": "/trace/{subscription}",
    "/holds/{report}": "/holds/{subscription}",
    "/report-manifests/{report}": "/report-manifests/{subscription}",
    "/report-executions/{awaiting}": "/report-executions/{job}",
    "/reports/emails/{delivery}": "/reports/emails/{edition}",
}
_OPENAPI_NAMES = {
    "trial_id": "trial",
    "organisation_id": "organisation",
    "figure": "figure",
    "id": "edition",
    "subscription_id": "subscription",
    "report_id": "subscription",
    "job_id": "job",
    "edition_id": "edition",
    "delivery_id": "delivery",
    "document_id": "document",
    "letter_id": "letter",
    "user_id": "user",
    "email": "email",
}


def test_the_table_has_every_route_that_is_not_public() -> None:
    documented = {
        f"{method.upper()} {path.format(**{k: '{' + v + '}' for k, v in _OPENAPI_NAMES.items()})}"
        for path, operations in openapi_document()["paths"].items()
        for method in operations
        if not is_public(path)
    }
    named = {str(route).partition("?")[0] for route in ROUTES}
    for fixed, placeholder in _FIXED.items():
        named = {route.replace(fixed, placeholder) for route in named}
    assert named == documented
    assert len(ROUTES) == len(documented)


def test_what_is_public_is_known_by_name() -> None:
    public = {path for path in openapi_document()["paths"] if is_public(path)}
    assert public == {
        "/healthz",
        "/readyz",
        "/metrics",
        "/webhooks/sendgrid",
        "/r/{token}",
        "/r/file/{token}",
        "/unsubscribe/{token}",
        "/v/{code}",
        "/.well-known/report-keys.json",
        "/confirm-address/{token}",
    }


def test_whoever_may_not_hears_what_the_table_says(
    serve: Callable[..., Api], database: Database, objects: ObjectStore
) -> None:
    """All routes in one world: what is refused changes nothing."""
    api = serve(anonymous_per_minute=1_000_000)
    names = populate(database, objects)
    _register(api)
    bad = {name: api.with_token(token) for name, token in bad_tokens(api.settings).items()}
    wrong = []
    for route in ROUTES:
        expected = [
            *((name, who, 401) for name, who in bad.items()),
            ("no role at all", api.as_("usr_default_nobody"), 403),
            *((role, api.as_(f"usr_default_{role}"), status) for role, status in route.denied.items()),
        ]
        if route.other >= 400:
            expected.append(("another organisation", api.as_("usr_other_admin"), route.other))
        for name, who, status in expected:
            answer = _call(who, route, names)
            if answer.status_code != status:
                wrong.append((str(route), name, answer.status_code, status, answer.text[:200]))
    assert wrong == []


def test_whoever_may_read_reads_and_another_organisation_sees_nothing(
    api: Api, database: Database, objects: ObjectStore
) -> None:
    """All reading routes in one world. What is empty for others proves nothing where one's own is."""
    names = populate(database, objects)
    _register(api)
    for route in ROUTES:
        if route.method != "GET":
            continue
        own = _call(api.as_(f"usr_default_{route.role}"), route, names)
        assert own.status_code == route.status, (route, own.text)
        if route.other < 400:
            foreign = _call(api.as_("usr_other_admin"), route, names)
            assert foreign.status_code == route.other, (route, foreign.text)
        if route.other_sees_nothing:
            assert foreign.json()["items"] == [], route
            assert own.json()["items"], route


@pytest.mark.parametrize("route", [route for route in ROUTES if route.method != "GET"], ids=str)
def test_whoever_may_change_something_does_and_it_is_in_the_audit_log(
    route: Route, api: Api, database: Database, objects: ObjectStore
) -> None:
    names = populate(database, objects)
    _register(api)
    if route.other < 400:
        foreign = _call(api.as_("usr_other_admin"), route, names)
        assert foreign.status_code == route.other, foreign.text
    noted = database.audit.count_documents({"actor": f"usr_default_{route.role}"})
    own = _call(api.as_(f"usr_default_{route.role}"), route, names)
    assert own.status_code == route.status, own.text
    if own.ok and route.path not in CHANGES_NOTHING:
        after = database.audit.count_documents({"actor": f"usr_default_{route.role}"})
        assert after > noted, "what changes something leaves a row in the audit log"


def test_a_public_key_is_no_hmac_secret_on_any_route(
    serve: Callable[..., Api], tmp_path: Path, database: Database, objects: ObjectStore
) -> None:
    """With a JWKS: HS256 keyed with the public key in any of its spellings, or alg none, opens nothing."""
    names = populate(database, objects)
    keys: dict[str, Any] = {
        "rsa": rsa.generate_private_key(65537, 2048),
        "ec": ec.generate_private_key(ec.SECP256R1()),
    }
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [public_jwk(key, kid) for kid, key in keys.items()]}))
    api = serve(jwks_file=path)
    claims = claims_for(api.settings)
    for kid, algorithm in (("rsa", "RS256"), ("ec", "ES256")):
        good = jwt.encode(claims, keys[kid], algorithm, headers={"kid": kid})
        assert api.with_token(good).get("/api/subscriptions").status_code == 200
    forged = [
        forge({"alg": alg, "kid": kid}, claims, secret)
        for kid, key in keys.items()
        for alg in ("HS256", "HS512", "none")
        for secret in public_spellings(key)
    ]
    crossed = [
        jwt.encode(claims, keys["rsa"], "RS256", headers={"kid": "ec"}),
        jwt.encode(claims, keys["rsa"], "PS256", headers={"kid": "rsa"}),
        jwt.encode(claims, rsa.generate_private_key(65537, 2048), "RS256", headers={"kid": "rsa"}),
        jwt.encode(claims, keys["rsa"], "RS256"),
        jwt.encode(claims, keys["rsa"], "RS256", headers={"kid": "unknown"}),
        jwt.encode(claims, api.settings.jwt_secret.get_secret_value(), "HS256", headers={"kid": "rsa"}),
    ]
    for token in forged + crossed:
        assert api.with_token(token).get("/api/subscriptions").status_code == 401, token
    for route in ROUTES:
        assert _call(api.with_token(forged[0]), route, names).status_code == 401, route


def test_what_is_withdrawn_is_withdrawn_at_once(api: Api, database: Database) -> None:
    subscriber = api.as_("usr_default_subscriber")
    assert subscriber.get("/api/subscriptions").status_code == 200
    database.users.update_one({"_id": "usr_default_subscriber"}, {"$set": {"active": False}})
    assert subscriber.get("/api/subscriptions").status_code == 403
    database.users.delete_one({"_id": "usr_default_subscriber"})
    assert subscriber.get("/api/subscriptions").status_code == 401


def test_an_unknown_address_tells_a_stranger_nothing(api: Api) -> None:
    assert api.get("/api/nothing").status_code == 401
    assert api.as_("usr_default_admin").get("/api/nothing").status_code == 404
    assert api.as_("usr_default_admin").get("/api/subscriptions/").status_code == 404


# --- tokens ------------------------------------------------------------------------------------


def claims_for(settings: Settings, user: str = "usr_default_admin", **changed: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    claims = {
        "sub": user,
        "iss": settings.jwt_issuer,
        "aud": settings.jwt_audience,
        "iat": now,
        "exp": now + timedelta(hours=1),
        **changed,
    }
    return {
        name: int(value.timestamp()) if isinstance(value, datetime) else value
        for name, value in claims.items()
        if value is not None
    }


def bad_tokens(settings: Settings) -> dict[str, str | None]:
    """Tokens that must not open anything where a shared secret signs."""
    secret = settings.jwt_secret.get_secret_value()

    def signed(**changed: Any) -> str:
        return jwt.encode(claims_for(settings, **changed), secret, "HS256")

    foreign = rsa.generate_private_key(65537, 2048)
    return {
        "no token": None,
        "nonsense": "a.b.c",
        "expired": expired(settings, "usr_default_admin"),
        "other audience": signed(aud="somebody-else"),
        "other issuer": signed(iss="somebody-else"),
        **{f"no {claim}": signed(**{claim: None}) for claim in ("exp", "iat", "sub", "aud", "iss")},
        "not yet": signed(nbf=datetime.now(UTC) + timedelta(hours=1)),
        "unknown user": signed(sub="usr_gone"),
        "subject is a query": signed(sub={"$ne": None}),
        "alg none": forge({"alg": "none"}, claims_for(settings), b""),
        "another secret": jwt.encode(claims_for(settings), "x" * 40, "HS256"),
        "HS512": jwt.encode(claims_for(settings), secret * 2, "HS512"),
        "RS256": jwt.encode(claims_for(settings), foreign, "RS256"),
    }


def forge(header: dict[str, str], claims: dict[str, Any], secret: bytes) -> str:
    """A token as an attacker writes it: PyJWT itself would refuse a public key as an HMAC secret."""

    def part(content: bytes) -> str:
        return urlsafe_b64encode(content).rstrip(b"=").decode()

    signing = f"{part(json.dumps(header).encode())}.{part(json.dumps(claims).encode())}"
    signature = b"" if header["alg"] == "none" else hmac.digest(secret, signing.encode(), sha256)
    return f"{signing}.{part(signature)}"


def public_jwk(key: Any, kid: str) -> dict[str, Any]:
    algorithm = jwt.algorithms.RSAAlgorithm if kid == "rsa" else jwt.algorithms.ECAlgorithm
    jwk: dict[str, Any] = algorithm.to_jwk(key.public_key(), as_dict=True)
    return {**jwk, "kid": kid, "use": "sig", "alg": "RS256" if kid == "rsa" else "ES256"}


def public_spellings(key: Any) -> list[bytes]:
    public = key.public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return [pem, pem.strip(), der, b""]


def _register(api: Api) -> None:
    made = api.as_("usr_default_manager").post("/api/reports/registered-users", json={"email": REGISTERED})
    assert made.status_code == 201, made.text


def _call(who: Api, route: Route, names: dict[str, str]) -> requests.Response:
    return who.call(route.method, route.path.format(**names), **_filled(route.arguments, names))


def _filled(arguments: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    if "jobId" in arguments.get("json", {}):
        return {"json": {**arguments["json"], "jobId": names["job"]}}
    return arguments
