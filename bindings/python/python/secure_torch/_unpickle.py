"""`weights_only=False` in this process: torch's own loader, held to what was judged.

torch reads the archive and its storages; the pickle in it imports only the globals that the report
lists and the policy allows, each by its exact name. What it unpickles are the bytes that the
report is about. Classes are built and their `__setstate__` runs, so this is weaker than
`weights_only=True`, and much weaker than a sandbox.
"""

from __future__ import annotations

import functools
import io
from typing import TYPE_CHECKING, Any, NoReturn

from ._hooks import _gate, _pickle, _torch

if TYPE_CHECKING:
    from ._native import Policy
    from ._report import Report

_HINT = (
    "load it with `sandbox=True`, where a process without rights unpickles it, or allow the class "
    "by name in a policy once you know what building it does: docs/policy.md"
)
# torch renames this module before it asks (torch/serialization.py, load_module_mapping).
_RENAMED = {"torch.tensor": "torch._tensor"}


def unpickle(source: Any, report: Report, policy: Policy | None = None, **kwargs: Any) -> Any:
    """Unpickles a file that was judged.

    `source` is a path, bytes or a file object. `kwargs` are those of `torch.load`.
    """
    data = _gate.read(source)
    _gate.require_same(data, report)
    _gate.require(report, "the file", pickle=True)
    for finding in report.findings:
        # Objects of the registry come without `find_class` once they were asked for (_pickle.c).
        if finding.rule == "pickle.extension":
            _refuse("it asks for an object by its number in the extension registry", report)
    kwargs.pop("mmap", None)
    return _load(data, restricted(report), **kwargs)


def _load(data: bytes, module: Any, **kwargs: Any) -> Any:
    """torch's own loader over bytes that were judged, with a restricted `pickle_module`."""
    import torch

    file = io.BytesIO(data)
    load = _torch.unhooked(torch.serialization.load)
    with _torch.Judged(file):
        return load(file, weights_only=False, pickle_module=module, **kwargs)


def restricted(report: Report) -> Any:
    """Something like the module `pickle`, whose unpickler imports what the report allows."""
    allowed = {
        (_RENAMED.get(g.module, g.module) if renamed else g.module, g.name)
        for g in report.globals
        if g.kind == "allowed" and "." not in g.name
        for renamed in (False, True)
    }

    class Unpickler(_pickle.UNPICKLER):  # type: ignore[misc]
        """The unpickler of C, which renames what Python 2 wrote after it has asked here."""

        def find_class(self, module: Any, name: Any, /) -> Any:
            if type(module) is not str or type(name) is not str or (module, name) not in allowed:
                where = ascii(f"{module}.{name}")[1:-1]
                _refuse(
                    f"it imports `{where}`, which the rules and the policy do not allow", report
                )
            if (module, name) == ("torch.storage", "_load_from_bytes"):
                # torch's would unpickle the file in the bytes with nothing in its way.
                return functools.partial(_load, module=pickle_module)
            return super().find_class(module, name)

    pickle_module = Restricted(Unpickler)
    return pickle_module


class Restricted:
    """What torch calls the `pickle_module`."""

    __name__ = "pickle"
    _secure_torch_restricted = True

    def __init__(self, unpickler: Any) -> None:
        self.Unpickler = unpickler

    def load(self, file: Any, **options: Any) -> Any:
        """The next pickle of a file."""
        return self.Unpickler(file, **options).load()

    def loads(self, data: Any, **options: Any) -> Any:
        """The pickle in some bytes."""
        return self.Unpickler(io.BytesIO(data), **options).load()


def _refuse(why: str, report: Report) -> NoReturn:
    message = f"`{report.path}` is not unpickled in this process: {why}"
    _gate.refuse(message, _HINT, report=report, pickle=True)
