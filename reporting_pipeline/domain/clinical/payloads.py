"""The payload `data` of each kind of document, as typed models: names, meanings and what may be absent.

Permissive where real data is: every field but the few that a row cannot do without may be missing,
null or empty; coded values are open, as CDISC's extensible codelists are; numbers and flags may come
as text. What a value means is decided in one place only, when rows are made (`rows`), and every doubt
becomes a finding. So these models name the fields and describe them to a caller; they reject nothing
but what has another shape altogether.

Names in brackets are those of SDTM. Dates are ISO 8601 as collected, possibly partial
(SDTM Implementation Guide 3.4, 4.4.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from reporting_pipeline.domain.clinical.criteria import CRITERIA
from reporting_pipeline.domain.documents import Kind

Text = Annotated[str | None, Field(description="Text as collected; empty or null when there is none.")]
Number = Annotated[
    float | str | None, Field(description="A number, or its digits as text; null when there is none.")
]
Flag = Annotated[
    bool | int | str | None, Field(description="true, false, Y, N; empty or null when it is not known.")
]
Date = Annotated[
    str | None, Field(description="ISO 8601 as collected, possibly partial: 2026-11, 2026---15.")
]


VisitUnblinding = Annotated[
    bool | int | str | None,
    Field(
        description="The visit's name tells who gets the treatment; only an unblinded report shows it. A "
        "name that says ARM A or TREATMENT B is one without this."
    ),
]


class Payload(BaseModel):
    """What all payloads share. A field that is not named here is told, and not reported."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Result(Payload):
    """One result of a measurement. `value`, `unit`, `low` and `high` are in standard units."""

    test_code: str = Field(description="Short name of the test [--TESTCD].", examples=["GLUC"])
    test: Text = Field(None, description="The test in words [--TEST].", examples=["Glucose"])
    category: Text = Field(None, description="[--CAT]", examples=["CHEMISTRY"])
    specimen: Text = Field(None, description="What was examined [--SPEC].", examples=["SERUM", "URINE"])
    method: Text = Field(None, description="[--METHOD]", examples=["DIPSTICK"])
    position: Text = Field(None, description="Of the subject [--POS].", examples=["SUPINE"])
    laterality: Text = Field(None, description="[--LAT]", examples=["LEFT"])
    visit: Text = Field(None, description="[VISIT]", examples=["WEEK 2"])
    visit_unblinding: VisitUnblinding = None
    visit_number: Number = Field(None, description="[VISITNUM]")
    time_point: Text = Field(
        None, description="When within the visit, as planned [--TPT].", examples=["2 HOURS POST DOSE"]
    )
    collected: Date = Field(None, description="When this result was collected [--DTC].")
    original_result: Text = Field(None, description="As the laboratory wrote it [--ORRES].", examples=["<40"])
    original_unit: Text = Field(None, description="[--ORRESU]", examples=["mg/dL"])
    original_low: Number = Field(None, description="Low limit in original units [--ORNRLO].")
    original_high: Number = Field(None, description="High limit in original units [--ORNRHI].")
    comparator: Text = Field(
        None, description="How a censored value is meant: <, <=, > or >=.", examples=["<"]
    )
    value: Number = Field(None, description="In standard units [--STRESN]; of a censored result its limit.")
    unit: Text = Field(None, description="Standard unit [--STRESU].", examples=["mmol/L"])
    low: Number = Field(None, description="Low limit in standard units [--STNRLO].")
    high: Number = Field(None, description="High limit in standard units [--STNRHI].")
    reference_text: Text = Field(
        None,
        description="A reference range in words, or one that stands in one text [--STNRC].",
        examples=["NEGATIVE", "NEGATIVE TO TRACE", "<10"],
    )
    indicator: Text = Field(
        None,
        description="The laboratory's own judgement [--NRIND]; an open list: NORMAL, LOW, HIGH, LOW LOW, "
        "HIGH HIGH, ABNORMAL and what a source has.",
        examples=["HIGH HIGH"],
    )
    grade: Number = Field(None, description="Toxicity grade 0 to 5 of the result [--TOXGR].")
    clinically_significant: Flag = Field(None, description="As the investigator judged it [--CLSIG].")
    derived: Flag = Field(None, description="Made from other results, as the mean of three [--DRVFL].")
    baseline: Flag = Field(
        None, description="The one of its test with which later ones are compared [--BLFL, --LOBXFL]."
    )
    unblinding: Flag = Field(
        None,
        description="Tells who gets the treatment, as its concentration does; only an unblinded report shows "
        "it. A result whose category or test says so is one without this.",
    )
    text_result: Text = Field(None, description="A result in words [--STRESC].", examples=["POSITIVE", "3+"])
    status: Text = Field(None, description="NOT DONE when there is no result [--STAT].")
    reason_not_done: Text = Field(None, description="[--REASND]")


class Measurements(Payload):
    """Laboratory results, vital signs and questionnaires."""

    results: list[Result] = Field(description="One entry for each result of this document.")


