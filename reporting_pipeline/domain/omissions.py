"""What a report leaves out because it could not be made, named so that the reader knows.

An omission is as narrow as the doubt: one test of one table, one table, at the very last one trial.
A report with omissions is sent, and says on its cover and in its mail what is missing and why.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

#: The part of an omission that leaves out everything of its trial.
WHOLE_TRIAL = "trial"


class OnOmission(StrEnum):
    """What an organisation wants of a report that could not hold everything (`on_omission` of its record)."""

    SEND = "send"  # what stands, saying what is missing
    HOLD = "hold"  # nothing before the data was mended
    SEND_AND_FOLLOW_UP = "send_and_follow_up"  # what stands, and the whole report when the data was mended


#: Nobody waits for another trial's trouble, and nobody is left with the half of it.
DEFAULT_ON_OMISSION = OnOmission.SEND_AND_FOLLOW_UP


def on_omission_of(value: object) -> OnOmission:
    """The policy that a record names; the default where it names none that there is."""
    try:
        return OnOmission(str(value))
    except ValueError:
        return DEFAULT_ON_OMISSION


@dataclass(frozen=True, order=True)
class Omission:
    """One part of one trial that a report could not hold."""

    trial: str
    part: str  # "trial", a table of `domain.datasets.TABLES`, or "table/what", as "labs/GLUC (urine)"
    reason: str  # for a person: what is wrong with the data, and what would mend it
