"""Checkpoints of every kind, for Hypothesis to draw."""

from __future__ import annotations

import argparse
import datetime
import math
import pathlib
import types
from collections import Counter, OrderedDict, defaultdict, deque
from typing import Any, Callable

import numpy as np
import torch
from hypothesis import strategies as st

Draw = Callable[[st.SearchStrategy[Any]], Any]


def _types(*names: str) -> list[torch.dtype]:
    return [getattr(torch, name) for name in names if hasattr(torch, name)]


FLOATS = _types("float16", "bfloat16", "float32", "float64")
COMPLEX = _types("complex32", "complex64", "complex128")
INTEGERS = _types("uint8", "int8", "int16", "int32", "int64", "bool")
# These have no storage class of their own: the file says their type beside the storage.
RECENT = _types(
    "uint16", "uint32", "uint64", "float8_e5m2", "float8_e4m3fn", "float8_e5m2fnuz",
    "float8_e4m3fnuz", "float8_e8m0fnu", "float4_e2m1fn_x2",
)  # fmt: skip
BITS = _types("bits8", "bits16", "bits1x8", "bits2x4", "bits4x2")
NARROW = [
    dtype for width in range(1, 8) for dtype in _types(f"int{width}", f"uint{width}")
]  # fmt: skip
QUANTISED = _types("qint8", "quint8", "qint32")
DTYPES = FLOATS + COMPLEX + INTEGERS + RECENT
ALL_DTYPES = DTYPES + BITS + NARROW

SHAPES = st.lists(st.integers(0, 4), max_size=4).map(tuple)


def width(dtype: torch.dtype) -> int:
    """Bytes of an element."""
    return torch._utils._element_size(dtype)


def storage_of(content: bytes) -> torch.UntypedStorage:
    """A storage of these bytes."""
    if not content:
        return torch.UntypedStorage(0)
    return torch.frombuffer(bytearray(content), dtype=torch.uint8).clone().untyped_storage()


def over(
    storage: torch.UntypedStorage,
    dtype: torch.dtype,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
) -> torch.Tensor:
    """A tensor over a storage, whatever its bytes mean."""
    return torch.empty(0, dtype=dtype).set_(storage, offset, shape, strides)


def contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of an array in C order."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))


@st.composite
def views(draw: Draw, dtypes: list[torch.dtype] = DTYPES) -> list[torch.Tensor]:
    """Some tensors over one storage."""
    dtype = draw(st.sampled_from(dtypes))
    elements = draw(st.integers(0, 24))
    size = elements * width(dtype)
    storage = storage_of(draw(st.binary(min_size=size, max_size=size)))
    made = []
    for _ in range(draw(st.integers(1, 3))):
        shape = draw(SHAPES)
        kind = draw(st.sampled_from(["whole", "strided", "expanded", "transposed"]))
        strides = contiguous(shape)
        if kind == "strided":
            strides = tuple(draw(st.integers(0, 5)) for _ in shape)
        elif kind == "expanded":
            strides = tuple(0 if draw(st.booleans()) else step for step in strides)
        elif kind == "transposed":
            order = draw(st.permutations(range(len(shape))))
            shape = tuple(shape[place] for place in order)
            strides = tuple(strides[place] for place in order)
        reach = 0 if 0 in shape else 1 + sum((n - 1) * step for n, step in zip(shape, strides))
        if reach > elements or kind == "whole":
            shape, strides, reach = (elements,), (1,), elements
        offset = draw(st.integers(0, elements - reach))
        tensor = over(storage, dtype, offset, shape, strides)
        if dtype in COMPLEX and draw(st.booleans()):
            tensor = tensor.conj()
        if dtype.is_complex and dtype is not torch.complex32 and draw(st.booleans()):
            # The imaginary part of a conjugate has the bit for a negative.
            tensor = tensor.imag if tensor.is_conj() else tensor._neg_view()
        if tensor.dtype in FLOATS + COMPLEX and draw(st.booleans()):
            tensor = tensor.detach().requires_grad_()
        made.append(tensor)
    return made


@st.composite
def parameters(draw: Draw) -> torch.Tensor:
    """A parameter, with attributes or without."""
    tensor = draw(st.sampled_from(draw(views(FLOATS + COMPLEX)))).detach()
    made = torch.nn.Parameter(tensor, draw(st.booleans()))
    if draw(st.booleans()):
        for name in draw(st.lists(st.sampled_from(["tag", "shared", "sequence_parallel"]))):
            setattr(made, name, draw(st.one_of(st.booleans(), st.integers(), st.text())))
    return made


@st.composite
def sparse_coo(draw: Draw) -> torch.Tensor:
    """A sparse tensor of coordinates, with dense dimensions or without."""
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    dense = tuple(draw(st.lists(st.integers(0, 3), max_size=2)))
    count = draw(st.integers(0, 5))
    rows = [[draw(st.integers(0, size - 1)) for _ in range(count)] for size in shape]
    indices = torch.tensor(rows, dtype=torch.int64).reshape(len(shape), count)
    values = torch.arange(count * math.prod(dense), dtype=torch.float64)
    values = values.reshape(count, *dense).to(draw(st.sampled_from([*FLOATS, torch.int32])))
    made = torch.sparse_coo_tensor(indices, values, shape + dense)
    return made.coalesce() if draw(st.booleans()) else made


