"""A module that says in which process it was imported; `test_warm_runs` has it preloaded."""

import os

IMPORTED_IN = os.getpid()
