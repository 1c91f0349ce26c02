"""Trial ids as keys: of Dagster's partitions and of objects in S3.

Trials have the ids that their sponsors gave them, in any script and with any sign. What a key cannot hold
is written as `~` and two hexadecimal digits for each byte of its UTF-8: "TRIAL 01" is `TRIAL~2001`.
"""

from __future__ import annotations

import re

#: Characters of a key. Dagster gives a meaning to "|", ",", "..." and others, S3 and URLs to more.
LONGEST_KEY = 250
_ESCAPED = re.compile(r"~([0-9A-F]{2})")
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.")


def trial_key(trial: str) -> str:
    """The dimension key of a trial's id; another for each id, and the id itself where that can be one.

    ValueError when the id is empty, no text, or makes a key longer than LONGEST_KEY.
    """
    if not isinstance(trial, str) or not trial:
        raise ValueError(f"trial id {trial!r} cannot be a partition key: it must be a text that is not empty")
    key = "".join(
        character if _may_stand(character, before) else _escaped(character)
        for before, character in zip(("", *trial), trial, strict=False)
    )
    if len(key) > LONGEST_KEY:
        raise ValueError(
            f"trial id {trial[:60]!r}... cannot be a partition key: it makes {len(key)} characters, "
            f"and {LONGEST_KEY} is the limit; give the trial a shorter id"
        )
    return key


def usable_trial_key(trial: str) -> str | None:
    """`trial_key`, or None where there is none: such a trial is left out, and nobody else waits for it."""
    try:
        return trial_key(trial)
    except ValueError:
        return None


def _may_stand(character: str, before: str) -> bool:
    """Letters and digits may, and after the first character "_", "-" and "."; never two dots together."""
    if character not in _PLAIN:
        return False
    return character.isalnum() or (before != "" and not (character == before == "."))


def _escaped(character: str) -> str:
    return "".join(f"~{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))


def trial_of(key: str) -> str:
    """The id of a trial's dimension key. ValueError for what `trial_key` never gives."""
    plain = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), key)
    try:
        trial = plain.encode("latin-1").decode("utf-8", "surrogatepass")
        if trial_key(trial) == key:
            return trial
    except ValueError:  # what cannot be encoded or decoded is one, too
        pass
    raise ValueError(f"{key[:120]!r} is not the partition key of a trial")
