"""The hooks of torch: everything in it that reads a file which may hold a pickle or code.

What `secure_torch.load` reads is loaded by it. TorchScript, `.pt2` and packages are loaded by torch
itself, from the bytes that were judged.
"""

from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING, Any

from . import _gate
from ._family import FAMILIES, Family, Site
from ._pickle import FAMILY as PICKLE
from ._pickle import guarded_functions
from ._proxy import Module, original, stand_in

if TYPE_CHECKING:
    from .._native import Policy
    from ._replace import Held

# The option that lets `torch.hub.load` run a repository's code.
HUB_CODE = "hub-code"
_LOCAL = threading.local()
_MODULE_HINT = "call torch.load without `pickle_module`, or take the hooks out for this one call"
_ARCHIVE_HINT = "call torch.load with the path or the file of the archive"


class Judged:
    """Marks bytes as judged, for what torch calls with them further down."""

    __slots__ = ("_outer", "_source")

    def __init__(self, source: Any) -> None:
        self._source = source

    def __enter__(self) -> None:
        self._outer = getattr(_LOCAL, "judged", ())
        _LOCAL.judged = (*self._outer, self._source)

    def __exit__(self, *_: object) -> None:
        _LOCAL.judged = self._outer


def _is_judged(source: Any) -> bool:
    return any(source is judged for judged in getattr(_LOCAL, "judged", ()))


def unhooked(function: Any) -> Any:
    """A function of torch itself, whatever hooks are in."""
    return original(function)


def run_judged(function: Any, source: Any, *args: Any, what: str, **options: Any) -> Any:
    """Judges a source, and calls a function with its bytes as a file."""
    return run_under(FAMILY.policies(), function, source, *args, what=what, **options)


def run_under(
    policies: _gate.Policies, function: Any, source: Any, *args: Any, what: str, **options: Any
) -> Any:
    """`run_judged` under some policies."""
    if _is_judged(source):
        return function(source, *args, **options)
    data, _ = _gate.judged_bytes(source, policies, what)
    file = io.BytesIO(data)
    with Judged(file):
        return function(file, *args, **options)


def load_under(
    policies: _gate.Policies,
    f: Any,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **options: Any,
) -> Any:
    """`torch.load`, by `secure_torch.load` under some policies."""
    from .._load import load

    weights_only = _weights_only(pickle_module, weights_only)
    if mmap is not None:
        options["mmap"] = mmap
    *others, policy = policies
    if others and not _gate.is_path(f):
        # Read once, so that all of them judge what is loaded.
        f = _gate.read(f)
    _gate.judge(f, others, "the file")
    return load(f, map_location=map_location, weights_only=weights_only, policy=policy, **options)


def _weights_only(pickle_module: Any, weights_only: bool | None) -> bool:
    name = getattr(pickle_module, "__name__", None)
    if pickle_module is None:
        return True if weights_only is None else weights_only
    if weights_only:
        raise RuntimeError("Can not safely load weights when explicit pickle_module is specified")
    if name not in ("pickle", "_pickle"):
        _gate.refuse(
            f"torch.load was given the unpickler {name!r}, which is held to no rule",
            _MODULE_HINT,
            pickle=True,
        )
    # As torch does where `weights_only` is not given (torch/serialization.py).
    return False


def _load(held: Held) -> Any:
    def run(*args: Any, **options: Any) -> Any:
        policies = FAMILY.policies()
        if not policies:
            return held.original(*args, **options)
        return load_under(policies, *args, **options)

    return stand_in(held, run)


def _legacy_load(held: Held) -> Any:
    def run(f: Any, map_location: Any = None, pickle_module: Any = None, **options: Any) -> Any:
        if not FAMILY.policies() or hasattr(pickle_module, "_secure_torch_restricted"):
            return held.original(f, map_location, pickle_module, **options)
        if getattr(pickle_module, "__name__", None) == "torch._weights_only_unpickler":
            pickle_module = None
        return load_under(FAMILY.policies(), f, map_location, pickle_module, **options)

    return stand_in(held, run)


def _zip_load(held: Held) -> Any:
    def run(zip_file: Any, map_location: Any, pickle_module: Any, *a: Any, **options: Any) -> Any:
        if FAMILY.policies() and not hasattr(pickle_module, "_secure_torch_restricted"):
            _gate.refuse(
                "torch.serialization._load was called with an archive that is open already, "
                "of which the bytes cannot be judged any more",
                _ARCHIVE_HINT,
                pickle=True,
            )
        return held.original(zip_file, map_location, pickle_module, *a, **options)

    return stand_in(held, run)


def _load_from_bytes(held: Held) -> Any:
    def run(b: Any) -> Any:
        policies = FAMILY.policies()
        if not policies:
            return held.original(b)
        return load_under(policies, io.BytesIO(b), weights_only=False)

    return stand_in(held, run)


