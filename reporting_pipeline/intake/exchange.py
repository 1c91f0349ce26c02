"""Files of other standards for clinical data, told by their head: what they are, and what to do with them.

A FHIR resource is JSON as documents are, and ODM is XML as a define.xml is; neither is read.
"""

from __future__ import annotations

import re
from pathlib import Path

from reporting_pipeline.intake.content import UnreadableFile, content_of, head_of, text_of

_HEAD = 20_000  # bytes of JSON, characters of XML
_FHIR = re.compile(
    r'\A\s*(?:\[\s*)?\{[^{}\[\]]*"resourceType"\s*:\s*"(\w+)"|<(\w+)\s[^>]*"http://hl7\.org/fhir"'
)
_ODM = re.compile(r"<(?:\w+:)?ClinicalData\b")
_ODM_JSON = re.compile(r'\A\s*\{[^{}]*"(?:ODM|odm)"\s*:|"FileOID"[^{}]*"clinicalData"\s*:\s*\[')
_WHAT_TO_DO = "export it as SDTM, or as tables in CSV with a mapping (docs/importing.md)"


def exchange_format_of(path: Path) -> str | None:
    """What a file of JSON or XML is and what to do with it; None for one that is of no such standard."""
    if path.suffix.lower() not in (".json", ".ndjson", ".jsonl", ".xml"):
        return None
    try:
        text = text_of(content_of(path))[0] if path.suffix.lower() == ".xml" else head_of(path, _HEAD)[0]
    except UnreadableFile:
        return None
    if found := _FHIR.search(text[:_HEAD]):
        return f"it holds FHIR ({found[1] or found[2]}); {_WHAT_TO_DO}"
    is_odm = _ODM.search(text) if path.suffix.lower() == ".xml" else _ODM_JSON.search(text)
    return f"it holds ODM with clinical data; {_WHAT_TO_DO}" if is_odm else None
