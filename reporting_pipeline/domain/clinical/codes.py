"""Coded values as sources write them: flags, seriousness, severity, toxicity grades, laboratory flags.

Codelists are those of CDISC (NY, AESEV, OUT, NRIND, NCOMPLT, PROTMLST), which are extensible or ignored
by real sources, and table 0078 of HL7 v2 for laboratory flags. What is in none of them is kept as
collected. A missing answer is the answer "unknown", never No.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

YES, NO, UNKNOWN = "yes", "no", ""

_YES = frozenset({"Y", "YES", "TRUE", "T", "1", "1.0"})
_NO = frozenset({"N", "NO", "FALSE", "F", "0", "0.0"})
_NOT_KNOWN = frozenset(
    [
        "",
        "U",
        "UNK",
        "UNKNOWN",
        "NOT KNOWN",
        "NK",
        "NA",
        "N/A",
        "NOT APPLICABLE",
        "NOT STATED",
        "NOT REPORTED",
        "MISSING",
        ".",
        "-",
        "?",
        "NULL",
        "NONE",
        "NAN",
    ]
)


def folded(text: str) -> str:
    """A coded value as codelists are compared: upper case, single blanks."""
    return " ".join(text.split()).upper()


def read_flag(value: object) -> str | None:
    """YES, NO or UNKNOWN; None when `value` is none of what means one of them."""
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return YES if value else NO
    if isinstance(value, (int, float)):
        return YES if value == 1 else NO if value == 0 else UNKNOWN if value != value else None
    if not isinstance(value, str):
        return None
    code = folded(value)
    if code in _YES:
        return YES
    if code in _NO:
        return NO
    return UNKNOWN if code in _NOT_KNOWN else None


# --- adverse events ------------------------------------------------------------------------------

MILD, MODERATE, SEVERE, LIFE_THREATENING, FATAL = 1, 2, 3, 4, 5
#: Severity in words as the grade that CTCAE 5.0 defines by the same word.
_LEVELS: Mapping[str, int] = {
    "MILD": MILD,
    "MODERATE": MODERATE,
    "SEVERE": SEVERE,
    "LIFE THREATENING": LIFE_THREATENING,
    "FATAL": FATAL,
    "DEATH": FATAL,
}
LEVEL_NAMES = ("NOT STATED", "MILD", "MODERATE", "SEVERE", "LIFE THREATENING", "FATAL")
_ROMAN = {"I": 1, "II": 2, "III": 3, "IV": 4, "V": 5}
_GRADE = re.compile(r"(?:(?:CTCAE|NCI|TOXICITY)[\s-]*)*(?:GRADE|GR|G)?[\s.:-]*([0-5]|I{1,3}|IV|V)(?:\.0)?")
_FATAL = frozenset({"FATAL", "DEATH", "DIED", "DEAD", "DECEASED", "FATAL OUTCOME", "RESULTED IN DEATH"})
_NOT_FATAL = re.compile(r"\b(?:NON|NOT|NO)[ -]?(?:FATAL|DEATH|DEAD|DIED)\b")
_NAMES_A_DEATH = re.compile(r"\b(?:FATAL|FATALITY|DEATH|DIED|DEAD|DECEASED)\b")


def read_grade(value: object) -> int | None:
    """A toxicity grade 0 to 5 from a number, "4", "GRADE 3", "G3" or "IV"; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return int(value) if value in (0, 1, 2, 3, 4, 5) else None
    match = _GRADE.fullmatch(folded(value)) if isinstance(value, str) else None
    return None if match is None else _ROMAN.get(match[1]) or int(match[1])


@lru_cache(maxsize=4_096)
def severity_level(severity: str) -> int:
    """How grave a severity in words or a grade in its place is, 1 to 5; 0 when it does not say."""
    words = folded(severity).replace("-", " ").replace("_", " ")
    words = re.sub(r"^GRADE [1-5] ", "", words)
    if (level := _LEVELS.get(words)) is not None:
        return level
    return read_grade(severity) or 0


def is_not_stated(text: str) -> bool:
    """Whether a coded text says that nothing is known."""
    return folded(text) in _NOT_KNOWN


def is_fatal_outcome(outcome: str) -> bool:
    """Whether an outcome, of the codelist OUT or in words of its own, says that the subject died."""
    return _NAMES_A_DEATH.search(_NOT_FATAL.sub("", folded(outcome))) is not None


