"""What the tests of the package share."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Callable

import pytest

# The text asks for `posix.system`; nothing here ever unpickles it.
HOSTILE = b"cposix\nsystem\n(S'echo <b>hello</b>'\ntR."


@pytest.fixture()
def hostile() -> bytes:
    """A pickle that would run a command."""
    return HOSTILE


@pytest.fixture()
def safetensors(tmp_path: Path) -> Callable[..., Path]:
    """Writes a safetensors file of `(dtype, shape, bytes)`, by the format's description."""

    def write(
        tensors: dict[str, tuple[str, list[int], bytes]], name: str = "m.safetensors"
    ) -> Path:
        header: dict[str, object] = {"__metadata__": {"format": "pt"}}
        body = b""
        for key, (dtype, shape, content) in tensors.items():
            offsets = [len(body), len(body) + len(content)]
            header[key] = {"dtype": dtype, "shape": shape, "data_offsets": offsets}
            body += content
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        path = tmp_path / "m.safetensors"
        path.write_bytes(struct.pack("<Q", len(text)) + text + body)
        return path

    return write
