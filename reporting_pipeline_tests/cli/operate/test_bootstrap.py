"""One command makes an empty deployment usable, once."""

from __future__ import annotations

import json
import re

from typer.testing import CliRunner

from reporting_pipeline.cli import app
from reporting_pipeline.stores.mongo import Database

runner = CliRunner()


def test_the_first_organisation_and_admin_are_made_once(deployment: Database) -> None:
    command = [
        "bootstrap",
        "Ann@Trials.example",
        "--organisation",
        "acme",
        "--name",
        "Acme",
        "--domain",
        "x.org",
    ]
    first = runner.invoke(app, command)
    assert first.exit_code == 0, first.output
    (admin,) = deployment.users.find({})
    assert admin["roles"] == ["admin"]
    assert admin["organisation"] == "acme"
    assert admin["trials"] == []  # closed by default
    assert f"token {admin['_id']}" in first.output
    assert deployment.organisations.find_one({"_id": "acme"}) == {
        "_id": "acme",
        "name": "Acme",
        "allowed_domains": ["x.org"],
    }
    again = runner.invoke(app, command)
    assert again.exit_code == 0
    assert "was there already" in again.output
    assert deployment.users.count_documents({}) == 1
    assert deployment.audit.count_documents({"action": "user.created", "subject": admin["_id"]}) == 1


def test_an_organisation_with_an_admin_gets_no_second_one_this_way(deployment: Database) -> None:
    assert runner.invoke(app, ["bootstrap", "ann@x.org", "--all-trials"]).exit_code == 0
    assert deployment.users.find_one({"email": "ann@x.org"})["trials"] == "all"  # type: ignore[index]
    refused = runner.invoke(app, ["bootstrap", "bob@x.org"])
    assert refused.exit_code == 1
    assert "has an admin already" in refused.output
    deployment.users.update_one({"email": "ann@x.org"}, {"$set": {"roles": ["subscriber"]}})
    assert runner.invoke(app, ["bootstrap", "ann@x.org"]).exit_code == 1


def test_a_bad_address_is_an_error_in_one_line(deployment: Database) -> None:
    result = runner.invoke(app, ["bootstrap", "nobody"])
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    assert deployment.users.count_documents({}) == 0
    assert deployment.organisations.count_documents({}) == 0


def test_every_route_that_the_next_steps_name_is_one_of_the_api(deployment: Database) -> None:
    said = runner.invoke(app, ["bootstrap", "ann@x.org", "--organisation", "acme"]).output
    refused = runner.invoke(app, ["bootstrap", "bob@x.org", "--organisation", "acme"]).output
    paths = json.loads(runner.invoke(app, ["openapi"]).output)["paths"]
    patterns = [re.compile(re.sub(r"\{\w+\}", "[^/]+", path)) for path in paths]
    named = re.findall(r"/api/[\w/{}-]+", said + refused)
    assert len(named) == 3
    for path in named:
        assert any(pattern.fullmatch(path) for pattern in patterns), path
    for method, path in re.findall(r"(GET|POST|PUT) (/api/[\w/{}-]+)", said + refused):
        assert method.lower() in paths[path]
    assert "REPORTING_ORGANISATION=acme" in said, "commands without --organisation would be for another one"
