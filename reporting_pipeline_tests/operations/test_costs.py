"""What an edition costs: every report, byte, second and mail of it in one charge, at the prices of a file."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reporting_pipeline.cli import app
from reporting_pipeline.domain.costs import FOCUS_COLUMNS, Prices, Service, Used, charges, focus_row
from reporting_pipeline.embedded.servers import Endpoints
from reporting_pipeline.operations.costs import read_prices
from reporting_pipeline.settings import current_settings
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.usage import add_compute, used_by
from reporting_pipeline_tests.automation.conftest import crank, empty, instance  # noqa: F401 - fixtures
from reporting_pipeline_tests.automation.crank import Crank

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
PRICES = """\
currency: EUR
compute_cpu_hour: 0.05
storage_gb_month: 0.023
mail_thousand: 0.10
"""


def used(**changes: object) -> Used:
    start = datetime(2026, 12, 7, tzinfo=UTC)
    given = {
        "edition": "weekly:2026-12-07",
        "begins": start,
        "ends": datetime(2026, 12, 14, tzinfo=UTC),
        "organisation": "acme",
        "report_type": "safety_summary",
        "reports": 200,
        "cpu_seconds": 36.0,
        "stored_bytes": 2_000_000_000,
        "sent": {"email": 200, "slack": 1},
    }
    return Used(**{**given, **changes})  # type: ignore[arg-type]


def test_a_charge_is_quantity_times_price_and_nothing_is_rounded_away() -> None:
    prices = Prices("EUR", {Service.COMPUTE: Decimal("0.05"), Service.MAIL: Decimal("0.0001")})
    lines = {one.service: one for one in charges([used()], prices, 90)}
    assert lines[Service.COMPUTE].quantity == Decimal("0.01")
    assert lines[Service.COMPUTE].cost == Decimal("0.0005")
    assert lines[Service.MAIL].cost == Decimal("0.02")
    assert round(lines[Service.STORAGE].quantity, 3) == Decimal("5.914"), "2 GB for 90 days"
    assert lines[Service.STORAGE].cost == 0, "no price is given for it, so it is shown with 0"
    assert lines[Service.SLACK].quantity == 1
    assert Service.WEBHOOK not in lines


def test_a_line_of_the_bill_has_focus_s_columns_in_december_too() -> None:
    (line, *_) = charges([used()], Prices("EUR", {Service.COMPUTE: Decimal("0.05")}), 90)
    row = focus_row(line, "EUR", "ours")
    assert tuple(row) == FOCUS_COLUMNS
    assert row["BillingPeriodStart"] == "2026-12-01T00:00:00Z"
    assert row["BillingPeriodEnd"] == "2027-01-01T00:00:00Z"
    assert (row["SubAccountId"], row["BillingAccountId"]) == ("acme", "ours")
    assert row["EffectiveCost"] == "0.000500"


#: FOCUS 1.0, the columns whose feature level is Mandatory.
FOCUS_MANDATORY = [
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ContractedCost",
    "EffectiveCost",
    "InvoiceIssuerName",
    "ListCost",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "ServiceCategory",
    "ServiceName",
]


def test_a_line_of_the_bill_leaves_out_nothing_that_focus_asks_for() -> None:
    prices = Prices("EUR", {})
    for line in charges([used(sent={"email": 1, "slack": 1, "webhook": 1})], prices, 90):
        row = focus_row(line, "EUR", "ours")
        assert set(FOCUS_MANDATORY) - set(row) == set()
        null = {name for name in FOCUS_MANDATORY if not row[name]}
        assert null == {"ChargeClass"}, "null but for a correction of an earlier bill"
        assert row["ServiceCategory"] in {"Compute", "Storage", "Web"}
        assert json.loads(row["Tags"]) == {"report_type": "safety_summary", "reports": "200"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("currency: EUR\nmail_thousend: 1\n", "mail_thousend"),
        ("currency: euro\n", "currency"),
        ("currency: EUR\nmail_thousand: -1\n", "mail_thousand"),
        ("currency: EUR\nmail_thousand: .nan\n", "mail_thousand"),
        ("mail_thousand: 1\n", "currency"),
        ("- 1\n", "currency"),
        ("a: [", "YAML"),
    ],
)
def test_a_file_of_prices_that_is_wrong_is_named_with_its_field(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=says) as raised:
        read_prices(path)
    assert "prices.yaml" in str(raised.value)


def test_prices_are_taken_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(PRICES)
    assert read_prices(path).per_unit[Service.MAIL] == Decimal("0.0001")


def test_a_run_over_two_editions_is_split_by_what_it_did_for_each(database: Database) -> None:
    add_compute(database, "notify", 10.0, {"weekly:2026-11-16": 30, "weekly:2026-11-09": 10}, NOW)
    add_compute(database, "notify", 1.0, {"weekly:2026-11-16": 5}, NOW)
    add_compute(database, "notify", 9.0, {}, NOW)
    found = {row["edition"]: row["cpu_seconds"] for row in database.usage.find({})}
    assert found == {"weekly:2026-11-16": 8.5, "weekly:2026-11-09": 2.5}
    with pytest.raises(ValueError, match="is no edition"):
        used_by(database, "yearly:2026", "UTC")


@pytest.fixture
def served(crank: Crank, endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch) -> Iterator[Crank]:  # noqa: F811
    """An edition of six reports of two types, and the environment of commands."""
    crank.database.subscriptions.update_many(
        {"_id": {"$in": ["sub_beta", "sub_gamma"]}}, {"$set": {"report_type": "safety_summary"}}
    )
    crank.complete()
    variables = {
        **endpoints.as_environment(),
        "REPORTING_ENVIRONMENT": "test",
        "REPORTING_HOME": str(crank.settings.home),
        "REPORTING_MONGODB_DATABASE": crank.settings.mongodb_database,
        "REPORTING_S3_BUCKET": crank.settings.s3_bucket,
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    current_settings.cache_clear()
    yield crank
    current_settings.cache_clear()


def test_the_bill_of_an_edition_holds_all_that_it_used(served: Crank, tmp_path: Path) -> None:
    edition = served.edition()
    shares = used_by(served.database, edition, "UTC")
    assert {one.report_type: one.reports for one in shares} == {"trial_activity": 4, "safety_summary": 2}
    sizes = [row["size"] for row in served.database.reports.find({})]
    assert sum(one.stored_bytes for one in shares) == sum(sizes)
    assert sum(one.sent["email"] for one in shares) == len(served.mailed()) == 6
    stages = {row["stage"]: row["cpu_seconds"] for row in served.database.usage.find({"edition": edition})}
    assert set(stages) == {"fetch", "aggregate", "render", "notify"}
    assert all(seconds > 0 for seconds in stages.values())
    assert sum(one.cpu_seconds for one in shares) == pytest.approx(sum(stages.values()))

    prices, bill = tmp_path / "prices.yaml", tmp_path / "bill.csv"
    prices.write_text(PRICES)
    command = ["cost", "--prices", str(prices), "--edition", edition, "--csv", str(bill)]
    said = CliRunner().invoke(app, command)
    assert said.exit_code == 0, said.output
    with bill.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["ServiceName"] for row in rows} == {"compute", "storage", "mail"}
    mails = [row for row in rows if row["ServiceName"] == "mail"]
    assert sum(Decimal(row["BilledCost"]) for row in mails) == Decimal("0.0006")
    # The same through the time in which it was opened, for one organisation; and nothing of another.
    since = ["cost", "--prices", str(prices), "--since", "2020-01-01", "--csv", str(bill), "--organisation"]
    assert CliRunner().invoke(app, [*since, "default"]).exit_code == 0
    with bill.open(newline="") as file:
        assert list(csv.DictReader(file)) == rows
    assert CliRunner().invoke(app, [*since, "nobody"]).exit_code == 0
    assert len(bill.read_text().splitlines()) == 1


def test_a_bill_of_everything_at_once_is_not_guessed(served: Crank, tmp_path: Path) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text(PRICES)
    refused = CliRunner().invoke(app, ["cost", "--prices", str(prices)])
    assert refused.exit_code == 1
    assert "--edition" in refused.output
    wrong = ["--since", "2026-11-16", "--until", "2026-11-16"]
    refused = CliRunner().invoke(app, ["cost", "--prices", str(prices), *wrong])
    assert refused.exit_code == 1
    assert "--until" in refused.output
    nobody = ["--since", "2020-01-01", "--organisation", "misspelt"]
    told = CliRunner().invoke(app, ["cost", "--prices", str(prices), *nobody])
    assert told.exit_code == 0
    assert "no report of the organisation misspelt was made in them: weekly:" in " ".join(told.output.split())
    refused = CliRunner().invoke(app, ["cost", "--prices", "nowhere.yaml", "--since", "2020-01-01"])
    assert "there is no file of prices nowhere.yaml" in refused.output
