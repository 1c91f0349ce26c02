"""An invented oncology trial at eight sites in eight countries, so that trials, sites and scripts vary.

Nothing here was collected from anybody: every document is marked synthetic. A week's documents follow
from its Monday alone (60 to 100 of all kinds), so the trial goes on for as long as somebody loads it,
and a later load adds what has arrived since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.samples.files import WeekOfFiles, local_instant, pending
from reporting_pipeline.samples.seeds import seeded
from reporting_pipeline.stores.documents import (
    Arrival,
    Ingested,
    document_id,
    ingest_many,
    upsert_trial,
)
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.objects import ObjectStore

TRIAL = "SYN-ONC-02"
WEEKS = 14  # closed weeks that a first load brings
FIRST_DOSE = date(2026, 1, 5)  # a Monday; cycles are counted from here
SUBJECTS_PER_SITE = 7
FILES_PER_WEEK = 14


@dataclass(frozen=True)
class SyntheticSite:
    id: str
    name: str
    conventional_units: bool  # reports mg/dL and g/dL; the standard units are SI
    notes: Sequence[str]


SITES: Sequence[SyntheticSite] = (
    SyntheticSite(
        "BER-1",
        "Studienzentrum Spreebogen, Berlin",
        True,
        (
            "Übelkeit Grad 1 nach der Infusion, am nächsten Morgen abgeklungen.",
            "Größe und Gewicht überprüft; Dosis unverändert.",
        ),
    ),
    SyntheticSite(
        "CAI-1",
        "مركز وادي النيل للأورام، القاهرة",
        False,
        (
            "أبلغ المريض عن غثيان خفيف بعد الجلسة الثالثة (Cycle 3)، ولم يحتج إلى علاج.",
            "تم سحب عينة الدم الساعة 09:30 وإرسالها إلى المختبر المركزي.",
        ),
    ),
    SyntheticSite(
        "HFA-1",
        "מרכז הכרמל לאונקולוגיה, חיפה",
        False,
        (
            "המטופלת דיווחה על עייפות קלה; אין שינוי במינון (75 mg).",
            "בדיקת הדם נדחתה ליום שלישי בשל חג.",
        ),
    ),
    SyntheticSite(
        "TYO-1",
        "東京みなと腫瘍センター",
        False,
        (
            "軽度の倦怠感あり。投与量の変更なし。次回は11月24日に来院予定。",
            "採血は左腕から実施。検体は正午に中央検査室へ送付した。",
        ),
    ),
    SyntheticSite(
        "SEL-1",
        "한강종양연구센터, 서울",
        False,
        (
            "2주기 투여 후 식욕 부진이 있었으나 호전됨.",
            "심전도는 10분 휴식 후 다시 측정함.",
        ),
    ),
    SyntheticSite(
        "DEL-1",
        "यमुना कैंसर अनुसंधान केंद्र, दिल्ली",
        True,
        (
            "रोगी को हल्का बुखार था, अगले दिन सामान्य हो गया।",
            "दवा की खुराक में कोई बदलाव नहीं; डायरी पूरी है।",
        ),
    ),
    SyntheticSite(
        "ATH-1",
        "Κέντρο Ογκολογίας Αιγαίου, Αθήνα",
        False,
        (
            "Ήπια ναυτία μετά την έγχυση, χωρίς ανάγκη θεραπείας.",
            "Η επίσκεψη μετατέθηκε κατά δύο ημέρες, εντός του παραθύρου.",
        ),
    ),
    SyntheticSite(
        "BUE-1",
        "Centro Oncológico del Río de la Plata, Buenos Aires",
        True,
        (
            "El paciente refiere náuseas leves; no requirió medicación.",
            "Se repitió la extracción a las 11 h; muestra enviada al laboratorio central.",
        ),
    ),
)
_SITES = {site.id: site for site in SITES}


@dataclass(frozen=True)
class Test:
    """A laboratory test or vital sign, in standard units; `factor` times original is standard."""

    code: str
    name: str
    category: str
    mean: float
    spread: float
    low: float | None
    high: float | None
    unit: str
    conventional_unit: str = ""
    factor: float = 1.0


LABS: Sequence[Test] = (
    Test("WBC", "Leukocytes", "HEMATOLOGY", 5.6, 2.0, 4.0, 10.0, "10^9/L", "THOU/uL"),
    Test("NEUT", "Neutrophils", "HEMATOLOGY", 3.2, 1.4, 1.8, 7.5, "10^9/L", "THOU/uL"),
    Test("HGB", "Hemoglobin", "HEMATOLOGY", 122, 13, 120, 160, "g/L", "g/dL", 10.0),
    Test("PLAT", "Platelets", "HEMATOLOGY", 215, 60, 150, 400, "10^9/L", "THOU/uL"),
    Test("ALT", "Alanine Aminotransferase", "CHEMISTRY", 31, 16, 7, 45, "U/L", "U/L"),
    Test("AST", "Aspartate Aminotransferase", "CHEMISTRY", 29, 13, 8, 40, "U/L", "U/L"),
    Test("BILI", "Bilirubin", "CHEMISTRY", 11, 4.5, 3, 21, "umol/L", "mg/dL", 17.1),
    Test("CREAT", "Creatinine", "CHEMISTRY", 78, 15, 50, 104, "umol/L", "mg/dL", 88.4),
    Test("CRP", "C Reactive Protein", "CHEMISTRY", 7, 6, 0, 10, "mg/L", "mg/dL", 10.0),
    Test("CEA", "Carcinoembryonic Antigen", "TUMOR MARKER", 6.0, 4.5, 0, 5, "ug/L", "ng/mL"),
)
VITALS: Sequence[Test] = (
    Test("SYSBP", "Systolic Blood Pressure", "SITTING", 128, 14, None, None, "mmHg"),
    Test("DIABP", "Diastolic Blood Pressure", "SITTING", 78, 9, None, None, "mmHg"),
    Test("PULSE", "Pulse Rate", "SITTING", 76, 11, None, None, "beats/min"),
    Test("TEMP", "Temperature", "", 36.8, 0.4, None, None, "C"),
    Test("WEIGHT", "Weight", "", 71, 12, None, None, "kg"),
)
DETECTION_LIMIT = 0.5  # of CEA; below it the result is text

#: term, system organ class, how often, how often serious (in a hundred)
EVENTS: Sequence[tuple[str, str, int, int]] = (
    ("Nausea", "Gastrointestinal disorders", 16, 1),
    ("Vomiting", "Gastrointestinal disorders", 7, 4),
    ("Diarrhoea", "Gastrointestinal disorders", 9, 3),
    ("Fatigue", "General disorders and administration site conditions", 14, 0),
    ("Pyrexia", "General disorders and administration site conditions", 5, 8),
    ("Neutropenia", "Blood and lymphatic system disorders", 10, 6),
    ("Febrile neutropenia", "Blood and lymphatic system disorders", 2, 90),
    ("Anaemia", "Blood and lymphatic system disorders", 7, 3),
    ("Alopecia", "Skin and subcutaneous tissue disorders", 6, 0),
    ("Rash", "Skin and subcutaneous tissue disorders", 7, 1),
    ("Neuropathy peripheral", "Nervous system disorders", 6, 2),
    ("Headache", "Nervous system disorders", 4, 0),
    ("Decreased appetite", "Metabolism and nutrition disorders", 6, 0),
    ("Alanine aminotransferase increased", "Investigations", 4, 2),
    ("Pneumonia", "Infections and infestations", 2, 70),
    ("Cough", "Respiratory, thoracic and mediastinal disorders", 5, 0),
)

#: How many of a week's documents are of each kind, from and to; files come on top.
MIX = {
    Kind.LAB: (15, 22),
    Kind.VITALS: (12, 20),
    Kind.ADVERSE_EVENT: (8, 15),
    Kind.VISIT: (11, 19),
    Kind.DISPOSITION: (1, 4),
}
_DAYS = (21, 22, 22, 20, 12, 2, 1)  # Monday to Sunday, in a hundred
Payload = tuple[str, dict[str, Any]]  # title, data


def load(
    database: Database,
    objects: ObjectStore,
    *,
    organisation: str,
    timezone: str,
    now: datetime,
    progress: Callable[[int], None] = lambda done: None,
) -> Ingested:
    """Take in the last 14 closed weeks and what has arrived of the running one by `now`."""
    upsert_trial(database, trial_record(organisation))
    zone = ZoneInfo(timezone)
    last = Period.last_closed(Cadence.WEEKLY, now, timezone).start
    mondays = [last - timedelta(weeks=back) for back in range(WEEKS - 1, -2, -1)]

    def arrivals() -> Iterator[Arrival]:
        for monday in mondays:
            week = list(week_records(organisation, monday, zone))
            yield from (Arrival(record) for record in week if record["received_at"] <= now)
            files = WeekOfFiles(TRIAL, monday, week, zone, "chest", note_of_site)
            yield from pending(database, files.documents(FILES_PER_WEEK, faults=False), now)

    return ingest_many(database, objects, arrivals(), now, progress=progress)


def trial_record(organisation: str) -> Record:
    """The trial as `stores.documents.upsert_trial` takes it."""
    return {
        "_id": TRIAL,
        "organisation": organisation,
        "title": "Oravestat with chemotherapy in advanced non-small cell lung cancer (synthetic trial)",
        "sponsor": "Invented Oncology Group",
        "phase": "Phase III Trial",
        "therapeutic_area": "Oncology",
        "sites": [{"id": site.id, "name": site.name} for site in SITES],
        "synthetic": True,
        "shifted_weeks": 0,
    }


def note_of_site(chance: Random, site: str) -> str:
    """A note in the language of the site."""
    return chance.choice(_SITES[site].notes)


def week_records(organisation: str, monday: date, zone: ZoneInfo) -> Iterator[Record]:
    """All documents without files that arrive in the week of `monday`, in the order of kinds."""
    chance = seeded(TRIAL, monday)
    for kind, (fewest, most) in MIX.items():
        for number in range(chance.randint(fewest, most)):
            yield _record(organisation, kind, monday, number, zone)


def _record(organisation: str, kind: Kind, monday: date, number: int, zone: ZoneInfo) -> Record:
    chance = seeded(TRIAL, kind, monday, number)
    site = chance.choice(SITES)
    subject = f"{site.id}-{chance.randint(1, SUBJECTS_PER_SITE):03d}"
    arrived = monday + timedelta(days=chance.choices(range(7), _DAYS)[0])
    collected = arrived - timedelta(days=chance.choice((0, 0, 0, 1, 1, 2)))
    title, data = _PAYLOADS[kind](chance, site, subject, collected)
    with_note = kind is Kind.ADVERSE_EVENT and chance.random() < 0.25
    return {
        "_id": document_id(TRIAL, kind, monday.isoformat(), str(number)),
        "organisation": organisation,
        "trial": TRIAL,
        "site": site.id,
        "subject": subject,
        "kind": kind.value,
        "title": title,
        "received_at": local_instant(arrived, chance.randint(7 * 60, 18 * 60), zone),
        "collected": collected.isoformat(),
        "note": note_of_site(chance, site.id) if with_note else None,
        "synthetic": True,
        "data": data,
        "file": None,
    }


def _laboratory(chance: Random, site: SyntheticSite, subject: str, collected: date) -> Payload:
    tests = [test for test in LABS if test.category == "HEMATOLOGY" or chance.random() < 0.75]
    results = [_result(chance, test, site, subject) for test in tests]
    return f"Laboratory results, {_cycle(subject, collected)}", {"results": results}


def _vital_signs(chance: Random, site: SyntheticSite, subject: str, collected: date) -> Payload:
    results = [_result(chance, test, site, subject) for test in VITALS]
    return f"Vital signs, {_cycle(subject, collected)}", {"results": results}


def _result(chance: Random, test: Test, site: SyntheticSite, subject: str) -> dict[str, Any]:
    usual = seeded(TRIAL, subject, test.code).gauss(test.mean, test.spread * 0.7)
    value = round(max(test.mean * 0.06, chance.gauss(usual, test.spread * 0.5)), 1)
    conventional = site.conventional_units and bool(test.conventional_unit)
    factor = test.factor if conventional else 1.0
    below = test.code == "CEA" and value < DETECTION_LIMIT
    original = f"{value / factor:.4g}"
    indicator = ""
    if test.low is not None and test.high is not None:
        indicator = "LOW" if value < test.low else "HIGH" if value > test.high else "NORMAL"
    return {
        "test_code": test.code,
        "test": test.name,
        "category": test.category,
        "original_result": f"<{DETECTION_LIMIT}" if below else original,
        "original_unit": test.conventional_unit if conventional else test.unit,
        "value": None if below else value,
        "unit": test.unit,
        "low": test.low,
        "high": test.high,
        "indicator": indicator,
        "text_result": f"<{DETECTION_LIMIT}" if below else "",
    }


def _adverse_event(chance: Random, site: SyntheticSite, subject: str, collected: date) -> Payload:
    term, organ_class, _, serious_share = chance.choices(EVENTS, [event[2] for event in EVENTS])[0]
    serious = chance.random() * 100 < serious_share
    severity = "SEVERE" if serious else chance.choices(("MILD", "MODERATE", "SEVERE"), (62, 31, 7))[0]
    started = collected - timedelta(days=chance.randint(0, 24))
    over = chance.random() < 0.45
    start = started.isoformat()
    return term, {
        "term": term,
        "preferred_term": term,
        "system_organ_class": organ_class,
        "severity": severity,
        "serious": serious,
        "related": chance.choices(("NONE", "POSSIBLE", "PROBABLE"), (35, 40, 25))[0],
        "outcome": "RECOVERED/RESOLVED" if over else "NOT RECOVERED/NOT RESOLVED",
        "start": start[:7] if chance.random() < 0.05 else start,
        "end": collected.isoformat() if over else "",
    }


def _visit(chance: Random, site: SyntheticSite, subject: str, collected: date) -> Payload:
    planned = chance.random() < 0.85
    name = _cycle(subject, collected) if planned else "Unscheduled visit"
    day = collected.isoformat()
    number = float(_cycle_number(subject, collected)) if planned else None
    return name, {"visit": name, "visit_number": number, "start": day, "end": day, "planned": planned}


def _disposition(chance: Random, site: SyntheticSite, subject: str, collected: date) -> Payload:
    decoded, category = chance.choice(
        (
            ("RANDOMIZED", "PROTOCOL MILESTONE"),
            ("INFORMED CONSENT OBTAINED", "PROTOCOL MILESTONE"),
            ("COMPLETED", "DISPOSITION EVENT"),
            ("PROGRESSIVE DISEASE", "DISPOSITION EVENT"),
            ("WITHDRAWAL BY SUBJECT", "DISPOSITION EVENT"),
        )
    )
    data = {"term": decoded, "decoded": decoded, "category": category, "start": collected.isoformat()}
    return decoded.capitalize(), data


_PAYLOADS: dict[Kind, Callable[[Random, SyntheticSite, str, date], Payload]] = {
    Kind.LAB: _laboratory,
    Kind.VITALS: _vital_signs,
    Kind.ADVERSE_EVENT: _adverse_event,
    Kind.VISIT: _visit,
    Kind.DISPOSITION: _disposition,
}


def _cycle_number(subject: str, day: date) -> int:
    """Three-week cycles; subjects started in different weeks."""
    weeks = (day - FIRST_DOSE).days // 7 - seeded(TRIAL, subject, "start").randint(0, 24)
    return max(1, weeks // 3 + 1)


def _cycle(subject: str, day: date) -> str:
    return f"Cycle {_cycle_number(subject, day)}"
