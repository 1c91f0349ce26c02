"""Schedules, sensors and jobs: who starts what."""
