"""The shape of a document record: what arrives in MongoDB's `documents` collection.

_id           str, "doc_" + 24 hex characters
external_id   str, the caller's own id; "" when the caller gave none
organisation  str, who owns it
trial, site   str, opaque ids without "|" or ","
subject       str, e.g. "01-701-1015"; "" when the document is about no subject
kind          str, one of `Kind`
title         str, one line
received_at   datetime UTC, when it arrived; decides the period it belongs to
updated_at    datetime UTC, last write; a later value makes a failed dataset worth another try
collected     str, the ISO 8601 date as collected, possibly partial: "2003", "2013-05", ""
note          str | None, free text by the site
synthetic     bool, True when generated rather than collected
data          dict, the payload of its kind: the models of `domain.clinical.payloads`
file          dict | None: {key, name, size, sha256, content_type}; key is the S3 key
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Kind(StrEnum):
    """Document kinds. `domain.clinical.payloads.PAYLOADS` has the payload `data` of each."""

    LAB = "lab"
    VITALS = "vitals"
    ADVERSE_EVENT = "adverse_event"
    VISIT = "visit"
    DISPOSITION = "disposition"
    SUBJECT = "subject"
    EXPOSURE = "exposure"  # says who gets what: restricted
    QUESTIONNAIRE = "questionnaire"
    TUMOUR_RESPONSE = "tumour_response"
    OTHER_RESULT = "other_result"  # of any other examination, which its domain names
    DEVIATION = "deviation"
    MEDICATION = "medication"
    HISTORY = "history"
    ECG = "ecg"  # measurements, a strip as a file, or both
    IMAGING = "imaging"
    LAB_SHEET = "lab_sheet"
    NOTE = "note"

    @property
    def label(self) -> str:
        """The kind in words, for a reader."""
        return _LABELS[self]


_LABELS = {
    Kind.LAB: "Laboratory results",
    Kind.VITALS: "Vital signs",
    Kind.ADVERSE_EVENT: "Adverse events",
    Kind.VISIT: "Visits",
    Kind.DISPOSITION: "Dispositions",
    Kind.SUBJECT: "Subjects",
    Kind.EXPOSURE: "Exposure",
    Kind.QUESTIONNAIRE: "Questionnaires",
    Kind.TUMOUR_RESPONSE: "Tumour responses",
    Kind.OTHER_RESULT: "Other results",
    Kind.DEVIATION: "Protocol deviations",
    Kind.MEDICATION: "Medications",
    Kind.HISTORY: "Medical history",
    Kind.ECG: "ECGs",
    Kind.IMAGING: "Images",
    Kind.LAB_SHEET: "Lab sheets",
    Kind.NOTE: "Notes",
}


_EXTENSION = re.compile(r"\.([A-Za-z0-9]{1,10})\Z")
_SAME_TYPE = {"jpeg": "jpg", "jpe": "jpg", "tif": "tiff", "text": "txt", "dicom": "dcm", "heif": "heic"}


@dataclass(frozen=True)
class FileVerdict:
    """What became of one document's file."""

    status: Literal["ok", "not_inspected", "missing", "corrupt"]
    reason: str  # for a clinician: what is wrong and what to do, or why it was not opened; a remark when ok
    file_type: str  # lower-case extension without the dot, "" without one


def file_type_of(name: str) -> str:
    """The lower-case extension of `name` without the dot ("scan.JPEG" is "jpg"); "" when it has none.

    Only ASCII letters and digits count, so the result is safe in a key, a filter or a page.
    """
    match = _EXTENSION.search(name.strip())
    return same_file_type(match[1]) if match else ""


def same_file_type(extension: str) -> str:
    """The one name of a file type that has several: "JPEG", "jpe" and "jpg" are "jpg"."""
    lowered = extension.strip().lower().lstrip(".")
    return _SAME_TYPE.get(lowered, lowered)
