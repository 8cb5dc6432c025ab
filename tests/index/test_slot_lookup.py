"""Tests of the lookup of slots by id."""

import random

from imgsim.index._slot_lookup import SlotLookup


def test_each_lookup_finds_the_last_slot_of_each_id():
    """A lookup does not change when another one is made from it."""
    generator = random.Random(0)
    lookup, expected, n_slots, history = SlotLookup(), {}, 0, []

    for _ in range(300):
        ids = generator.sample(range(200), generator.choice([0, 1, 1, 1, 7, 40]))
        lookup = lookup.extended(ids, n_slots)
        expected = {**expected, **{name: n_slots + i for i, name in enumerate(ids)}}
        n_slots += len(ids)
        history.append((lookup, expected))

    for known, slots in history:
        assert known.find(range(201)) == [slots.get(name) for name in range(201)]


def test_few_dictionaries_are_searched():
    """A lookup must be fast after many rows were added one by one."""
    lookup = SlotLookup(dict.fromkeys(range(1000), 0))

    for slot in range(1000, 3000):
        lookup = lookup.extended([slot], slot)

    assert len(lookup._parts) < 12
