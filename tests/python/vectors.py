"""The vectors of `spec/vectors`, with their bytes put together and checked."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "spec" / "vectors"


@dataclass(frozen=True)
class Vector:
    """One vector: a file's name and bytes, and what every reader must say of it."""

    id: str
    name: str
    data: bytes
    expect: dict[str, Any]


def assemble(entry: dict[str, Any]) -> bytes:
    """The bytes: base64, or a recipe of `["hex", h]` and `["repeat", h, count]` steps."""
    if "input" in entry:
        return base64.b64decode(entry["input"])
    steps = entry["recipe"]
    return b"".join(bytes.fromhex(step[1]) * (step[2] if len(step) > 2 else 1) for step in steps)


def load() -> list[Vector]:
    """Every vector, in the order of the files."""
    found = []
    for path in sorted(FOLDER.glob("*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        for entry in document.get("vectors", []):
            data = assemble(entry)
            assert hashlib.sha256(data).hexdigest() == entry["sha256"], entry["id"]
            found.append(Vector(entry["id"], entry["name"], data, entry["expect"]))
    return found
