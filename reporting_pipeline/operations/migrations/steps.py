"""The steps in their order. The last one's number is SCHEMA_VERSION."""

from reporting_pipeline.operations.migrations import (
    m0001_first,
    m0002_entitlements,
    m0003_names_to_search,
    m0004_awaiting_release,
)
from reporting_pipeline.operations.migrations.step import Step

STEPS: tuple[Step, ...] = (
    m0001_first.STEP,
    m0002_entitlements.STEP,
    m0003_names_to_search.STEP,
    m0004_awaiting_release.STEP,
)
