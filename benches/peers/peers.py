"""Runs one peer on one file and prints its CPU times as JSON; `cargo xtask bench` reads it.

    python peers.py load FILE --times 5

Times are the process's own CPU time around the call alone: reading the file, importing the
peer and freeing what was built are not in it. Nothing of a file is imported: the unpickler
below gives an inert stand-in for every global but `collections.OrderedDict`.
"""

from __future__ import annotations

import _pickle
import argparse
import io
import json
import pickletools
import time
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

LEGACY_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


class Inert:
    """Takes whatever a pickle does to it and does nothing."""

    def __init__(self, *_args: Any, **_keywords: Any) -> None:
        pass

    def __call__(self, *_args: Any, **_keywords: Any) -> Inert:
        return self

    def __setstate__(self, _state: Any) -> None:
        pass

    def __setitem__(self, _key: Any, _value: Any) -> None:
        pass

    def __hash__(self) -> int:
        return 0

    def append(self, _item: Any) -> None:
        pass

    def extend(self, _items: Any) -> None:
        pass

    def add(self, _item: Any) -> None:
        pass


def rebuild(*arguments: Any) -> Any:
    """In place of a function: the cheapest Python function there is."""
    return arguments


class InertUnpickler(_pickle.Unpickler):
    """CPython's C unpickler, with imports and persistent ids that do nothing."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if name.startswith("_"):
            return rebuild
        return Inert

    def persistent_load(self, pid: Any) -> Any:
        return pid


def pickles(path: Path) -> list[bytes]:
    """The bytes that a loader would unpickle: the `data.pkl` of an archive, or the file."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            return [archive.read(name) for name in names]
    return [path.read_bytes()]


def streams(data: bytes) -> int:
    """How many pickles stand in a row at the front of the bytes."""
    return 5 if data.startswith(LEGACY_MAGIC) else 1


def load(data: bytes) -> Any:
    file = io.BytesIO(data)
    return [InertUnpickler(file, encoding="latin1").load() for _ in range(streams(data))]


def plain_load(data: bytes) -> Any:
    """Without a subclass: what `pickle.load` is for data that imports nothing."""
    return _pickle.load(io.BytesIO(data))


def same(data: bytes) -> bool:
    """Whether CPython's pickler writes these very bytes for what they hold."""
    return _pickle.dumps(_pickle.loads(data), data[1]) == data


def genops(data: bytes) -> int:
    file = io.BytesIO(data)
    return sum(1 for _ in range(streams(data)) for _ in pickletools.genops(file))


def picklescan_bytes(data: bytes) -> int:
    from picklescan.scanner import scan_pickle_bytes

    return len(scan_pickle_bytes(io.BytesIO(data), "input.pkl").globals)


def picklescan_file(path: Path) -> int:
    from picklescan.scanner import scan_file_path

    return len(scan_file_path(str(path)).globals)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    peers = ["load", "plain-load", "same", "genops", "picklescan", "picklescan-file"]
    parser.add_argument("peer", choices=peers)
    parser.add_argument("file", type=Path)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--no-gc", action="store_true", help="switch the cycle collector off")
    arguments = parser.parse_args()

    import picklescan.scanner  # noqa: F401  # so that its import is not in the time

    data = [] if arguments.peer == "picklescan-file" else pickles(arguments.file)
    each: dict[str, Callable[[bytes], Any]] = {
        "load": load,
        "plain-load": plain_load,
        "same": same,
        "genops": genops,
        "picklescan": picklescan_bytes,
    }
    if arguments.no_gc:
        import gc

        gc.disable()
    seconds = []
    result: Any = None
    for _ in range(arguments.times):
        result = None
        start = time.process_time()
        if arguments.peer == "picklescan-file":
            result = picklescan_file(arguments.file)
        else:
            result = [each[arguments.peer](piece) for piece in data]
        seconds.append(time.process_time() - start)
    answer: dict[str, Any] = {"seconds": seconds}
    if arguments.peer == "genops":
        answer["instructions"] = sum(result)
    if arguments.peer == "same":
        answer["same"] = all(result)
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
