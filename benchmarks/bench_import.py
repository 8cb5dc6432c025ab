"""Seconds to import imgsim in a new interpreter, compared with `sklearn.neighbors`.

Importing scikit-learn is the lower bound, because imgsim depends on it. The goal is a
ratio of at most 1.2. Both imports alternate, so that a busy machine slows down both.
"""

import subprocess
import sys
from statistics import median

import pytest

N_RUNS = 15
STATEMENTS = {"imgsim": "import imgsim", "baseline": "import sklearn.neighbors"}


def _seconds(statement):
    code = (
        "import time; start = time.perf_counter(); "
        f"{statement}; print(time.perf_counter() - start)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    return float(done.stdout)


@pytest.mark.benchmark(group="import, seconds, one process")
@pytest.mark.parametrize("name", STATEMENTS)
def bench_import(benchmark, name):
    """Time the whole run of an interpreter, including its start."""
    benchmark.pedantic(
        subprocess.run,
        args=([sys.executable, "-c", STATEMENTS[name]],),
        kwargs={"check": True},
        rounds=N_RUNS,
        warmup_rounds=1,
    )


@pytest.mark.benchmark(group="import, ratio to the baseline")
def bench_import_ratio(benchmark):
    """Time the import statements alternately, and report the ratio of medians."""
    seconds = {name: [] for name in STATEMENTS}

    def run_alternately():
        for name, statement in STATEMENTS.items():
            seconds[name].append(_seconds(statement))

    benchmark.pedantic(run_alternately, rounds=N_RUNS, warmup_rounds=1)
    medians = {name: median(times) for name, times in seconds.items()}
    ratio = medians["imgsim"] / medians["baseline"]
    benchmark.extra_info.update(medians, ratio=ratio)
    print(
        f"\nimport imgsim {medians['imgsim']:.3f} s, sklearn.neighbors "
        f"{medians['baseline']:.3f} s, ratio {ratio:.3f}"
    )
