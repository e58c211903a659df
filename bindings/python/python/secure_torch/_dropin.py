"""`import secure_torch as torch`: whatever this package does not have itself comes from torch.

`load`, `save`, `jit.load`, `hub.load_state_dict_from_url`, `serialization.load`, `export.load` and
`package.PackageImporter` are ours; so are the names that tell about this package, as `__version__`.
`from secure_torch import nn` works. `import secure_torch.nn` does not: a module has one name.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from typing import Any, Callable

_PACKAGE = __name__.rpartition(".")[0]


@functools.cache
def _own() -> frozenset[str]:
    """The modules of this package. torch is not asked for a name of theirs."""
    path = importlib.import_module(_PACKAGE).__path__
    return frozenset(module.name for module in pkgutil.iter_modules(path))


def attribute(name: str) -> Any:
    """What `secure_torch.NAME` is, where the package has no such name itself."""
    if name in _own():
        return importlib.import_module(f"{_PACKAGE}.{name}")
    return _of("torch", _PACKAGE, name)


def names() -> list[str]:
    """The names that are there without being the package's own."""
    own = [name for name in _own() if not name.startswith("_")]
    try:
        return sorted({*own, *dir(importlib.import_module("torch"))})
    except ImportError:
        return sorted(own)


def passthrough(
    module: str, own: dict[str, Any]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a module of ours that stands for one of torch."""
    theirs = "torch" + module[len(_PACKAGE) :]

    def __getattr__(name: str) -> Any:
        return _of(theirs, module, name)

    def __dir__() -> list[str]:
        return sorted({*own, *dir(importlib.import_module(theirs))})

    return __getattr__, __dir__


def _of(theirs: str, ours: str, name: str) -> Any:
    if name.startswith("__") and name.endswith("__"):
        # Asked by import, pickle, inspect and others about this module, not about torch.
        raise AttributeError(f"module {ours!r} has no attribute {name!r}")
    try:
        module = importlib.import_module(theirs)
    except ImportError as error:
        message = f"module {ours!r} has no attribute {name!r}, and torch cannot be imported"
        raise AttributeError(message) from error
    try:
        return getattr(module, name)
    except AttributeError:
        raise AttributeError(f"neither {ours!r} nor {theirs!r} has an attribute {name!r}") from None
