"""The CPython oracle: which globals do the unpicklers ask for?

Run alone in its own process (`python -I -S -W ignore oracle.py SEED MODE`).
Reads pickle streams from standard input, each as a little-endian u32 length and
that many bytes; answers one JSON line for each:

    {"asked": [[module, name, where], ...], "runs": N, "breaches": N}

`asked` holds each (module, name) that an unpickler asked `find_class` for, raw,
before `fix_imports` renames it, with the first setting that asked. Every stream
is read by the C and by the pure-Python unpickler, through sources that show
their differences: with the whole stream prefetched (as `loads` has it), peekable,
without `peek`, and without `readinto`; a new unpickler reads on after each STOP,
as loaders of several pickles do, and so does one that keeps its memo. `loads`
itself is watched through the `pickle.find_class` audit event, up to its first
global. MODE `full` runs every combination of encoding, `fix_imports` and kind of
stand-in; `sample` takes two of them for each stream, by SEED.

What it refuses to do: import or call anything that a stream names. `find_class`
gives an inert stand-in that absorbs whatever is done to it. After start an audit
hook also refuses imports, opened files, processes, sockets, code and foreign
calls; a refusal is counted as a breach, which the tests hold at zero. Memory and
time are limited; a stream that exceeds them ends this process, and whoever
started it goes on after that stream.
"""

from __future__ import annotations

import _pickle
import contextlib
import copyreg
import io
import itertools
import json
import pickle
import signal
import struct
import sys
from collections.abc import Iterator
from typing import Any

MEMORY_LIMIT = 1 << 30
SECONDS_FOR_A_STREAM = 5.0
PICKLES_IN_A_STREAM = 8
NAMES_FOR_A_STREAM = 4096

# What a stand-in call or a persistent id gives where a string is wanted: a name
# made of it was computed at run time, so no reader of the file can know it.
COMPUTED = "@computed"
# The module of every entry in the poisoned extension registry.
EXTENSION = "@extension"
EXTENSION_CODES = (1, 2, 3, 127, 128, 240, 255, 256, 257, 0x1234, 0xFFFF, 0x10000, 0x7FFFFFFF)

# Encoding, `fix_imports`, kind of stand-in, one unpickler for all pickles.
Setting = tuple[str, bool, str, bool]
Asked = dict[tuple[str, str], str]

ENCODINGS = ("ASCII", "latin1", "bytes", "utf-8")
STAND_INS = ("class", "instance", "string")
SOURCES = ("whole", "peekable", "bytesio", "raw")

armed = False
breaches = 0
loads_asked: list[tuple[str, str]] = []

REFUSED = frozenset({"import", "open", "exec", "compile", "code.__new__", "function.__new__"})
REFUSED_PREFIXES = ("os.", "subprocess.", "socket.", "ctypes.", "shutil.", "urllib.", "mmap.")