#: ICH E2A: what makes an event serious. Name -> spellings, SDTM's variables among them.
CRITERIA: Mapping[str, tuple[str, ...]] = {
    "death": ("AESDTH", "FATAL", "RESULTS IN DEATH"),
    "life_threatening": ("AESLIFE", "IS LIFE THREATENING"),
    "hospitalisation": (
        "AESHOSP",
        "HOSPITALIZATION",
        "PROLONGED HOSPITALISATION",
        "PROLONGED HOSPITALIZATION",
    ),
    "disability": ("AESDISAB", "INCAPACITY", "DISABILITY OR INCAPACITY"),
    "congenital_anomaly": ("AESCONG", "CONGENITAL ANOMALY OR BIRTH DEFECT", "BIRTH DEFECT"),
    "other_medically_important": ("AESMIE", "OTHER MEDICALLY IMPORTANT EVENT", "MEDICALLY IMPORTANT"),
}
_CRITERION = {
    spelling: name
    for name, others in CRITERIA.items()
    for spelling in (name.upper().replace("_", " "), *others)
}


def read_criterion(text: str) -> str | None:
    """One of CRITERIA, None for a text that names none."""
    return _CRITERION.get(folded(text).replace("_", " ").replace("-", " "))


# --- laboratory flags ----------------------------------------------------------------------------

LOW, HIGH, ABNORMAL, NORMAL = "low", "high", "abnormal", "normal"


@dataclass(frozen=True)
class Judgement:
    """What a laboratory says of a result. `side` is "" for a word that is in no codelist."""

    text: str  # as a report shows it: HIGH HIGH, LOW, ABNORMAL, or the source's own word
    side: str  # LOW, HIGH, ABNORMAL, NORMAL or ""
    critical: bool = False


_JUDGEMENTS: Mapping[str, Judgement] = {
    spelling: judgement
    for judgement, spellings in (
        (Judgement("NORMAL", NORMAL), "NORMAL|N|WNL|WITHIN NORMAL LIMITS|IN RANGE|WITHIN RANGE|WITHIN"),
        (Judgement("NEGATIVE", NORMAL), "NEGATIVE|NEG"),
        (Judgement("LOW", LOW), "LOW|L|BELOW|BELOW RANGE|BELOW NORMAL"),
        (Judgement("HIGH", HIGH), "HIGH|H|ABOVE|ABOVE RANGE|ABOVE NORMAL"),
        (
            Judgement("LOW LOW", LOW, True),
            "LOW LOW|LL|CRITICAL LOW|CRITICALLY LOW|LOW CRITICAL|PANIC LOW|LOW PANIC|LOW-LOW|L*",
        ),
        (
            Judgement("HIGH HIGH", HIGH, True),
            "HIGH HIGH|HH|CRITICAL HIGH|CRITICALLY HIGH|HIGH CRITICAL|PANIC HIGH|HIGH PANIC|HIGH-HIGH|H*",
        ),
        (Judgement("ABNORMAL", ABNORMAL), "ABNORMAL|A|ABN|OUT OF RANGE|OUTSIDE|OUTSIDE RANGE"),
        (
            Judgement("CRITICAL", ABNORMAL, True),
            "CRITICAL|CRIT|PANIC|AA|CRITICALLY ABNORMAL|ABNORMAL CRITICAL|CRITICAL ABNORMAL",
        ),
    )
    for spelling in spellings.split("|")
}
_NO_JUDGEMENT = Judgement("", "")


@lru_cache(maxsize=4_096)
def judgement(indicator: str) -> Judgement:
    """What a flag means. A word of no codelist is kept and counts as a flag whose side is not known."""
    code = folded(indicator)
    if code in _NOT_KNOWN:
        return _NO_JUDGEMENT
    return _JUDGEMENTS.get(code) or Judgement(code, "")


#: "NORMAL" alone, or of the whole recording: "NORMAL EXCEPT FOR …" and "NORMAL VARIANT?" say no such thing.
_INTERPRETED = re.compile(
    r"(ABNORMAL)\b(.*)|(NORMAL)(?: (?:ECG|EKG|ELECTROCARDIOGRAM|SINUS RHYTHM|EXAMINATION))?[.]?"
)
_SIGNIFICANT = re.compile(r"[\s,;:(\[-]*(?:CLINICALLY SIGNIFICANT|CS)\b.*")


