"""Automated reports for clinical trials, on Dagster.

Read `definitions.py`, then `assets/`, then `domain/`.
"""

__version__ = "0.2.0"
