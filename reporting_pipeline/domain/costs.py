"""What reports cost: quantities that were used, times prices from a file, as charges in FOCUS columns.

Belongs here: the sums. Does not: what was used (`stores/usage.py`) and where the prices stand
(`operations/costs.py`). FOCUS is the FinOps Foundation's specification of cost data, version 1.0.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum

#: A provider's month in hours is 730; storage is sold by the gigabyte (10^9 bytes) and month.
DAYS_OF_MONTH = Decimal("30.4375")
GIGABYTE = Decimal(10**9)
HOUR = Decimal(3600)
#: Charges are kept to a millionth of the currency's unit: one report costs far less than a cent.
SMALLEST = Decimal("0.000001")


class Service(StrEnum):
    COMPUTE = "compute"
    STORAGE = "storage"
    MAIL = "mail"
    SLACK = "slack"
    WEBHOOK = "webhook"


#: service -> unit of a price, FOCUS ServiceCategory, what it is.
SERVICES: Mapping[Service, tuple[str, str, str]] = {
    Service.COMPUTE: ("CPU hours", "Compute", "CPU of the runs that fetched, aggregated, rendered and sent"),
    Service.STORAGE: ("GB-months", "Storage", "reports in the bucket for as long as they are kept"),
    Service.MAIL: ("messages", "Web", "mails handed to the provider"),
    Service.SLACK: ("messages", "Web", "Slack messages handed over"),
    Service.WEBHOOK: ("messages", "Web", "webhooks handed over"),
}


@dataclass(frozen=True)
class Prices:
    """What one unit costs, by service; a service without a price costs nothing and is shown with 0."""

    currency: str  # ISO 4217
    per_unit: Mapping[Service, Decimal]


@dataclass(frozen=True)
class Used:
    """What the reports of one type of an organisation used in one edition, before any price."""

    edition: str  # "weekly:2026-11-16"
    begins: datetime  # UTC, of the edition's period
    ends: datetime
    organisation: str
    report_type: str
    reports: int
    cpu_seconds: float
    stored_bytes: int
    sent: Mapping[str, int]  # channel -> messages handed over


@dataclass(frozen=True)
class Charge:
    """One line of the bill: a service, for the reports of one type of an organisation in an edition."""

    used: Used
    service: Service
    quantity: Decimal  # in the unit of the service
    unit_price: Decimal
    cost: Decimal


def charges(used: Iterable[Used], prices: Prices, keep_days: int) -> list[Charge]:
    """A charge for each service that was used, in the order of `used`.

    Storage is charged once for all the days that a report is kept: what the edition will have cost.
    """
    lines = []
    for one in used:
        for service, quantity in _quantities(one, keep_days).items():
            if quantity:
                price = prices.per_unit.get(service, Decimal(0))
                cost = (quantity * price).quantize(SMALLEST, ROUND_HALF_UP)
                lines.append(Charge(one, service, quantity, price, cost))
    return lines


def _quantities(used: Used, keep_days: int) -> dict[Service, Decimal]:
    months = Decimal(keep_days) / DAYS_OF_MONTH
    return {
        Service.COMPUTE: (Decimal(str(used.cpu_seconds)) / HOUR).quantize(SMALLEST, ROUND_HALF_UP),
        Service.STORAGE: (Decimal(used.stored_bytes) / GIGABYTE * months).quantize(Decimal("1e-9")),
        Service.MAIL: Decimal(used.sent.get("email", 0)),
        Service.SLACK: Decimal(used.sent.get("slack", 0)),
        Service.WEBHOOK: Decimal(used.sent.get("webhook", 0)),
    }


#: The columns of FOCUS 1.0 that a charge fills, in its order.
FOCUS_COLUMNS = (
    *("BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd"),
    *("BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargeFrequency"),
    *("ChargePeriodEnd", "ChargePeriodStart"),
    *("ConsumedQuantity", "ConsumedUnit", "ContractedCost", "EffectiveCost", "InvoiceIssuerName"),
    *("ListCost", "ListUnitPrice", "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName"),
    *("ResourceId", "ResourceName", "ResourceType", "ServiceCategory", "ServiceName", "SkuId"),
    *("SubAccountId", "Tags"),
)
PROVIDER = "reporting-pipeline"


def focus_row(charge: Charge, currency: str, deployment: str) -> dict[str, str]:
    """A charge in FOCUS's columns; `deployment` is the organisation that runs it and is billed."""
    unit, category, description = SERVICES[charge.service]
    used, cost, quantity = charge.used, str(charge.cost), f"{charge.quantity:f}"
    month = used.begins.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = (
        month.replace(year=month.year + 1, month=1)
        if month.month == 12
        else month.replace(month=month.month + 1)
    )
    return {
        "BilledCost": cost,
        "BillingAccountId": deployment,
        "BillingAccountName": deployment,
        "BillingCurrency": currency,
        "BillingPeriodEnd": _instant(following),
        "BillingPeriodStart": _instant(month),
        "ChargeCategory": "Usage",
        "ChargeClass": "",  # null: no correction of an earlier bill
        "ChargeDescription": description,
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodEnd": _instant(used.ends),
        "ChargePeriodStart": _instant(used.begins),
        "ConsumedQuantity": quantity,
        "ConsumedUnit": unit,
        "ContractedCost": cost,
        "EffectiveCost": cost,
        "InvoiceIssuerName": PROVIDER,
        "ListCost": cost,
        "ListUnitPrice": f"{charge.unit_price:f}",
        "PricingQuantity": quantity,
        "PricingUnit": unit,
        "ProviderName": PROVIDER,
        "PublisherName": PROVIDER,
        "ResourceId": f"{used.edition}/{used.organisation}/{used.report_type}",
        "ResourceName": used.edition,
        "ResourceType": "edition",
        "ServiceCategory": category,
        "ServiceName": charge.service.value,
        "SkuId": f"{charge.service.value}/{used.report_type}",
        "SubAccountId": used.organisation,
        "Tags": json.dumps({"report_type": used.report_type, "reports": str(used.reports)}),
    }


def _instant(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
