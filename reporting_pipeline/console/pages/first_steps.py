"""From an empty deployment to a first report: what is done, and what this person does next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from reporting_pipeline.console.sessions import Visitor
from reporting_pipeline.domain.access import Action, ResourceKind, reach_of, visible_trials
from reporting_pipeline.domain.entitlements import ALL
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.stores import organisations, users
from reporting_pipeline.usecases.callers.context import Context, scoped


@dataclass(frozen=True)
class FirstSteps:
    """What stands, and what of the rest this person may do."""

    described: bool  # the organisation has a record, with its name and policies
    may_describe: bool
    trial: str  # one that is open to them and takes documents; "": none
    may_register: bool
    arrived: bool  # a document they may read
    may_hand_in: bool
    closes_at: datetime  # when the week ends in which a document of now arrives

    @property
    def ready(self) -> bool:
        """Whether there is something to subscribe to."""
        return bool(self.trial) and self.arrived


def first_steps(parts: Context, visitor: Visitor) -> FirstSteps:
    user = visitor.user
    trials = users.trials_of(parts.database, user.organisation)
    seen = set(visible_trials(user, trials))
    opened = [one["_id"] for one in trials if one["_id"] in seen and not one.get("closed_at")]
    reads = reach_of(user, Action.READ, ResourceKind.DOCUMENT) is not None
    return FirstSteps(
        described=organisations.get(parts.database, user.organisation) is not None,
        may_describe=may_describe_home(parts, visitor),
        trial=opened[0] if opened else "",
        may_register=may_register_trials(visitor),
        # Who may read no document cannot tell, and is asked to do nothing about it.
        arrived=bool(scoped(parts, user).documents(limit=1)) if reads else True,
        may_hand_in=reach_of(user, Action.CREATE, ResourceKind.DOCUMENT) is not None,
        closes_at=Period.containing(Cadence.WEEKLY, parts.now, parts.settings.timezone).end_at,
    )


def may_register_trials(visitor: Visitor) -> bool:
    """A new trial is open to nobody but those who may see all."""
    create = reach_of(visitor.user, Action.CREATE, ResourceKind.TRIAL) is not None
    return create and visitor.user.entitlements.trials == ALL


def may_describe_home(parts: Context, visitor: Visitor) -> bool:
    """Organisations are registered by the admins of the home organisation."""
    user = visitor.user
    create = reach_of(user, Action.CREATE, ResourceKind.ORGANISATION) is not None
    return create and user.organisation == parts.settings.organisation
