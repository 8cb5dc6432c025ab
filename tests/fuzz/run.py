"""Fuzz imgsim: damage valid files at random, and check the results.

Run `python tests/fuzz/run.py --help` for the options.
"""

import argparse
import os
import secrets
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count

from campaign import run_campaign
from targets import TARGETS

_MAX_SHOWN_CHARACTERS = 3000  # of a reason


def main():
    """Run the targets, and print the failures."""
    options = _parse_options()
    cases = partial(count, 1) if options.case is None else lambda: [options.case]
    n_processes = min(os.cpu_count() or 1, len(options.targets))
    seconds = options.seconds * n_processes / len(options.targets)
    with ThreadPoolExecutor(n_processes) as pool:
        campaigns = [
            pool.submit(
                run_campaign, TARGETS[name], options.seed, cases(), seconds=seconds
            )
            for name in options.targets
        ]
    results = [campaign.result() for campaign in campaigns]
    for name, (n_run, failures) in zip(options.targets, results, strict=True):
        print(f"{name}: {n_run} cases, {len(failures)} failures")
        _print_failures(name, failures)
    sys.exit(any(failures for _, failures in results))


def _parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "targets",
        nargs="*",
        metavar="target",
        help=f"{', '.join(TARGETS)}; all by default",
    )
    parser.add_argument("--seconds", type=float, default=120, help="duration")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    parser.add_argument("--case", type=int, help="run only the case with this number")
    options = parser.parse_args()
    options.targets = options.targets or list(TARGETS)
    if unknown := set(options.targets) - TARGETS.keys():
        parser.error(f"{', '.join(unknown)} is not one of {', '.join(TARGETS)}.")
    return options


def _print_failures(name, failures):
    """Print one failure for each last line of the reasons, and how to repeat it."""
    failures_of = defaultdict(list)
    for failure in failures:
        failures_of[failure.reason.strip().rpartition("\n")[2]].append(failure)
    for same in failures_of.values():
        first = same[0]
        print(
            f"\n{len(same)} failures such as {name} --seed {first.seed} --case "
            f"{first.case}:\n{first.reason.strip()[-_MAX_SHOWN_CHARACTERS:]}"
        )


if __name__ == "__main__":
    main()
