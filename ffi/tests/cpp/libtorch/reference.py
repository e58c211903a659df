"""What PyTorch itself reads from checkpoints, for `tests.cpp` to compare with.

    python reference.py FOLDER INPUTS

writes into FOLDER a checkpoint with every kind of tensor (as zip and as legacy file), one with
plain values, and a safetensors file of a gigabyte, which takes no room on the disk; and
`manifest.tsv`, one tensor a line, for these and for the published checkpoints in INPUTS. Published
files are read with `weights_only=True` alone; what that refuses is left out and counted.
"""

from __future__ import annotations

import hashlib
import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

# Published files that are larger are left to the other tests.
LARGEST = 20 << 20
GIGABYTE = 1 << 30


def sha1(tensor: torch.Tensor) -> str:
    """The hash of a dense tensor's elements in order."""
    tensor = tensor.detach().resolve_conj().resolve_neg()
    if not tensor.is_contiguous():
        tensor = tensor.contiguous()
    size = tensor.element_size()
    flat = torch.empty(0, dtype=torch.uint8).set_(
        tensor.untyped_storage(), tensor.storage_offset() * size, (tensor.numel() * size,)
    )
    return hashlib.sha1(flat.numpy().tobytes()).hexdigest()


def content(tensor: torch.Tensor) -> str:
    """What a tensor holds, however it holds it."""
    if tensor.is_meta:
        return "meta"
    if tensor.layout == torch.sparse_coo:
        parts = [sha1(tensor._indices()), sha1(tensor._values()), str(int(tensor.is_coalesced()))]
        return " ".join(["sparse_coo", *parts])
    if tensor.layout != torch.strided:
        rows = tensor.layout in (torch.sparse_csr, torch.sparse_bsr)
        outer = tensor.crow_indices() if rows else tensor.ccol_indices()
        inner = tensor.col_indices() if rows else tensor.row_indices()
        parts = [sha1(outer), sha1(inner), sha1(tensor.values())]
        return " ".join([str(tensor.layout).replace("torch.", ""), *parts])
    if tensor.is_quantized:
        numbers = sha1(tensor.int_repr())
        if tensor.qscheme() == torch.per_tensor_affine:
            return f"per_tensor {numbers} {tensor.q_scale():.9g} {tensor.q_zero_point()}"
        scales, points = tensor.q_per_channel_scales(), tensor.q_per_channel_zero_points()
        return f"per_channel {numbers} {sha1(scales)} {sha1(points)} {tensor.q_per_channel_axis()}"
    return sha1(tensor)


def line(file: Path, way: str, name: str, tensor: torch.Tensor, alias: int) -> str:
    """A tensor as `tests.cpp` describes it too."""
    dense = tensor.layout == torch.strided
    strides = str(list(tensor.stride())) if dense else "-"
    offset = tensor.storage_offset() if dense else "-"
    flags = "".join(
        letter
        for letter, flag in (
            ("g", tensor.requires_grad),
            ("c", tensor.is_conj()),
            ("n", tensor.is_neg()),
        )
        if flag
    )
    dtype = str(tensor.dtype).replace("torch.", "")
    fields = (file, way, name, dtype, list(tensor.shape), strides, offset, alias, flags or "-")
    return "\t".join([*map(str, fields), content(tensor)])


