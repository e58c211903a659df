"""Loads damaged files in a process of its own, with little memory, and says what came.

`test_load_bad.py` starts it: what crashes, or takes the memory that a file only speaks of, ends
this process and not the tests.
"""

from __future__ import annotations

import io
import json
import os
import random
import resource
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from layouts import archive, big_endian, members, tar

import secure_torch

# A file of a few kilobytes may take so much more than the process has when it starts.
ROOM = 256 << 20
CODES = {"model-malformed", "model-unsupported", "model-blocked", "input-too-large"}


def value() -> dict[str, Any]:
    """Something of each kind that lies over bytes."""
    base = torch.arange(12, dtype=torch.float32)
    return {
        "base": base,
        "view": base.reshape(3, 4).t(),
        "part": base[2:5],
        "half": torch.arange(3).half(),
        "flags": torch.tensor([True, False]),
        "empty": torch.empty(0, 3),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "meta": torch.empty(2, 3, device="meta"),
        "plain": [1, 2.5, "text", None, True, (1, 2), {"a": b"bytes"}, 2**80],
    }


def more() -> dict[str, Any]:
    """What the oldest layout cannot hold."""
    plain = torch.eye(3)
    return {
        **value(),
        "coo": plain.to_sparse(),
        "csr": plain.to_sparse_csr(),
        "bsc": torch.eye(4).to_sparse_bsc((2, 2)),
        "tensor": torch.quantize_per_tensor(plain, 0.5, 3, torch.quint8),
        "channel": torch.quantize_per_channel(
            plain, torch.rand(3) + 1, torch.zeros(3), 0, torch.quint8
        ),
        "bits": torch.zeros(2, dtype=torch.cfloat).conj(),
        "new": torch.arange(4, dtype=torch.uint8).view(torch.uint16),
        "array": np.arange(4.0).reshape(2, 2),
        "scalar": np.float32(2),
    }


def sample(layout: str) -> bytes:
    """A small file of a layout."""
    buffer = io.BytesIO()
    if layout == "tar":
        kept = ("base", "view", "part", "half", "flags", "empty", "plain")
        return tar({name: item for name, item in value().items() if name in kept})
    if layout == "npy":
        np.save(buffer, np.arange(6.0).reshape(2, 3))
        return buffer.getvalue()
    if layout == "npz":
        np.savez_compressed(buffer, a=np.arange(6.0), b=np.eye(2, dtype=np.int16))
        return buffer.getvalue()
    if layout == "safetensors":
        body = torch.arange(16, dtype=torch.uint8).numpy().tobytes()
        header = {
            "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
            "b": {"dtype": "U8", "shape": [2, 4], "data_offsets": [8, 16]},
        }
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        return len(text).to_bytes(8, "little") + text + body
    torch.save(more(), buffer, _use_new_zipfile_serialization=layout != "legacy")
    content = buffer.getvalue()
    if layout == "deflated":
        return archive(members(content), lambda name: True)
    if layout == "big":
        buffer = io.BytesIO()
        torch.save(value(), buffer)
        return big_endian(buffer.getvalue())
    return content


def touch(found: Any) -> int:
    """Uses everything as a caller would, and says how many tensors there were."""
    met, waiting, tensors = set(), [found], 0
    while waiting:
        item = waiting.pop()
        if id(item) in met:
            continue
        met.add(id(item))
        if isinstance(item, torch.Tensor):
            tensors += 1
            touch_tensor(item)
        elif isinstance(item, np.ndarray):
            item.tobytes() if item.nbytes < 1 << 20 else item.reshape(-1)[-1:]
        elif isinstance(item, torch.storage.TypedStorage):
            touch_storage(item._untyped_storage)
        elif isinstance(item, dict):
            waiting += [*item.keys(), *item.values()]
        elif isinstance(item, (list, tuple, set, frozenset)):
            waiting += list(item)
    return tensors


