"""Tests of groups of copies."""

import json
from pathlib import Path

import numpy as np

from imgsim import find_duplicates


def test_to_dict_can_be_written_as_json():
    """A script can then move the extra copies, whatever its language."""
    X = np.array([[0.0, 1.0], [1.0, 0.0], [0.1, 1.0], [0.0, 1.0]], dtype=np.float32)
    ids = [Path("zoo") / name for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg")]
    (group,) = find_duplicates(X, max_distance=0.1, ids=ids)

    content = json.loads(json.dumps(group.to_dict(), allow_nan=False))

    assert content.pop("distance") == float(group.distance)
    assert content == {
        "ids": ["zoo/a.jpg", "zoo/c.jpg", "zoo/d.jpg"],
        "rows": [0, 2, 3],
        "kept": "zoo/a.jpg",
        "extra": ["zoo/c.jpg", "zoo/d.jpg"],
        "farthest_pair": ["zoo/a.jpg", "zoo/c.jpg"],
        "exact_copies": [["zoo/a.jpg", "zoo/d.jpg"]],
    }
