"""Where an asset's code is, for Dagster's UI: a page of the repository, or else a file of this machine."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dagster import (
    AnchorBasedFilePathMapping,
    link_code_references_to_git,
    with_source_code_references,
)

import reporting_pipeline
from reporting_pipeline.settings import Settings, source_tree


def leading_to_their_source(assets: Sequence[Any], settings: Settings) -> list[Any]:
    """Assets with the file and line of their function; external ones, which have none, as they are.

    With `REPORTING_SOURCE_URL` on that page of the repository. The place in the repository follows from the
    package's own folder, so that an installed wheel leads there, too.
    """
    known = with_source_code_references(assets)
    if settings.source_url is None:
        return list(known)
    repository, revision, platform = source_tree(settings.source_url)
    anchor = Path(reporting_pipeline.__file__)
    return list(
        link_code_references_to_git(
            known,
            git_url=repository,
            git_branch=revision,
            platform=platform,
            file_path_mapping=AnchorBasedFilePathMapping(anchor, f"{anchor.parent.name}/{anchor.name}"),
        )
    )