@st.composite
def sparse_compressed(draw: Draw) -> torch.Tensor:
    """A compressed sparse tensor, with batches and dense dimensions or without."""
    layout = draw(
        st.sampled_from([torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc])
    )
    block = (draw(st.integers(1, 2)), draw(st.integers(1, 3)))
    blocks = layout in (torch.sparse_bsr, torch.sparse_bsc)
    sizes = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    if blocks:
        sizes = (sizes[0] * block[0], sizes[1] * block[1])
    batch = tuple(draw(st.lists(st.integers(1, 2), max_size=2)))
    dense = tuple(draw(st.lists(st.integers(1, 2), max_size=1)))
    shape = (*batch, *sizes, *dense)
    numbers = st.integers(0, 1) if not batch else st.just(1)
    flat = [draw(numbers) * (place + 1) for place in range(math.prod(shape))]
    plain = torch.tensor(flat, dtype=torch.float32).reshape(shape)
    return plain.to_sparse(
        layout=layout,
        blocksize=block if blocks else None,
        dense_dim=len(dense),
    )


@st.composite
def quantised(draw: Draw) -> torch.Tensor:
    """A quantised tensor."""
    dtype = draw(st.sampled_from(QUANTISED))
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    plain = torch.arange(math.prod(shape), dtype=torch.float32).reshape(shape) - 3
    scale = st.floats(1e-3, 1e3)
    if draw(st.booleans()):
        made = torch.quantize_per_tensor(plain, draw(scale), draw(st.integers(0, 100)), dtype)
        return made.transpose(0, -1) if draw(st.booleans()) else made
    axis = draw(st.integers(0, len(shape) - 1))
    count = shape[axis]
    scales = torch.tensor([draw(scale) for _ in range(count)], dtype=torch.float64)
    if draw(st.booleans()) and dtype is torch.quint8:
        points = torch.zeros(count, dtype=torch.float32)
        return torch.quantize_per_channel(plain, scales.float(), points, axis, dtype)
    points = torch.tensor([draw(st.integers(0, 100)) for _ in range(count)])
    return torch.quantize_per_channel(plain, scales, points, axis, dtype)


@st.composite
def meta(draw: Draw) -> torch.Tensor:
    """A tensor without data."""
    shape = draw(SHAPES)
    dtype = draw(st.sampled_from(DTYPES))
    made = torch.empty_strided(shape, contiguous(shape), dtype=dtype, device="meta")
    return made.requires_grad_() if dtype in FLOATS and draw(st.booleans()) else made


TENSORS: st.SearchStrategy[Any] = st.one_of(
    views(), views(), parameters(), sparse_coo(), sparse_compressed(), quantised(), meta()
)

# ------------------------------------------------------------------------------------ plain values

