"""Verdicts on files and small pictures of them, from bytes. Treats every file as hostile."""
