"""The criteria of seriousness, and how forms name them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from reporting_pipeline.domain.clinical import codes

#: ICH E2A: what makes an event serious. Name -> SDTM's variable, then other spellings; the last three are
#: criteria of SDTM (21 CFR 803.3 and older forms) beside those of ICH.
CRITERIA: Mapping[str, tuple[str, ...]] = {
    "death": ("AESDTH", "FATAL", "RESULTS IN DEATH", "RESULTED IN DEATH", "DIED"),
    "life_threatening": ("AESLIFE", "IS LIFE THREATENING"),
    "hospitalisation": (
        "AESHOSP",
        "HOSPITALIZATION",
        "PROLONGED HOSPITALISATION",
        "PROLONGED HOSPITALIZATION",
        *("HOSPITALISED", "HOSPITALIZED", "INPATIENT HOSPITALISATION", "INPATIENT HOSPITALIZATION"),
        *("REQUIRED INPATIENT HOSPITALISATION", "REQUIRED INPATIENT HOSPITALIZATION"),
        "INPATIENT HOSPITALISATION OR PROLONGATION OF EXISTING HOSPITALISATION",
        "INPATIENT HOSPITALIZATION OR PROLONGATION OF EXISTING HOSPITALIZATION",
    ),
    "disability": (
        *("AESDISAB", "INCAPACITY", "DISABILITY OR INCAPACITY", "DISABILITY INCAPACITY"),
        *("PERSISTENT OR SIGNIFICANT DISABILITY", "PERSISTENT OR SIGNIFICANT DISABILITY INCAPACITY"),
        "PERSISTENT OR SIGNIFICANT DISABILITY OR INCAPACITY",
    ),
    "congenital_anomaly": (
        *("AESCONG", "CONGENITAL ANOMALY OR BIRTH DEFECT", "CONGENITAL ANOMALY BIRTH DEFECT"),
        "BIRTH DEFECT",
    ),
    "other_medically_important": (
        *("AESMIE", "OTHER MEDICALLY IMPORTANT EVENT", "MEDICALLY IMPORTANT", "IMPORTANT MEDICAL EVENT"),
        *("OTHER IMPORTANT MEDICAL EVENT", "MEDICALLY IMPORTANT EVENT", "MEDICALLY SIGNIFICANT"),
    ),
    "needs_intervention": (
        "AESINTV",
        "REQUIRED INTERVENTION",
        "REQUIRES INTERVENTION",
        "NEEDS INTERVENTION TO PREVENT IMPAIRMENT",
    ),
    "cancer": ("AESCAN", "INVOLVES CANCER"),
    "overdose": ("AESOD", "OCCURRED WITH OVERDOSE"),
}
_CRITERION = {
    spelling: name
    for name, others in CRITERIA.items()
    for spelling in (name.upper().replace("_", " "), *others)
}


def read_criterion(text: str) -> str | None:
    """One of CRITERIA, None for a text that names none."""
    named = _CRITERION.get(codes.folded(re.sub("[_/-]", " ", text)))
    return named or ("death" if codes.says_subject_died(text) else None)