INTS = st.one_of(
    st.integers(-3, 300),
    st.integers(),
    st.sampled_from([2**n + d for n in (7, 8, 15, 16, 31, 32, 63, 64, 2000) for d in (-1, 0, 1)]),
    st.sampled_from([-(2**n) + d for n in (7, 8, 15, 31, 32, 63, 64, 2000) for d in (-1, 0, 1)]),
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
# What `weights_only=True` knows.
SIMPLE = st.one_of(
    st.none(),
    st.booleans(),
    INTS,
    st.floats(),
    TEXT,
    st.binary(max_size=12),
    st.binary(max_size=12).map(bytearray),
    st.complex_numbers(),
    st.lists(st.integers(0, 2**62), max_size=4).map(torch.Size),
    st.sampled_from(ALL_DTYPES),
    st.sampled_from(["cpu", "cuda:3", "meta", "xpu", "mps:0"]).map(torch.device),
    st.sampled_from([torch.strided, torch.sparse_coo, torch.sparse_csr, torch.sparse_bsc]),
    st.sampled_from([torch.per_tensor_affine, torch.per_channel_symmetric]),
    st.dictionaries(TEXT, INTS, max_size=3).map(Counter),
)
ZONES = st.one_of(
    st.none(),
    st.just(datetime.timezone.utc),
    st.timedeltas(
        min_value=datetime.timedelta(hours=-23), max_value=datetime.timedelta(hours=23)
    ).map(datetime.timezone),
)
PATHS = [
    pathlib.Path, pathlib.PosixPath, pathlib.PurePath, pathlib.PurePosixPath,
    pathlib.PureWindowsPath,
]  # fmt: skip


@st.composite
def paths(draw: Draw) -> Any:
    """A path."""
    parts = draw(st.lists(st.sampled_from(["a", "b c", "..", "/", "x.pt", "é"]), max_size=3))
    return draw(st.sampled_from(PATHS))(*parts)


# What it takes `weights_only=False` for.
OTHER = st.one_of(
    st.datetimes(timezones=ZONES, allow_imaginary=False),
    st.dates(),
    st.times(timezones=ZONES),
    st.timedeltas(),
    ZONES,
    st.decimals(),
    paths(),
    st.uuids(),
    st.builds(range, st.integers(-5, 5), st.integers(-5, 5), st.sampled_from([-2, -1, 1, 3])),
    st.builds(slice, st.none() | st.integers(), st.none() | st.integers(), st.none()),
    st.dictionaries(st.sampled_from("abc"), st.integers(), max_size=2).map(
        lambda items: argparse.Namespace(**items)
    ),
    st.dictionaries(st.sampled_from("abc"), st.integers(), max_size=2).map(
        lambda items: types.SimpleNamespace(**items)
    ),
    st.sampled_from([list, dict, int, float, bool, str, tuple, object, set, Ellipsis, bytes]),
    st.sampled_from([NotImplemented, frozenset, bytearray, complex, slice, range, OrderedDict]),
    st.frozensets(st.integers() | TEXT, max_size=3),
    st.builds(deque, st.lists(st.integers(), max_size=4), st.none() | st.integers(0, 3)),
    st.dictionaries(TEXT, st.lists(INTS, max_size=2), max_size=3).map(
        lambda items: defaultdict(list, items)
    ),
)

ARRAY_TYPES = [
    "?", "b", "B", "<h", "<H", "<i", "<I", "<q", "<Q", ">h", ">i", ">q", ">f", ">d", "<e", "<f",
    "<d", "<F", "<D", ">D", "S3", "<U2", ">U2", "V5", "<M8[s]", ">M8[ns]", "<m8[D]", "<m8", "S0",
    "g", "G",
]  # fmt: skip


@st.composite
def numpy_types(draw: Draw) -> np.dtype:
    """A type of elements, records among them."""
    simple = st.sampled_from(ARRAY_TYPES).map(np.dtype)
    if draw(st.integers(0, 4)):
        return draw(simple)
    count = draw(st.integers(1, 3))
    fields: list[Any] = []
    for name in "abc"[:count]:
        field = draw(simple.filter(lambda dtype: dtype.itemsize > 0))
        fields.append((name, field))
    return np.dtype(fields, align=draw(st.booleans()))


@st.composite
def arrays(draw: Draw) -> Any:
    """An array, or a scalar."""
    dtype = draw(numpy_types())
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    count = math.prod(shape)
    size = count * dtype.itemsize
    made = np.zeros(shape, dtype)
    if size and dtype.kind not in "gGV":
        content = draw(st.binary(min_size=size, max_size=size))
        if dtype.kind == "U":
            content = b"\0" * size
        made = np.frombuffer(bytearray(content), dtype).reshape(shape)
    order = draw(st.sampled_from(["C", "F", "view", "scalar"]))
    if order == "F":
        return np.asfortranarray(made)
    if order == "view" and made.ndim:
        return made[::-1]
    if order == "scalar" and made.size and dtype.names is None:
        return made.reshape(-1)[0]
    return made


@st.composite
def object_arrays(draw: Draw) -> Any:
    """An array of objects."""
    items = draw(st.lists(st.integers() | TEXT | st.none(), max_size=4))
    made = np.empty(len(items), dtype=object)
    made[:] = items
    return made


NUMPY = st.one_of(arrays(), arrays(), numpy_types(), object_arrays())

KEYS = st.one_of(TEXT, TEXT, st.integers(), st.tuples(TEXT, st.integers()), st.booleans())
NUMBERS_IN_SETS = st.sets(st.integers() | TEXT, max_size=3)


def nested(leaves: st.SearchStrategy[Any], size: int = 12) -> st.SearchStrategy[Any]:
    """Containers of them, some of which are there twice."""

    @st.composite
    def containers(draw: Draw, inner: st.SearchStrategy[Any]) -> Any:
        kind = draw(st.sampled_from(["dict", "list", "tuple", "ordered", "twice", "set"]))
        if kind == "set":
            return draw(NUMBERS_IN_SETS)
        if kind == "dict":
            return draw(st.dictionaries(KEYS, inner, max_size=4))
        if kind == "ordered":
            made = OrderedDict(draw(st.dictionaries(KEYS, inner, max_size=4)))
            if draw(st.booleans()):
                made._metadata = OrderedDict({"": {"version": 1}, "layer": {}})  # type: ignore
            return made
        items = draw(st.lists(inner, max_size=4))
        if kind == "twice" and items:
            return {"a": items, "b": items, "c": items[0], "d": [items[0]]}
        return tuple(items) if kind == "tuple" else items

    return st.recursive(leaves, containers, max_leaves=size)


CHECKPOINTS = nested(st.one_of(TENSORS, TENSORS, SIMPLE))
# For `weights_only=False`.
OBJECTS = nested(st.one_of(TENSORS, SIMPLE, OTHER, OTHER, NUMPY))