def audit(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuses what no stream may reach, and watches the real `find_class`."""
    global breaches
    if not armed:
        return
    if event == "pickle.find_class":
        loads_asked.append((arguments[0], arguments[1]))
        raise pickle.UnpicklingError("the oracle imports nothing")
    if event in REFUSED or event.startswith(REFUSED_PREFIXES):
        breaches += 1
        raise RuntimeError("the oracle lets nothing run")


class Absorbing(type):
    """Makes a class answer to everything that is done to it."""

    def __call__(cls, *arguments: Any, **keywords: Any) -> Any:
        return cls

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__") and name != "__getinitargs__":
            raise AttributeError(name)
        return cls

    def __getitem__(cls, key: Any) -> Any:
        return cls

    def __setitem__(cls, key: Any, value: Any) -> None:
        pass


def absorb(*arguments: Any, **keywords: Any) -> None:
    """Takes anything, does nothing."""


class Inert(metaclass=Absorbing):
    """The stand-in for a class: NEWOBJ and its kin take only true classes."""

    def __new__(cls, *arguments: Any, **keywords: Any) -> Any:
        return cls

    __setstate__ = append = extend = add = update = staticmethod(absorb)


class Thing:
    """The stand-in for a function or an object; its calls give things again."""

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return self

    def __getitem__(self, key: Any) -> Any:
        return self

    __setitem__ = __setstate__ = append = extend = add = update = absorb


class ToStringMeta(Absorbing):
    """As `Absorbing`, but a call gives a string."""

    def __call__(cls, *arguments: Any, **keywords: Any) -> Any:
        return COMPUTED


class ToString(metaclass=ToStringMeta):
    """The stand-in for what computes strings: `operator.concat` and its kin."""

    def __new__(cls, *arguments: Any, **keywords: Any) -> Any:
        return COMPUTED

    __setstate__ = append = extend = add = update = staticmethod(absorb)


STAND_IN_VALUES: dict[str, Any] = {"class": Inert, "instance": Thing(), "string": ToString}


class Raw:
    """A file without `peek` and without `readinto`."""

    def __init__(self, data: bytes) -> None:
        self.file = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self.file.read(size)

    def readline(self) -> bytes:
        return self.file.readline()


class Whole(Raw):
    """A file that shows all that is left at each peek, as `loads` has it."""

    def peek(self, size: int = 0) -> bytes:
        return self.file.getbuffer()[self.file.tell() :].tobytes()


def source(kind: str, data: bytes) -> Any:
    """A file of one of the `SOURCES` kinds."""
    if kind == "whole":
        return Whole(data)
    if kind == "peekable":
        return io.BufferedReader(io.BytesIO(data), 64)
    return Raw(data) if kind == "raw" else io.BytesIO(data)


def make_unpickler(base: Any) -> Any:
    """A recording unpickler on top of CPython's C or Python one."""

    class Recorder(base):  # type: ignore[misc]
        asked: Asked
        where: str
        stand_in: str

        def find_class(self, module: str, name: str) -> Any:
            if len(self.asked) >= NAMES_FOR_A_STREAM:
                raise pickle.UnpicklingError("too many names")
            self.asked.setdefault((module, name), self.where)
            return STAND_IN_VALUES[self.stand_in]

        def persistent_load(self, pid: Any) -> Any:
            return COMPUTED if self.stand_in == "string" else STAND_IN_VALUES[self.stand_in]

    return Recorder


UNPICKLERS = {"c": make_unpickler(_pickle.Unpickler), "py": make_unpickler(pickle._Unpickler)}
SETTINGS = tuple(itertools.product(ENCODINGS, (True, False), STAND_INS))
REUSES = (False, True)


def settings(number: int, seed: int, full: bool) -> Iterator[Setting]:
    """The settings that a stream is read with."""
    if full:
        for setting in SETTINGS:
            for reuse in REUSES:
                yield (*setting, reuse)
        return
    # A Weyl step: consecutive streams go through all settings evenly.
    place = (seed + number) * 7
    yield (*SETTINGS[place % len(SETTINGS)], False)
    yield (*SETTINGS[(place + 11) % len(SETTINGS)], number % 4 == 0)


def read(
    recorder: Any,
    data: bytes,
    kind: str,
    setting: tuple[str, bool, str, bool],
    asked: Any,
    where: str,
) -> None:
    """Reads every pickle of a stream through one unpickler."""
    encoding, fix_imports, stand_in, reuse = setting
    file = source(kind, data)
    unpickler = None
    for _ in range(PICKLES_IN_A_STREAM):
        if unpickler is None or not reuse:
            buffers = (bytearray(b"buffer") for _ in itertools.count())
            unpickler = recorder(file, fix_imports=fix_imports, encoding=encoding, buffers=buffers)
            unpickler.asked = asked
            unpickler.where = where
            unpickler.stand_in = stand_in
        try:
            unpickler.load()
        except Exception:
            return


def read_loads(data: bytes, encoding: str, fix_imports: bool, asked: Asked) -> None:
    """`loads` itself, up to its first global, which the audit hook stops."""
    loads_asked.clear()
    with contextlib.suppress(Exception):
        _pickle.loads(data, fix_imports=fix_imports, encoding=encoding)
    for pair in loads_asked:
        asked.setdefault(pair, f"c/loads/{encoding}")


def clear_extensions() -> None:
    """The unpicklers keep what they looked up: forget it."""
    copyreg._extension_cache.clear()  # type: ignore[attr-defined]


def poison(on: bool) -> None:
    """Fills or empties the extension registry, which is empty in a fresh process."""
    registry: dict[int, tuple[str, str]] = copyreg._inverted_registry  # type: ignore[attr-defined]
    registry.clear()
    clear_extensions()
    if on:
        registry.update((code, (EXTENSION, f"code{code}")) for code in EXTENSION_CODES)


def answer(data: bytes, number: int, seed: int, full: bool) -> dict[str, Any]:
    """All that any unpickler asks for in one stream."""
    asked: Asked = {}
    runs = 0
    for setting in settings(number, seed, full):
        encoding, fix_imports, stand_in, reuse = setting
        for name, recorder in UNPICKLERS.items():
            for kind in SOURCES:
                where = f"{name}/{kind}/{encoding}/fix={fix_imports}/{stand_in}/reuse={reuse}"
                clear_extensions()
                read(recorder, data, kind, setting, asked, where)
                runs += 1
        read_loads(data, encoding, fix_imports, asked)
    poison(True)
    for name, recorder in UNPICKLERS.items():
        clear_extensions()
        where = f"{name}/bytesio/poisoned"
        read(recorder, data, "bytesio", ("ASCII", True, "class", False), asked, where)
    poison(False)
    return {
        "asked": [[module, name, where] for (module, name), where in asked.items()],
        "runs": runs,
        "breaches": breaches,
    }


def limit() -> None:
    """Caps this process's memory, where the system can."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (600, 600))


def warm_up() -> None:
    """Makes Python load now what it would load while reading a stream."""
    for codec in (*ENCODINGS[:2], "utf-8", "raw_unicode_escape", "unicode_escape", "escape"):
        for errors in ("strict", "surrogatepass", "replace"):
            with contextlib.suppress(LookupError):
                b"x\\x41".decode(codec, errors)
    every = [None, True, 1, 1 << 70, 1.5, b"b", bytearray(b"b"), "\u00e9\ud800", (1,), [1], {1: 2}]
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        for value in (*every, {1}, frozenset({1})):
            data = pickle._dumps(value, protocol)  # type: ignore[attr-defined]
            for base in (_pickle.loads, pickle._loads):  # type: ignore[attr-defined]
                base(data)


def main() -> None:
    """Answers until standard input ends."""
    global armed
    seed, full = int(sys.argv[1]), sys.argv[2] == "full"
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    warm_up()
    limit()
    # CPython reports some errors of its own (a bytearray freed while it is exported) through
    # these, and the default ones import `traceback` to do so.
    sys.excepthook = sys.unraisablehook = lambda *_: None
    sys.addaudithook(audit)
    alarms = hasattr(signal, "setitimer")
    armed = True
    for number in itertools.count():
        head = stdin.read(4)
        if len(head) < 4:
            return
        (size,) = struct.unpack("<I", head)
        data = stdin.read(size)
        if alarms:
            signal.setitimer(signal.ITIMER_REAL, SECONDS_FOR_A_STREAM)
        reply = answer(data, number, seed, full)
        stdout.write(json.dumps(reply).encode() + b"\n")
        stdout.flush()


if __name__ == "__main__":
    main()