class TumourResult(Result):
    """One result about a tumour: of one lesion, or of all of them together, as a response is."""

    lesion: Text = Field(
        None, description="Which lesion, as its identification calls it [TULNKID, TRLNKID].", examples=["T01"]
    )
    lesion_type: Text = Field(
        None,
        description="Target, non-target or new, as its identification says [TUSTRESC of TUMIDENT], else as "
        "the measurement does [TRGRPID].",
        examples=["TARGET"],
    )
    location: Text = Field(None, description="Where in the body [TULOC].", examples=["LIVER"])
    evaluator: Text = Field(
        None, description="Who judged it [--EVAL, --EVALID].", examples=["INDEPENDENT ASSESSOR, READER 1"]
    )


class OtherResult(Result):
    """One result of an examination that has no kind of its own, as an echocardiogram or a culture."""

    domain: Text = Field(
        None, description="Of what examination [DOMAIN]: letters of SDTM, or a name.", examples=["CV"]
    )
    object: Text = Field(
        None, description="The event or treatment that the result is about [FAOBJ].", examples=["REDNESS"]
    )
    location: Text = Field(None, description="Where in the body [--LOC].", examples=["AORTA"])


class OtherResults(Payload):
    """Results of every other examination: cardiovascular, respiratory, microbiology, skin and what else."""

    results: list[OtherResult] = Field(description="One entry for each result of this document.")


class TumourResults(Payload):
    """Lesions identified, measured and judged, and the response."""

    results: list[TumourResult] = Field(description="One entry for each result of this document.")


class EcgPayload(Payload):
    """An ECG: its measurements, or nothing but its file."""

    results: list[Result] | None = Field(None, description="QTcF, PR and others; absent for a mere strip.")


class AdverseEvent(Payload):
    term: str = Field(description="As reported [AETERM].", examples=["SYNCOPE"])
    preferred_term: Text = Field(None, description="[AEDECOD]")
    system_organ_class: Text = Field(None, description="[AEBODSYS]")
    severity: Text = Field(None, description="MILD, MODERATE, SEVERE, or what the source has [AESEV].")
    grade: Number = Field(None, description="Toxicity grade 1 to 5, as CTCAE has it [AETOXGR].")
    serious: Flag = Field(None, description="[AESER]; null or empty when nobody stated it.")
    seriousness_criteria: list[str] | None = Field(
        None,
        description=f"Those that are met [{', '.join(names[0] for names in CRITERIA.values())}]: "
        f"{', '.join(CRITERIA)}.",
    )
    occurred: Flag = Field(
        None, description="No, of an event that was asked for and did not occur [AEOCCUR]."
    )
    treatment_emergent: Flag = Field(
        None,
        description="Whether it began or worsened under the treatment [AETRTEM]; null or empty when nobody "
        "stated it.",
    )
    related: Text = Field(None, description="Relation to the treatment [AEREL].")
    outcome: Text = Field(None, description="[AEOUT]", examples=["RECOVERED/RESOLVED", "FATAL"])
    location: Text = Field(None, description="Where in the body [AELOC].", examples=["EYE"])
    laterality: Text = Field(None, description="[AELAT]", examples=["LEFT"])
    action_taken: Text = Field(None, description="With the treatment [AEACN].", examples=["DRUG WITHDRAWN"])
    visit: Text = Field(None, description="[VISIT]")
    visit_unblinding: VisitUnblinding = None
    start: Date = Field(None, description="[AESTDTC]")
    end: Date = Field(None, description="[AEENDTC]")
    ongoing: Flag = Field(None, description="[AEENRTPT, AEENRF]")


class Visit(Payload):
    visit: str = Field(description="[VISIT]", examples=["WEEK 2"])
    visit_unblinding: VisitUnblinding = None
    visit_number: Number = Field(None, description="[VISITNUM]")
    planned: Flag = Field(None, description="Whether the protocol plans it; yes when absent.")
    occurred: Flag = Field(None, description="Whether it took place [SVOCCUR].")
    reason_not_done: Text = Field(None, description="[SVREASOC]")
    start: Date = Field(None, description="[SVSTDTC]")
    end: Date = Field(None, description="[SVENDTC]")


class Disposition(Payload):
    decoded: Text = Field(None, description="[DSDECOD]", examples=["COMPLETED", "WITHDRAWAL BY SUBJECT"])
    term: Text = Field(None, description="As reported [DSTERM]; one of the two is needed.")
    category: Text = Field(None, description="DISPOSITION EVENT, PROTOCOL MILESTONE or OTHER EVENT [DSCAT].")
    subcategory: Text = Field(
        None, description="Of what it is the disposition [DSSCAT]: STUDY PARTICIPATION, STUDY TREATMENT."
    )
    visit: Text = Field(None, description="[VISIT]")
    visit_unblinding: VisitUnblinding = None
    start: Date = Field(None, description="[DSSTDTC]")


