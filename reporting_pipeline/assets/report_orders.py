"""What reports are asked for: an order for each subscription, and what its organisation wishes of all.

Who may receive what is `domain.access`; what is made from an order, `report_batch`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from reporting_pipeline.assets.batch import (
    PartitionFailed,
    PartitionSkipped,
)
from reporting_pipeline.domain.access import User, may_receive, visible_trials
from reporting_pipeline.domain.branding import UNBRANDED, Branding
from reporting_pipeline.domain.content_gate import (
    DEFAULT_POLICY,
    DEFAULT_RELEASE,
    GatePolicy,
    Release,
)
from reporting_pipeline.domain.entitlements import Audience
from reporting_pipeline.domain.omissions import (
    DEFAULT_ON_OMISSION,
    OnOmission,
    on_omission_of,
)
from reporting_pipeline.domain.subscriptions import Subscription
from reporting_pipeline.reports.types import spoken_to
from reporting_pipeline.stores.documents import trials_of
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.organisations import (
    NOT_SEALED,
    REPORT_ROWS,
    gate_of,
    report_rows_of,
    sealing_of,
)
from reporting_pipeline.stores.subscriptions import records_by_id
from reporting_pipeline.stores.users import users_by_id


@dataclass(frozen=True)
class Order:
    """What one subscription's report is made from."""

    subscription: Subscription
    owner: User
    trials: tuple[str, ...]

    def sites(self, trial: str) -> tuple[str, ...] | None:
        """The sites of a trial that the report shows; None: all of them."""
        return self.owner.entitlements.effective_sites(trial, self.subscription.filters.sites)

    def sites_seen(self, trial: str) -> tuple[str, ...] | None:
        """The sites of a trial of which the owner knows, also where this report does not show them."""
        return self.owner.entitlements.sites_seen(trial, self.subscription.filters.sites)

    @property
    def subject(self) -> str:
        """Whose record alone the report shows; "" when it is not a participant's."""
        own = self.owner.entitlements
        return own.subject if own.own_record_only else ""

    @property
    def audience(self) -> Audience:
        return self.owner.entitlements.audience

    @property
    def shown(self) -> list[Record]:
        """What of its trials the report shows, as `reports` keeps it."""
        sites = {trial: self.sites(trial) for trial in self.trials}
        return [
            {"trial": trial, "sites": None if some is None else list(some)} for trial, some in sites.items()
        ]


@dataclass(frozen=True)
class Organisation:
    """What reports ask of an organisation."""

    name: str
    on_omission: OnOmission = DEFAULT_ON_OMISSION
    report_rows: int = REPORT_ROWS
    content_gate: GatePolicy = DEFAULT_POLICY
    release: Release = DEFAULT_RELEASE
    branding: Branding = UNBRANDED
    sealed: bool = False  # the files of its reports

    @classmethod
    def of(cls, record: Record, branding: Branding) -> Self:
        return cls(
            str(record.get("name", record["_id"])),
            on_omission_of(record.get("on_omission")),
            report_rows_of(record),
            *gate_of(record),
            branding=branding,
            sealed=sealing_of(record) != NOT_SEALED,
        )


def read_orders(database: Database, ids: Sequence[str]) -> tuple[dict[str, Order], dict[str, Exception]]:
    """(what can be made, why the rest cannot), by subscription."""
    orders: dict[str, Order] = {}
    problems: dict[str, Exception] = {}
    records = records_by_id(database, ids)
    named = (record.get("owner") for record in records.values())
    owners = users_by_id(database, (one for one in named if isinstance(one, str)))
    trials_by_organisation: dict[str, list[Record]] = {}
    for trial in trials_of(database):
        trials_by_organisation.setdefault(trial["organisation"], []).append(trial)
    for identifier in ids:
        record = records.get(identifier)
        if record is None:
            problems[identifier] = PartitionSkipped("the subscription no longer exists")
            continue
        try:
            subscription = Subscription.model_validate({**record, "id": record["_id"]})
        except ValueError as error:
            problems[identifier] = PartitionFailed(f"the subscription's record is not valid: {error}")
            continue
        owner = owners.get(subscription.owner)
        trials = trials_by_organisation.get(subscription.organisation, [])
        decision = may_receive(owner, subscription, trials)
        if owner is None or not decision.allowed:
            problems[identifier] = PartitionSkipped(decision.reason)
            continue
        spoken = spoken_to(subscription.report_type, subscription.parameters, owner.language)
        subscription = subscription.model_copy(update={"parameters": spoken})
        wanted = set(subscription.filters.trials)
        visible = visible_trials(owner, trials)
        orders[identifier] = Order(
            subscription, owner, tuple(trial for trial in visible if not wanted or trial in wanted)
        )
    return orders, problems
