"""Lookup of the slots of rows by id."""

from collections.abc import Hashable, Iterable

_LEAST_RATIO = 8  # of the lengths of one dictionary and the next


class SlotLookup:
    """The slot in which each id was added last; never changes.

    Parameters
    ----------
    parts : sequence of dict
        Slots by id. Later dictionaries take precedence. They must not be changed.
    """

    def __init__(self, *parts: dict[Hashable, int]) -> None:
        self._parts = parts

    def extended(self, ids: Iterable[Hashable], first_slot: int) -> "SlotLookup":
        """Return a lookup that also contains ids in consecutive slots.

        Each dictionary is much longer than the next one, so that few of them are
        searched, and each id is copied only a few times.
        """
        parts = self._parts
        added = {name: slot for slot, name in enumerate(ids, first_slot)}
        while parts and len(parts[-1]) <= _LEAST_RATIO * len(added):
            added = {**parts[-1], **added}
            parts = parts[:-1]
        return SlotLookup(*parts, added)

    def find(self, ids: Iterable[Hashable]) -> list[int | None]:
        """Return the slot of each id, or None for an unknown id."""
        names = list(ids)
        slots: list[int | None] = [None] * len(names)
        for part in self._parts:
            if not part.keys().isdisjoint(names):  # faster, and true for new ids
                pairs = zip(names, slots, strict=True)
                slots = [part.get(name, slot) for name, slot in pairs]
        return slots
