"""Marks sentences for the catalogues where they stand in a table and are said later."""

from __future__ import annotations


def N_(message: str) -> str:
    """The sentence as it is: whoever shows it says it in the reader's language."""
    return message
