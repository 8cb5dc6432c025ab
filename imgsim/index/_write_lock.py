"""Locks that serialize the changes of objects."""

from contextlib import AbstractContextManager
from threading import RLock
from weakref import WeakKeyDictionary

# Locks cannot be copied or pickled, so they are not attributes of the objects.
_locks: WeakKeyDictionary[object, AbstractContextManager[bool]] = WeakKeyDictionary()


def write_lock(changed: object) -> AbstractContextManager[bool]:
    """Return the lock that a thread holds while it changes an object."""
    return _locks.setdefault(changed, RLock())
