"""The hooks of `pickle`: its functions, its `Unpickler` classes, and their subclasses.

The bytes of a pickle are read, judged, and handed to the original, which reads nothing else.
"""

from __future__ import annotations

import _pickle
import io
import pickle
import threading
from typing import TYPE_CHECKING, Any, Callable

from ..errors import SecurityError
from . import _gate
from ._family import FAMILIES, Family, Site
from ._frames import pickle_length, read_pickle
from ._proxy import Module, original, stand_in
from ._replace import Held, ours

if TYPE_CHECKING:
    from .._native import Policy

    Policies = Callable[[], list[Policy]]

_WHAT = "the pickle"
# The option that has messages between a process and its own children judged too.
CHILDREN = "multiprocessing"

# The C unpickler itself, from before any hook.
UNPICKLER: Any = _pickle.Unpickler
_PURE: Any = pickle._Unpickler
_PURE_DISPATCH = dict(_PURE.dispatch)
_LOCAL = threading.local()


class _Stream:
    """The file of an unpickler: each pickle in it is judged as a whole before its first byte.

    One call of `load` gets one pickle. Where it asks for more, the file has ended.
    """

    __slots__ = ("_call", "_data", "_file", "_policies")

    def __init__(self, file: Any, policies: Policies) -> None:
        # What an unpickler asks of a file, with the error that it raises itself.
        if not (hasattr(file, "read") and hasattr(file, "readline")):
            raise TypeError("file must have 'read' and 'readline' attributes")
        self._file = file
        self._policies = policies
        self._data = io.BytesIO()
        self._call: object = None

    def _next(self) -> io.BytesIO:
        call = getattr(_LOCAL, "call", None)
        if call is None:
            # An unpickler with a loop of its own: a pickle ends where its bytes do.
            ended = self._data.tell() == len(self._data.getbuffer())
        else:
            # What a call left behind when it failed is no start of a pickle.
            ended = call is not self._call
        if ended:
            data = read_pickle(self._file)
            if data:
                _gate.judge(data, self._policies(), _WHAT, pickle=True)
            self._data, self._call = io.BytesIO(data), call
        return self._data

    def read(self, size: int = -1) -> bytes:
        """Some bytes of the pickle."""
        return self._next().read(size)

    def readline(self) -> bytes:
        """A line of the pickle."""
        return self._next().readline()


class _Call:
    """Marks one call of `load`, so that a stream can tell it from the next."""

    __slots__ = ("_outer",)

    def __enter__(self) -> None:
        self._outer = getattr(_LOCAL, "call", None)
        _LOCAL.call = self

    def __exit__(self, *_: object) -> None:
        _LOCAL.call = self._outer


def _require_import(module: Any, name: Any) -> None:
    """The second line: nothing is imported that the policies do not let through by itself."""
    if not FAMILY.allows_import(str(module), str(name)):
        _gate.refuse(
            f"the pickle imports `{ascii(f'{module}.{name}')[1:-1]}`, which is not allowed",
            "allow it by name in a policy, if it is known to be harmless: docs/policy.md",
            pickle=True,
        )


def _load(held: Held, policies: Policies | None = None) -> Any:
    asked = policies or FAMILY.policies

    def run(file: Any, **options: Any) -> Any:
        if not asked():
            return held.original(file, **options)
        if not isinstance(file, _Stream):
            file = _Stream(file, asked)
        with _Call():
            return held.original(file, **options)

    return stand_in(held, run)


def _loads(held: Held, policies: Policies | None = None) -> Any:
    asked = policies or FAMILY.policies

    def run(data: Any, /, **options: Any) -> Any:
        policies = asked()
        if policies:
            # A copy: whoever holds a bytearray could change it between judgement and use.
            data = _judged(bytes(memoryview(data)), policies)
        return held.original(data, **options)

    return stand_in(held, run)


def _judged(data: bytes, policies: list[Policy]) -> bytes:
    if not data:
        return data
    try:
        _gate.judge(data, policies, _WHAT, pickle=True)
    except SecurityError:
        # What follows the first pickle is not unpickled, so it may be anything.
        length = pickle_length(data)
        if length == len(data):
            raise
        data = data[:length]
        _gate.judge(data, policies, _WHAT, pickle=True)
    return data


def guarded_functions(policies: Policies) -> dict[str, Any]:
    """`load` and `loads` under policies of another family."""
    return {
        "load": _load(Held(original(_pickle.load)), policies),
        "loads": _loads(Held(original(_pickle.loads)), policies),
    }


def _unpickler(held: Held) -> Any:
    """A class that is put between an `Unpickler` of C and its subclasses."""

    base: Any = held.original

    # Without `super()` and `base`: they would lie in cells, where `replace` would find them.
    class Unpickler(base):  # type: ignore[misc]
        # No slots and no dict: only so can it become the base of a class that exists already.
        __slots__ = ()

        def __init__(self, file: Any, **options: Any) -> None:
            if FAMILY.policies() and not isinstance(file, _Stream):
                file = _Stream(file, FAMILY.policies)
            held.original.__init__(self, file, **options)

        def load(self) -> Any:
            with _Call():
                return held.original.load(self)

        def find_class(self, module: Any, name: Any, /) -> Any:
            if FAMILY.policies():
                _require_import(module, name)
            return held.original.find_class(self, module, name)

    for name in ("__qualname__", "__module__", "__doc__"):
        setattr(Unpickler, name, getattr(held.original, name))
    for subclass in list(held.original.__subclasses__()):
        if subclass is not Unpickler and not ours(getattr(subclass, "__module__", None)):
            _rebase(subclass, held.original, Unpickler)
    return Unpickler


