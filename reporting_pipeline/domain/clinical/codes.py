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

from reporting_pipeline.domain.clinical.translated import (
    DEATH_ELSEWHERE,
    FLAGS,
    NAMES_A_DEATH_ELSEWHERE,
    NO_ELSEWHERE,
    NOT_KNOWN,
    OUTCOMES,
    SERIOUSNESS,
    SEVERITIES,
    YES_ELSEWHERE,
    without_accents,
)

YES, NO, UNKNOWN = "yes", "no", ""

#: In English, and whole words of other languages, without accents.
_YES = frozenset({"Y", "YES", "TRUE", "T", "1", "1.0", "CHECKED"}) | YES_ELSEWHERE
_NO = frozenset({"N", "NO", "FALSE", "F", "0", "0.0", "UNCHECKED"}) | NO_ELSEWHERE
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
        *NOT_KNOWN,
    ]
)


#: What systems write where nothing was recorded. An answer "unknown" is something recorded.
_NOTHING = frozenset({"", "NA", "N/A", "NOT APPLICABLE", ".", "-", "?", "NULL", "NONE", "NAN", "NAT"})


#: Characters of a coded value that is looked into. What is longer is none: a hostile one would take the
#: square of its length, of a process that others wait for.
LONGEST_CODE = 1_000


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
    code = without_accents(folded(value))
    if code in _YES:
        return YES
    if code in _NO:
        return NO
    return UNKNOWN if code in _NOT_KNOWN else _agreed_flag(code)


def _agreed_flag(code: str) -> str | None:
    """ "1=YES", "Y - YES": a code and what it stands for say one thing; None where they differ."""
    parts = [part for part in re.split(r"[\s=:;,.()\[\]/-]+", code) if part]
    said = {YES if part in _YES else NO if part in _NO else part for part in parts if part != "2"}
    in_words = any(not part.isdigit() for part in parts)
    return said.pop() if in_words and len(parts) > 1 and said in ({YES}, {NO}) else None


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
_GRADE = re.compile(
    r"(?:(?:CTC(?:AE)?|NCI|TOXICITY)[\s-]*)*(?:GRADE|GR|G)?[\s.:-]*([0-5]|I{1,3}|IV|V)(?:\.0)?"
)
#: The direction of a laboratory's grade: "3H", "L3", "HYPER 3", "GRADE 3 (HIGH)".
_DIRECTED = re.compile(r"[\s(,:;/-]*\b(?:HIGH|LOW|HYPER|HYPO|INCREASED?|DECREASED?|H|L)\b[\s),:;-]*")
_BESIDE_DIGIT = re.compile(r"(?<=[HL])(?=[0-5])|(?<=[0-5])(?=[HL])")
_FATAL = frozenset({"FATAL", "DEATH", "DIED", "DEAD", "DECEASED", "FATAL OUTCOME", "RESULTED IN DEATH"})
_NOT_FATAL = re.compile(r"\b(?:NON|NOT|NO)[ -]?(?:FATAL|DEATH|DEAD|DIED|COMPLETED SUICIDE)\b")
_NAMES_A_DEATH = re.compile(
    r"\b(?:FATAL|FATALITY|DEATH|DIED|DEAD|DECEASED|PASSED AWAY|EXITUS|COMPLETED SUICIDE|SUICIDE COMPLETED|"
    r"LETHAL|STILLBIRTH|STILLBORN|EUTHANASIA|ASSISTED SUICIDE|"
    r"(?:PATIENT|SUBJECT|PARTICIPANT) (?:HAS |HAD )?EXPIRED)\b"
    r"|^(?:SUICIDE|MURDER(?:ED)?|HOMICIDE|EXPIRED)$"
)


