"""What a person may see: trials, per trial the sites, a subject of their own; and the audience they are of.

Closed by default: nothing said is nothing seen, and `all` is said explicitly. What something shows (a
report, a document) is an `Extent`; `refusal` holds one against the other. Pure: roles are in `access`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

ALL: Literal["all"] = "all"
Trials = Literal["all"] | tuple[str, ...]


class Audience(StrEnum):
    """Whom a report is written for."""

    PARTICIPANT = "participant"  # their own record
    SITE = "site"  # their own sites
    MONITOR = "monitor"  # the trials they look after
    SPONSOR = "sponsor"  # blinded
    SAFETY_BOARD = "safety_board"  # unblinded


#: Who sees everything that another audience sees: nobody gives away an audience outside their own row.
_INCLUDES: Mapping[Audience, frozenset[Audience]] = {
    Audience.PARTICIPANT: frozenset({Audience.PARTICIPANT}),
    Audience.SITE: frozenset({Audience.SITE, Audience.PARTICIPANT}),
    Audience.MONITOR: frozenset({Audience.MONITOR, Audience.SITE, Audience.SPONSOR, Audience.PARTICIPANT}),
    Audience.SPONSOR: frozenset({Audience.SPONSOR, Audience.PARTICIPANT}),
    Audience.SAFETY_BOARD: frozenset(Audience),
}
_BLINDED = frozenset(Audience) - {Audience.SAFETY_BOARD}
#: Whose reports an audience may have: those that show nothing which is closed to itself (words as somebody
#: wrote them, pictures, an arm). It follows from `disclosure.POLICIES`; a test holds the two together.
_OPEN_TO: Mapping[Audience, frozenset[Audience]] = {
    Audience.PARTICIPANT: _BLINDED,  # of their own record alone, whenever it was made
    Audience.SITE: _BLINDED,
    Audience.MONITOR: _BLINDED,
    Audience.SPONSOR: frozenset({Audience.PARTICIPANT, Audience.SPONSOR}),
    Audience.SAFETY_BOARD: frozenset(Audience),
}


@dataclass(frozen=True)
class Entitlements:
    """What one person may see. The default is nothing."""

    trials: Trials = ()
    sites: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # a trial that is no key: all its sites
    subject: str = ""  # of a participant, in their one trial
    audience: Audience = Audience.MONITOR

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Entitlements:
        """From a record of `users`. Whatever is not readable there opens nothing."""
        try:
            audience = Audience(record.get("audience") or Audience.MONITOR)
        except ValueError:
            return cls()
        sites = record.get("sites")
        if sites is not None and not isinstance(sites, list):
            return cls(audience=audience)
        limited: dict[str, tuple[str, ...]] = {}
        for one in sites or ():
            if not isinstance(one, Mapping) or not isinstance(one.get("trial"), str):
                return cls(audience=audience)
            limited[one["trial"]] = _texts(one.get("sites"))
        subject = record.get("subject")
        return cls(
            trials=ALL if record.get("trials") == ALL else _texts(record.get("trials")),
            sites=limited,
            subject=subject if isinstance(subject, str) else "",
            audience=audience,
        )

    def as_record(self) -> dict[str, Any]:
        """The fields of a record of `users`. Trials stand in values: an id may hold a dot, a key may not."""
        return {
            "trials": ALL if self.trials == ALL else sorted(set(self.trials)),
            "sites": [
                {"trial": trial, "sites": sorted(set(self.sites[trial]))} for trial in sorted(self.sites)
            ],
            "subject": self.subject,
            "audience": self.audience.value,
        }

    @property
    def unlimited(self) -> bool:
        """Everything of the organisation."""
        return self.trials == ALL and not self.sites and not self.own_record_only

    @property
    def own_record_only(self) -> bool:
        """A participant sees their own record and nothing else of a trial."""
        return self.audience is Audience.PARTICIPANT

    def covers_trial(self, trial: str) -> bool:
        return self.trials == ALL or trial in self.trials

    def sites_of(self, trial: str) -> tuple[str, ...] | None:
        """The sites open to this person in a trial; None: all of them."""
        if not self.covers_trial(trial):
            return ()
        return self.sites.get(trial)

    def effective_sites(self, trial: str, wanted: Iterable[str]) -> tuple[str, ...] | None:
        """The sites of a trial that a report shows which asks for `wanted` (none: all); None: all."""
        mine, asked = self.sites_of(trial), tuple(sorted(set(wanted)))
        if mine is None:
            return asked or None
        return tuple(site for site in sorted(set(mine)) if not asked or site in asked)

    def sites_seen(self, trial: str, wanted: Iterable[str]) -> tuple[str, ...] | None:
        """The sites that the reader of such a report knows: those that are open to them. Where all are, those
        that it shows, as others who may have it know no more. None: all."""
        mine = self.sites_of(trial)
        return self.effective_sites(trial, wanted) if mine is None else tuple(sorted(set(mine)))

    def includes(self, other: Entitlements) -> bool:
        """Whether whoever has `self` sees everything that `other` opens."""
        if other.audience not in _INCLUDES[self.audience]:
            return False
        if self.own_record_only and (self.trials, self.subject) != (other.trials, other.subject):
            return False
        if other.trials == ALL:
            return self.trials == ALL and all(
                _within(other.sites_of(trial), allowed) for trial, allowed in self.sites.items()
            )
        return all(
            self.covers_trial(trial) and _within(other.sites_of(trial), self.sites_of(trial))
            for trial in other.trials
        )

    def limited_to(self, trials: Sequence[str]) -> Entitlements:
        """The part of these that concerns `trials`; all of them without any."""
        if not trials:
            return self
        kept = tuple(sorted(trial for trial in set(trials) if self.covers_trial(trial)))
        sites = {trial: sites for trial, sites in self.sites.items() if trial in kept}
        return Entitlements(kept, sites, self.subject, self.audience)


@dataclass(frozen=True)
class Extent:
    """What something shows: trials with their sites (None: all), a subject's record, for which audience.

    `rows_alone`: what is told of the rows goes by the reader's own audience (a document), not by this one.
    """

    sites: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)
    subject: str = ""
    audience: Audience = Audience.MONITOR
    rows_alone: bool = False

    @classmethod
    def of_report(cls, record: Mapping[str, Any]) -> Extent:
        """From a record of `reports`. One that does not say its sites shows all of them."""
        shown = {one["trial"]: one.get("sites") for one in record.get("shown") or ()}
        trials = sorted({*(record.get("dataset_versions") or {}), *shown})
        audience = str(record.get("audience") or Audience.MONITOR)
        return cls(
            {trial: None if (sites := shown.get(trial)) is None else tuple(sites) for trial in trials},
            str(record.get("subject") or ""),
            Audience(audience) if audience in set(Audience) else Audience.SAFETY_BOARD,
        )


def refusal(entitlements: Entitlements, extent: Extent) -> str | None:
    """Why a person must not have what shows `extent`, in words for them; None when they may."""
    if entitlements.own_record_only and (not entitlements.subject or extent.subject != entitlements.subject):
        return "a participant has reports of their own record only"
    if not extent.rows_alone and extent.audience not in _OPEN_TO[entitlements.audience]:
        if extent.audience is Audience.SAFETY_BOARD:
            return "it was made for the safety board"
        return f"it shows words and pictures that are closed to the audience {entitlements.audience.value}"
    for trial, shown in sorted(extent.sites.items()):
        if not entitlements.covers_trial(trial):
            return f"trial {trial} is not among the trials open to you"
        if not _within(shown, entitlements.sites_of(trial)):
            return f"it shows sites of trial {trial} that are not open to you"
    return None


def problem_of(entitlements: Entitlements) -> tuple[str, str] | None:
    """(field, what is wrong) of entitlements that nobody may have; else None."""
    if entitlements.own_record_only:
        if entitlements.trials == ALL or len(entitlements.trials) > 1:
            return "trials", "a participant is of one trial; name it"
        if not entitlements.subject:
            return "subject", "a participant needs the subject id of their own record"
        if entitlements.sites:
            return "sites", "a participant has a subject and no sites"
    elif entitlements.subject:
        return "subject", "only a participant has a subject"
    for trial in entitlements.sites:
        if not entitlements.covers_trial(trial):
            return "sites", f"trial {trial} is not among the trials; its sites open nothing"
    return None


def _within(shown: Iterable[str] | None, allowed: Iterable[str] | None) -> bool:
    return allowed is None or (shown is not None and set(shown) <= set(allowed))


def _texts(value: Any) -> tuple[str, ...]:
    """The texts of a list; nothing when it is none or holds anything else."""
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        return ()
    return tuple(value)
