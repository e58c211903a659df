"""Plain data is never an alarm: no global, no unresolvable name, at any protocol."""

from __future__ import annotations

import pickle
import pickletools

from hypothesis import given, settings
from hypothesis import strategies as st

from ask import ask_command

ATOMS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=300)
)
KEYS = st.integers() | st.text(max_size=8) | st.tuples(st.booleans(), st.text(max_size=3))
VALUES = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=5)
    ),
    max_leaves=20,
)
ALARMS = ("pickle.global", "pickle.divergent", "pickle.limit", "pickle.malformed", "pickle.trunc")


@settings(max_examples=150, deadline=None, database=None, derandomize=True)
@given(values=st.lists(VALUES, min_size=5, max_size=20))
def test_plain_data(command: str, values: list[object]) -> None:
    """Pickles of plain data, as written by C and Python and as optimised."""
    streams = []
    for value in values:
        # Protocols 0 to 2 write bytes as a call of `codecs.encode`: not plain.
        for protocol in range(3 if holds_bytes(value) else 0, pickle.HIGHEST_PROTOCOL + 1):
            written = pickle.dumps(value, protocol)
            streams += [written, pickletools.optimize(written)]
            streams.append(pickle._dumps(value, protocol))  # type: ignore[attr-defined]
    for stream, reply in zip(streams, ask_command(command, streams)):
        assert reply["error"] is None, stream
        assert reply["globals"] == [], stream
        assert not [rule for rule in reply["rules"] if rule.startswith(ALARMS)], stream


def holds_bytes(value: object) -> bool:
    """True when a byte string is anywhere inside."""
    if isinstance(value, dict):
        return any(holds_bytes(inner) for inner in value.values())
    if isinstance(value, (list, tuple)):
        return any(holds_bytes(inner) for inner in value)
    return isinstance(value, bytes)
