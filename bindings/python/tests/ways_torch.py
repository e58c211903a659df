"""Every way by which torch reads a file that may hold an attack, most of them bound before."""

from __future__ import annotations

import functools
import io
import sys
import zipfile

import torch
import torch.distributed.checkpoint.filesystem
import torch.hub
import torch.package
import torch.storage
import torch.utils.model_zoo
from torch import load as early_load
from torch.hub import load_state_dict_from_url as early_url
from torch.serialization import _legacy_load as early_legacy_load
from torch.serialization import _load as early_zip_load

from attack import EVIL, main


class Loader:
    """A class that keeps the function."""

    load = staticmethod(torch.load)

    def __init__(self) -> None:
        self.read = torch.load


partial = functools.partial(torch.load, weights_only=False)
loader = Loader()


def default(file: object, load: object = torch.load) -> object:
    """A default argument."""
    return load(file, weights_only=False)


def archive(pickled: bytes) -> bytes:
    """A file as torch writes it, around a pickle."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("archive/data.pkl", pickled)
        file.writestr("archive/version", "3\n")
        file.writestr("archive/byteorder", "little")
    return out.getvalue()


def legacy(pickled: bytes) -> bytes:
    """A file as torch wrote it before version 1.6."""
    import pickle

    head = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    return b"".join(pickle.dumps(v, 2) for v in head) + pickled + pickle.dumps([], 2)


def package(pickled: bytes) -> bytes:
    """A package with a pickle in it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, text in {
            "version": "6\n",
            "byteorder": "little",
            ".data/version": "6\n",
            ".data/extern_modules": "os\nposix\n",
            ".data/python_version": "3.11\n",
        }.items():
            file.writestr(f"package/{name}", text)
        file.writestr("package/res/data.pkl", pickled)
    return out.getvalue()


def _from_package(data: bytes) -> object:
    importer = torch.package.PackageImporter(io.BytesIO(package(data)))
    return importer.load_pickle("res", "data.pkl")


def _from_url(data: bytes, load: object = early_url) -> object:
    with open("model.pt", "wb") as file:
        file.write(archive(data))
    # The file is there already, so that nothing is fetched.
    return load("https://example.invalid/model.pt", model_dir=".", weights_only=False)


def _from_old_zip(data: bytes) -> object:
    with zipfile.ZipFile("old.pt", "w") as file:
        file.writestr("inner.pt", legacy(data))
    return torch.hub.load_state_dict_from_url(
        "https://example.invalid/old.pt", model_dir=".", weights_only=False
    )


def _path(data: bytes) -> object:
    with open("path.pt", "wb") as file:
        file.write(archive(data))
    return torch.load("path.pt", weights_only=False)


def _opened_zip(data: bytes) -> object:
    import pickle

    reader = torch._C.PyTorchFileReader(io.BytesIO(archive(data)))
    return early_zip_load(reader, None, pickle, encoding="utf-8")


def _checkpoint(data: bytes) -> object:
    with open(".metadata", "wb") as file:
        file.write(data)
    return torch.distributed.checkpoint.filesystem.FileSystemReader(".").read_metadata()


def _module(data: bytes) -> object:
    import pickle

    return torch.load(io.BytesIO(archive(data)), pickle_module=pickle)


def _hubconf(data: bytes) -> object:
    with open("hubconf.py", "w") as file:
        file.write(f"import pickle\ndef model(): return pickle.loads({data!r})\n")
    return torch.hub.load(".", "model", source="local")


WAYS = {
    "torch.load": lambda data: torch.load(io.BytesIO(archive(data)), weights_only=False),
    "torch.load of a path": _path,
    "torch.load of a legacy file": lambda d: torch.load(io.BytesIO(legacy(d)), weights_only=False),
    "torch.load with a pickle module": _module,
    "torch.serialization.load": lambda data: torch.serialization.load(
        io.BytesIO(archive(data)), weights_only=False
    ),
    "torch.serialization._load": _opened_zip,
    "torch.serialization._legacy_load": lambda data: early_legacy_load(
        io.BytesIO(legacy(data)), None, __import__("pickle"), encoding="utf-8"
    ),
    "torch.storage._load_from_bytes": lambda data: torch.storage._load_from_bytes(archive(data)),
    "early load": lambda data: early_load(io.BytesIO(archive(data)), weights_only=False),
    "static method": lambda data: Loader.load(io.BytesIO(archive(data)), weights_only=False),
    "attribute": lambda data: loader.read(io.BytesIO(archive(data)), weights_only=False),
    "partial": lambda data: partial(io.BytesIO(archive(data))),
    "default": lambda data: default(io.BytesIO(archive(data))),
    "torch.hub.load_state_dict_from_url": lambda data: _from_url(
        data, torch.hub.load_state_dict_from_url
    ),
    "early load_state_dict_from_url": lambda data: _from_url(data, early_url),
    "torch.utils.model_zoo.load_url": lambda d: _from_url(d, torch.utils.model_zoo.load_url),
    "a ZIP from before 1.6": _from_old_zip,
    "torch.hub.load": _hubconf,
    "torch.package": _from_package,
    "torch.distributed.checkpoint": _checkpoint,
}

if __name__ == "__main__":
    sys.dont_write_bytecode = True
    main(WAYS, evil=EVIL, good=None)
