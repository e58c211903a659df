"""Writers of the layouts that torch reads and no longer writes, or never wrote."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
import zipfile
from typing import Any, Callable

import torch

MAGIC = 0x1950A86A20F9469CFC6C


def members(content: bytes) -> dict[str, bytes]:
    """The members of an archive, in order."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive(
    found: dict[str, bytes],
    deflated: Callable[[str], bool] = lambda name: False,
    unaligned: bool = True,
) -> bytes:
    """An archive of these members, as Python's `zipfile` writes one: nothing is aligned."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for name, content in found.items():
            method = zipfile.ZIP_DEFLATED if deflated(name) else zipfile.ZIP_STORED
            entry = zipfile.ZipInfo(name)
            if not unaligned:
                # The field that PyTorch pads with: id, length, bytes.
                start = buffer.tell() + 30 + len(name) + 4
                entry.extra = struct.pack("<HH", 0x4246, -start % 64) + b"Z" * (-start % 64)
            made.writestr(entry, content, compress_type=method)
    return buffer.getvalue()


def changed(content: bytes, **replaced: bytes | None) -> bytes:
    """The archive with members replaced by their last name, or left out where they are `None`."""
    found = members(content)
    root = next(iter(found)).split("/")[0]
    new = {name: data for name, data in found.items() if name.split("/")[-1] not in replaced}
    new.update({f"{root}/{name}": data for name, data in replaced.items() if data is not None})
    return archive(new)


def big_endian(content: bytes) -> bytes:
    """The archive as it is, with the mark of a big-endian machine.

    Both readers then reverse the bytes of each element by the type that the pickle names.
    """
    return changed(content, byteorder=b"big")


def storage_class(dtype: torch.dtype) -> Any:
    """`torch.FloatStorage` for `torch.float32`."""
    return getattr(torch, torch.storage._dtype_to_storage_type_map()[dtype])


def tar(value: Any, views: dict[int, tuple[int, int, int]] | None = None) -> bytes:
    """PyTorch's oldest layout, read by `legacy_load` in `torch/serialization.py`.

    Tensors get numbers, as do the storages under them; `views` adds storages that are parts of
    others, by number: root, first element and count of elements. A tensor whose attribute `on` is
    such a number lies on that part.
    """
    storages: dict[int, tuple[int, torch.UntypedStorage, torch.dtype]] = {}
    tensors: dict[int, tuple[int, torch.Tensor]] = {}

    class Pickler(pickle.Pickler):
        def persistent_id(self, item: Any) -> int | None:
            if not isinstance(item, torch.Tensor):
                return None
            if id(item) not in tensors:
                storage = item.untyped_storage()
                known = storages.get(storage._cdata)
                if known is None:
                    known = storages[storage._cdata] = (len(storages), storage, item.dtype)
                tensors[id(item)] = (1000 + len(tensors), item)
            return tensors[id(item)][0]

    body = io.BytesIO()
    Pickler(body, protocol=2).dump(value)
    first = io.BytesIO()
    pickle.dump(len(storages), first, protocol=2)
    for number, storage, dtype in storages.values():
        pickle.dump((number, "cpu", storage_class(dtype)), first, protocol=2)
        raw = bytes(torch.empty(0, dtype=torch.uint8).set_(storage).tolist())
        first.write(struct.pack("<q", len(raw) // torch._utils._element_size(dtype)) + raw)
    parts = [(number, *view) for number, view in (views or {}).items()]
    pickle.dump(parts, first, protocol=2)
    second = io.BytesIO()
    pickle.dump(len(tensors), second, protocol=2)
    for number, tensor in tensors.values():
        on = getattr(tensor, "on", storages[tensor.untyped_storage()._cdata][0])
        kind = getattr(torch, tensor.type().rpartition(".")[2])
        pickle.dump((number, on, kind), second, protocol=2)
        second.write(struct.pack("<ii", tensor.dim(), 0))
        numbers = (*tensor.shape, *tensor.stride(), tensor.storage_offset())
        second.write(struct.pack(f"<{len(numbers)}q", *numbers))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:", format=tarfile.PAX_FORMAT) as made:
        for name, part in (("storages", first), ("tensors", second), ("pickle", body)):
            entry = tarfile.TarInfo(name)
            entry.size = len(part.getvalue())
            made.addfile(entry, io.BytesIO(part.getvalue()))
    return buffer.getvalue()


def legacy(
    body: bytes, storages: list[tuple[str, bytes, int]], *, little_endian: bool = True
) -> bytes:
    """The layout of five pickles, around the pickle of an object: storages by key, bytes, count."""
    system = {
        "protocol_version": 1001,
        "little_endian": little_endian,
        "type_sizes": {"short": 2, "int": 4, "long": 4},
    }
    front = b"".join(pickle.dumps(part, protocol=2) for part in (MAGIC, 1001, system))
    keys = pickle.dumps([key for key, _, _ in storages], protocol=2)
    data = b"".join(struct.pack("<q", count) + raw for _, raw, count in storages)
    return front + body + keys + data
