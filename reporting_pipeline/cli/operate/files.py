"""The files that a deployment starts from, printed: dagster.yaml for Postgres or Celery, alert rules, …"""

from __future__ import annotations

from typing import Annotated

import typer

from reporting_pipeline.cli.deploy_files import deploy_file, names
from reporting_pipeline.cli.plain import plain_errors


def files(
    name: Annotated[str | None, typer.Argument(help="Which file; without it all are listed.")] = None,
) -> None:
    """List the files of deploy/ that came with this installation, or print one."""
    with plain_errors():
        if name is None:
            typer.echo("\n".join(names()))
        else:
            typer.echo(deploy_file(name).read_text(encoding="utf-8"), nl=False)
