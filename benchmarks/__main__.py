"""Every benchmark, small: python -m benchmarks. Shows that they work; figures need the real sizes.

Each runs in a process of its own, so that peaks of memory are its own. Ends with 1 when one failed.
"""

from __future__ import annotations

import subprocess
import sys

SMALL: dict[str, list[str]] = {
    "render": ["--bodies", "4", "--sample", "1"],
    "aggregate": ["--documents", "2000", "--trials", "4"],
    "large_trial": ["--rows", "9000"],
    "due": ["--schedules", "200", "--due", "20"],
    "batch": ["--documents", "500"],
    "api": ["--subscriptions", "100", "--seconds", "0.2"],
    "console": ["--subscriptions", "500", "--times", "1"],
    "kill_delivery": ["--deliveries", "24"],
    "lineage": ["--partitions", "1000", "--storage", "sqlite"],
    "rows": ["--rows", "20000", "--format", "xlsx"],
    "scale": [],
    "run_now": ["--repeats", "1", "--trials", "2"],
    "edition": ["--subscriptions", "20", "--trials", "2", "--single-runs", "1", "--plain-reports", "3"],
}


def main() -> int:
    failed = []
    for name, arguments in SMALL.items():
        print(f"# python -m benchmarks.{name} {' '.join(arguments)}", file=sys.stderr, flush=True)
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}", *arguments], check=False, stderr=subprocess.PIPE
        )
        if done.returncode:
            failed.append(name)
            sys.stderr.write(done.stderr.decode(errors="replace")[-4000:])
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
