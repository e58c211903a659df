"""The oracle sees what it must see, and runs nothing. Needs no command of ours."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from ask import ask_batch, ask_oracle, pythons
from conftest import note
from generate import generate
from mutate import mutate, seeds
from oracle import COMPUTED, EXTENSION

CASES = {
    "global": (b"cos\nsystem\n.", ("os", "system")),
    "python 2 name stays raw": (b"\x80\x02c__builtin__\neval\n.", ("__builtin__", "eval")),
    "inst": (b"(ios\nsystem\n.", ("os", "system")),
    "obj": (b"(cos\nsystem\no.", ("os", "system")),
    "stack_global": (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", ("os", "system")),
    "memo": (b"\x8c\x02osq\x05\x8c\x06system\x9400h\x05h\x01\x93.", ("os", "system")),
    "after a call": (b"ca\nb\n)R0cos\nsystem\n.", ("os", "system")),
    "after newobj": (b"ca\nb\n)\x81}b0cos\nsystem\n.", ("os", "system")),
    "after newobj_ex": (b"ca\nb\n)}\x920cos\nsystem\n.", ("os", "system")),
    "after build and items": (b"ca\nb\n)R}bNaNNs(NNe(NNu0cos\nsystem\n.", ("os", "system")),
    "before it breaks": (b"cos\nsystem\n\xff", ("os", "system")),
    "second pickle": (b"N.N.cos\nsystem\n.", ("os", "system")),
    "memo kept by the second pickle": (b"Vos\np7\n.g7\nVsystem\n\x93.", ("os", "system")),
    "computed by a call": (b"ca\nb\n)RVsystem\n\x93.", (COMPUTED, "system")),
    "computed by a persistent id": (b"PX\nVsystem\n\x93.", (COMPUTED, "system")),
    "string with escapes": (b"S'o\\x73'\nVsyst\\u0065m\n\x93.", ("os", "system")),
    "string that needs latin1": (b"S'\\xe9'\nVx\n\x93.", ("\u00e9", "x")),
    "string that needs utf-8": (b"S'\\xc3\\xa9'\nVx\n\x93.", ("\u00e9", "x")),
    "base prefix": (b"I0x10\n0L0b1_0L\n0cos\nsystem\n.", ("os", "system")),
    "extension": (b"\x82\x01.", (EXTENSION, "code1")),
}


@pytest.mark.parametrize("python", pythons())
def test_it_sees_every_way_to_ask(python: str) -> None:
    """Each case's global is asked for, in every CPython at hand."""
    streams = [stream for stream, _ in CASES.values()]
    answers = ask_oracle(streams, seed=0, mode="full", python=python)
    assert answers.breaches == 0
    for (name, (_, pair)), asked in zip(CASES.items(), answers.asked):
        assert asked is not None, name
        assert pair in {(module, name) for module, name, _ in asked}, name


def test_it_sees_a_payload_behind_the_end_of_a_frame() -> None:
    """cpython#154848: an argument that crosses a frame's end is read anew outside of it.

    The C unpickler on a file takes the ten bytes from after the frame and comes
    to the payload; `loads` takes five of them from inside, and reads the last
    five as the head of a string that holds the payload.
    """
    payload = b"cos\nsystem\n"
    body = b"X\x0a\x00\x00\x00inner"
    outside = b"outer" + b"X" + struct.pack("<I", len(payload))
    stream = b"\x80\x04\x95" + struct.pack("<Q", len(body)) + body + outside + payload + b"."
    (found,) = ask_batch(pythons()[0], [stream], 0, "full").asked
    assert found is not None
    assert [entry[:2] for entry in found] == [("os", "system")]
    assert found[0][2].startswith("c/")
    assert "whole" not in found[0][2]


def test_nothing_runs(tmp_path: Path) -> None:
    """A payload that would leave a mark leaves none, whoever reads it."""
    mark = tmp_path / "mark"
    order = f"touch {mark}".encode()
    argument = b"X" + struct.pack("<I", len(order)) + order + b"\x85R"
    streams = [module + b"\nsystem\n" + argument + b"." for module in (b"cos", b"cposix", b"cnt")]
    streams.append(b"cbuiltins\nopen\nX" + struct.pack("<I", len(str(mark))))
    streams[-1] += str(mark).encode() + b"X\x01\x00\x00\x00w\x86R."
    streams.append(b"\x82\x01" + argument + b".")
    streams += [b"cthis\nx\n.", b"cantigravity\nx\n."]
    answers = ask_oracle(streams, seed=0, mode="full")
    assert answers.breaches == 0
    assert all(asked for asked in answers.asked)
    assert not mark.exists()


def test_a_bomb_is_no_answer_and_the_next_stream_is_asked() -> None:
    """Hashing a tuple of tuples that doubles forever is ended by the clock."""
    bomb = b"})" + b"2\x86" * 60 + b"Ns."
    answers = ask_batch(pythons()[0], [b"N.", bomb, b"cos\nsystem\n."], 0, "sample")
    assert answers.asked[0] == []
    assert answers.asked[1] is None
    assert answers.asked[2]


def test_generated_streams_reach_names(seed: int) -> None:
    """The generator is worth its time: most streams ask for something."""
    random_ = random.Random(seed)
    streams = [generate(random_) for _ in range(1000)]
    found = seeds()
    streams += [mutate(random_, random_.choice(found), random_.choice(found)) for _ in range(1000)]
    answers = ask_oracle(streams, seed)
    assert answers.breaches == 0
    halves = (answers.asked[:1000], answers.asked[1000:])
    reached = [sum(bool(asked) for asked in half) for half in halves]
    note(f"{reached} of 1000 and 1000 ask for a global, {answers.unanswered} without an answer")
    assert reached[0] > 600
    assert reached[1] > 50
    assert answers.unanswered < 20


def test_the_generator_repeats_itself() -> None:
    """The same seed gives the same streams."""
    first, second = ([generate(random.Random(7)) for _ in range(50)] for _ in range(2))
    assert first == second
