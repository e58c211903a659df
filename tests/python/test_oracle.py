"""No unpickler asks for a global that our report does not have.

For every vector, and for generated and mutated streams, each (module, name) that
any CPython asks for must be among the globals of our report, or the report must
say that the stream cannot be resolved, which blocks it. Set `SECURE_TORCH_SEED`
to repeat a run and `SECURE_TORCH_STREAMS` for another number of streams.
"""

from __future__ import annotations

import base64
import os
import random
from collections.abc import Sequence

import pytest

import vectors
from ask import Answers, ask_command, ask_oracle, pythons
from conftest import note
from generate import generate
from mutate import mutate, seeds
from oracle import COMPUTED, EXTENSION

STREAMS = int(os.environ.get("SECURE_TORCH_STREAMS", "20000"))
LARGEST_VECTOR = 1 << 20
MOST_SHOWN = 10

# A report with one of these says that not every name can be known.
UNRESOLVED = {"pickle.global.unresolvable", "pickle.divergent", "pickle.limit"}


def spelled(name: str) -> str:
    """A name as both sides can spell it: JSON readers treat lone surrogates apart."""
    return name.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def unreported(reply: dict, asked: Sequence[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """What was asked for and is neither reported nor said to be unknowable."""
    rules = set(reply["rules"])
    if rules & UNRESOLVED:
        return []
    known = {(spelled(module), spelled(name)) for module, name in reply["globals"]}
    left = []
    for module, name, where in asked:
        if "\0" in module:
            # No file system takes such a name, so no module has one. Lengths and padding of other
            # formats spell it by chance, and are no pickle for that.
            continue
        if COMPUTED in (module, name):
            left.append((module, name, where))
        elif module == EXTENSION:
            # Bytes that name an extension and then break are blocked as what nobody knows: three
            # bytes of 256 say so in any data, and the registry is the running program's own.
            if not rules & {"pickle.extension", "format.unknown"}:
                left.append((module, name, where))
        elif (spelled(module), spelled(name)) not in known:
            left.append((module, name, where))
    return left


def compare(command: str, streams: Sequence[bytes], answers: Answers, title: str) -> None:
    """Fails with the first few streams on which we know less than CPython."""
    assert answers.breaches == 0, "a stream reached past the oracle's stand-ins"
    replies = ask_command(command, streams)
    bad = []
    with_names = unresolved = 0
    for stream, reply, asked in zip(streams, replies, answers.asked):
        unresolved += bool(set(reply["rules"]) & UNRESOLVED)
        if not asked:
            continue
        with_names += 1
        left = unreported(reply, asked)
        if left or reply["error"] is not None:
            bad.append((stream, left, reply))
    note(
        f"{title}: {len(streams)} streams, {with_names} ask for globals in {answers.runs} readings,"
        f" {unresolved} we call unresolvable, {answers.unanswered} without an answer"
    )
    shown = [
        f"{base64.b64encode(stream).decode()}\n  {stream!r}\n  asked, not reported: {left}\n"
        f"  our answer: {reply}"
        for stream, left, reply in sorted(bad, key=lambda entry: len(entry[0]))[:MOST_SHOWN]
    ]
    assert not bad, f"{title}: {len(bad)} of {len(streams)} streams\n" + "\n".join(shown)
    assert answers.unanswered <= 1 + len(streams) // 100


@pytest.mark.parametrize("python", pythons())
def test_vectors(command: str, python: str) -> None:
    """Every vector, with every setting, in every CPython at hand."""
    streams = [entry.data for entry in vectors.load() if len(entry.data) <= LARGEST_VECTOR]
    if not streams:
        pytest.fail("`spec/vectors` holds no vectors")
    compare(command, streams, ask_oracle(streams, 0, "full", python), f"vectors, {python}")


def test_generated_streams(command: str, seed: int) -> None:
    """Streams made to go far."""
    random_ = random.Random(seed)
    streams = [generate(random_) for _ in range(STREAMS // 2)]
    compare(command, streams, ask_oracle(streams, seed), f"generated, seed {seed}")


def test_mutated_streams(command: str, seed: int) -> None:
    """Vectors, plain pickles and generated streams, damaged a little."""
    random_ = random.Random(seed + 1)
    found = seeds() + [generate(random_) for _ in range(500)]
    count = STREAMS - STREAMS // 2
    streams = [mutate(random_, random_.choice(found), random_.choice(found)) for _ in range(count)]
    compare(command, streams, ask_oracle(streams, seed), f"mutated, seed {seed}")


def test_other_pythons(command: str, seed: int) -> None:
    """A part of the same in the other CPythons at hand."""
    random_ = random.Random(seed + 2)
    found = seeds()
    count = STREAMS // 20
    streams = [generate(random_) for _ in range(count)]
    streams += [mutate(random_, random_.choice(found), random_.choice(found)) for _ in range(count)]
    for python in pythons()[1:]:
        answers = ask_oracle(streams, seed, python=python)
        compare(command, streams, answers, f"{python}, seed {seed}")
