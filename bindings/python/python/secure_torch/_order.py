"""Keeps this package behind torch in the eyes of `pickle`.

`pickle` looks for the module of an object that does not name its own, such as
`torch.per_tensor_affine`, by asking every module in the order of `sys.modules`
(Modules/_pickle.c, whichmodule). This package has every name that torch has. Where it came first,
files saved by this process would refer to it instead of to torch.

So it goes behind torch as soon as it is touched with torch there. Till then, whoever asks for such
an object other than by an attribute or an import is taken for `pickle`, and gets none.
"""

from __future__ import annotations

import dis
import sys
from types import FrameType
from typing import Any

_PACKAGE = __name__.rpartition(".")[0]
_ACCESS = {"LOAD_ATTR", "LOAD_METHOD", "IMPORT_FROM"}

_settled = False


def settle() -> None:
    """Moves this package behind torch, where torch is there and came later."""
    global _settled
    if _settled or not _has_torch():
        return
    for name in list(sys.modules):
        if name == _PACKAGE or name.startswith(f"{_PACKAGE}."):
            module = sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module
    _settled = True


def answered(value: Any, name: str, torch_was_there: bool, caller: FrameType) -> Any:
    """What of torch's is given out to `caller`, which asked this package for `name`."""
    if not _settled:
        if not torch_was_there or _is_access(caller):
            settle()
        elif getattr(value, "__module__", None) is None:
            # `sys.modules` stays as it is: it may be in the middle of being walked.
            raise AttributeError(f"module {_PACKAGE!r} leaves {name!r} to torch")
    return value


def _has_torch() -> bool:
    spec = getattr(sys.modules.get("torch"), "__spec__", None)
    # importlib puts a module at the end once more when it is complete.
    return spec is not None and not getattr(spec, "_initializing", False)


def _is_access(frame: FrameType) -> bool:
    """Whether a frame is getting an attribute, and not calling something that does."""
    return dis.opname[frame.f_code.co_code[frame.f_lasti]] in _ACCESS
