"""Loads model files with one library, and answers with the times as JSON; `cargo xtask bench load`
asks it.

    python load.py ours
    python load.py torch --mmap
    python load.py bare --memory FILE.safetensors

It reads one request a line, such as `{"file": "model.pt", "times": 3}`, and answers each with a
line. The times are those of the call alone, CPU and wall: importing the library is not in them, nor
is freeing what was loaded. `touched` is the call and the sum of every tensor, which reads every
page. With `--memory` it loads one file once and tells how much more memory is resident, and how
much of that belongs to no file: after the call, and after every tensor was summed.
"""

from __future__ import annotations

import argparse
import gc
import json
import mmap
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Load = Callable[[Path], Any]


def leaves(value: Any) -> Iterator[torch.Tensor]:
    """Every tensor in nested containers."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from leaves(item)


def touch(value: Any) -> float:
    """Reads every byte of every tensor."""
    return sum(float(tensor.sum()) for tensor in leaves(value))


def layout(path: Path) -> list[tuple[str, torch.dtype, int, int, list[int]]]:
    """Where the tensors of a safetensors file are: what a bare mapping has to be told."""
    from safetensors.torch import _TYPES

    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    rows = []
    for name, entry in header.items():
        dtype: torch.dtype = _TYPES[entry["dtype"]]
        start, end = entry["data_offsets"]
        rows.append(
            (name, dtype, (end - start) // dtype.itemsize, 8 + length + start, entry["shape"])
        )
    return rows


def bare() -> Load:
    """A private mapping, and tensor objects over places that are known already."""
    known: dict[Path, list[tuple[str, torch.dtype, int, int, list[int]]]] = {}

    def load(path: Path) -> Any:
        rows = known.get(path)
        if rows is None:
            # The first call is not measured.
            rows = known.setdefault(path, layout(path))
        with path.open("rb") as file:
            mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        return {
            name: torch.frombuffer(mapping, dtype=dtype, count=count, offset=offset).view(shape)
            if count
            else torch.empty(shape, dtype=dtype)
            for name, dtype, count, offset, shape in rows
        }

    return load


def subject(arguments: argparse.Namespace) -> Load:
    """What is measured."""
    name, mapped = arguments.subject, arguments.mmap
    if name == "ours":
        import secure_torch

        return lambda path: secure_torch.load(path, map_location="cpu")
    if name == "ours-scan":
        import secure_torch

        return lambda path: secure_torch.scan(path)
    if name in ("torch", "torch-any"):
        only = name == "torch"
        return lambda path: torch.load(
            path, map_location="cpu", weights_only=only, mmap=mapped or None
        )
    if name == "load-file":
        from safetensors.torch import load_file

        return lambda path: load_file(path)
    if name == "safe-open":
        from safetensors import safe_open

        def every(path: Path) -> Any:
            with safe_open(path, framework="pt") as file:
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118

        return every
    return bare()


def memory() -> dict[str, int]:
    """How much memory is resident, and how much of it is backed by no file."""
    rows = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    sizes = {row.split(":")[0]: int(row.split()[1]) * 1024 for row in rows}
    return {"resident": sizes["Rss"], "anonymous": sizes["Anonymous"]}


def warm(load: Load, name: str) -> None:
    """One call on a tiny file, for what a library prepares with its first one."""
    if name == "bare":
        touch(torch.ones(4))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tiny.pt"
        if name in ("load-file", "safe-open"):
            from safetensors.torch import save_file

            save_file({"a": torch.ones(4)}, path)
        else:
            torch.save({"a": torch.ones(4)}, path)
        touch(load(path))


def growth(load: Load, path: Path) -> dict[str, dict[str, int]]:
    """How much memory a model takes, opened and touched."""
    gc.collect()
    before = memory()
    model = load(path)
    answer = {}
    for when in ("opened", "touched"):
        if when == "touched":
            touch(model)
        now = memory()
        answer[when] = {kind: now[kind] - before[kind] for kind in before}
    return answer


def measure(load: Load, path: Path, times: int) -> dict[str, Any]:
    """The times of some calls."""
    answer: dict[str, Any] = {"seconds": [], "wall": [], "touched": [], "touched_wall": []}
    for _ in range(times):
        wall, cpu = time.perf_counter(), time.process_time()
        model = load(path)
        answer["seconds"].append(time.process_time() - cpu)
        answer["wall"].append(time.perf_counter() - wall)
        touch(model)
        answer["touched"].append(time.process_time() - cpu)
        answer["touched_wall"].append(time.perf_counter() - wall)
        answer["tensors"] = sum(1 for _ in leaves(model))
        del model
        gc.collect()
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    subjects = ["ours", "ours-scan", "torch", "torch-any", "load-file", "safe-open", "bare"]
    parser.add_argument("subject", choices=subjects)
    parser.add_argument("--mmap", action="store_true")
    parser.add_argument("--memory", type=Path, help="tell the growth of memory by one file")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    load = subject(arguments)
    warm(load, arguments.subject)
    if arguments.memory:
        print(json.dumps(growth(load, arguments.memory)))
        return
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = measure(load, Path(request["file"]), request["times"])
        except Exception as error:  # whatever a library raises is the answer
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
