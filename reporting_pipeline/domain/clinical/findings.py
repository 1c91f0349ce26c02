"""What may be odd about a document: stable codes, what each means, and which make a document malformed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import NamedTuple

#: What each code means, for a report's appendix. Codes are stable.
FINDING_CODES: Mapping[str, str] = {
    "wrong_type": "A value is not of the kind its field asks for; it was left out.",
    "missing_field": "A field that the document cannot do without is missing.",
    "unknown_kind": "The document is of a kind this product does not know; only its arrival is counted.",
    "unknown_field": "A field that documents of this kind do not have; it is not reported.",
    "unknown_value": "A coded value is in no code list; it is shown as collected.",
    "impossible_date": "A date that no calendar has; it was left out.",
    "not_finite": "A number is not finite; it was left out.",
    "not_placed": "The document has no usable time of arrival; it belongs to no period.",
    "ends_before_start": "An event or visit ends before it starts; both dates are shown as collected.",
    "missing_unit": "A number has no standard unit although its test has one; it is not compared.",
    "mixed_units": "A test has more than one standard unit; no statistic over its results is made.",
    "partial_date": "A date is not known to the day; it is shown as collected.",
    "future_date": "A date lies after the document's arrival; it is shown as collected.",
    "seriousness_not_stated": "Nobody stated whether the adverse event is serious; it counts as unknown.",
    "fatal_not_serious": "The adverse event was fatal and is marked as not serious.",
    "did_not_occur": "A record of what did not occur or was not taken; it is in no table and no count.",
    "occurrence_contradicts": "A record says that it did not occur and that it was grave; it counts.",
    "criteria_not_serious": "A criterion of seriousness is met; the event is marked as not serious.",
    "death_contradicts": "One field says that somebody died and another says not; it counts as a death.",
    "death_in_words": "Words name a death that nothing else confirms; it is not counted as one.",
    "after_death": "Something is dated after the day on which its subject died; both are shown.",
    "dates_in_disorder": "Dates of one person come in an order that cannot be; both are shown.",
    "end_contradicts": "An event has an end, and an outcome that says it goes on; both are shown.",
    "implausible_value": "A number that cannot be true of its field; it was left out.",
    "status_contradicts_result": "A result is marked as not done and stands all the same; it counts.",
    "severity_contradicts_grade": "Severity in words and toxicity grade do not agree; both are shown.",
    "reversed_range": "The low limit of a range is above its high limit; the range is not used.",
    "empty_range": "A range from 0 to 0 stands for none in many systems; it is not used.",
    "range_not_read": "A range, or a limit of it, cannot be read; the result is not compared with it.",
    "unread_number": "A number can be read in several ways, or in none; it is shown as collected.",
    "derived_beside_originals": "A derived result beside those it was made from; it is not counted again.",
    "flag_contradicts_range": "The laboratory's flag and the range do not agree; the flag counts.",
    "flag_contradicts_judgement": "Flagged normal, and graded or called clinically significant; listed.",
    "value_contradicts_text": "The number and the text of a result do not agree; both are shown.",
    "subject_at_two_sites": "The same subject number occurs at two sites; they count as two subjects.",
    "duplicate_file": "Two documents name the same file.",
    "withheld": "What tells who gets the treatment is not shown to this audience; how often is said.",
    "file_missing": "The document's file is not in the store.",
    "file_corrupt": "The document's file cannot be used.",
}
#: Findings that make a document malformed: its source was not read as meant. The others are true of
#: real, sound documents.
MALFORMED_CODES = frozenset(
    {"wrong_type", "missing_field", "unknown_kind", "impossible_date", "not_finite", "not_placed"}
)
#: Findings whose detail names other documents, sites or what these hold.
COMPARING_CODES = frozenset({"duplicate_file", "subject_at_two_sites", "mixed_units"})


class Finding(NamedTuple):
    """One odd thing about a document. `field` is a path, as "results[3].value"; `detail` is for a person."""

    code: str  # of FINDING_CODES
    field: str
    detail: str


@dataclass(frozen=True, order=True)
class SourceFinding:
    """Something odd about a source, or about a document of it that could not be placed or read at all."""

    document: str  # the caller's own id, or file and line
    code: str  # of `intake.understanding.SOURCE_FINDING_CODES`
    field: str
    detail: str  # for a person

    def as_json(self) -> dict[str, str]:
        return asdict(self)
