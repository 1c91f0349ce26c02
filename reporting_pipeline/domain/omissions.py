"""What a report leaves out because it could not be made, named so that the reader knows.

An omission is as narrow as the doubt: one test of one table, one table, at the very last one trial.
A report with omissions is sent, and says on its cover and in its mail what is missing and why.
"""

from __future__ import annotations

from dataclasses import dataclass

#: The part of an omission that leaves out everything of its trial.
WHOLE_TRIAL = "trial"


@dataclass(frozen=True, order=True)
class Omission:
    """One part of one trial that a report could not hold."""

    trial: str
    part: str  # "trial", a table of `domain.datasets.TABLES`, or "table/what", as "labs/GLUC (urine)"
    reason: str  # for a person: what is wrong with the data, and what would mend it
