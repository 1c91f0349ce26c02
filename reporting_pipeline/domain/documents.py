"""The shape of a document record: what arrives in MongoDB's `documents` collection.

_id           str, "doc_" + 24 hex characters
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
data          dict, the payload of its kind (`Kind` says which keys)
file          dict | None: {key, name, size, sha256, content_type}; key is the S3 key
"""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """Document kinds and the keys of their payload `data`.

    lab, vitals    results: list of {test_code, test, category, original_result: str,
                   original_unit: str, value: float | None, unit: str, low: float | None,
                   high: float | None, indicator: "NORMAL" | "LOW" | "HIGH" | "ABNORMAL" | "",
                   text_result: str}. value, unit, low and high are in standard units.
    adverse_event  term, preferred_term, system_organ_class, severity: MILD | MODERATE | SEVERE | "",
                   serious: bool, related, outcome, start, end (ISO 8601, possibly partial)
    visit          visit, visit_number: float | None, start, end, planned: bool
    disposition    term, decoded, category, start
    ecg, imaging, lab_sheet, note   file documents; data may be {}
    """

    LAB = "lab"
    VITALS = "vitals"
    ADVERSE_EVENT = "adverse_event"
    VISIT = "visit"
    DISPOSITION = "disposition"
    ECG = "ecg"
    IMAGING = "imaging"
    LAB_SHEET = "lab_sheet"
    NOTE = "note"

    @property
    def label(self) -> str:
        """The kind in words, for a reader."""
        return {
            "lab": "Laboratory results",
            "vitals": "Vital signs",
            "adverse_event": "Adverse events",
            "visit": "Visits",
            "disposition": "Dispositions",
            "ecg": "ECG strips",
            "imaging": "Images",
            "lab_sheet": "Lab sheets",
            "note": "Notes",
        }[self.value]
