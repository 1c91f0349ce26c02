"""Every address of the API and of the console with ids of what is not theirs: as if it were not there.

The addresses are drawn from the document and the routers, so that a new one is attacked without a word here.
What somebody else has is answered like what nobody has, whatever the method; no answer holds a mark of
another's.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from fastapi.routing import APIRoute

from reporting_pipeline.api.app import openapi_document
from reporting_pipeline.console.pages import ROUTERS
from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.domain.planning import report_id
from reporting_pipeline_tests.api.conftest import Api
from reporting_pipeline_tests.attacks.test_scope import known, own_documents, readable
from reporting_pipeline_tests.attacks.world import (
    DOCUMENTS,
    ENTITLED,
    PERIOD,
    SHARED,
    World,
    document_id,
    mark,
)
from reporting_pipeline_tests.console.conftest import Browser, csrf_in

#: Those who may do much, and see little.
PEOPLE = [
    ("admin", "trial"),
    ("manager", "site"),
    ("analyst", "nothing"),
    ("subscriber", "participant"),
    ("service", "trial"),
    ("admin", "other"),
]
METHODS = ("get", "post", "put", "patch", "delete")
DOCUMENT: dict[str, Any] = openapi_document()
NOBODY = "nobody's"
#: Of a person who may add people an id that is taken is told (docs/security.md, "Not promised").
TOLD = {("put", "/api/users/{user_id}"), ("post", "/console/people/new")}
#: What differs from answer to answer.
_OF_THE_ANSWER = re.compile(r"[A-Za-z0-9_.=-]{20,}|\b[0-9a-f]{16}\b|\d\d:\d\d(:\d\d)?")


def foreign(role: str, entitled: str, parameter: str) -> list[str]:
    """The names of things of that kind that are not theirs: one of the own organisation, one of another."""
    found = _foreign(role, entitled, parameter)
    return found[:1] + found[1:][-1:]


def _foreign(role: str, entitled: str, parameter: str) -> list[str]:
    if parameter == "document_id":
        return [name for name in DOCUMENTS if name not in own_documents(entitled)]
    if parameter == "trial_id":
        whole = {"other": {"X1"}, "nothing": set[str]()}.get(entitled, {"T1"})
        return [name for name in ("T1", "T2", "X1") if name not in whole]
    if parameter == "organisation_id" and (role, entitled) == ("admin", "trial"):
        return []  # the home organisation's admins know all of them
    if parameter in ("user_id", "organisation_id"):
        return ["default" if entitled == "other" else "other"]
    theirs = readable(role, entitled) if parameter == "rep" else known(role, entitled)
    return [name for name in SHARED if name not in theirs]


def kind_of(path: str, parameter: str) -> str:
    """What an id in an address names: the API's scheduled reports are subscriptions."""
    if parameter == "report_id":
        return "subscription_id" if path.startswith("/api/scheduled-reports") else "rep"
    return parameter


def id_of(world: World, kind: str, name: str) -> str:
    """The id of a thing, or one of the same form that nothing has."""
    nobody = name == NOBODY
    given: dict[str, Callable[[], str]] = {
        "document_id": lambda: document_id(name),
        "job_id": lambda: world.jobs[name],
        "letter_id": lambda: world.lost[name],
        "subscription_id": lambda: f"sub_{name}",
        "rep": lambda: report_id(Cadence.WEEKLY, PERIOD, f"sub_{name}"),
        "trial_id": lambda: name,
        "user_id": lambda: f"usr_owner_of_{name}",
        "organisation_id": lambda: name,
    }
    blank = {
        "document_id": "doc_" + "0" * 24,
        "job_id": "job_" + "0" * 24,
        "letter_id": "dlv_" + "0" * 24,
        "subscription_id": "sub_" + "0" * 24,
        "rep": "rep_" + "0" * 20,
        "trial_id": "T9",
        "user_id": "usr_owner_of_nothing",
        "organisation_id": "nowhere",
    }
    return blank[kind] if nobody else given[kind]()


KINDS = {"document_id", "job_id", "letter_id", "subscription_id", "report_id", "trial_id", "user_id"}
KINDS |= {"organisation_id"}


def _body(operation: dict[str, Any]) -> Any:
    content = operation.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    for one in (schema, *schema.get("anyOf", ())):
        found = DOCUMENT["components"]["schemas"].get(str(one.get("$ref", "")).rpartition("/")[2], {})
        if found.get("examples"):
            return found["examples"][0]
    return None


def texts(answer: requests.Response) -> str:
    """All that came with an answer, files in an archive, too."""
    told = answer.text + repr(dict(answer.headers))
    if answer.content.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            told += "".join(archive.read(one).decode("utf-8", "replace") for one in archive.namelist())
    return told.upper()


def marks_in(answer: requests.Response, role: str, entitled: str) -> list[str]:
    """The marks of what is not theirs."""
    theirs = known(role, entitled) | own_documents(entitled) | readable(role, entitled)
    return [name for name in [*DOCUMENTS, *SHARED] if name not in theirs and mark(name) in texts(answer)]