def _hub_url(held: Held) -> Any:
    def run(*args: Any, **options: Any) -> Any:
        if not FAMILY.policies():
            return held.original(*args, **options)
        from ..hub import from_url

        return from_url(FAMILY.policies(), *args, **options)

    return stand_in(held, run)


def _hub_code(held: Held) -> Any:
    def run(*args: Any, **options: Any) -> Any:
        if len(FAMILY.policies()) > len(FAMILY.policies(HUB_CODE)):
            from ..hub import refuse_code

            refuse_code(f"torch.hub.{held.original.__name__}")
        return held.original(*args, **options)

    return stand_in(held, run)


def _file_function(what: str) -> Any:
    """The maker of a guard for a function whose first argument is a path or a file."""

    def make(held: Held) -> Any:
        def run(source: Any = None, *args: Any, **options: Any) -> Any:
            for keyword in ("f", "file_or_buffer", "path"):
                if source is None and keyword in options:
                    source = options.pop(keyword)
            if not FAMILY.policies():
                return held.original(source, *args, **options)
            return run_judged(held.original, source, *args, what=what, **options)

        return stand_in(held, run)

    return make


def _native_file(held: Held) -> Any:
    """A function of torch's C++ part that opens a path by itself."""

    def run(*args: Any, **options: Any) -> Any:
        if FAMILY.policies():
            _gate.refuse(
                f"torch._C.{held.original.__name__} opens the path by itself, after any judgement",
                "call torch.jit.load, which is given the bytes that were judged",
            )
        return held.original(*args, **options)

    return stand_in(held, run)


def _native_bytes(held: Held) -> Any:
    def run(*args: Any, **options: Any) -> Any:
        if FAMILY.policies() and not getattr(_LOCAL, "judged", ()):
            for data in args:
                if isinstance(data, (bytes, bytearray)):
                    _gate.judge(bytes(data), FAMILY.policies(), "the TorchScript file")
        return held.original(*args, **options)

    return stand_in(held, run)


def _importer(held: Held) -> Any:
    def __init__(self: Any, file_or_buffer: Any, *args: Any, **options: Any) -> None:
        def original(source: Any, *rest: Any, **named: Any) -> None:
            held.original(self, source, *rest, **named)

        if not FAMILY.policies():
            original(file_or_buffer, *args, **options)
            return
        if not (_gate.is_path(file_or_buffer) or hasattr(file_or_buffer, "read")):
            _gate.refuse(
                "torch.package.PackageImporter was given a reader that is open already, of which "
                "the bytes cannot be judged any more",
                "give it the path or the file of the package",
            )
        run_judged(original, file_or_buffer, *args, what="the package", **options)

    return __init__


def _pickle_module(held: Held) -> Any:
    """The `pickle` of a module of torch that reads files with it."""
    return Module(held.original, guarded_functions(_with_pickle))


def _with_pickle() -> list[Policy]:
    # Hooks of pickle that are in as well have a say in it.
    return [*FAMILY.policies(), *PICKLE.policies()]


def _sites() -> list[Site]:
    script = _file_function("the TorchScript file")
    exported = _file_function("the exported program")
    sites = [
        Site("torch.serialization", "load", _load),
        Site("torch.serialization", "_load", _zip_load),
        Site("torch.serialization", "_legacy_load", _legacy_load),
        Site("torch.storage", "_load_from_bytes", _load_from_bytes),
        Site("torch.hub", "load_state_dict_from_url", _hub_url),
        Site("torch.hub", "load", _hub_code),
        Site("torch.hub", "_load_local", _hub_code),
        Site("torch.hub", "list", _hub_code),
        Site("torch.hub", "help", _hub_code),
        Site("torch.jit._serialization", "load", script),
        Site("torch.jit._serialization", "jit_module_from_flatbuffer", script),
        Site("torch.jit.mobile", "_load_for_lite_interpreter", script),
        Site("torch.package.package_importer", "PackageImporter.__init__", _importer, False),
        Site("torch.export", "load", exported),
        Site("torch.export.pt2_archive._package", "load_pt2", exported),
        Site("torch._inductor.package.package", "load_package", exported),
    ]
    for name in ("import_ir_module", "_load_for_lite_interpreter", "_load_jit_module_from_file"):
        sites.append(Site("torch._C", name, _native_file))
    for name in (
        "import_ir_module_from_buffer",
        "_load_for_lite_interpreter_from_buffer",
        "_load_jit_module_from_bytes",
        "_pickle_load_obj",
    ):
        sites.append(Site("torch._C", name, _native_bytes))
    for module in ("torch.distributed.checkpoint.filesystem", "torch.export.pt2_archive._package"):
        sites.append(Site(module, "pickle", _pickle_module, False))
    return sites


FAMILY = Family("torch", _sites())
FAMILIES.append(FAMILY)
