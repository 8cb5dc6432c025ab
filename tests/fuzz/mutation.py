"""Seeded mutations of bytes and of JSON-like values."""

import zlib

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Sizes, counts and offsets in a header are where parsers fail.
_SPECIAL_NUMBERS = (
    0,
    1,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    2**31 - 1,
    2**32 - 1,
)
_SPECIAL_VALUES = (
    None, True, -1, 0, 2**63, 2**200, 1e308, float("nan"),
    "", "\0", "\udc80", "x" * 1000, [], {}, [[]], {"": None},
)  # fmt: skip


def mutate_bytes(rng, content, others):
    """Return `content` after one to six random changes; `others` are spliced in."""
    content = bytearray(content)
    for _ in range(rng.integers(1, 7)):
        change = _CHANGES[rng.integers(len(_CHANGES))]
        change(rng, content, others)
    if content.startswith(_PNG_SIGNATURE) and rng.random() < 0.8:
        return _with_valid_checksums(bytes(content))
    return bytes(content)


def mutate_value(rng, value):
    """Return a JSON-like value, of which one random part is replaced or removed."""
    if isinstance(value, dict | list) and value and rng.random() < 0.85:
        changed = value.copy()
        keys = list(value) if isinstance(value, dict) else range(len(value))
        key = keys[rng.integers(len(keys))]
        if rng.random() < 0.15:
            del changed[key]
        else:
            changed[key] = mutate_value(rng, value[key])
        return changed
    if isinstance(value, int | float) and rng.random() < 0.5:
        return value + int(rng.integers(-2, 3))
    return _SPECIAL_VALUES[rng.integers(len(_SPECIAL_VALUES))]


def _flip_bit(rng, content, others):
    if content:
        content[_position(rng, content)] ^= 1 << rng.integers(8)


def _set_number(rng, content, others):
    width = int(rng.choice([1, 2, 4]))
    order = ("little", "big")[rng.integers(2)]
    number = _SPECIAL_NUMBERS[rng.integers(len(_SPECIAL_NUMBERS))] % 256**width
    start = _position(rng, content)
    content[start : start + width] = number.to_bytes(width, order)


def _truncate(rng, content, others):
    del content[_position(rng, content) :]


def _delete(rng, content, others):
    start = _position(rng, content)
    del content[start : start + int(rng.integers(1, 64))]


def _repeat(rng, content, others):
    start = _position(rng, content)
    part = content[start : start + int(rng.integers(1, 64))]
    content[start:start] = part * int(rng.integers(1, 20))


def _randomize(rng, content, others):
    start = _position(rng, content)
    n = min(int(rng.integers(1, 32)), len(content) - start)
    content[start : start + n] = rng.bytes(max(n, 0))


def _clear(rng, content, others):
    start = _position(rng, content)
    n = min(int(rng.integers(1, 256)), len(content) - start)
    content[start : start + n] = bytes(max(n, 0))


def _splice(rng, content, others):
    other = others[rng.integers(len(others))]
    content[_position(rng, content) :] = other[_position(rng, other) :]


_CHANGES = (
    *(_flip_bit, _flip_bit, _set_number, _set_number, _truncate),
    *(_delete, _repeat, _randomize, _clear, _splice),
)


def _position(rng, content):
    """Return a random position. Half of them are in the first 256 bytes, the header."""
    n = len(content)
    if rng.random() < 0.5:
        n = min(n, 256)
    return int(rng.integers(max(n, 1)))


def _with_valid_checksums(png):
    """Repair the checksums of the chunks, so that the decoder reads what they hold."""
    parts, start = [png[:8]], 8
    while start + 12 <= len(png):
        length = int.from_bytes(png[start : start + 4], "big")
        stop = start + 8 + length
        if stop + 4 > len(png):
            break
        checksum = zlib.crc32(png[start + 4 : stop]).to_bytes(4, "big")
        parts += [png[start:stop], checksum]
        start = stop + 4
    return b"".join([*parts, png[start:]])
