"""Tests of the conversion of results to JSON."""

import json
from datetime import date
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from imgsim.export._json_value import to_json_value

_MIXED = np.array([Path("a/b.jpg"), None, ("x", np.int8(1))], dtype=object)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.int32(3), 3),
        (np.uint64(2**63), 2**63),
        (np.float32(0.5), 0.5),
        (np.longdouble(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.array(7), 7),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array([True, False]), [True, False]),
        (np.array([0.5, np.nan, np.inf, -np.inf]), [0.5, None, None, None]),
        (_MIXED, ["a/b.jpg", None, ["x", 1]]),
        (np.datetime64("2024-05-01T10:00:00", "ns"), "2024-05-01T10:00:00.000000000"),
        (date(2024, 5, 1), "2024-05-01"),
        (Fraction(1, 4), 0.25),
        (float("nan"), None),
        (Path("a/b.jpg"), "a/b.jpg"),
        (b"a/b.jpg", "a/b.jpg"),
        ((1, {2}), [1, [2]]),
        (range(3), [0, 1, 2]),
        ({np.int64(1): np.float64("nan")}, {"1": None}),
        (1j, "1j"),
        ("Łódź", "Łódź"),
        (True, True),
        (None, None),
    ],
    ids=str,
)
def test_every_value_can_be_written_as_json(value, expected):
    """Ids are whatever the user passed, and JSON has few types."""
    converted = to_json_value(value)

    assert json.loads(json.dumps(converted, allow_nan=False)) == expected
