"""YAML whose values are texts as they were written, with the line of each.

A code list that says {1: LOW, no: HIGH} means the texts "1" and "no", and a site 0701 is no number. A key
that stands twice in one object is refused: other readers keep the last in silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

Place = tuple[str | int, ...]  # keys and positions, from the outside in
_NULL = frozenset({"", "~", "null"})  # without quotation marks
_MOST_PLACES = 100_000


class YamlProblem(ValueError):
    """A text that is no such YAML. The message begins with the line, to be put behind the file's name."""


@dataclass(frozen=True)
class WithLines:
    """A value of YAML, and where its parts stand."""

    value: Any
    lines: dict[Place, int]  # from 1

    def where(self, place: Sequence[str | int]) -> str:
        """ ", line 7, tables[0].kind"; of what is not there, the line of what it is missing in."""
        known = tuple(place)
        while known and known not in self.lines:
            known = known[:-1]
        named = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
        line = f", line {self.lines[known]}" if known in self.lines else ""
        return f"{line}, {named.removeprefix('.')}" if named else line


def texts_of(text: str) -> WithLines:
    """The value of `text`: texts, None, lists and objects. Raises YamlProblem."""
    lines: dict[Place, int] = {}
    try:
        node = yaml.compose(text, yaml.BaseLoader)
        return WithLines(None if node is None else _value(node, (), lines), lines)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise YamlProblem(f"{line}: is no YAML ({error.problem})") from None
    except yaml.YAMLError as error:
        raise YamlProblem(f": is no YAML ({' '.join(str(error).split())[:200]})") from None
    except RecursionError:
        raise YamlProblem(": is nested too deeply") from None


def _value(node: yaml.Node, place: Place, lines: dict[Place, int]) -> Any:
    lines.setdefault(place, node.start_mark.line + 1)
    if len(lines) > _MOST_PLACES:
        raise YamlProblem(f": has more than {_MOST_PLACES:,} values; a mapping needs a few")
    if isinstance(node, yaml.ScalarNode):
        return None if node.style is None and node.value in _NULL else node.value
    if isinstance(node, yaml.SequenceNode):
        return [_value(one, (*place, number), lines) for number, one in enumerate(node.value)]
    made: dict[str, Any] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise YamlProblem(f", line {line}: a key is no text")
        if key.value in made:
            raise YamlProblem(f", line {line}: the key {key.value!r} stands twice in one object")
        lines[*place, key.value] = line
        made[key.value] = _value(value, (*place, key.value), lines)
    return made
