"""Numbered steps that bring a database from one version of the product to the next, and back.

How to add one:

1. Write `m0002_what_it_does.py` beside this file with a `STEP = Step(...)`:

   - `up(database, beat)` changes the records in bounded batches and returns how many it changed. It may be
     killed at any moment and is then begun again from its start: taken twice it changes nothing more
     (select the records that still have the old shape). Call `beat()` after each batch: it keeps the lock,
     and raises when another process took over.
   - `count(database)` says how many records `up` would change, for `--dry-run`.
   - `down(database, beat)` takes it back, for the version before; or leave it out and say in
     `not_reversible` why (then `migrate --to` below it is refused before anything is touched).

2. Append it to STEPS in `steps.py`, and set SCHEMA_VERSION in `stores/schema.py` to its number.
3. Write a test that inserts records of the old shape, and runs `up`, `up` again, and `down`
   (`reporting_pipeline_tests/operations/test_migrations.py` has examples).

What happens then: a new, empty database is at the newest step at once. An older one is refused by every
process until `reporting-pipeline migrate` has run; `dev` and `demo` run it themselves. Old code refuses a
newer database, so stop the deployment, migrate, start the new version; to go back, `migrate --to N` with
the new version, then start the old one. A step sees the whole database and works for all organisations.

Indexes need no step of their own: `migrate`, and each process as it starts, makes what `INDEXES`
(`stores/mongo.py`) names and is missing, and removes what `RETIRED` names. One that changes its meaning
gets a new name, and the old one is retired.
A unique index that standing records may break needs a step that mends them first.
"""

from reporting_pipeline.operations.migrations.running import Move, Moved, migrate, moves
from reporting_pipeline.operations.migrations.step import Step

__all__ = ["Move", "Moved", "Step", "migrate", "moves"]
