"""Whether the papers of a release name the same packages: hashes, bill of materials, licences.

    python .ci/release_papers.py dist/release

Each is written by another tool, and each of those leaves packages out for reasons of its own.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

OWN = "reporting-pipeline"


def problems(folder: Path) -> Iterator[str]:
    """What is wrong with the papers of a release, a line each; nothing where all is well."""
    hashed = _named(
        re.findall(r"^([\w.-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", _text(folder, "requirements.txt"), re.MULTILINE)
    )
    bill = json.loads(_text(folder, "sbom.cdx.json"))
    listed = _named((one["name"], one["version"]) for one in bill["components"])
    licences = json.loads(_text(folder, "licences.json"))
    licensed = _named((one["Name"], one["Version"]) for one in licences)
    if not hashed:
        yield "requirements.txt names no package"
    for paper, found in (("sbom.cdx.json", listed), ("licences.json", licensed)):
        yield from (f"{paper} lacks {name} {version}" for name, version in sorted(hashed - found))
        yield from (f"{paper} alone names {name} {version}" for name, version in sorted(found - hashed))
    unknown = sorted(one["Name"] for one in licences if one["License"].strip().upper() in ("", "UNKNOWN"))
    yield from (f"the licence of {name} is unknown" for name in unknown)


def _text(folder: Path, name: str) -> str:
    return (folder / name).read_text(encoding="utf-8")


def _named(pairs: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """(name as packages are compared, version) of all but the product itself."""
    named = {(re.sub(r"[-_.]+", "-", name).lower(), version) for name, version in pairs}
    return {(name, version) for name, version in named if name != OWN}


if __name__ == "__main__":
    wrong = list(problems(Path(sys.argv[1])))
    for line in wrong:
        print(line, file=sys.stderr)
    sys.exit(bool(wrong))
