"""Schedules, sensors and jobs: who starts what.

Belongs here: comparing what should be there with what is there, and asking Dagster for the rest. Does
not: the work itself (`assets`), when a subscription is due (`domain.schedules`, `domain.planning`).
"""
