"""The values of checkpoints that are not containers, numbers or tensors.

Everything here is made from a table: which class, of which module, from which arguments. A file
chooses among the entries; it names nothing that is imported.
"""

from __future__ import annotations

import importlib
import sys
from collections import Counter, OrderedDict, defaultdict
from collections import deque as _deque
from collections.abc import Callable
from typing import Any

from .errors import Unbuilt

__all__ = ["Counter", "OrderedDict", "defaultdict"]


def integer(content: bytes) -> int:
    """An integer of any size, as pickle spells it."""
    return int.from_bytes(content, "little", signed=True)


def size(sizes: tuple[int, ...], torch: bool) -> Any:
    """`torch.Size`, which is a tuple where there is no torch."""
    return _torch("Size")(sizes) if torch else sizes


def deque(items: list[Any], longest: int | None) -> _deque[Any]:
    """A queue."""
    return _deque(items, longest)


def slice_(parts: tuple[Any, Any, Any]) -> slice:
    """A slice."""
    return slice(*parts)


def range_(start: int, stop: int, step: int) -> range:
    """A range."""
    return range(start, stop, step)


def device(kind: str, index: int | None, torch: bool) -> Any:
    """`torch.device`, or its name where there is no torch."""
    name = kind if index is None else f"{kind}:{index}"
    return _torch("device")(name) if torch else name


def give_state(made: Any, state: Any) -> None:
    """Gives an object its attributes, as `pickle` does for a dict (Lib/pickle.py, load_build)."""
    if not isinstance(state, dict) or not hasattr(made, "__dict__"):
        raise Unbuilt(f"a `{type(made).__name__}` is given attributes that it cannot have")
    made.__dict__.update(items(state))


def items(state: dict[Any, Any]) -> dict[Any, Any]:
    """What a dict holds, whatever attributes the file gave it.

    An `OrderedDict` has a `__dict__` of its own. `update` would call the `keys` that is in there
    (Objects/dictobject.c, dict_update_arg), and a file may put a class there.
    """
    return dict(dict.items(state))


# ---------------------------------------------------------------------------------------- globals

# Modules whose names of the allowlist may be values: importing them is what any program does.
_PLAIN_MODULES = {
    "argparse", "builtins", "collections", "copyreg", "datetime", "decimal", "pathlib", "types",
    "uuid", "_codecs",
}  # fmt: skip
_TORCH_MODULES = {
    "torch", "torch.cuda", "torch.nn.parameter", "torch.return_types", "torch.serialization",
    "torch.storage", "torch.torch_version", "torch._utils", "torch.jit._pickle",
}  # fmt: skip
_NUMPY_MODULES = {
    "numpy", "numpy.dtypes", "numpy._core.multiarray", "numpy.core.multiarray",
    "numpy._core.numeric", "numpy.core.numeric",
}  # fmt: skip
# Where a module or a name is called otherwise in some release.
_RENAMED = {"pathlib._local": "pathlib"}
_OLD_NAMES = {"_TypedStorage": "TypedStorage", "_UntypedStorage": "UntypedStorage"}


def global_(module: str, name: str, torch: bool) -> Any:
    """A global of the allowlist, as a value."""
    module = _RENAMED.get(module, module)
    if module in _TORCH_MODULES and not torch:
        return f"{module}.{name}"
    if module in _PLAIN_MODULES | _TORCH_MODULES | _NUMPY_MODULES:
        for place, spelled in _spellings(module, name):
            try:
                return getattr(importlib.import_module(place), spelled)
            except (ImportError, AttributeError):
                continue
    elif name == "AttributeDict":
        return _attribute_dict(module)
    raise Unbuilt(f"`{module}.{name}` is a value, and nothing here has that name")


def _spellings(module: str, name: str) -> list[tuple[str, str]]:
    spelled = [(module, name), (module, _OLD_NAMES.get(name, name))]
    if module.startswith("numpy."):
        swapped = module.replace("numpy._core.", "numpy.core.")
        spelled.append(
            (swapped if swapped != module else module.replace(".core.", "._core."), name)
        )
    if (module, name) == ("numpy", "bool"):
        spelled.append((module, "bool_"))
    return spelled