def read_grade(value: object) -> int | None:
    """A toxicity grade 0 to 5 from a number, "4", "GRADE 3", "G3" or "IV"; None for anything else.

    Beside a direction ("3H", "GRADE 3 (HIGH)", the minus of analysis data) the grade counts alone.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return int(abs(value)) if abs(value) in (0, 1, 2, 3, 4, 5) else None
    if not isinstance(value, str):
        return None
    code = folded(value)
    if len(code) > LONGEST_CODE:
        return None
    match = _GRADE.fullmatch(code) or _GRADE.fullmatch(_without_direction(code))
    if match is None:
        return _agreed_level(code) or None if _HAS_LEVEL.search(code) else None  # "3 (SEVERE)"
    return _ROMAN.get(match[1]) or int(match[1])


_HAS_LEVEL = re.compile(r"[1-5]")


def _without_direction(code: str) -> str:
    return _DIRECTED.sub(" ", _BESIDE_DIGIT.sub(" ", code), count=1).strip()


@lru_cache(maxsize=4_096)
def severity_level(severity: str) -> int:
    """How grave a severity in words or a grade in its place is, 1 to 5; 0 when it does not say."""
    code = folded(severity)
    plain = without_accents(code)
    return read_grade(severity) or _agreed_level(
        SEVERITIES.get(plain) or ("FATAL" if plain in DEATH_ELSEWHERE else code)
    )


def is_severity_in_words(severity: str) -> bool:
    """Whether a severity is MILD, MODERATE or SEVERE, in whatever language: no grade is made of these."""
    code = folded(severity)
    return SEVERITIES.get(without_accents(code), code) in ("MILD", "MODERATE", "SEVERE")


_LEVEL_WORD = re.compile(
    r"LIFE[ _-]?THREATENING|MILD|MODERATE|SEVERE|FATAL|DEATH|"
    r"(?:(?:CTCAE|CTC|TOXICITY) )*(?:GRADE|GR|G)?[ .:-]*[1-5]"
)
_BETWEEN_LEVELS = re.compile(r"[\s()\[\]=:;,./-]*")


def _agreed_level(code: str) -> int:
    """The level of which all words speak: "1 - MILD", "MILD (GRADE 1)"; 0 where they differ."""
    if len(code) > LONGEST_CODE or _BETWEEN_LEVELS.fullmatch(_LEVEL_WORD.sub("", code)) is None:
        return 0
    said = {_LEVELS.get(re.sub("[ _-]", " ", one)) or read_grade(one) for one in _LEVEL_WORD.findall(code)}
    return said.pop() or 0 if len(said) == 1 else 0


def is_not_stated(text: str) -> bool:
    """Whether a coded text says that nothing is known."""
    return folded(text) in _NOT_KNOWN


def is_nothing(text: str) -> bool:
    """Whether a text stands for an empty cell: "NA", as R writes it, "." as SAS does."""
    return folded(text) in _NOTHING


def is_fatal_outcome(outcome: str) -> bool:
    """Whether an outcome, of the codelist OUT or in words of its own, says that the subject died."""
    return says_subject_died(outcome)


#: What an outcome says that is no death: the codelist OUT (C66768), its halves, what forms write for them.
_OUTCOMES = frozenset(
    {
        *("RECOVERED/RESOLVED", "RECOVERED", "RESOLVED", "RESOLVED/RECOVERED"),
        *("RECOVERED/RESOLVED WITH SEQUELAE", "RECOVERED WITH SEQUELAE", "RESOLVED WITH SEQUELAE"),
        *("RECOVERING/RESOLVING", "RECOVERING", "RESOLVING", "NOT RECOVERED/NOT RESOLVED"),
        *("NOT RECOVERED", "NOT RESOLVED", "NOT RECOVERED/NOT RESOLVED/ONGOING", "UNRESOLVED"),
        *("ONGOING", "CONTINUING", "PERSISTENT", "SEQUELAE", "STABLE", "IMPROVED", "IMPROVING", "WORSENED"),
        *("UNCHANGED", "CHANGE IN TOXICITY GRADE/SEVERITY", "LOST TO FOLLOW-UP", "ALIVE"),
    }
)


def is_known_outcome(outcome: str) -> bool:
    """Whether an outcome says in words that are known what became of the event, or that nobody knows."""
    code = _of_outcome(outcome)
    return is_not_stated(code) or code in _OUTCOMES or _NOT_FATAL.fullmatch(code) is not None


def _of_outcome(outcome: str) -> str:
    """As the codelist has it: "Not recovered / not resolved" is one of its words."""
    code = re.sub(r" ?/ ?", "/", folded(outcome))
    return OUTCOMES.get(without_accents(code), code)


@lru_cache(maxsize=4_096)
def names_a_death(text: str) -> bool:
    """Whether words name a death at all: "Patient died", "Death in family", "décès"; not "non-fatal"."""
    code = _NOT_FATAL.sub("", folded(text))
    if _NAMES_A_DEATH.search(code) is not None:
        return True
    plain = without_accents(code)
    return plain in DEATH_ELSEWHERE or NAMES_A_DEATH_ELSEWHERE.search(plain) is not None


#: Whose death it may be instead.
_OF_OTHERS = re.compile(
    r"\b(?:(?:(?:GREAT )?GRAND|STEP|GOD)?(?:MOTHER|FATHER|PARENT|BROTHER|SISTER|SON|DAUGHTER|CHILD)|FAMILY|"
    r"RELATIVE|SPOUSE|HUSBAND|WIFE|PARTNER|SIBLING|TWIN|UNCLE|AUNT|COUSIN|NEPHEW|NIECE|INLAW|IN LAW|FIANCEE?|"
    r"BABY|INFANT|FO?ETAL|FO?ETUS|INTRAUTERINE|NEONATAL|STILLBIRTH|CAREGIVER|CARER|FRIEND|NEIGHBOU?R|PET|DOG|"
    r"CAT|INVESTIGATOR|PHYSICIAN|DOCTOR|COORDINATOR)(?:S|ES|'S)?\b"
)
#: The word with another meaning, or one that is left to a person ("brain death").
_NO_DEATH_ITSELF = re.compile(
    r"\b(?:CELL|TISSUE|NERVE|BRAIN|NEAR|APPARENT)[ -]DEATH\b|\bDEATH (?:WISH|ANXIETY|THREAT)|"
    r"\b(?:FEAR|RISK|THOUGHT|IDEATION|WISH)(?:S|ES)?\b"
)
#: What leaves open whether anybody died. A cause, a date or a relation that is not known leaves nothing open.
_IN_DOUBT = re.compile(
    r"\b(?:IF|WHETHER|DID NOT OCCUR|MAY HAVE|MIGHT HAVE|UNCONFIRMED|ALLEGED(?:LY)?|NEVER|RULED OUT|"
    r"(?:NOT|PENDING) (?:YET )?(?:CONFIRM\w*|VERIFI\w*|KNOWN|YET)|NOT YET|"
    r"(?:POSSIBLE|POSSIBLY|PROBABLE|PROBABLY|SUSPECTED|PRESUMED|QUESTIONABLE) (?:DEATH|DEAD|DIED|DECEASED)|"
    r"(?:DEATH|DEAD|DECEASED) (?:STATUS )?(?:UNKNOWN|UNCLEAR|SUSPECTED))\b(?! (?:CAUSE|REASON))|"
    r"\b(?:FATAL|DEATH|DIED|DEAD|DECEASED) ?\?|"
    r"\b(?:DEATH|DIED|DEAD|DECEASED|EXITUS|(?:COMPLETED )?SUICIDE(?: COMPLETED)?)"
    r"(?: (?:FLAG|INDICATOR|STATUS|OCCURRED))?\?? ?[:=-] ?(?:NO?|FALSE|0|U|UNK|UNKNOWN)$|"
    r"\bFATAL(?: OUTCOME)?\?? ?[:=-] ?(?:NO?|FALSE|0|U|UNK|UNKNOWN)$"
)
_IS_A_DEATH = re.compile(
    r"(?:(?:SUDDEN|CARDIAC|CARDIOVASCULAR|UNEXPLAINED|UNEXPECTED|PATIENT|SUBJECT|PARTICIPANT) )*"
    r"(?:DEATH|DIED)(?:,? (?:NOS|UNEXPLAINED|UNEXPECTED|(?:CAUSE|REASON) UNKNOWN)"
    r"|,? (?:DUE|SECONDARY|RELATED) TO .*|,? FROM .*)?"
    r"|(?:(?:PATIENT|SUBJECT|PARTICIPANT) )?DIED OF .*"
    r"|(?:(?:PATIENT|SUBJECT|PARTICIPANT) )?FOUND DEAD(?: (?:AT|IN|ON|BY) .*)?"
    r"|COMPLETED SUICIDE|SUICIDE,? COMPLETED|EXITUS(?: LETALIS)?"
    r"|DECEASED|DEAD|DIED IN (?:\w+ )?SLEEP|FATAL(?: (?!OUTCOME|FAMILIAL)\S.*)?|.*\S(?: \(FATAL\)|, FATAL)"
    r"|.*\S,? (?:(?:RESULTING IN|LEADING TO|CAUSING) DEATH|WITH FATAL OUTCOME)"
    r"|DEATH OF (?:UNKNOWN (?:CAUSE|ORIGIN|REASON)|DISEASE|(?:THE )?(?:PATIENT|SUBJECT|PARTICIPANT)|SEPSIS|"
    r"CANCER|CARDIAC|PNEUMONIA|PROGRESSI)\b.*"
)


def is_death_of_another(term: str) -> bool:
    """Whether a term names the death of somebody who is not the subject: "Neonatal death", "Stillbirth"."""
    code = folded(term)
    return names_a_death(term) and _OF_OTHERS.search(code) is not None


def _is_of_somebody_else(code: str) -> bool:
    return _OF_OTHERS.search(code) is not None or _NO_DEATH_ITSELF.search(code) is not None


@lru_cache(maxsize=4_096)
def says_subject_died(text: str) -> bool:
    """Whether words of a site say that the subject died: "DIED OF SEPSIS", not "DEATH IN FAMILY".

    Nor what leaves it open ("UNKNOWN IF SUBJECT DIED"). What names a death and is not taken for one is told.
    """
    code = folded(text)
    if without_accents(code) in DEATH_ELSEWHERE:
        return True
    named = _NAMES_A_DEATH.search(_NOT_FATAL.sub("", code)) is not None
    return named and _IN_DOUBT.search(code) is None and not _is_of_somebody_else(code)


@lru_cache(maxsize=4_096)
def may_say_subject_died(text: str) -> bool:
    """Whether words say so, or name a death in another language, whose sentences are not read: to be told."""
    return (
        says_subject_died(text) or NAMES_A_DEATH_ELSEWHERE.search(without_accents(folded(text))) is not None
    )


@lru_cache(maxsize=4_096)
def is_a_death(term: str) -> bool:
    """Whether the term of an event is itself a death: "DEATH NOS", "SUDDEN CARDIAC DEATH"."""
    code = folded(term)
    if without_accents(code) in DEATH_ELSEWHERE:
        return True
    is_one = _IS_A_DEATH.fullmatch(_NOT_FATAL.sub("", code)) is not None and _IN_DOUBT.search(code) is None
    return is_one and not _is_of_somebody_else(code)


def seriousness_in_words(text: str) -> str | None:
    """YES or NO for "SERIOUS" and "NON-SERIOUS"; None for other words."""
    code = folded(text).replace("-", " ")
    code = SERIOUSNESS.get(without_accents(code), code)
    return (
        YES
        if code in ("SERIOUS", "SAE", "SERIOUS AE", "SERIOUS ADVERSE EVENT")
        else NO
        if code in _NOT_SERIOUS
        else None
    )


_NOT_SERIOUS = frozenset(
    {
        *("NON SERIOUS", "NOT SERIOUS", "NONSERIOUS", "NON SERIOUS AE", "NON SERIOUS ADVERSE EVENT"),
        *("NON SAE", "NO SAE", "NOT SAE", "NOT AN SAE", "NOT A SAE"),
    }
)


def is_not_over(outcome: str) -> bool:
    """Whether an outcome says that the event goes on: "NOT RECOVERED/NOT RESOLVED", "ONGOING"."""
    return _of_outcome(outcome) in _GOES_ON


_GOES_ON = frozenset(
    {
        "NOT RECOVERED/NOT RESOLVED",
        "NOT RECOVERED",
        "NOT RESOLVED",
        "ONGOING",
        "RECOVERING/RESOLVING",
        "RECOVERING",
        "RESOLVING",
        "CONTINUING",
        "UNRESOLVED",
    }
)


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
        (
            Judgement("NORMAL", NORMAL),
            "NORMAL|N|NORM|WNL|WITHIN NORMAL LIMITS|IN RANGE|WITHIN RANGE|WITHIN|WITHIN LIMITS|NORMAL RANGE|"
            "IN NORMAL RANGE|WITHIN NORMAL RANGE|WITHIN REFERENCE RANGE|WITHIN REFERENCE LIMITS",
        ),
        (Judgement("NEGATIVE", NORMAL), "NEGATIVE|NEG"),
        (Judgement("NOT DETECTED", NORMAL), "NOT DETECTED|UNDETECTED|NONE DETECTED"),
        (Judgement("NONREACTIVE", NORMAL), "NONREACTIVE|NON REACTIVE|NOT REACTIVE"),
        (Judgement("LOW", LOW), "LOW|L|LO|↓|BELOW|BELOW RANGE|BELOW NORMAL|DECREASED|BELOW LLN"),
        (Judgement("HIGH", HIGH), "HIGH|H|HI|↑|ABOVE|ABOVE RANGE|ABOVE NORMAL|INCREASED|ELEVATED|ABOVE ULN"),
        (
            Judgement("LOW LOW", LOW, True),
            "LOW LOW|LOW LOW LOW|LL|LLL|CL|LP|LC|CRITICALLY LOW|LOWLOW|L*|*L|L!|↓↓|↓↓↓",
        ),
        (
            Judgement("HIGH HIGH", HIGH, True),
            "HIGH HIGH|HIGH HIGH HIGH|HH|HHH|CH|HP|HC|CRITICALLY HIGH|HIGHHIGH|H*|*H|H!|↑↑|↑↑↑",
        ),
        (Judgement("ABNORMAL", ABNORMAL), "ABNORMAL|A|ABN|OUT OF RANGE|OUTSIDE|OUTSIDE RANGE"),
        (
            Judgement("CRITICAL", ABNORMAL, True),
            "CRITICAL|CRIT|PANIC|ALERT|AA|CRITICALLY ABNORMAL",
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
    code = FLAGS.get(without_accents(code), code)
    words = folded(re.sub(r"(?<=\w)[_-](?=\w)", " ", code))  # HIGH_HIGH, NON-REACTIVE
    return _JUDGEMENTS.get(words) or _JUDGEMENTS.get(code) or _of_several_words(code) or Judgement(code, "")


_BETWEEN_WORDS = re.compile(r"[\s/,;:()\[\]-]+")


def _of_several_words(code: str) -> Judgement | None:
    """ "HIGH/CRITICAL", "ABNORMAL LOW": words that each are a flag and do not contradict each other."""
    written = re.sub(r"\bOUT(?:SIDE| OF) (?:THE )?RANGE\b", "ABNORMAL", code)
    said = [_JUDGEMENTS.get(word) for word in _BETWEEN_WORDS.split(written) if word]
    known = [one for one in said if one is not None]
    sides = {one.side for one in known}
    if (
        not known
        or len(known) < len(said)
        or len(sides - {ABNORMAL}) > 1
        or (len(sides) > 1 and NORMAL in sides)
    ):
        return None
    side = next(iter(sides - {ABNORMAL}), ABNORMAL)
    critical = any(one.critical for one in known)  # "HIGH (H)" says one thing twice
    return next(
        one
        for one in _JUDGEMENTS.values()
        if one.side == side and one.critical == (critical and side != NORMAL)
    )


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


# --- visits --------------------------------------------------------------------------------------

_UNPLANNED = re.compile(r"\b(?:UNSCH(?:ED(?:ULED)?)?|UNPLANNED|UNS)(?=[^A-Z]|$)", re.IGNORECASE)
_TOOK_PLACE = {
    **dict.fromkeys(("DONE", "COMPLETED", "ATTENDED", "PERFORMED", "OCCURRED"), YES),
    **dict.fromkeys(
        (
            *("NOT DONE", "MISSED", "NOT PERFORMED", "NOT ATTENDED", "NOT OCCURRED", "DID NOT OCCUR"),
            *("DID NOT ATTEND", "NO SHOW", "NO-SHOW"),
        ),
        NO,
    ),
}


def is_unplanned_visit(name: str) -> bool:
    """Whether a visit's name says that it stands beside the plan: "UNSCHEDULED 1", "Unsch. 3"."""
    return _UNPLANNED.search(name) is not None


