"""Four workers of the sidecar, each a process on a port of its own: python -m ...four_workers

Prints the ports as one JSON line once all listen, and ends with its standard input. The four are forks of a
process that has imported what they need and opened nothing; so four cost about what one does.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys

import uvicorn

from reporting_pipeline.sidecar import app_from_environment

WORKERS = 4


def main() -> None:
    listening = [socket.create_server(("127.0.0.1", 0)) for _ in range(WORKERS)]
    children = [_forked(one) for one in listening]
    sys.stdout.write(json.dumps([one.getsockname()[1] for one in listening]) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _forked(listening: socket.socket) -> int:
    child = os.fork()
    if child:
        return child
    try:
        config = uvicorn.Config(app_from_environment, factory=True, log_level="error", ws="none")
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        os._exit(1)


if __name__ == "__main__":
    main()
