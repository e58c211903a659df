"""Seeds for the differential tests, and small seeded damage to them.

Seeds are the vectors of `spec/vectors` and pickles of plain data at every
protocol, as written and as `pickletools.optimize` leaves them.
"""

from __future__ import annotations

import collections
import decimal
import pickle
import pickletools
import random
from typing import Any

import vectors

LARGEST_SEED = 4096
OPCODES = [opcode.code.encode("latin1") for opcode in pickletools.opcodes]


def plain_values() -> list[Any]:
    """Values whose pickles show every ordinary opcode."""
    import numpy

    shared = ["shared"]
    cycle: list[Any] = []
    cycle.append(cycle)
    return [
        None, True, 0, -1, 1 << 40, 1 << 2100, 1.5, "text", "caf\u00e9", "\ud800", b"bytes",
        bytearray(b"array"), (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], [1], list(range(1100)),
        {}, {"a": 1}, {number: str(number) for number in range(1100)}, {1, 2}, frozenset("ab"),
        [shared, shared], cycle, collections.OrderedDict(a=1), collections.Counter("abca"),
        collections.defaultdict(list, a=[1]), decimal.Decimal("1.5"), complex(1, 2), range(3),
        slice(1, 2), numpy.arange(6).reshape(2, 3), numpy.float32(1.5), len, int, "x" * 300,
    ]  # fmt: skip


def seeds() -> list[bytes]:
    """All seeds that are small enough to be varied."""
    found = [vector.data for vector in vectors.load()]
    for value in plain_values():
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            for dumps in (pickle.dumps, pickle._dumps):  # type: ignore[attr-defined]
                try:
                    data = dumps(value, protocol)
                except (pickle.PicklingError, TypeError):
                    continue
                found += [data, pickletools.optimize(data)]
    return list(dict.fromkeys(data for data in found if len(data) <= LARGEST_SEED))


def mutate(random_: random.Random, seed: bytes, other: bytes) -> bytes:
    """The seed with one to four small changes."""
    data = bytearray(seed)
    for _ in range(random_.randrange(1, 5)):
        place = random_.randrange(len(data) + 1)
        end = min(len(data), place + random_.randrange(1, 12))
        way = random_.randrange(8)
        if way == 0:
            del data[place:]
        elif way == 1:
            del data[place:end]
        elif way == 2:
            data[place:place] = data[place:end]
        elif way == 3:
            start = random_.randrange(len(other) + 1)
            data[place:place] = other[start : start + random_.randrange(1, 40)]
        elif way == 4 or not data:
            data[place:place] = random_.choice(OPCODES)
        elif way == 5:
            data[place % len(data)] = random_.randrange(256)
        elif way == 6:
            data[place % len(data)] ^= 1 << random_.randrange(8)
        else:
            data[place % len(data)] = random_.choice(OPCODES)[0]
    return bytes(data)