def visit_in_words(answer: object) -> str:
    """YES or NO where words say whether a visit took place; "" for any other answer."""
    return _TOOK_PLACE.get(folded(answer), "") if isinstance(answer, str) else ""


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
_NEVER_BEGAN = frozenset(
    {
        *("SCREEN FAILURE", "SCREENING FAILURE", "SCREEN FAIL", "SCREEN FAILED", "SCREENING FAILED"),
        *("SCREEN-FAILURE", "SCREENFAILURE", "SCREENING NOT COMPLETED", "NOT RANDOMIZED", "NOT RANDOMISED"),
    }
)


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
    known = code in _REACHED_THE_END | _NEVER_BEGAN | _REASONS or is_death(decoded, "")
    return DISPOSITION if known else ""


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
    """Whether a record says that somebody who was in the trial, or in treatment, left before its end."""
    if disposition_category(category, decoded) != DISPOSITION:
        return False
    return folded(decoded) not in _REACHED_THE_END | _NEVER_BEGAN


def is_of_treatment(subcategory: str) -> bool:
    """Whether a disposition is that of the treatment alone (DSSCAT "STUDY TREATMENT"), not of the trial."""
    code = folded(subcategory)
    return _TREATMENT.search(code) is not None and _PARTICIPATION.search(code) is None


def ends_participation(category: str, subcategory: str, decoded: str) -> bool:
    """Whether a disposition says that somebody came to the end of the trial; the end of an epoch, of which
    there is one each, is none."""
    if disposition_category(category, decoded) != DISPOSITION or folded(decoded) not in _REACHED_THE_END:
        return False
    return _PARTICIPATION.search(folded(subcategory)) is not None


_TREATMENT = re.compile(r"\b(?:TREATMENT|DRUG|MEDICATION|PRODUCT|DOSING)\b")
_PARTICIPATION = re.compile(r"\bPARTICIPATION\b|\b(?:END OF|AND) (?:THE )?(?:STUDY|TRIAL)$")


def is_death(decoded: str, term: str) -> bool:
    """Whether a disposition says that the subject died, by its code or in the site's words."""
    return folded(decoded) in _FATAL or says_subject_died(decoded) or says_subject_died(term)
