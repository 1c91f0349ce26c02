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


def test_an_admin_who_was_made_without_a_trial_is_told_so_and_given_all_by_a_later_call(
    deployment: Database,
) -> None:
    """Else nobody of the deployment could ever open a trial to anybody."""
    command = ["bootstrap", "ann@x.org"]
    assert "can open none to others: call this again with --all-trials" in runner.invoke(app, command).output
    again = runner.invoke(app, [*command, "--all-trials"])
    assert again.exit_code == 0, again.output
    assert "--all-trials" not in again.output
    (admin,) = deployment.users.find({})
    assert (admin["trials"], admin["roles"]) == ("all", ["admin"])
    changes = {"action": "user.changed", "subject": admin["_id"]}
    assert deployment.audit.count_documents(changes) == 1
    for _ in range(2):
        runner.invoke(app, [*command, "--all-trials"])
    assert deployment.audit.count_documents(changes) == 1

    deployment.users.update_one({}, {"$set": {"trials": ["T1"]}})
    runner.invoke(app, [*command, "--all-trials"])
    assert deployment.users.find_one({})["trials"] == ["T1"], "what somebody said stays"  # type: ignore[index]


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


def test_a_domain_that_is_none_is_named(deployment: Database) -> None:
    result = runner.invoke(app, ["bootstrap", "ann@trials.example", "--domain", "not a domain"])
    assert result.exit_code == 1
    assert "'not a domain' is no domain of addresses" in result.output
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
