"""Whether two loaded checkpoints are the same, leaf by leaf.

Compared are types, the order of keys, dtypes, shapes, strides, offsets, layouts, devices,
`requires_grad`, the bits for conjugates and negatives, quantisers, attributes, and every byte of
every storage: two NaNs with other payloads are two values. Sharing is compared too: what is one
object, or one storage, on one side has to be one on the other, and parts of a storage have to
overlap alike.

Nothing here calls `==` on what a file could have chosen the class of before the classes agree.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import pathlib
import struct
import types
import uuid
from collections import OrderedDict, defaultdict, deque
from typing import Any, Callable

import numpy as np
import torch

_PLAIN = (
    str, bytes, bytearray, int, bool, type(None), type(Ellipsis), type(NotImplemented), range,
    torch.dtype, torch.device, torch.layout, torch.qscheme, torch.memory_format,
    datetime.datetime, datetime.date, datetime.time, datetime.timedelta, datetime.timezone,
    pathlib.PurePath, uuid.UUID, enum.Enum,
)  # fmt: skip


class Compared:
    """How much was compared."""

    def __init__(self) -> None:
        self.leaves = 0
        self.tensors = 0
        self.storages = 0
        self.bytes = 0

    def __repr__(self) -> str:
        return (
            f"{self.leaves} leaves, {self.tensors} tensors, {self.storages} storages of "
            f"{self.bytes} bytes"
        )


def assert_equal(ours: Any, theirs: Any, where: str = "") -> Compared:
    """Fails with every difference that was found, each with its place."""
    comparison = Comparison()
    comparison.compare(ours, theirs)
    if comparison.differences:
        shown = "\n".join(comparison.differences[:20])
        raise AssertionError(f"{where or 'loaded'} differs (ours, theirs):\n{shown}")
    return comparison.compared


def differences(ours: Any, theirs: Any) -> list[str]:
    """Every difference that was found, each with its place."""
    comparison = Comparison()
    comparison.compare(ours, theirs)
    return comparison.differences


class Comparison:
    """Two values and what was met in them."""

    def __init__(self) -> None:
        self.differences: list[str] = []
        self.compared = Compared()
        # Which object of theirs stands where one of ours stands, and the other way around.
        self._pairs: tuple[dict[Any, Any], dict[Any, Any]] = ({}, {})
        self._storages: list[tuple[str, Any, Any]] = []
        # Numbers of objects are only good while the objects live.
        self._alive: list[Any] = []
        self._waiting: list[tuple[str, Any, Any]] = []

    def compare(self, ours: Any, theirs: Any) -> None:
        """Compares all that can be reached."""
        self._waiting.append(("root", ours, theirs))
        while self._waiting and len(self.differences) < 100:
            place, mine, yours = self._waiting.pop()
            self._alive += [mine, yours]
            self._one(place, mine, yours)
        self._overlaps()

    def _differ(self, place: str, what: str, ours: Any, theirs: Any) -> None:
        self.differences.append(f"{place}: {what}: {ours!r:.200} and {theirs!r:.200}")

    def _same(self, place: str, what: str, ours: Any, theirs: Any) -> bool:
        if type(ours) is not type(theirs) or ours != theirs:
            self._differ(place, what, ours, theirs)
            return False
        return True

    def _paired(self, place: str, what: str, ours: Any, theirs: Any) -> bool:
        """Whether this pair is new. One of a pair that meets another partner is a difference."""
        there, here = self._pairs
        new = ours not in there
        if there.setdefault(ours, theirs) != theirs or here.setdefault(theirs, ours) != ours:
            self.differences.append(f"{place}: {what} is shared with others than theirs is")
        return new

    def _push(self, place: str, ours: Any, theirs: Any) -> None:
        self._waiting.append((place, ours, theirs))

    def _one(self, place: str, ours: Any, theirs: Any) -> None:
        if type(ours) is not type(theirs):
            self._differ(place, "type", type(ours), type(theirs))
            return
        compare = self._kind(theirs)
        if compare is None:
            self._differ(place, "no rule compares the type", type(ours), type(theirs))
            return
        compare(place, ours, theirs)

    def _kind(self, value: Any) -> Callable[[str, Any, Any], None] | None:
        if isinstance(value, torch.Tensor):
            return self._tensors
        if isinstance(value, torch.storage.TypedStorage):
            return self._typed
        if isinstance(value, torch.UntypedStorage):
            return self._untyped
        if isinstance(value, np.ndarray):
            return self._arrays
        if isinstance(value, np.generic):
            return self._scalars
        if isinstance(value, np.dtype):
            return self._dtypes
        if isinstance(value, dict):
            return self._dicts
        if isinstance(value, (list, deque)):
            return self._sequences
        if isinstance(value, tuple):
            return self._tuples
        if isinstance(value, (set, frozenset)):
            return self._sets
        if isinstance(value, (float, complex, decimal.Decimal, slice)):
            return self._numbers
        if isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType)):
            return self._identical
        if isinstance(value, _PLAIN):
            return self._plain
        if hasattr(value, "__dict__"):
            return self._instances
        return None

    # ------------------------------------------------------------------------------ plain values

    def _plain(self, place: str, ours: Any, theirs: Any) -> None:
        self.compared.leaves += 1
        if isinstance(theirs, bytearray):
            self._paired(place, "a bytearray", ("object", id(ours)), ("object", id(theirs)))
        self._same(place, "value", ours, theirs)
        if isinstance(theirs, (datetime.datetime, datetime.time)):
            self._same(place, "fold", ours.fold, theirs.fold)
            self._same(place, "zone", repr(ours.tzinfo), repr(theirs.tzinfo))
        self._attributes(place, ours, theirs)

    def _identical(self, place: str, ours: Any, theirs: Any) -> None:
        self.compared.leaves += 1
        if ours is not theirs:
            self._differ(place, "value", ours, theirs)

    def _numbers(self, place: str, ours: Any, theirs: Any) -> None:
        self.compared.leaves += 1
        if isinstance(theirs, slice):
            for name in ("start", "stop", "step"):
                self._push(f"{place}.{name}", getattr(ours, name), getattr(theirs, name))
            return
        self._same(place, "value", _bits(ours), _bits(theirs))

    # -------------------------------------------------------------------------------- containers

    def _met(self, place: str, ours: Any, theirs: Any) -> bool:
        """Whether an object was compared before: its place among the others is compared now."""
        mine, yours = ("object", id(ours)), ("object", id(theirs))
        return not self._paired(place, f"a {type(theirs).__name__}", mine, yours)

    def _dicts(self, place: str, ours: Any, theirs: Any) -> None:
        if self._met(place, ours, theirs):
            return
        if isinstance(theirs, defaultdict):
            self._push(f"{place}.default_factory", ours.default_factory, theirs.default_factory)
        # What a subclass has to say about its items is not asked.
        items = (list(dict.items(ours)), list(dict.items(theirs)))
        if isinstance(theirs, OrderedDict):
            items = (list(OrderedDict.items(ours)), list(OrderedDict.items(theirs)))
        if len(items[0]) != len(items[1]):
            self._differ(place, "keys", [key for key, _ in items[0]], [key for key, _ in items[1]])
            return
        for number, ((key, value), (their_key, their_value)) in enumerate(zip(*items)):
            self._push(f"{place}[key {number}]", key, their_key)
            self._push(f"{place}[{their_key!r:.80}]", value, their_value)
        self._attributes(place, ours, theirs)

    def _sequences(self, place: str, ours: Any, theirs: Any) -> None:
        if self._met(place, ours, theirs):
            return
        if isinstance(theirs, deque):
            self._same(place, "longest", ours.maxlen, theirs.maxlen)
        self._items(place, list(ours), list(theirs))

    def _tuples(self, place: str, ours: Any, theirs: Any) -> None:
        # A tuple can be reached from itself through a list.
        pair = ("tuples", id(ours), id(theirs))
        if pair in self._pairs[0]:
            return
        self._pairs[0][pair] = pair
        self._items(place, list(tuple.__iter__(ours)), list(tuple.__iter__(theirs)))
        self._attributes(place, ours, theirs)

    def _items(self, place: str, ours: list[Any], theirs: list[Any]) -> None:
        if not self._same(place, "length", len(ours), len(theirs)):
            return
        self.compared.leaves += not theirs
        for number, (mine, yours) in enumerate(zip(ours, theirs)):
            self._push(f"{place}[{number}]", mine, yours)

    def _sets(self, place: str, ours: Any, theirs: Any) -> None:
        if isinstance(theirs, set) and self._met(place, ours, theirs):
            return
        self.compared.leaves += 1
        mine, yours = (sorted(map(_named, items)) for items in (ours, theirs))
        self._same(place, "items", mine, yours)

    def _instances(self, place: str, ours: Any, theirs: Any) -> None:
        if not self._met(place, ours, theirs):
            self.compared.leaves += 1
            self._attributes(place, ours, theirs)

    def _attributes(self, place: str, ours: Any, theirs: Any) -> None:
        mine, yours = getattr(ours, "__dict__", {}), getattr(theirs, "__dict__", {})
        if not self._same(place, "attributes", list(mine), list(yours)):
            return
        for name in yours:
            self._push(f"{place}.{name}", mine[name], yours[name])

    # ------------------------------------------------------------------------------------- numpy

    def _arrays(self, place: str, ours: Any, theirs: Any) -> None:
        if self._met(place, ours, theirs):
            return
        self._dtypes(place, ours.dtype, theirs.dtype)
        self._same(place, "shape", ours.shape, theirs.shape)
        if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
            return
        if theirs.size:
            self._same(place, "strides", ours.strides, theirs.strides)
        for name in ("c_contiguous", "f_contiguous", "writeable", "aligned"):
            self._same(place, name, getattr(ours.flags, name), getattr(theirs.flags, name))
        if theirs.dtype == object:
            self._items(place, list(ours.flat), list(theirs.flat))
        else:
            self._same(place, "bytes", ours.tobytes(), theirs.tobytes())

    def _scalars(self, place: str, ours: Any, theirs: Any) -> None:
        self._dtypes(place, ours.dtype, theirs.dtype)
        self._same(place, "bytes", ours.tobytes(), theirs.tobytes())

    def _dtypes(self, place: str, ours: Any, theirs: Any) -> None:
        self.compared.leaves += 1
        for name in ("str", "names", "itemsize", "alignment", "isalignedstruct"):
            self._same(place, f"dtype.{name}", getattr(ours, name), getattr(theirs, name))
        if ours != theirs:
            self._differ(place, "dtype", ours, theirs)

    # ----------------------------------------------------------------------------------- tensors

    def _untyped(self, place: str, ours: Any, theirs: Any) -> None:
        self.compared.leaves += 1
        self._same(place, "device of the storage", ours.device, theirs.device)
        if not self._same(place, "bytes in the storage", ours.nbytes(), theirs.nbytes()):
            return
        if theirs.device.type == "meta" or theirs.nbytes() == 0:
            return
        self._alive += [ours, theirs]
        if self._paired(place, "a storage", ("storage", ours._cdata), ("storage", theirs._cdata)):
            self._storages.append((place, ours, theirs))
            self.compared.storages += 1
            self.compared.bytes += theirs.nbytes()
            mine, yours = (_raw(storage) for storage in (ours, theirs))
            if not torch.equal(mine, yours):
                at = int(torch.nonzero(mine != yours)[0])
                self._differ(place, f"byte {at} of the storage", int(mine[at]), int(yours[at]))

    def _typed(self, place: str, ours: Any, theirs: Any) -> None:
        # torch makes a new object each time for a storage without bytes.
        if theirs._untyped_storage.nbytes() and self._met(place, ours, theirs):
            return
        self._same(place, "dtype", ours.dtype, theirs.dtype)
        self._push(place, ours._untyped_storage, theirs._untyped_storage)

    def _tensors(self, place: str, ours: Any, theirs: Any) -> None:
        if self._met(place, ours, theirs):
            return
        self.compared.tensors += 1
        for name in ("dtype", "layout", "device", "requires_grad", "is_leaf", "is_quantized"):
            self._same(place, name, getattr(ours, name), getattr(theirs, name))
        if (ours.grad is None) != (theirs.grad is None):
            self._differ(place, "grad", ours.grad, theirs.grad)
        self._attributes(place, ours, theirs)
        if isinstance(theirs, torch.nn.parameter.UninitializedTensorMixin):
            return
        self._same(place, "shape", ours.shape, theirs.shape)
        if ours.layout != theirs.layout:
            return
        parts = _PARTS.get(theirs.layout)
        if parts is not None:
            for name in parts:
                mine, yours = getattr(ours.detach(), name)(), getattr(theirs.detach(), name)()
                self._push(f"{place}.{name}", mine, yours)
            for name in ("dense_dim", "sparse_dim"):
                self._same(place, name, getattr(ours, name)(), getattr(theirs, name)())
            if theirs.layout is torch.sparse_coo:
                self._same(place, "coalesced", ours.is_coalesced(), theirs.is_coalesced())
            return
        for name in ("stride", "storage_offset", "is_conj", "is_neg"):
            self._same(place, name, getattr(ours, name)(), getattr(theirs, name)())
        if ours.is_quantized and theirs.is_quantized:
            self._quantisers(place, ours, theirs)
        if ours.device.type != "meta" and theirs.device.type != "meta":
            self._untyped(place, ours.untyped_storage(), theirs.untyped_storage())

    def _quantisers(self, place: str, ours: Any, theirs: Any) -> None:
        self._same(place, "qscheme", str(ours.qscheme()), str(theirs.qscheme()))
        if ours.qscheme() != theirs.qscheme():
            return
        if theirs.qscheme() in (torch.per_tensor_affine, torch.per_tensor_symmetric):
            self._push(f"{place}.q_scale", ours.q_scale(), theirs.q_scale())
            self._push(f"{place}.q_zero_point", ours.q_zero_point(), theirs.q_zero_point())
            return
        self._same(place, "axis", ours.q_per_channel_axis(), theirs.q_per_channel_axis())
        for name in ("q_per_channel_scales", "q_per_channel_zero_points"):
            mine, yours = getattr(ours, name)(), getattr(theirs, name)()
            # torch copies them out of what was stored: sharing says nothing.
            self._same(place, f"dtype of {name}", mine.dtype, yours.dtype)
            self._same(place, name, mine.numpy().tobytes(), yours.numpy().tobytes())

    def _overlaps(self) -> None:
        """Parts of one piece of memory lie in it alike."""
        for side in (0, 1):
            by_start = sorted(self._storages, key=lambda pair: pair[1 + side].data_ptr())
            for before, after in zip(by_start, by_start[1:]):
                start = [after[1 + one].data_ptr() - before[1 + one].data_ptr() for one in (0, 1)]
                if start[side] < before[1 + side].nbytes() and start[0] != start[1]:
                    self.differences.append(f"{after[0]}: overlaps {before[0]} on one side")


_PARTS: dict[torch.layout, tuple[str, ...]] = {
    torch.sparse_coo: ("_indices", "_values"),
    torch.sparse_csr: ("crow_indices", "col_indices", "values"),
    torch.sparse_bsr: ("crow_indices", "col_indices", "values"),
    torch.sparse_csc: ("ccol_indices", "row_indices", "values"),
    torch.sparse_bsc: ("ccol_indices", "row_indices", "values"),
}


def _raw(storage: Any) -> torch.Tensor:
    return torch.empty(0, dtype=torch.uint8, device="cpu").set_(storage)


def _bits(number: Any) -> Any:
    if isinstance(number, float):
        return struct.pack("<d", number)
    if isinstance(number, complex):
        return struct.pack("<2d", number.real, number.imag)
    return number.as_tuple()


def _named(item: Any) -> str:
    """What an item of a set is, in full."""
    if isinstance(item, (tuple, frozenset)):
        inside = map(_named, item)
        inside = sorted(inside) if isinstance(item, frozenset) else inside
        return f"{type(item).__qualname__}({', '.join(inside)})"
    shown = _bits(item) if isinstance(item, (float, complex, decimal.Decimal)) else item
    return f"{type(item).__module__}.{type(item).__qualname__} {shown!r}"
