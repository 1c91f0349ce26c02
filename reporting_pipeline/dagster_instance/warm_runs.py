"""A run launcher for one machine whose runs start warm; dagster.yaml names it.

Dagster's default launcher has the code server start a new Python for each run, and importing Dagster, pandas
and the pipeline costs such a process seconds of CPU before its first line of work. Here the daemon keeps
Python's own fork server (`multiprocessing`, start method `forkserver`), which has imported the modules of
`preload` once; each run is a fork of it that does what every launcher's process does: the program
`dagster api execute_run`.

A run that nobody waits for can be made to leave the processors to those that somebody does (`niceness`): its
process takes what the others leave, and all of it where there are none.

A run carries its process as a tag, so that whoever opens the instance on this machine (the webserver, a new
daemon) can end it or ask whether it lives. Linux and macOS; elsewhere leave the launcher out of dagster.yaml.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from importlib.util import find_spec
from multiprocessing.connection import Connection
from typing import Any, Self

import psutil
from dagster import Array, DagsterInstance, DagsterRun, Field, Shape
from dagster._config.config_schema import UserConfigSchema
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, RunLauncher, WorkerStatus
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import ConfigurableClass, ConfigurableClassData

#: Tag of a run: "PID/seconds since the epoch at which that process began".
PROCESS_TAG = "reporting/process"
#: What a run's program imports besides the modules of `preload`: the daemon's own program, since Python runs
#: the main module of the process that asks for a fork again in each of them.
_PROGRAMS = ("dagster._cli", "dagster._cli.api", "dagster._daemon.cli")


class WarmRunLauncher(RunLauncher[DagsterInstance], ConfigurableClass):
    """Launches each run as a fork of a process that has imported the modules of `preload`.

    `niceness` are the `key` and `value` of a tag and `by` how much nicer than the daemon the processes of
    runs with that tag are (0 to 19, as the command `nice` has it).
    Raises ValueError when a module is not installed.
    """

    def __init__(
        self,
        preload: Sequence[str] = (),
        niceness: Mapping[str, Any] | None = None,
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        for module in preload:
            if find_spec(module) is None:
                raise ValueError(f"run_launcher: no module named {module} to preload")
        self._inst_data = inst_data
        self._forks = multiprocessing.get_context("forkserver")
        self._preload = [*preload, *_PROGRAMS]
        self._niceness = niceness
        super().__init__()  # type: ignore[no-untyped-call]

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        return {
            "preload": Field(
                Array(str), is_required=False, default_value=[], description="Modules that runs need"
            ),
            "niceness": Field(
                Shape({"key": str, "value": str, "by": int}),
                is_required=False,
                description="Runs with this tag leave the processors to the others",
            ),
        }

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        return cls(inst_data=inst_data, **config_value)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Start the run's process. It begins when its tag is written, and not at all without."""
        run, instance = context.dagster_run, self._instance
        origin = run.job_code_origin
        if origin is None:
            raise ValueError(f"run {run.run_id} does not say where its job is defined")
        arguments = ExecuteRunArgs(origin, run.run_id, instance.get_ref(), set_exit_code_on_failure=True)
        command = arguments.get_command_args()
        self._forks.set_forkserver_preload(self._preload)  # heeded when the fork server starts
        may_begin, begin = self._forks.Pipe(duplex=False)
        with may_begin, begin:
            process = self._forks.Process(
                target=_execute,
                args=(list(command[command.index("api") :]), may_begin, self._niceness_of(run)),
                name=run.run_id,
            )
            process.start()
            instance.add_run_tags(run.run_id, {PROCESS_TAG: _named(psutil.Process(process.pid))})
            begin.send(None)
        threading.Thread(target=self._await, args=(process, run.run_id), daemon=True).start()

    def _niceness_of(self, run: DagsterRun) -> int:
        wanted = self._niceness
        return int(wanted["by"]) if wanted and run.tags.get(wanted["key"]) == wanted["value"] else 0

    def _await(self, process: multiprocessing.process.BaseProcess, run_id: str) -> None:
        """Report the run of a process that ended without saying how: it was killed."""
        process.join()
        run = self._instance.get_run_by_id(run_id) if self.has_instance else None
        if run is not None and not run.is_finished:
            self._instance.report_run_failed(run, _end_of(process.exitcode))

    def terminate(self, run_id: str) -> bool:
        """Interrupt the run's process, as Ctrl-C does; False when it has none on this machine."""
        run = self._instance.get_run_by_id(run_id) if self.has_instance else None
        if run is None or run.is_finished:
            return False
        self._instance.report_run_canceling(run)
        process = _process_of(run)
        if process is None:
            self._instance.report_engine_event("The run has no process any more.", run, cls=type(self))
            return False
        process.send_signal(signal.SIGINT)
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        if _process_of(run) is None:
            return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "the process of the run has ended")
        return CheckRunHealthResult(WorkerStatus.RUNNING)


def _execute(arguments: list[str], may_begin: Connection, niceness: int) -> None:
    """In the fork: be the `dagster` program with these arguments, once the launcher says so."""
    with may_begin:
        try:
            may_begin.recv()
        except EOFError:  # the launcher has died before it wrote down whose process this is
            return
    os.nice(niceness)
    sys.argv = ["dagster", *arguments]
    (program,) = entry_points(group="console_scripts", name="dagster")
    program.load()()


def _named(process: psutil.Process) -> str:
    return f"{process.pid}/{process.create_time():.2f}"


def _process_of(run: DagsterRun) -> psutil.Process | None:
    """The living process that a run's tag names; None for one whose number another process has by now."""
    named = run.tags.get(PROCESS_TAG, "")
    try:
        process = psutil.Process(int(named.partition("/")[0]))
        alive = _named(process) == named and process.status() != psutil.STATUS_ZOMBIE
    except (ValueError, psutil.NoSuchProcess):
        return None
    return process if alive else None


def _end_of(code: int | None) -> str:
    if code is not None and code < 0:
        return f"The process of the run was killed by {signal.Signals(-code).name}."
    return f"The process of the run ended with code {code} before the run was over."
