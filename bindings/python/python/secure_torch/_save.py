"""`save`: torch's own, and a word where nobody could load what it wrote through the gate."""

from __future__ import annotations

import importlib
import os
import warnings
from typing import Any

from ._scan import PolicyLike, scan
from .errors import SecurityWarning


def save(obj: Any, f: Any, *args: Any, policy: PolicyLike = None, **kwargs: Any) -> None:
    """`torch.save`, whose file is judged once it is written.

    Nothing is refused: the file is the caller's own. Where the policy would block it, as it does a
    whole module whose class it does not know, a `SecurityWarning` says why, so that whoever saves
    hears of it before anybody loads. A path is judged as it lies there; of a file object, what was
    written to it, where it can be read again; other objects are written to and not judged.
    """
    start = f.tell() if _can_be_read(f) else None
    importlib.import_module("torch.serialization").save(obj, f, *args, **kwargs)
    written: Any = f
    if start is not None:
        end = f.tell()
        f.seek(start)
        written = f.read(end - start)
        f.seek(end)
    elif not isinstance(f, (str, os.PathLike)):
        return
    report = scan(written, policy=policy)
    if not report.load_allowed:
        message = f"what was saved would be blocked when it is loaded: {'; '.join(report.reasons)}"
        warnings.warn(SecurityWarning(message, report), stacklevel=2)


def _can_be_read(f: Any) -> bool:
    def can(what: str) -> bool:
        ask = getattr(f, what, None)
        return callable(ask) and bool(ask())

    return can("seekable") and can("readable")
