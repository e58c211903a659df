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


@dataclass(frozen=True)
class Tree:
    """A vector that is a folder: bytes by name, and where its links lead."""

    id: str
    files: dict[str, bytes]
    links: dict[str, str]
    expect: dict[str, Any]

    def make(self, folder: Path) -> None:
        """Makes it below a folder."""
        for name, data in self.files.items():
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        for name, target in self.links.items():
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(target)


def entries() -> list[dict[str, Any]]:
    """Every vector as it stands in its file, in the order of the files."""
    documents = [
        json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))
    ]
    return [entry for document in documents for entry in document.get("vectors", [])]


def checked(entry: dict[str, Any]) -> bytes:
    """The bytes of a file, which have the hash that it states."""
    data = assemble(entry)
    assert hashlib.sha256(data).hexdigest() == entry["sha256"], entry
    return data


def load() -> list[Vector]:
    """Every vector of one file."""
    files = [entry for entry in entries() if "tree" not in entry]
    return [Vector(entry["id"], entry["name"], checked(entry), entry["expect"]) for entry in files]


def trees() -> list[Tree]:
    """Every vector that is a folder."""
    found = []
    for entry in entries():
        nodes = entry.get("tree", [])
        files = {node["name"]: checked(node) for node in nodes if "link" not in node}
        links = {node["name"]: node["link"] for node in nodes if "link" in node}
        if nodes:
            found.append(Tree(entry["id"], files, links, entry["expect"]))
    return found
