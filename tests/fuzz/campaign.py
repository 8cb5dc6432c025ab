"""Run cases in child processes with limits of time and memory, and collect failures.

A case is a function of a target, a seed and a number, so that each failure can be
repeated. The child process announces each case before it runs it. The parent process
therefore knows which case has crashed or does not end.
"""

import multiprocessing
import os
import tempfile
import time
import traceback
from contextlib import suppress
from typing import NamedTuple

import numpy as np

_START_SECONDS = 120  # for the imports and the first files of a child process


class Failure(NamedTuple):
    """A case that failed, and why."""

    target: str
    seed: int
    case: int
    reason: str


def run_campaign(target_class, seed, cases, *, seconds, case_seconds=10, megabytes=512):
    """Run cases until `seconds` have passed, and return their number and the failures.

    A case fails if it raises, ends its process, runs longer than `case_seconds`, or
    needs more than `megabytes` of memory above the memory after the first imports.
    """
    stop_at = time.monotonic() + seconds
    n_run, failures, child = 0, [], None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        try:
            for case in cases:
                if time.monotonic() > stop_at:
                    break
                child = child or _Child(target_class, folder, seed, megabytes)
                reason = child.run(case, case_seconds)
                n_run += 1
                if reason is not None:
                    name = target_class.__name__
                    failures.append(Failure(name, seed, case, reason))
                if not child.is_alive():
                    child = None
        finally:
            if child is not None:
                child.kill()
    return n_run, failures


class _Child:
    """A process that runs cases of one target, one after the other."""

    def __init__(self, target_class, folder, seed, megabytes):
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve,
            args=(theirs, target_class, folder, seed, megabytes),
        )
        self._process.start()
        theirs.close()
        try:
            if not self._connection.poll(_START_SECONDS):
                raise TimeoutError
            self._connection.recv()
        except (EOFError, TimeoutError) as error:
            self.kill()
            name = target_class.__name__
            raise RuntimeError(f"{name} does not run with valid files.") from error

    def run(self, case, seconds):
        """Run a case, and return None or the reason of its failure."""
        try:
            self._connection.send(case)
            if not self._connection.poll(seconds):
                self.kill()
                return f"did not end within {seconds} seconds"
            return self._connection.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            self._process.join()
            return f"the process ended with exit code {self._process.exitcode}"

    def is_alive(self):
        return self._process.is_alive()

    def kill(self):
        self._process.kill()
        self._process.join()
        self._connection.close()


def _serve(connection, target_class, folder, seed, megabytes):
    """Run the cases whose numbers arrive, in the child process."""
    target = target_class(folder)
    target.run_valid_files()  # imports what a case needs
    _limit_memory(megabytes)
    # Decoders write remarks on each damaged file to the standard error stream.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    connection.send(None)
    with suppress(EOFError):  # the parent process has closed the connection
        while True:
            case = connection.recv()
            connection.send(_run_case(target, np.random.default_rng([seed, case])))


def _run_case(target, rng):
    try:
        target.run(rng)
    except BaseException:
        return traceback.format_exc()
    return None


def _limit_memory(megabytes):
    """Limit the memory of this process, where the system can do so."""
    try:
        import resource
        from pathlib import Path

        n_pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError):
        return
    limit = n_pages * resource.getpagesize() + megabytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
