"""Who is one person. A subject is (trial, site, subject): numbers as "001" are given at every site anew.

Where the number names its site ("01-701-1015" at site 701, the form of USUBJID) it is unique in the
trial, and stays one person when it occurs at another site: somebody who moved. A document that names no
site belongs to the person of that number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

#: What stands for a site where a document names none.
UNKNOWN_SITE = "unknown"
_PARTS = re.compile(r"[^A-Za-z0-9]+")


def persons(pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """A number for each person by (site, subject), from 1; equal numbers are one person. "" is nobody: 0.

    The numbers follow from the pairs, in whatever order they come.
    """
    sites: dict[str, set[str]] = {}
    for site, subject in pairs:
        sites.setdefault(subject, set()).add(site)
    numbers: dict[tuple[str, str], int] = {}
    last = 0
    for subject in sorted(sites):
        if not subject.strip():
            numbers.update(((site, subject), 0) for site in sites[subject])
            continue
        last += 1
        named = sorted(sites[subject] - {"", UNKNOWN_SITE})
        together = is_one_person(subject, named)
        for place, site in enumerate(named):
            if place and not together:
                last += 1
            numbers[site, subject] = last
        for unnamed in sites[subject] & {"", UNKNOWN_SITE}:
            numbers[unnamed, subject] = numbers[named[0], subject] if named else last
    return numbers


def standing(pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], tuple[str, str]]:
    """(site, subject) as rows name it -> the one under which that person stands, once.

    Of several it is the last of `pairs` that names a site. What names no site stays by itself where the
    number means several persons: whose it is would be guessed.
    """
    given = list(pairs)
    sites: dict[str, list[str]] = {}
    for site, subject in given:
        if site not in ("", UNKNOWN_SITE):
            sites.setdefault(subject, []).append(site)
    return {
        (site, subject): (sites[subject][-1], subject)
        if subject in sites and is_one_person(subject, set(sites[subject]))
        else (site, subject)
        for site, subject in given
    }


def is_one_person(subject: str, sites: Iterable[str]) -> bool:
    """Whether a subject number that occurs at all of `sites` (not "") means one person."""
    sites = list(sites)
    return len(sites) < 2 or not set(_PARTS.split(subject)).isdisjoint(sites)
