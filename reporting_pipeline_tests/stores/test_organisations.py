"""How an organisation's reports look, as far as the bucket has it."""

from __future__ import annotations

from typing import Any

import pytest

from reporting_pipeline.domain.branding import Branding
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.organisations import branding_of


def test_a_logo_whose_file_is_gone_stops_no_report_and_is_told(
    objects: ObjectStore, caplog: pytest.LogCaptureFixture
) -> None:
    logo: dict[str, Any] = {"sha256": "ab" * 32, "key": "logos/x/ab.jpg", "width": 320, "height": 200}
    record = {"_id": "org_1", "report_colour": "#5b2a86", "logo": logo}
    assert branding_of(record, objects) == Branding("#5b2a86")
    assert "the logo of organisation org_1 is not in the bucket" in caplog.text
    objects.put(logo["key"], b"jpeg", "image/jpeg")
    assert branding_of(record, objects) == Branding.of(record) != Branding("#5b2a86")
