"""Whether a file is the report that was made, and whether the same report comes out again."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from rich.console import Console

from reporting_pipeline.cli.operate.stores import open_stores
from reporting_pipeline.cli.plain import plain_errors
from reporting_pipeline.domain.proof import (
    BESIDE,
    Envelope,
    ProofUnreadable,
    ProofVerdict,
    read_key_set,
    verdict_on,
)
from reporting_pipeline.settings import current_settings
from reporting_pipeline.stores.person_keys import wrapping_keys
from reporting_pipeline.stores.proof_keys import signing_keys

console = Console()
#: The exit code of each answer.
EXIT = {
    ProofVerdict.GENUINE: 0,
    ProofVerdict.ALTERED: 2,
    ProofVerdict.FORGED: 2,
    ProofVerdict.UNKNOWN_KEY: 3,
}
NO_MANIFEST = 4
NOT_EQUAL = 2
_SAID = {
    ProofVerdict.GENUINE: "[bold green]genuine:[/] the file is the one that was made and signed",
    ProofVerdict.ALTERED: "[bold red]altered:[/] the manifest is signed, and speaks of another file",
    ProofVerdict.FORGED: "[bold red]altered:[/] the manifest is not the one that was signed",
    ProofVerdict.UNKNOWN_KEY: "[bold yellow]unknown key:[/] signed with a key that is not among those given",
}
_SHOWN = ("report", "cadence", "period", "report_type", "audience", "data_as_of", "rendered_at", "product")


def verify(
    file: Annotated[Path, typer.Argument(help="The report, in any format.", exists=True, dir_okay=False)],
    manifest: Annotated[
        Path | None, typer.Option(help="Its signed manifest; default: FILE.manifest.json beside it.")
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(help="Public keys, as /.well-known/report-keys.json has them; default: this home's."),
    ] = None,
) -> None:
    """Say whether a file is genuine, offline. Exit 0 genuine, 2 altered, 3 unknown key, 4 no manifest."""
    with plain_errors():
        beside = manifest or file.with_name(file.name + BESIDE)
        if not beside.is_file():
            console.print(
                f"no manifest: {beside} is not there. Whoever may read the report gets it in the console, or "
                "from /api/report-manifests/REPORT",
                highlight=False,
                soft_wrap=True,
            )
            raise typer.Exit(NO_MANIFEST)
        envelope = _envelope(beside)
        digest, size = _digest(file)
        verdict = verdict_on(digest, size, envelope, _keys(keys))
        console.print(_SAID[verdict], highlight=False, soft_wrap=True)
        if verdict is ProofVerdict.UNKNOWN_KEY:
            console.print(f"its key is {envelope.key}; rely on nothing that it says", highlight=False)
        elif verdict is not ProofVerdict.FORGED:
            told = envelope.manifest
            for name in _SHOWN:
                if told.get(name):
                    console.print(f"  {name.replace('_', ' ')}: {told[name]}", highlight=False, markup=False)
            if verdict is ProofVerdict.ALTERED:
                console.print(f"  the manifest's SHA-256: {told['sha256']}", highlight=False, markup=False)
                console.print(f"  the file's SHA-256: {digest}", highlight=False, markup=False)
        if EXIT[verdict]:
            raise typer.Exit(EXIT[verdict])


def reproduce_command(
    report: Annotated[str, typer.Argument(help="The report's id, as printed on it: rep_…")],
) -> None:
    """Make a report again from its snapshots. Exit 0 the same bytes, 2 they differ, 1 it cannot be made."""
    # Only here: what draws reports, and Dagster.
    from reporting_pipeline.assets.scope import PRODUCT
    from reporting_pipeline.usecases.reproduce import NotReproducible, reproduce

    with plain_errors():
        stores = open_stores()
        cache = stores.settings.home / "cache" / "thumbnails"
        try:
            found = reproduce(
                stores.database, stores.objects, report, PRODUCT, cache, wrapping_keys(stores.settings)
            )
        except NotReproducible as problem:
            raise ValueError(str(problem)) from None
        if found.equal:
            console.print(f"equal: {found.again}", highlight=False)
            return
        console.print("[bold red]not equal[/]", highlight=False)
        for name, digest in (("recorded", found.recorded), ("stored", found.stored), ("again", found.again)):
            console.print(f"  {name}: {digest or 'gone'}", highlight=False)
        for one in found.differences:
            console.print(f"  {one}", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(NOT_EQUAL)


def _envelope(path: Path) -> Envelope:
    try:
        envelope = Envelope.read(path.read_bytes())
        _ = envelope.manifest
    except ProofUnreadable as problem:
        raise ValueError(f"{path} is no manifest of a report: {problem}") from None
    return envelope


def _keys(path: Path | None) -> dict[str, Ed25519PublicKey]:
    if path is None:
        return dict(signing_keys(current_settings()).public)
    try:
        return read_key_set(path.read_bytes())
    except OSError as problem:
        raise ValueError(f"--keys: {path} cannot be read: {problem.strerror}") from None
    except ProofUnreadable as problem:
        raise ValueError(f"--keys: {path}: {problem}") from None


def _digest(path: Path) -> tuple[str, int]:
    """SHA-256 in hexadecimal, and bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size
