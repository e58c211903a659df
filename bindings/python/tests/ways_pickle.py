"""Every way to `pickle` that we know of, most of them bound before any hook."""

from __future__ import annotations

import _pickle
import collections
import functools
import io
import pickle
import shelve
from pickle import Unpickler as EarlyUnpickler
from pickle import load as early_load
from pickle import loads as early_loads

from attack import EVIL, main


class Early(pickle.Unpickler):
    """A subclass from before the hook."""


class EarlyLoad(pickle.Unpickler):
    """One with a `load` of its own."""

    def load(self) -> object:
        return super().load()


class EarlyFind(pickle.Unpickler):
    """One that looks up classes itself, and lets everything through."""

    def find_class(self, module: str, name: str) -> object:
        return super().find_class(module, name)


class EarlyDeep(Early):
    """A subclass of a subclass."""


class EarlyPure(pickle._Unpickler):
    """A subclass of the twin in Python."""


class EarlyOpcodes(pickle._Unpickler):
    """One with an opcode of its own, as joblib and pandas have."""

    dispatch = dict(pickle._Unpickler.dispatch)

    def load_reduce(self) -> None:
        pickle._Unpickler.load_reduce(self)

    dispatch[pickle.REDUCE[0]] = load_reduce


class Serializer:
    """Functions in a class: a function of C is not bound there."""

    loads = pickle.loads
    static = staticmethod(pickle.loads)


class Slots:
    """An attribute without a dict."""

    __slots__ = ("loads",)

    def __init__(self) -> None:
        self.loads = pickle.loads


class Instance:
    """An attribute of an instance."""

    def __init__(self) -> None:
        self.loads = pickle.loads


def default(data: bytes, loads: object = pickle.loads) -> object:
    """A default argument."""
    return loads(data)


def keyword(data: bytes, *, loads: object = pickle.loads) -> object:
    """A default of a keyword."""
    return loads(data)


def _closure() -> object:
    loads = pickle.loads
    return lambda data: loads(data)


closure = _closure()
partial = functools.partial(pickle.loads)
partial_argument = functools.partial(lambda loads, data: loads(data), pickle.loads)
registry = {".pkl": pickle.loads}
in_list = [pickle.loads]
in_tuple = (pickle.loads,)
ordered = collections.OrderedDict(loads=pickle.loads)
queue = collections.deque([pickle.loads])
slots = Slots()
instance = Instance()


def _shelf(data: bytes) -> object:
    return shelve.Shelf({b"key": data})["key"]


class Stream:
    """A file that cannot seek and has no `peek`."""

    def __init__(self, data: bytes) -> None:
        self.file = io.BytesIO(data)

    def read(self, size: int) -> bytes:
        return self.file.read(size)

    def readline(self) -> bytes:
        return self.file.readline()


def _late_subclass(data: bytes) -> object:
    class Late(pickle.Unpickler):
        pass

    return Late(io.BytesIO(data)).load()


def _from_import(data: bytes) -> object:
    from pickle import loads

    return loads(data)


def _buffered(data: bytes) -> object:
    with open("data.pkl", "wb") as file:
        file.write(data)
    with open("data.pkl", "rb") as file:
        return pickle.load(file)


def _method(data: bytes) -> object:
    return pickle._Unpickler.load(pickle._Unpickler(io.BytesIO(data)))


def _second(data: bytes) -> object:
    """The second pickle of a file, by one unpickler."""
    unpickler = pickle.Unpickler(io.BytesIO(b"N." + data))
    unpickler.load()
    return unpickler.load()


WAYS = {
    "pickle.load": lambda data: pickle.load(io.BytesIO(data)),
    "pickle.load of a file": _buffered,
    "pickle.load of a stream": lambda data: pickle.load(Stream(data)),
    "pickle.load by keyword": lambda data: pickle.load(file=io.BytesIO(data)),
    "pickle.loads": lambda data: pickle.loads(data),
    "pickle.loads of a bytearray": lambda data: pickle.loads(bytearray(data)),
    "pickle.loads with options": lambda data: pickle.loads(data, encoding="bytes"),
    "pickle.Unpickler": lambda data: pickle.Unpickler(io.BytesIO(data)).load(),
    "_pickle.load": lambda data: _pickle.load(io.BytesIO(data)),
    "_pickle.loads": lambda data: _pickle.loads(data),
    "_pickle.Unpickler": lambda data: _pickle.Unpickler(io.BytesIO(data)).load(),
    "pickle._load": lambda data: pickle._load(io.BytesIO(data)),
    "pickle._loads": lambda data: pickle._loads(data),
    "pickle._Unpickler": lambda data: pickle._Unpickler(io.BytesIO(data)).load(),
    "pickle._Unpickler.load": _method,
    "early load": lambda data: early_load(io.BytesIO(data)),
    "early loads": lambda data: early_loads(data),
    "early Unpickler": lambda data: EarlyUnpickler(io.BytesIO(data)).load(),
    "early subclass": lambda data: Early(io.BytesIO(data)).load(),
    "early subclass with load": lambda data: EarlyLoad(io.BytesIO(data)).load(),
    "early subclass with find_class": lambda data: EarlyFind(io.BytesIO(data)).load(),
    "early subclass of a subclass": lambda data: EarlyDeep(io.BytesIO(data)).load(),
    "early subclass in Python": lambda data: EarlyPure(io.BytesIO(data)).load(),
    "early subclass with opcodes": lambda data: EarlyOpcodes(io.BytesIO(data)).load(),
    "late subclass": _late_subclass,
    "late import": _from_import,
    "class attribute": lambda data: Serializer.loads(data),
    "class attribute by an instance": lambda data: Serializer().loads(data),
    "static method": lambda data: Serializer.static(data),
    "slot": lambda data: slots.loads(data),
    "attribute": lambda data: instance.loads(data),
    "default": lambda data: default(data),
    "keyword default": lambda data: keyword(data),
    "closure": lambda data: closure(data),
    "partial": lambda data: partial(data),
    "argument of a partial": lambda data: partial_argument(data),
    "dict": lambda data: registry[".pkl"](data),
    "list": lambda data: in_list[0](data),
    "tuple": lambda data: in_tuple[0](data),
    "OrderedDict": lambda data: ordered["loads"](data),
    "deque": lambda data: queue[0](data),
    "shelve": _shelf,
    "second pickle": _second,
}

if __name__ == "__main__":
    main(WAYS, evil=EVIL)
