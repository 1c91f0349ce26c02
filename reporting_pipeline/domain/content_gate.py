"""What must not go out by itself: data so unlike what came before that a person should look first.

Looked at for a trial and period, against the same trial's last twelve periods, and kept with its dataset.
What becomes of a report that stands on such data is a policy: it goes out and says so, or it waits for a
person. Nobody's data is changed by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

#: Nobody waits for ever: after so long a report that awaits its release is refused by itself.
AWAITED_AT_MOST = timedelta(days=14)
FORGOTTEN = f"nobody released it within {AWAITED_AT_MOST.days} days"
#: So many periods before are looked at, and so many must be there before a jump can be told.
PERIODS_BEFORE = 12
LEAST_BEFORE = 4
#: A jump is more than half above the highest of them, and by more than so many.
JUMP_SHARE, JUMP_LEAST = 1.5, 10.0
#: A total that was reported fell when it is now this much lower; a single withdrawal is no alarm.
FALL_SHARE, FALL_LEAST = 0.9, 3.0


class GatePolicy(StrEnum):
    """What becomes of a report about data that is out of the usual (`content_gate`)."""

    OFF = "off"  # it goes out
    NOTICE = "notice"  # it goes out, and its mail says so
    HOLD = "hold"  # it waits until a person releases it


DEFAULT_POLICY = GatePolicy.NOTICE


class Release(StrEnum):
    """Whether an organisation's reports are sent by themselves (`release`)."""

    AUTOMATIC = "automatic"
    BY_PERSON = "by_person"  # each waits until somebody has released it


DEFAULT_RELEASE = Release.AUTOMATIC
#: Why a report awaits its release where each is released by a person.
ASKED = {"concern": "release_by_person", "trial": "", "said": "the organisation releases each report"}
#: Why a file that somebody refused goes out no sooner when it comes out the same again, whatever the policy.
REFUSED = {"concern": "refused", "trial": "", "said": "somebody refused to release this very file"}
_STRICTNESS = (GatePolicy.OFF, GatePolicy.NOTICE, GatePolicy.HOLD)


class Concern(StrEnum):
    """One kind of what is out of the usual."""

    EMPTY = "empty_though_documents_arrived"
    FELL = "total_fell"
    JUMPED = "beyond_the_last_periods"
    SCHEMA = "schema_changed"
    OMISSION = "something_is_left_out"


@dataclass(frozen=True)
class Unusual:
    """One thing that is out of the usual, for a person: `said` names figures, never a subject."""

    concern: Concern
    trial: str
    said: str

    def record(self) -> dict[str, str]:
        return {"concern": self.concern.value, "trial": self.trial, "said": self.said}


@dataclass(frozen=True)
class ContentShape:
    """What is remembered of a trial's period: `totals` now and of the period before as counted now, and by
    table, of tables with enough rows, the columns that hold anything, and those that do in most rows."""

    totals: Mapping[str, float]
    before: Mapping[str, float]
    columns: Mapping[str, Sequence[str]]
    mostly: Mapping[str, Sequence[str]]

    def record(self) -> dict[str, Any]:
        return {
            "totals": dict(self.totals),
            "before": dict(self.before),
            "columns": {table: list(names) for table, names in self.columns.items()},
            "mostly": {table: list(names) for table, names in self.mostly.items()},
        }

    @classmethod
    def of_record(cls, record: object) -> ContentShape | None:
        """From what `record` gave; None for what is none, which says nothing of its period."""
        if not isinstance(record, Mapping):
            return None
        parts = [record.get(name) for name in ("totals", "before", "columns", "mostly")]
        if not all(isinstance(part, Mapping) for part in parts):
            return None
        totals, before, columns, mostly = parts
        return cls(_numbers(totals), _numbers(before), _names(columns), _names(mostly))


def _names(found: Any) -> dict[str, list[str]]:
    listed = {table: names for table, names in found.items() if isinstance(names, list)}
    return {str(table): [str(one) for one in names] for table, names in listed.items()}