def said(answer: requests.Response, identifier: str) -> tuple[int, str]:
    """What an answer says, without what names this request."""
    if "json" in answer.headers.get("content-type", ""):
        fields = {name: one for name, one in answer.json().items() if name not in ("instance", "request_id")}
        text = json.dumps(fields, sort_keys=True)
    else:
        text = answer.text
    return answer.status_code, _OF_THE_ANSWER.sub("·", text.replace(identifier, "·"))


def asked(person: Api, method: str, address: str, body: Any, **headers: str) -> requests.Response:
    given = {"json": body} if body is not None else {}
    return person.call(method.upper(), address, headers=headers, **given)


@dataclass(frozen=True)
class Operation:
    """One operation of the API that names a thing in its address, with a body that would do."""

    method: str
    path: str
    parameter: str
    body: Any

    @property
    def kind(self) -> str:
        return kind_of(self.path, self.parameter)

    def asked(self, person: Api, identifier: str) -> requests.Response:
        address = self.path.replace(f"{{{self.parameter}}}", identifier).replace("{figure}", "adverse_events")
        query = "?reason=because" if (self.method, self.kind) == ("delete", "document_id") else ""
        return asked(person, self.method, address + query, self.body)


def _operations() -> Iterator[Operation]:
    for path, operations in DOCUMENT["paths"].items():
        named = [one for one in re.findall(r"{(\w+)}", path) if one in KINDS]
        for method in METHODS:
            if method in operations and named:
                yield Operation(method, path, named[0], _body(operations[method]))


@pytest.mark.parametrize(("role", "entitled"), PEOPLE)
def test_what_is_another_s_is_answered_like_what_nobody_has(world: World, role: str, entitled: str) -> None:
    person = world.person(role, entitled)
    wrong: list[object] = []
    for one in _operations():
        nothing = None
        if (one.method, one.path) not in TOLD:
            identifier = id_of(world, one.kind, NOBODY)
            nothing = said(one.asked(person, identifier), identifier)
        for name in foreign(role, entitled, one.kind):
            identifier = id_of(world, one.kind, name)
            found = one.asked(person, identifier)
            wrong += [(one.method, one.path, name, mark) for mark in marks_in(found, role, entitled)]
            heard = said(found, identifier)
            if heard[0] >= 500 or nothing not in (None, heard):
                wrong.append((one.method, one.path, name, heard, nothing))
    assert wrong == []


#: Bodies that name things: what stands in braces is an id of that kind.
NAMING: list[tuple[str, str, Any]] = [
    ("post", "/api/reports/emails", {"jobId": "{job_id}", "recipient": "x@default.example"}),
    ("post", "/api/dead-letters/requeue", {"subscription": "{subscription_id}"}),
    ("post", "/api/subscriptions", {"userId": "{user_id}", "reportType": "weekly"}),
    (
        "post",
        "/api/scheduled-reports",
        {
            "name": "x",
            "schedule_config": {"cadence": "weekly"},
            "recipients": [{"type": "user", "value": "{user_id}"}],
        },
    ),
    (
        "post",
        "/api/scheduled-reports",
        {
            "name": "x",
            "schedule_config": {"cadence": "weekly"},
            "recipients": [{"type": "user", "value": "{self}"}],
            "report_parameters": {"trials": ["{trial_id}"]},
        },
    ),
    (
        "post",
        "/api/reports/preview",
        {
            "name": "x",
            "schedule_config": {"cadence": "weekly"},
            "recipients": [{"type": "user", "value": "{self}"}],
            "report_parameters": {"trials": ["{trial_id}"]},
        },
    ),
    (
        "put",
        "/api/users/usr_fresh_one",
        {"name": "x", "email": "x@default.example", "roles": ["subscriber"], "trials": ["{trial_id}"]},
    ),
    ("get", "/api/documents?trial={trial_id}", None),
    ("get", "/api/subscriptions?userId={user_id}", None),
    ("get", "/api/audit?actor={user_id}", None),
    ("get", "/api/events?lasting=1&job={job_id}", None),
]


def _naming(world: World, whole: str, kind: str, name: str) -> tuple[str, Any, str]:
    """The address and the body with the id of a thing, and that id."""
    identifier = id_of(world, kind, name)
    address, body = json.loads(whole.replace(f"{{{kind}}}", identifier))
    return address, body, identifier


