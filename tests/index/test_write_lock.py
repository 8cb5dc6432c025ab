"""Tests of the lock of changes."""

import copy
import gc
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from imgsim import SimilarityIndex
from imgsim.index import _write_lock
from imgsim.index._write_lock import write_lock


def test_each_object_has_one_lock():
    """Changes of different indexes do not wait for each other."""
    index = SimilarityIndex()

    assert write_lock(index) is write_lock(index)
    assert write_lock(index) is not write_lock(copy.copy(index))


def test_locks_do_not_outlive_their_objects():
    """A service may load thousands of indexes."""
    n_before = len(_write_lock._locks)

    write_lock(SimilarityIndex())
    gc.collect()

    assert len(_write_lock._locks) <= n_before


def test_an_index_is_copied_and_pickled_while_it_is_changed():
    """A lock cannot be copied."""
    index = SimilarityIndex().fit(np.eye(3))

    with write_lock(index), ThreadPoolExecutor(1) as pool:
        copied = pool.submit(copy.deepcopy, index).result()
        unpickled = pool.submit(lambda: pickle.loads(pickle.dumps(index))).result()
        found = pool.submit(index.search, n_neighbors=1).result()

    assert copied.add(np.ones((1, 3))).n_samples_fit_ == 4
    assert unpickled.add(np.ones((1, 3))).n_samples_fit_ == 4
    assert len(found.ids) == 3