def _numbers(found: Any) -> dict[str, float]:
    return {str(name): float(value) for name, value in found.items() if isinstance(value, int | float)}


def policy_of(value: object) -> GatePolicy:
    """The policy that a record names; the default where it names none that there is."""
    try:
        return GatePolicy(str(value))
    except ValueError:
        return DEFAULT_POLICY


def release_of(value: object) -> Release:
    """The policy that a record names; the default where it names none that there is."""
    try:
        return Release(str(value))
    except ValueError:
        return DEFAULT_RELEASE


def stricter(organisation: object, subscription: object) -> GatePolicy:
    """A subscription may ask for more care than its organisation, never for less."""
    own = policy_of(organisation)
    if subscription is None:
        return own
    return max(own, policy_of(subscription), key=_STRICTNESS.index)


def unusual_in(
    trial: str, now: ContentShape, earlier: Sequence[ContentShape | None], rowless: str = ""
) -> Iterator[Unusual]:
    """What is out of the usual. `earlier`: the periods before, the newest first; None where one is not known.

    `rowless` says which documents gave no row, where none did.
    """
    if rowless:
        yield Unusual(Concern.EMPTY, trial, rowless)
    yield from _fallen(trial, now, earlier[0] if earlier else None)
    known = [one for one in earlier[:PERIODS_BEFORE] if one is not None]
    if len(known) >= LEAST_BEFORE:
        yield from _jumped(trial, now, known)
        yield from _lost_columns(trial, now, known)


def _fallen(trial: str, now: ContentShape, last: ContentShape | None) -> Iterator[Unusual]:
    """The period before, as counted now, against what its own dataset counted: what was corrected since is in
    that dataset by now, for it was made again."""
    for name, value in (last.totals if last else {}).items():
        again = now.before.get(name)
        if again is not None and again < value * FALL_SHARE and value - again >= FALL_LEAST:
            told = f"{_label(name)} of the period before were {value:.0f} and are {again:.0f} now"
            yield Unusual(Concern.FELL, trial, told)


def _jumped(trial: str, now: ContentShape, known: Sequence[ContentShape]) -> Iterator[Unusual]:
    for name, value in now.totals.items():
        seen = [one.totals[name] for one in known if name in one.totals]
        if len(seen) < LEAST_BEFORE:
            continue
        highest = max(seen)
        if value > highest * JUMP_SHARE and value - highest > JUMP_LEAST:
            told = f"{_label(name)}: {value:.0f}, and at most {highest:.0f} in the last {len(seen)} periods"
            yield Unusual(Concern.JUMPED, trial, told)


def _lost_columns(trial: str, now: ContentShape, known: Sequence[ContentShape]) -> Iterator[Unusual]:
    for table, columns in now.columns.items():
        before = [one for one in known if table in one.columns and table in one.mostly]
        if len(before) < LEAST_BEFORE:
            continue
        always = set.intersection(*(set(one.mostly[table]) for one in before))
        ever = set.union(*(set(one.columns[table]) for one in before))
        gone, new = sorted(always - set(columns)), sorted(set(now.mostly.get(table, ())) - ever)
        parts = [f"{', '.join(gone)} say nothing any more"] if gone else []
        parts += [f"{', '.join(new)} are new"] if new else []
        if parts:
            yield Unusual(Concern.SCHEMA, trial, f"columns of {table.replace('_', ' ')}: {'; '.join(parts)}")


def _label(name: str) -> str:
    return name.replace("_", " ")


def concerning(
    found: Iterable[Mapping[str, str]], *, restates: bool, omissions: Iterable[Mapping[str, str]]
) -> list[dict[str, str]]:
    """What of its trials concerns a report. A total that fell in a report that says what was corrected is no
    alarm; what it leaves out is one."""
    shown = [dict(one) for one in found if not (restates and one["concern"] == Concern.FELL.value)]
    shown += [
        Unusual(Concern.OMISSION, one["trial"], f"left out: {one['part']}").record() for one in omissions
    ]
    return shown