def named(value: Any, path: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """Tensors by their dotted names."""
    if isinstance(value, torch.Tensor):
        yield path, value
        return
    items: Any = ()
    if isinstance(value, dict):
        items = [(key, item) for key, item in value.items() if isinstance(key, (str, int))]
    elif isinstance(value, (list, tuple)) and not isinstance(value, torch.Size):
        items = enumerate(value)
    for key, item in items:
        yield from named(item, f"{path}.{key}" if path else str(key))


def lines(file: Path, way: str) -> Iterator[str]:
    """Every tensor of a file."""
    storages: dict[int, int] = {}
    for name, tensor in named(torch.load(file, map_location="cpu", weights_only=True)):
        alias = -1
        if tensor.layout == torch.strided and not tensor.is_meta and tensor.numel() > 0:
            start = tensor.untyped_storage().data_ptr()
            alias = storages.setdefault(start, len(storages))
        yield line(file, way, name, tensor, alias)


def typed() -> dict[str, torch.Tensor]:
    """A tensor of every element type that this torch saves and reads back."""
    found = {}
    names = sorted(name for name in dir(torch) if isinstance(getattr(torch, name), torch.dtype))
    for name in names:
        dtype = getattr(torch, name)
        if str(dtype) != f"torch.{name}" or name.startswith("q"):
            continue
        raw = torch.arange(1, 1 + 6 * dtype.itemsize, dtype=torch.uint8)
        if dtype is torch.bool:
            raw %= 2
        found[f"type_{name}"] = torch.empty(0, dtype=dtype).set_(
            raw.untyped_storage(), 0, (2, 3), (3, 1)
        )
    return found


def kinds() -> dict[str, torch.Tensor]:
    """Tensors of every kind."""
    base = torch.arange(24.0)
    numbers = torch.tensor([[0.0, 0.5, 1.0], [-1.0, 2.0, 0.25]])
    complexes = torch.arange(6.0).view(3, 2)
    complexes = torch.view_as_complex(complexes)
    dense = torch.tensor([[0.0, 1.0, 0.0, 2.0], [3.0, 0.0, 0.0, 0.0]])
    blocks = torch.eye(4)
    return {
        "whole": base,
        "view": base.view(2, 3, 4).transpose(0, 2),
        "part": base[5:11:2],
        "expanded": base[3:4].expand(5, 4),
        "empty": base[:0].view(0, 4),
        "scalar": base[7],
        "parameter": torch.nn.Parameter(torch.ones(2, 2)),
        "frozen": torch.nn.Parameter(torch.ones(3), requires_grad=False),
        "leaf": torch.zeros(2, requires_grad=True),
        "conj": complexes.conj(),
        "neg": torch._neg_view(base[:4]),
        "imaginary": complexes.clone().conj().imag,
        "meta": torch.empty(3, 2, device="meta"),
        "qint8": torch.quantize_per_tensor(numbers, 0.25, 3, torch.qint8),
        "quint8": torch.quantize_per_tensor(numbers, 0.5, 128, torch.quint8).t(),
        "qint32": torch.quantize_per_tensor(numbers, 0.001, 0, torch.qint32),
        "channels": torch.quantize_per_channel(
            numbers, torch.tensor([0.1, 0.2]).double(), torch.tensor([1, 2]), 0, torch.qint8
        ),
        "channels_float": torch.quantize_per_channel(
            numbers, torch.tensor([0.1, 0.2, 0.4]), torch.tensor([1.5, 2.5, 0.5]), 1, torch.quint8
        ),
        "coo": torch.sparse_coo_tensor(torch.tensor([[0, 1, 1], [2, 0, 2]]), base[:3], (2, 3)),
        "coalesced": dense.to_sparse(),
        "csr": dense.to_sparse_csr(),
        "csc": dense.to_sparse_csc(),
        "bsr": blocks.to_sparse_bsr((2, 2)),
        "bsc": blocks.to_sparse_bsc((2, 2)),
    }


def kept(
    tensors: dict[str, torch.Tensor], file: Path, as_zip: bool
) -> tuple[dict[str, torch.Tensor], list[str]]:
    """Those that this torch writes and reads back, and the names of the others."""
    good, bad = {}, []
    for name, tensor in tensors.items():
        try:
            torch.save({name: tensor}, file, _use_new_zipfile_serialization=as_zip)
            torch.load(file, weights_only=True)
        except Exception:
            bad.append(name)
            continue
        good[name] = tensor
    file.unlink()
    return good, bad


def plain(file: Path) -> None:
    """A checkpoint with values of every kind that c10::IValue has."""
    shared = torch.ones(2)
    torch.save(
        {
            "none": None,
            "flags": [True, False],
            "numbers": (1, -2.5, 3 + 4j),
            "text": "näme",
            "size": torch.Size([2, 3]),
            "dtype": torch.float16,
            "device": torch.device("cuda", 1),
            "places": {0: "zero", 7: shared},
            "again": shared,
            "empty": {},
        },
        file,
    )


def large(file: Path) -> None:
    """A gigabyte of zeros, as a hole."""
    shape = [GIGABYTE // 4]
    header = json.dumps(
        {"zeros": {"dtype": "F32", "shape": shape, "data_offsets": [0, GIGABYTE]}}
    ).encode()
    header += b" " * (-len(header) % 8)
    with file.open("wb") as out:
        out.write(struct.pack("<Q", len(header)) + header)
        out.truncate(8 + len(header) + GIGABYTE)


def main() -> None:
    """Writes everything."""
    folder, inputs = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    torch.manual_seed(0)
    manifest: list[str] = []
    left_out: list[str] = []
    for name, as_zip in (("kinds.pt", True), ("kinds.legacy.pt", False)):
        every, bad = kept({**typed(), **kinds()}, folder / "one.pt", as_zip)
        # The old format has fewer element types: what it lacks is no news.
        left_out += bad if as_zip else []
        torch.save(every, folder / name, _use_new_zipfile_serialization=as_zip)
        manifest += lines(folder / name, "tree")
    plain(folder / "plain.pt")
    large(folder / "large.safetensors")
    state = torch.nn.BatchNorm1d(3).state_dict()
    torch.save({"model": state, "epoch": 3}, folder / "nested.pt")
    # As it was before PyTorch 0.4.1.
    uncounted = {name: tensor for name, tensor in state.items() if tensor.dim() > 0}
    torch.save(uncounted, folder / "uncounted.pt")
    # Elements that no kernel makes floats of, behind some that are floats.
    packed = torch.empty(0, dtype=torch.bits8).set_(
        torch.ones(3, dtype=torch.uint8).untyped_storage(), 0, (3,), (1,)
    )
    torch.save({**state, "bias": packed}, folder / "packed.pt")
    torch.save({"model": state, "model.weight": state["weight"]}, folder / "twice.pt")

    files, refused = 0, []
    index = inputs / "index.json"
    for entry in json.loads(index.read_text()) if index.is_file() else []:
        file = Path(entry["path"])
        torch_file = entry.get("layout") in ("torch-zip", "torch-legacy")
        if not torch_file or entry["size"] > LARGEST or not file.is_file():
            continue
        try:
            manifest += list(lines(file, "names"))
            files += 1
        except Exception:
            refused.append(file.name)
    (folder / "manifest.tsv").write_text("\n".join(manifest) + "\n", encoding="utf-8")
    print(
        f"reference: {len(manifest)} tensors; {files} published files, {len(refused)} refused by "
        f"torch ({', '.join(refused) or 'none'}); not read back by torch: "
        f"{', '.join(left_out) or 'none'}"
    )


if __name__ == "__main__":
    main()
