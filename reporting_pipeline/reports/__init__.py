"""Report types and their output formats. Knows nothing of Dagster.

Belongs here: what a type shows, and the writers of each format; the same inputs give the same bytes.
Does not: what a figure means (`domain.figures`), who gets a report, where it is kept, how it is sent.
"""
