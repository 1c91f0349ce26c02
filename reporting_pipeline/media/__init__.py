"""Verdicts on files and small pictures of them, from bytes. Treats every file as hostile.

Belongs here: what must open a file, in child processes with limits. Does not: where files come from or go to
(`stores`, `assets`), how a picture stands on a page (`reports`).
"""