@lru_cache(maxsize=4_096)
def interpretation(result: str) -> tuple[str, bool]:
    """(The flag that a result in words is itself, whether it says clinically significant); ("", False) for
    other words. "ABNORMAL, CLINICALLY SIGNIFICANT" is how an ECG is read as a whole."""
    match = _INTERPRETED.fullmatch(folded(result))
    if match is None:
        return "", False
    if match[3]:
        return match[3], False
    return match[1], _SIGNIFICANT.fullmatch(match[2]) is not None


# --- dispositions --------------------------------------------------------------------------------

DISPOSITION, MILESTONE, OTHER_EVENT = "DISPOSITION EVENT", "PROTOCOL MILESTONE", "OTHER EVENT"
_MILESTONES = frozenset(
    [
        "INFORMED CONSENT OBTAINED",
        "INFORMED ASSENT OBTAINED",
        "ELIGIBILITY CRITERIA MET",
        "RANDOMIZED",
        "RANDOMISED",
        "ENTERED INTO TRIAL",
        "ENROLLED",
        "SCREENED",
        "STUDY CONSENT OBTAINED",
        "RE-CONSENT OBTAINED",
        "TREATMENT UNBLINDED",
        "ENTERED OPEN LABEL PHASE",
        "RESCREENED",
    ]
)
_REACHED_THE_END = frozenset({"COMPLETED", "COMPLETE"})
_NEVER_BEGAN = frozenset({"SCREEN FAILURE", "SCREENING FAILURE", "SCREENING NOT COMPLETED", "NOT RANDOMIZED"})


def disposition_category(category: str, decoded: str) -> str:
    """DISPOSITION, MILESTONE or OTHER_EVENT as DSCAT says; by PROTMLST where there is no category.

    "" when neither says: such a record is counted as of no stated category.
    """
    given, code = folded(category), folded(decoded)
    if given in (DISPOSITION, MILESTONE, OTHER_EVENT):
        return given
    if given in ("DISPOSITION", "DISPOSITION EVENTS"):
        return DISPOSITION
    if given in ("MILESTONE", "PROTOCOL MILESTONES"):
        return MILESTONE
    if given and given not in _NOT_KNOWN:
        return OTHER_EVENT
    if code in _MILESTONES:
        return MILESTONE
    return DISPOSITION if code in _REACHED_THE_END | _NEVER_BEGAN | _REASONS | _FATAL else ""


#: NCOMPLT (C66727): why somebody did not complete.
_REASONS = frozenset(
    [
        "ADVERSE EVENT",
        "DEATH",
        "DISEASE RELAPSE",
        "FAILURE TO MEET CONTINUATION CRITERIA",
        "LACK OF EFFICACY",
        "LOST TO FOLLOW-UP",
        "LOST TO FOLLOW UP",
        "NON-COMPLIANCE WITH STUDY DRUG",
        "NONCOMPLIANCE WITH STUDY DRUG",
        "PHYSICIAN DECISION",
        "PREGNANCY",
        "PRODUCT DISCONTINUATION",
        "PROGRESSIVE DISEASE",
        "PROTOCOL DEVIATION",
        "PROTOCOL VIOLATION",
        "RECOVERY",
        "SITE TERMINATED BY SPONSOR",
        "STUDY TERMINATED BY IRB",
        "STUDY TERMINATED BY SPONSOR",
        "SYMPTOMATIC DETERIORATION",
        "TECHNICAL PROBLEMS",
        "WITHDRAWAL BY PARENT/GUARDIAN",
        "WITHDRAWAL BY SUBJECT",
        "WITHDRAWAL OF CONSENT",
        "RELOCATION OF SUBJECT",
        "DEVELOPMENT OF STUDY-SPECIFIC DISCONTINUATION CRITERIA",
        "OTHER",
    ]
)


def is_discontinuation(category: str, decoded: str) -> bool:
    """Whether a record says that somebody who was in the trial left it before its end."""
    if disposition_category(category, decoded) != DISPOSITION:
        return False
    return folded(decoded) not in _REACHED_THE_END | _NEVER_BEGAN


def is_death(decoded: str) -> bool:
    """Whether a disposition says that the subject died."""
    return folded(decoded) in _FATAL
