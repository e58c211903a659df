"""Makes the model files that `cargo xtask bench load` measures, with torch and a fixed seed.

    python make_load_inputs.py FOLDER [--quick] [--twin MODEL...]

Writes what is missing, each file whole or not at all, and prints the files as JSON. The same
versions of torch and safetensors make the same bytes again. A file's name carries the version of
the recipe, so that a changed recipe never meets an old file. Each model that is named gets a twin:
a safetensors file of its tensors, for the readers of that format alone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file

if TYPE_CHECKING:
    from collections.abc import Callable

VERSION = 1
SEED = 20_260_117
PARTS = ("attn.q_proj", "attn.k_proj", "attn.v_proj", "attn.o_proj", "mlp.up_proj")

State = "OrderedDict[str, torch.Tensor]"


def names(count: int) -> list[str]:
    """Names as a transformer's state_dict has them."""
    each = len(PARTS)
    return [f"model.layers.{at // each}.{PARTS[at % each]}.weight" for at in range(count)]


def separate(count: int, elements: int) -> State:
    """So many tensors, each with a storage of its own."""
    random = torch.Generator().manual_seed(SEED)
    return OrderedDict((name, torch.randn(elements, generator=random)) for name in names(count))


def shared(count: int, elements: int) -> State:
    """So many tensors that are slices of one storage."""
    random = torch.Generator().manual_seed(SEED)
    base = torch.randn(count * elements, generator=random)
    return OrderedDict(zip(names(count), base.split(elements)))


# Each row: its name, and the state dict in full and for `--quick`.
ROWS: dict[str, tuple[Callable[[], State], Callable[[], State]]] = {
    # 1 GB with 300 tensors.
    "large": (
        lambda: separate(300, 833_333),
        lambda: separate(300, 83_333),
    ),
    # 66 MB with 50,000 tensors.
    "many": (
        lambda: separate(50_000, 260),
        lambda: separate(5_000, 260),
    ),
    # 56 MB with 50,000 tensors over one storage.
    "shared": (
        lambda: shared(50_000, 250),
        lambda: shared(5_000, 250),
    ),
}


def save_zip(state: State, path: Path) -> None:
    torch.save(state, path)


def save_legacy(state: State, path: Path) -> None:
    torch.save(state, path, _use_new_zipfile_serialization=False)


def save_safetensors(state: State, path: Path) -> None:
    # The format knows no views: each tensor gets bytes of its own.
    save_file({name: tensor.contiguous().clone() for name, tensor in state.items()}, path)


WRITERS: dict[str, tuple[str, Callable[[State, Path], None]]] = {
    "zip": ("pt", save_zip),
    "legacy": ("legacy.pt", save_legacy),
    "safetensors": ("safetensors", save_safetensors),
}


def tensors(value: Any, name: str, found: State) -> State:
    """The tensors of nested containers, by the way to them."""
    if isinstance(value, torch.Tensor):
        found[name] = value
    elif isinstance(value, dict):
        for key, item in value.items():
            tensors(item, f"{name}.{key}", found)
    elif isinstance(value, (list, tuple)):
        for at, item in enumerate(value):
            tensors(item, f"{name}.{at}", found)
    return found


def twin(model: Path, folder: Path) -> Path:
    """The safetensors file of a model's tensors."""
    if model.suffix == ".safetensors":
        return model
    content = hashlib.sha256(model.read_bytes()).hexdigest()[:16]
    path = folder / f"load-twin-{content}-v{VERSION}.safetensors"
    if not path.is_file():
        held = torch.load(model, map_location="cpu", weights_only=True)
        found = tensors(held, "", OrderedDict())
        whole(path, lambda place: save_safetensors(found, place))
    return path


def whole(path: Path, write: Callable[[Path], None]) -> None:
    """Writes a file beside its place and moves it there."""
    if path.is_file():
        return
    # The file's own name is the archive's folder, so that it is kept.
    folder = path.parent / f".making-{os.getpid()}"
    folder.mkdir()
    try:
        write(folder / path.name)
        (folder / path.name).rename(path)
    finally:
        for left in folder.iterdir():
            left.unlink()
        folder.rmdir()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quick", action="store_true", help="a tenth of each file")
    parser.add_argument("--twin", type=Path, nargs="*", default=[], help="models to make twins of")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    made: dict[str, dict[str, str]] = {}
    for row, makers in ROWS.items():
        tenth = "-tenth" if arguments.quick else ""
        paths = {
            kind: arguments.folder / f"load-{row}{tenth}-v{VERSION}.{ending}"
            for kind, (ending, _) in WRITERS.items()
        }
        if not all(path.is_file() for path in paths.values()):
            state = makers[arguments.quick]()
            for kind, path in paths.items():
                _, write = WRITERS[kind]
                whole(path, lambda place, write=write, state=state: write(state, place))
        made[row] = {kind: str(path) for kind, path in paths.items()}
    twins = [str(twin(model, arguments.folder)) for model in arguments.twin]
    print(json.dumps({"rows": made, "twins": twins}))


if __name__ == "__main__":
    main()
