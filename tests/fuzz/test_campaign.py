"""The campaign finds each kind of failure, and goes on after it."""

import os
import sys
import time

import numpy as np
import pytest
from campaign import run_campaign


class SomeCasesFail:
    """A target of which each case fails in another way, and the last one does not."""

    def __init__(self, folder):
        self.kept = []

    def run_valid_files(self):
        """Accept all files."""

    def run(self, rng):
        """Fail in a way that depends on the random numbers."""
        kind = rng.integers(1000)
        if kind == KINDS["raises"]:
            raise KeyError("missing")
        if kind == KINDS["ends its process"]:
            os._exit(3)
        if kind == KINDS["does not end"]:
            time.sleep(60)
        if kind == KINDS["needs memory"]:
            self.kept.append(np.ones(2**27))  # 1 GiB


# The number that the generator of each case returns first.
_CASES = ("raises", "ends its process", "does not end", "needs memory", "succeeds")
KINDS = {
    name: int(np.random.default_rng([0, case]).integers(1000))
    for case, name in enumerate(_CASES)
}


class ValidFilesFail:
    """A target that does not even work with files that are not damaged."""

    def __init__(self, folder):
        pass

    def run_valid_files(self):
        """Reject all files."""
        raise ValueError("invalid")


def test_each_kind_of_failure_is_found_and_the_campaign_goes_on():
    """A fuzzer that misses a hang, a crash or a large allocation proves nothing."""
    n_run, failures = run_campaign(
        SomeCasesFail, 0, range(len(_CASES)), seconds=60, case_seconds=2
    )
    reason_of = {_CASES[failure.case]: failure.reason for failure in failures}

    assert n_run == len(_CASES)
    assert "succeeds" not in reason_of
    assert "KeyError: 'missing'" in reason_of["raises"]
    assert "exit code 3" in reason_of["ends its process"]
    assert "2 seconds" in reason_of["does not end"]
    if sys.platform == "linux":
        assert "MemoryError" in reason_of["needs memory"]


def test_a_target_must_accept_valid_files():
    """A target that refuses every file would never find a fault."""
    with pytest.raises(RuntimeError, match="ValidFilesFail"):
        run_campaign(ValidFilesFail, 0, range(3), seconds=60)