def touch_storage(storage: Any) -> None:
    """Reads every byte."""
    if storage.device.type == "cpu" and storage.nbytes():
        torch.empty(0, dtype=torch.uint8).set_(storage).sum()


def touch_tensor(tensor: torch.Tensor) -> None:
    """Reads the storage, and computes with what is not too large."""
    tensor = tensor.detach()
    if tensor.device.type != "cpu":
        return
    if tensor.layout is not torch.strided:
        # Values may be spread out over a few bytes, as those of any tensor.
        values = tensor._values() if tensor.layout is torch.sparse_coo else tensor.values()
        if max(values.numel(), tensor.numel()) < 1 << 16:
            tensor.to_dense()
        return
    touch_storage(tensor.untyped_storage())
    if tensor.is_quantized:
        # Its scales and zero points are numbers of the file's, which torch computes with.
        return
    if tensor.numel():
        # The first element and the last one of each dimension.
        tensor[(0,) * tensor.dim()].clone()
        tensor[(-1,) * tensor.dim()].clone()
    if 0 < tensor.numel() < 1 << 16:
        tensor.clone()


def mutants(content: bytes, count: int, numbers: random.Random) -> Any:
    """So many files of which a byte or two are others."""
    for _ in range(count):
        changed = bytearray(content)
        for _ in range(numbers.choice([1, 1, 1, 2])):
            place = numbers.randrange(len(changed))
            kind = numbers.randrange(4)
            if kind == 0:
                changed[place] ^= 1 << numbers.randrange(8)
            elif kind == 1:
                changed[place] = numbers.choice([0, 1, 0x7F, 0x80, 0xFF])
            else:
                changed[place] = numbers.randrange(256)
        yield bytes(changed)


def run(files: Any, folder: Path, audit_only: bool) -> dict[str, Any]:
    """Loads them all, from memory and from files in turn."""
    counts: dict[str, int] = {}
    wrong: list[str] = []
    for number, content in enumerate(files):
        source: Any = content
        if number % 2:
            source = folder / f"{number % 64}.pt"
            source.write_bytes(content)
        try:
            found = secure_torch.load(source, max_threat_score=100 if audit_only else 20)
            outcome = "loaded"
            touch(found)
        except secure_torch.SecurityError as error:
            outcome = error.code
            if error.code not in CODES or error.report is None or not str(error):
                wrong.append(f"{number}: {error!r}")
        except RuntimeError as error:
            # A place where a storage was saved is the file's, and torch's answer to it is kept.
            outcome = "no such device"
            if "was saved on" not in str(error):
                wrong.append(f"{number}: {error!r}")
        except Exception as error:
            outcome = type(error).__name__
            wrong.append(f"{number}: {error!r}")
        counts[outcome] = counts.get(outcome, 0) + 1
        if wrong and not os.environ.get("SECURE_TORCH_KEEP_GOING"):
            (folder / "wrong.pt").write_bytes(content)
            break
    return {"counts": counts, "wrong": wrong}


def limit() -> None:
    """No more memory than there is now, and some room."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    allowed = pages * resource.getpagesize() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed))


def main() -> None:
    """`bad_worker.py KIND LAYOUT COUNT SEED FOLDER`."""
    kind, layout, count, seed, folder = sys.argv[1:]
    warnings.simplefilter("ignore")
    content = sample(layout) if layout != "-" else b""
    if content:
        touch(secure_torch.load(content))
    files: Any
    if kind == "cut":
        files = (content[:length] for length in range(0, len(content), int(count)))
    elif kind == "given":
        files = [path.read_bytes() for path in sorted(Path(folder).glob("*.bad"))]
    else:
        files = mutants(content, int(count), random.Random(int(seed)))
    torch.set_num_threads(1)
    limit()
    print(json.dumps({"size": len(content), **run(files, Path(folder), kind == "mutants")}))


if __name__ == "__main__":
    main()