class AttributeDict(dict[str, Any]):
    """What Lightning's class of that name does, where Lightning is not installed."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"missing attribute {name!r}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value


def _attribute_dict(module: str) -> Any:
    if module in {
        "lightning.fabric.utilities.data",
        "lightning_fabric.utilities.data",
        "pytorch_lightning.utilities.parsing",
    }:
        # Not imported: that a file names a package is no reason to run whatever has its name here.
        return getattr(sys.modules.get(module), "AttributeDict", AttributeDict)
    return AttributeDict


def mapping(module: str, name: str) -> Any:
    """An empty mapping of a class of the allowlist."""
    if name == "AttributeDict":
        return _attribute_dict(module)()
    if module == "__torch__":
        raise Unbuilt("a TorchScript object keeps its state in a way that only its own code reads")
    raise Unbuilt(f"`{module}.{name}` holds items, and is not rebuilt here")


# -------------------------------------------------------------------------------------- instances

Arguments = tuple[Any, ...]


def _moment(name: str) -> Callable[[Arguments, Any], Any]:
    def make(arguments: Arguments, _: Any) -> Any:
        packed, *zone = arguments
        if isinstance(packed, str):
            # Python 2 wrote the bytes as a string (Lib/test/datetimetester.py).
            packed = packed.encode("latin1")
        if not isinstance(packed, bytes):
            raise TypeError(f"a {name} of {type(packed).__name__}")
        return getattr(importlib.import_module("datetime"), name)(packed, *zone)

    return make


def _plain(module: str, name: str, *kinds: Any) -> Callable[[Arguments, Any], Any]:
    """A class that is called with arguments of these kinds, of which the last may be repeated."""

    def make(arguments: Arguments, _: Any) -> Any:
        for place, argument in enumerate(arguments):
            kind = kinds[min(place, len(kinds) - 1)]
            if not isinstance(argument, kind):
                raise TypeError(f"{name} of {type(argument).__name__}")
        return getattr(importlib.import_module(module), name)(*arguments)

    return make


def _holder(module: str, name: str) -> Callable[[Arguments, Any], Any]:
    def make(arguments: Arguments, state: Any) -> Any:
        if arguments:
            raise TypeError(f"{name} takes no arguments here")
        made = getattr(importlib.import_module(module), name)()
        if state is not None:
            give_state(made, state)
        return made

    return make


def _path(name: str) -> Callable[[Arguments, Any], Any]:
    def make(arguments: Arguments, _: Any) -> Any:
        pathlib = importlib.import_module("pathlib")
        if not all(isinstance(argument, str) for argument in arguments):
            raise TypeError("the parts of a path are text")
        try:
            return getattr(pathlib, name)(*arguments)
        except NotImplementedError:
            # A path of the other system: what can be done without its files.
            return getattr(pathlib, f"Pure{name}")(*arguments)

    return make


def _uuid(_: Arguments, state: Any) -> Any:
    uuid = importlib.import_module("uuid")
    if not isinstance(state, dict):
        raise TypeError("a UUID without its state")
    state = items(state)
    if not isinstance(state.get("int"), int):
        raise TypeError("a UUID without its number")
    safe = state.get("is_safe")
    kind = uuid.SafeUUID.unknown if safe is None else uuid.SafeUUID(safe)
    return uuid.UUID(int=state["int"], is_safe=kind)


def _returned(name: str) -> Callable[[Arguments, Any], Any]:
    def make(arguments: Arguments, _: Any) -> Any:
        items, *rest = arguments
        if not isinstance(items, tuple) or any(rest):
            raise TypeError(f"torch.return_types.{name} of something else than a tuple")
        return getattr(_torch("return_types"), name)(items)

    return make


_PATHS = ("Path", "PosixPath", "PurePath", "PurePosixPath", "PureWindowsPath", "WindowsPath")
_RETURN_TYPES = (
    "aminmax", "cummax", "cummin", "histogram", "kthvalue", "linalg_eig", "linalg_eigh",
    "linalg_qr", "linalg_slogdet", "linalg_svd", "max", "median", "min", "mode", "nanmedian", "qr",
    "slogdet", "sort", "svd", "topk",
)  # fmt: skip
_timedelta = _plain("datetime", "timedelta", int)

_INSTANCES: dict[tuple[str, str], Callable[[Arguments, Any], Any]] = {
    ("datetime", "datetime"): _moment("datetime"),
    ("datetime", "time"): _moment("time"),
    ("datetime", "date"): _moment("date"),
    ("datetime", "timedelta"): _timedelta,
    ("datetime", "timezone"): _plain("datetime", "timezone", object),
    ("decimal", "Decimal"): _plain("decimal", "Decimal", str),
    ("argparse", "Namespace"): _holder("argparse", "Namespace"),
    ("types", "SimpleNamespace"): _holder("types", "SimpleNamespace"),
    ("uuid", "UUID"): _uuid,
    **{("pathlib", name): _path(name) for name in _PATHS},
}
_TORCH_INSTANCES: dict[tuple[str, str], Callable[[Arguments, Any], Any]] = {
    ("torch.torch_version", "TorchVersion"): _plain("torch.torch_version", "TorchVersion", str),
    **{("torch.return_types", name): _returned(name) for name in _RETURN_TYPES},
}


def instance(module: str, name: str, arguments: Arguments, state: Any, torch: bool) -> Any:
    """An instance of a class of the allowlist."""
    key = (_RENAMED.get(module, module), name)
    make = _INSTANCES.get(key)
    if make is not None:
        return make(arguments, state)
    if key in _TORCH_INSTANCES:
        # A version is text, and what `topk` returns is a tuple, with or without torch.
        return _TORCH_INSTANCES[key](arguments, state) if torch else arguments[0]
    raise Unbuilt(f"an object of `{module}.{name}` is not rebuilt here")


def _torch(name: str) -> Any:
    return getattr(importlib.import_module("torch"), name)