class Subject(Payload):
    """Who takes part. Arms and days of treatment say who gets what: restricted, never in a blinded report."""

    age: Number = Field(None, description="[AGE]")
    age_unit: Text = Field(None, description="[AGEU]", examples=["YEARS"])
    sex: Text = Field(None, description="[SEX]")
    race: Text = Field(None, description="[RACE]")
    ethnicity: Text = Field(None, description="[ETHNIC]")
    country: Text = Field(None, description="[COUNTRY]")
    arm: Text = Field(None, description="Planned arm [ARM]; restricted.")
    arm_code: Text = Field(None, description="[ARMCD]; restricted.")
    actual_arm: Text = Field(None, description="[ACTARM]; restricted.")
    actual_arm_code: Text = Field(None, description="[ACTARMCD]; restricted.")
    consented: Date = Field(None, description="Informed consent [RFICDTC].")
    enrolled: Date = Field(None, description="Start in the trial [RFSTDTC].")
    ended: Date = Field(None, description="End of participation [RFPENDTC].")
    first_treatment: Date = Field(None, description="First day of treatment [RFXSTDTC]; restricted.")
    last_treatment: Date = Field(None, description="Last day of treatment [RFXENDTC]; restricted.")
    status: Text = Field(None, description="Screened, enrolled, completed, withdrawn, as the source has it.")
    died: Flag = Field(None, description="[DTHFL]")
    death: Date = Field(None, description="[DTHDTC]")


class Exposure(Payload):
    """A treatment given. Restricted as a whole: it says who gets what."""

    treatment: str = Field(description="[EXTRT]")
    category: Text = Field(None, description="[EXCAT]")
    dose: Number = Field(None, description="[EXDOSE]")
    dose_text: Text = Field(None, description="[EXDOSTXT]")
    dose_unit: Text = Field(None, description="[EXDOSU]")
    dose_form: Text = Field(None, description="[EXDOSFRM]")
    frequency: Text = Field(None, description="[EXDOSFRQ]")
    route: Text = Field(None, description="[EXROUTE]")
    visit: Text = Field(None, description="[VISIT]")
    visit_unblinding: VisitUnblinding = None
    occurred: Flag = Field(None, description="No, of a dose that was not given [EXOCCUR, ECOCCUR].")
    start: Date = Field(None, description="[EXSTDTC]")
    end: Date = Field(None, description="[EXENDTC]")


class Deviation(Payload):
    term: str = Field(description="What was not as the protocol has it [DVTERM].")
    decoded: Text = Field(None, description="[DVDECOD]")
    category: Text = Field(None, description="[DVCAT]", examples=["MAJOR", "ELIGIBILITY"])
    visit: Text = Field(None, description="[VISIT]")
    visit_unblinding: VisitUnblinding = None
    occurred: Flag = Field(None, description="No, of a criterion of eligibility that is met [IEORRES].")
    start: Date = Field(None, description="[DVSTDTC]")
    end: Date = Field(None, description="[DVENDTC]")


class Medication(Payload):
    """A medicine beside the treatment of the trial."""

    term: str = Field(description="As reported [CMTRT].")
    decoded: Text = Field(None, description="Standard name [CMDECOD].")
    category: Text = Field(None, description="[CMCAT, CMCLAS]")
    indication: Text = Field(None, description="[CMINDC]")
    dose: Number = Field(None, description="[CMDOSE]")
    dose_text: Text = Field(None, description="[CMDOSTXT]")
    dose_unit: Text = Field(None, description="[CMDOSU]")
    frequency: Text = Field(None, description="[CMDOSFRQ]")
    route: Text = Field(None, description="[CMROUTE]")
    occurred: Flag = Field(None, description="No, of what was asked for and not taken [CMOCCUR].")
    ongoing: Flag = Field(None, description="[CMENRTPT, CMENRF]")
    start: Date = Field(None, description="[CMSTDTC]")
    end: Date = Field(None, description="[CMENDTC]")


class History(Payload):
    """A condition from before the trial."""

    term: str = Field(description="As reported [MHTERM].")
    preferred_term: Text = Field(None, description="[MHDECOD]")
    system_organ_class: Text = Field(None, description="[MHBODSYS]")
    category: Text = Field(None, description="[MHCAT]")
    occurred: Flag = Field(None, description="[MHOCCUR]")
    ongoing: Flag = Field(None, description="[MHENRTPT, MHENRF]")
    start: Date = Field(None, description="[MHSTDTC]")
    end: Date = Field(None, description="[MHENDTC]")


class FilePayload(Payload):
    """A document that is its file or its note: nothing more is read."""

    model_config = ConfigDict(extra="allow", frozen=True)


PAYLOADS: Mapping[Kind, type[Payload]] = {
    Kind.LAB: Measurements,
    Kind.VITALS: Measurements,
    Kind.ECG: EcgPayload,
    Kind.QUESTIONNAIRE: Measurements,
    Kind.TUMOUR_RESPONSE: TumourResults,
    Kind.OTHER_RESULT: OtherResults,
    Kind.ADVERSE_EVENT: AdverseEvent,
    Kind.VISIT: Visit,
    Kind.DISPOSITION: Disposition,
    Kind.SUBJECT: Subject,
    Kind.EXPOSURE: Exposure,
    Kind.DEVIATION: Deviation,
    Kind.MEDICATION: Medication,
    Kind.HISTORY: History,
    Kind.IMAGING: FilePayload,
    Kind.LAB_SHEET: FilePayload,
    Kind.NOTE: FilePayload,
}
