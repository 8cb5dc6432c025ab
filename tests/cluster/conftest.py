"""Fixtures that the tests of clustering share."""

import pytest
from threadpoolctl import ThreadpoolController

_CONTROLLER = ThreadpoolController()


@pytest.fixture(autouse=True)
def _one_openmp_thread():
    """Use one thread, because threads wait for each other longer than they work.

    The collections are so small that starting threads takes most of the time.
    """
    with _CONTROLLER.limit(limits=1, user_api="openmp"):
        yield