@pytest.mark.parametrize(("role", "entitled"), PEOPLE)
def test_what_is_another_s_is_answered_so_where_a_body_or_filter_names_it(
    world: World, role: str, entitled: str
) -> None:
    person = world.person(role, entitled)
    wrong: list[object] = []
    for method, path, body in NAMING:
        whole = json.dumps([path, body]).replace("{self}", f"usr_{role}_{entitled}")
        kind = re.findall(r"{(\w+_id)}", whole)[0]
        address, given, identifier = _naming(world, whole, kind, NOBODY)
        nothing = said(asked(person, method, address, given), identifier)
        for name in foreign(role, entitled, kind):
            address, given, identifier = _naming(world, whole, kind, name)
            found = asked(person, method, address, given)
            wrong += [(method, path, name, one) for one in marks_in(found, role, entitled)]
            if said(found, identifier) != nothing:
                wrong.append((method, path, name, said(found, identifier), nothing))
    assert wrong == []


#: Ways around an address that proxies, frameworks and stores have had.
AROUND: list[tuple[str, str, dict[str, str]]] = [
    ("head", "{}", {}),
    ("options", "{}", {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}),
    ("trace", "{}", {}),
    ("get", "{}.", {}),
    ("get", "{}/", {}),
    ("get", "{};a=1", {}),
    ("get", "{}%00", {}),
    ("get", "{}%2f..", {}),
    ("get", "{}%252e", {}),
    ("get", "/./{}", {}),
    ("get", "//{}", {}),
    ("get", "/api/../{}", {}),
    ("post", "{}", {"X-HTTP-Method-Override": "GET"}),
    ("post", "{}", {"X-Method-Override": "GET"}),
    ("get", "{}", {"Accept": "text/html"}),
    ("get", "{}", {"Accept": "application/octet-stream;q=1, */*;q=0"}),
    ("get", "{}", {"Range": "bytes=0-10"}),
    ("get", "{}", {"If-None-Match": "*"}),
    ("get", "{}", {"If-Match": "*"}),
    ("get", "{}", {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}),
    ("get", "/api/users", {"X-Original-URL": "{}", "X-Rewrite-URL": "{}"}),
    ("get", "{}", {"X-Forwarded-User": "usr_admin_all", "X-Remote-User": "usr_admin_all"}),
    ("get", "{}", {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "https"}),
    ("get", "{}", {"Cookie": "session=usr_admin_all"}),
]


@pytest.mark.parametrize(("role", "entitled"), [("admin", "other"), ("manager", "site")])
def test_there_is_no_way_around_an_address(world: World, role: str, entitled: str) -> None:
    person = world.person(role, entitled)
    name = next(one for one in foreign(role, entitled, "job_id") if one != "foreign")
    document = foreign(role, entitled, "document_id")[0]
    for address in (
        f"/api/jobs/{world.jobs[name]}",
        f"/api/report-executions/{world.jobs[name]}/download",
        f"/api/documents/{document_id(document)}/file",
        f"/api/subscriptions/sub_{name}",
        f"/console/jobs/{world.jobs[name]}/file",
    ):
        for method, form, headers in AROUND:
            given = {one: value.replace("{}", address) for one, value in headers.items()}
            answer = person.call(method.upper(), form.replace("{}", address), headers=given)
            assert answer.status_code >= 400 or form == "/api/users", (method, form, headers)
            assert answer.status_code < 500, (method, form, headers)
            assert marks_in(answer, role, entitled) == [], (method, form, headers)
            assert "access-control-allow-origin" not in answer.headers


CONSOLE = sorted(
    {
        (method, route.path)
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
        if method in ("GET", "POST")
    }
)


def _of_the_console(
    person: Browser, method: str, path: str, identifier: str, token: str
) -> requests.Response:
    blanks = {"figure": "adverse_events", "number": "1", "period": PERIOD}
    address = re.sub(r"{(\w+)}", lambda found: blanks.get(found[1], identifier), path)
    if method == "GET":
        return person.get(address)
    return person.post(address, {"reason": "because", "sure": "1"}, token)


@pytest.mark.parametrize(("role", "entitled"), [one for one in PEOPLE if one[0] != "service"])
def test_no_page_of_the_console_tells_whether_another_has_it(
    world: World, browser: Callable[[str], Browser], role: str, entitled: str
) -> None:
    person = browser(f"usr_{role}_{entitled}")
    token = csrf_in(person.get("/console/").text)
    wrong: list[object] = []
    for method, path in CONSOLE:
        named = [one for one in re.findall(r"{(\w+)}", path) if one in KINDS]
        if not named:
            continue
        kind = kind_of(path, named[0])
        identifier = id_of(world, kind, NOBODY)
        nothing = said(_of_the_console(person, method, path, identifier, token), identifier)
        for name in foreign(role, entitled, kind):
            identifier = id_of(world, kind, name)
            found = _of_the_console(person, method, path, identifier, token)
            wrong += [(method, path, name, one) for one in marks_in(found, role, entitled)]
            if found.status_code >= 500 or said(found, identifier) != nothing:
                wrong.append((method, path, name, found.status_code, nothing[0]))
    assert wrong == []


def test_everybody_of_the_table_is_there() -> None:
    assert {entitled for _, entitled in PEOPLE} <= {*ENTITLED, "other"}