def _rebase(subclass: type, old: type, new: type) -> None:
    try:
        subclass.__bases__ = tuple(new if b is old else b for b in subclass.__bases__)
    except TypeError:
        # A class of C with another layout: it is named in docs/hooks.md.
        return


class _Pinned(io.BytesIO):
    """The rest of a file, in memory, at the place where it stood in the file."""

    def __init__(self, data: bytes, start: int) -> None:
        super().__init__(data)
        self._start = start

    def tell(self) -> int:
        """The place in the file."""
        return super().tell() + self._start

    def seek(self, offset: int, whence: int = 0) -> int:
        """Goes to a place in the file."""
        offset = offset - self._start if whence == 0 else offset
        return super().seek(offset, whence) + self._start


def _pure_init(held: Held) -> Any:
    def __init__(self: Any, file: Any, **options: Any) -> None:
        if FAMILY.policies() and not isinstance(file, _Stream) and not _own_opcodes(self):
            file = _Stream(file, FAMILY.policies)
        held.original(self, file, **options)

    return __init__


def _pure_load(held: Held) -> Any:
    def load(self: Any) -> Any:
        read = vars(self).get("_file_read")
        if read is None or not FAMILY.policies():
            return held.original(self)
        file: Any = getattr(read, "__self__", None)
        with _Call():
            if isinstance(file, _Stream):
                return held.original(self)
            # Made before the hook, or reading raw bytes between its opcodes, as joblib does.
            pinned = _pin(self, file)
            try:
                return held.original(self)
            finally:
                if getattr(file, "seekable", bool)():
                    file.seek(pinned.tell())

    return load


def _pin(unpickler: Any, file: Any) -> _Pinned:
    """Judges all that is left of a file, and lets an unpickler see nothing else."""
    if isinstance(file, _Pinned):
        return file
    if not hasattr(file, "read"):
        _gate.refuse(
            "the unpickler reads from something that cannot be judged",
            "give it a file object while the hooks are in",
            pickle=True,
        )
    start = file.tell() if getattr(file, "seekable", bool)() else 0
    data = bytes(file.read())
    _gate.judge(data, FAMILY.policies(), _WHAT, pickle=True)
    pinned = _Pinned(data, start)
    for name, value in list(vars(unpickler).items()):
        if value is file:
            setattr(unpickler, name, pinned)
    # What `_Unpickler.__init__` binds (Lib/pickle.py).
    unpickler._file_read = pinned.read
    unpickler._file_readline = pinned.readline
    unpickler._file_readinto = pinned.readinto
    return pinned


def _own_opcodes(unpickler: Any) -> bool:
    return type(unpickler) is not _PURE and type(unpickler).dispatch != _PURE_DISPATCH


def _pure_find_class(held: Held) -> Any:
    def find_class(self: Any, module: Any, name: Any) -> Any:
        if FAMILY.policies():
            _require_import(module, name)
        return held.original(self, module, name)

    return find_class


def _of_children() -> list[Policy]:
    return FAMILY.policies(CHILDREN)


def _children(held: Held) -> Any:
    """The `pickle` of a module that reads what the process's own children send."""
    return Module(held.original, guarded_functions(_of_children))


def _children_loads(held: Held) -> Any:
    return _loads(Held(original(held.original)), _of_children)


def _sites() -> list[Site]:
    # First what is to keep the originals, then what replaces those everywhere.
    sites = [
        Site("multiprocessing.reduction", "ForkingPickler.loads", _children_loads, False),
        Site("multiprocessing.reduction", "pickle", _children, False),
        Site("torch.multiprocessing.queue", "pickle", _children, False),
        Site("torch._inductor.compile_worker.subproc_pool", "pickle", _children, False),
        Site("torch._inductor.autotune_process", "pickle", _children, False),
    ]
    for module in ("_pickle", "pickle", "pickle5._pickle", "pickle5"):
        sites += [
            Site(module, "load", _load),
            Site(module, "loads", _loads),
            Site(module, "Unpickler", _unpickler),
        ]
    sites += [
        Site("pickle", "_Unpickler.__init__", _pure_init, False),
        Site("pickle", "_Unpickler.load", _pure_load, False),
        Site("pickle", "_Unpickler.find_class", _pure_find_class, False),
    ]
    return sites


class _Pickle(Family):
    def _take_out(self) -> None:
        guards = [c for c in self._changes if isinstance(c.new.original, type)]
        super()._take_out()
        for change in guards:
            old, new = change.old.original, change.new.original
            for subclass in list(new.__subclasses__()):
                _rebase(subclass, new, old)


FAMILY = _Pickle("pickle", _sites())
FAMILIES.append(FAMILY)
