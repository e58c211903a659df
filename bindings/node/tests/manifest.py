"""Writes model files and what torch finds in them: `python manifest.py FOLDER [MODEL...]`.

`manifest.json` lists each file with its tensors by name: element type, shape, and the SHA-256 of
the elements in a row. The models are published files; of them, only torch's own safe loader reads
any.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch

DTYPES = [
    "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64", "bool",
    "float16", "bfloat16", "float32", "float64", "complex32", "complex64", "complex128",
    "float8_e4m3fn", "float8_e5m2",
]  # fmt: skip


def contents(tensor: torch.Tensor) -> bytes:
    """The elements in a row."""
    row = tensor.detach().resolve_conj().resolve_neg().contiguous().reshape(-1)
    return row.view(torch.uint8).numpy().tobytes() if row.numel() else b""


def described(tensor: torch.Tensor) -> dict[str, Any]:
    """What the manifest says of a tensor."""
    return {
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "shape": list(tensor.shape),
        "sha256": hashlib.sha256(contents(tensor)).hexdigest(),
    }


def tensors(value: Any, path: list[str], found: dict[str, Any]) -> dict[str, Any]:
    """The tensors below a value, by dotted name."""
    if isinstance(value, torch.Tensor):
        found[".".join(path)] = described(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            tensors(item, [*path, str(key)], found)
    elif isinstance(value, (list, tuple)):
        for place, item in enumerate(value):
            tensors(item, [*path, str(place)], found)
    return found


def made(folder: Path) -> dict[str, Any]:
    """Every element type, and every way of looking at a storage."""
    base = torch.arange(24, dtype=torch.float32)
    numbers = torch.arange(6)
    state: dict[str, Any] = OrderedDict()
    for name in DTYPES:
        dtype = getattr(torch, name)
        state[name] = (numbers % 2 if name == "bool" else numbers).to(dtype).reshape(2, 3)
    state["transposed"] = base.reshape(4, 6).t()
    state["every other"] = base[1::2]
    state["repeated"] = torch.tensor([7.0, 8.0]).reshape(2, 1).expand(2, 5)
    state["conjugate"] = torch.tensor([1 + 2j, 3 - 4j], dtype=torch.complex64).conj()
    state["imaginary"] = torch.tensor([1 + 2j, 3 - 4j], dtype=torch.complex64).conj().imag
    state["empty"] = torch.empty(0, 3)
    state["scalar"] = torch.tensor(2.5)
    state["parameter"] = torch.nn.Parameter(torch.ones(3))
    state["shared.a"], state["shared.b"] = base[:12], base[12:]
    torch.save(state, folder / "kinds.pt")
    torch.save(state, folder / "kinds-legacy.pt", _use_new_zipfile_serialization=False)
    return state


def main() -> None:
    """Writes the files and the manifest."""
    folder, models = Path(sys.argv[1]), [Path(path) for path in sys.argv[2:]]
    state = tensors(made(folder), [], {})
    files = [
        {"path": str(folder / name), "tensors": state} for name in ("kinds.pt", "kinds-legacy.pt")
    ]
    torch.save(
        {
            "__proto__": {"polluted": True},
            "constructor": {"prototype": {"polluted": True}},
            "big": 2**80 + 1,
            "negative": -(2**80),
            "long": 2**53 + 1,
            "small": -5,
            "float": 0.1,
            "infinite": float("-inf"),
            "nothing": None,
            "yes": True,
            "bytes": b"\x00\xff",
            "tuple": (1, "two", [3.0]),
            "set": {1, 2},
            "complex": 1 - 2j,
            7: "a key that is a number",
            (1, 2): "a key that is a tuple",
            "size": torch.Size([2, 3]),
            "dtype": torch.bfloat16,
            "device": torch.device("cuda:1"),
            "ordered": OrderedDict(a=1),
            "sparse": torch.eye(3).to_sparse(),
            "quantized": torch.quantize_per_tensor(torch.tensor([1.0, 2.0]), 0.5, 3, torch.qint8),
            "parameter": torch.nn.Parameter(torch.ones(2)),
            "array": np.arange(6, dtype="<f8").reshape(2, 3, order="F"),
            "words": np.array(["ab", "c"]),
            "scalar": np.float32(1.5),
            "text": "x" * 1000 + "ä模",
        },
        folder / "values.pt",
    )
    for path in models:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            found = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
        files.append({"path": str(path), "tensors": tensors(found, [], {})})
    (folder / "manifest.json").write_text(json.dumps(files))


if __name__ == "__main__":
    main()
