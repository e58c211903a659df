"""Our opcode table and CPython's `pickletools` say the same, in both directions."""

from __future__ import annotations

import pickletools
from typing import Any

import pytest

from conftest import run_json


def theirs() -> dict[str, dict[str, Any]]:
    """CPython's table, in our report's words."""
    return {
        opcode.name: {
            "code": ord(opcode.code),
            "arg": opcode.arg.name if opcode.arg else None,
            "proto": opcode.proto,
            "before": [thing.name for thing in opcode.stack_before],
            "after": [thing.name for thing in opcode.stack_after],
        }
        for opcode in pickletools.opcodes
    }


@pytest.fixture(scope="module")
def ours(command: str) -> dict[str, dict[str, Any]]:
    """Our table, as `secure-torch rules` prints it."""
    document, code = run_json(command, "rules", "--format", "json")
    assert code == 0
    table = {entry["name"]: entry for entry in document["opcodes"]}
    assert len(table) == len(document["opcodes"]), "an opcode is listed twice"
    return table


def test_the_same_opcodes(ours: dict[str, dict[str, Any]]) -> None:
    """Neither side has an opcode that the other lacks."""
    assert set(ours) == set(theirs())
    assert len(ours) == 68


@pytest.mark.parametrize("name", sorted(theirs()))
def test_an_opcode(ours: dict[str, dict[str, Any]], name: str) -> None:
    """Byte, argument, protocol and stack effect are the same."""
    expected = theirs()[name]
    assert {key: ours[name].get(key) for key in expected} == expected
