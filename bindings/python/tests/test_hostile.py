"""Files that pass the judge and are built to exhaust, to crash or to call: what `load` says.

None holds a payload: what would be called are classes of Python's own, which do nothing.
"""

from __future__ import annotations

import io
import struct
import sys
import tarfile
import types
import zipfile
from pathlib import Path
from typing import Any

import pytest

import secure_torch
from secure_torch.errors import InputError, SecurityError

MANY = 20_000
LONG = 1_000_000


def text(value: str) -> bytes:
    """A text."""
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def number(value: int) -> bytes:
    """An integer of any size."""
    size = value.bit_length() // 8 + 1
    return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)


def name(module: str, attribute: str) -> bytes:
    """A global."""
    return f"c{module}\n{attribute}\n".encode()


def tuple_(*items: bytes) -> bytes:
    """A tuple."""
    return b"(" + b"".join(items) + b"t"


def call(callee: bytes, *arguments: bytes) -> bytes:
    """A call."""
    return callee + tuple_(*arguments) + b"R"


def put(index: int) -> bytes:
    """Remembers."""
    return b"q" + bytes([index])


def get(index: int) -> bytes:
    """Recalls."""
    return b"h" + bytes([index])


def pickled(body: bytes) -> bytes:
    """A whole pickle."""
    return b"\x80\x04" + body + b"."


def repeated(callee: bytes, shared: bytes, *more: bytes, times: int = MANY) -> bytes:
    """A list of what a callable gives for one argument, again and again."""
    made = shared + put(0) + b"0" + callee + put(1) + b"0" + tuple_(get(0), *more) + put(2) + b"0"
    return pickled(made + b"](" + (get(1) + get(2) + b"R") * times + b"e")


LIST = b"](" + b"K\x01" * MANY + b"e"
BYTES = b"B" + struct.pack("<I", LONG) + b"a" * LONG
ORDERED = name("collections", "OrderedDict") + b")R"


def storage(key: str, kind: str, elements: int) -> bytes:
    """A storage, by its persistent id."""
    parts = (text("storage"), name("torch", kind), text(key), text("cpu"), number(elements))
    return tuple_(*parts) + b"Q"


def tensor(over: bytes, shape: list[int], strides: list[int], metadata: bytes = b"N") -> bytes:
    """A tensor over a storage."""
    return call(
        name("torch._utils", "_rebuild_tensor_v2"),
        over,
        number(0),
        tuple_(*map(number, shape)),
        tuple_(*map(number, strides)),
        b"\x89",
        ORDERED,
        metadata,
    )


def archive(body: bytes, records: dict[str, bytes]) -> bytes:
    """A file of PyTorch's."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("archive/data.pkl", pickled(body))
        for key, content in records.items():
            made.writestr(f"archive/data/{key}", content)
        made.writestr("archive/version", b"3\n")
    return file.getvalue()


def refused(content: bytes, **options: Any) -> str:
    """What `load` says of a file that the judge lets through."""
    assert secure_torch.scan(content).load_allowed
    with pytest.raises((InputError, SecurityError)) as error:
        secure_torch.load(content, **options)
    return str(error.value)


NUMPY_BYTE = call(name("numpy", "dtype"), text("u1"), b"\x89", b"\x88")
COPIES = {
    "sizes": repeated(name("torch", "Size"), LIST),
    "sets": repeated(name("builtins", "set"), LIST),
    "bytes of text": repeated(
        name("_codecs", "encode"), text("\x01" * LONG), text("latin1"), times=2_000
    ),
    "byte arrays": repeated(name("builtins", "bytearray"), BYTES),
    "arrays": repeated(
        name("numpy._core.numeric", "_frombuffer"),
        BYTES,
        NUMPY_BYTE,
        tuple_(number(LONG)),
        text("C"),
    ),
    "long keys": pickled(text("k" * LONG) + put(0) + b"0}(" + (get(0) + b"N") * MANY + b"u"),
    "a key of two to the 28th": pickled(b"}K\x01" + b"2\x86" * 28 + b"Ns"),
    "keys that collide": pickled(
        b"}(" + b"".join(number((2**61 - 1) * k) + b"N" for k in range(1_000, 3_000)) + b"u"
    ),
    "attributes": pickled(
        b"}("
        + b"".join(number(k) + b"N" for k in range(MANY))
        + b"u"
        + put(0)
        + b"0"
        + name("types", "SimpleNamespace")
        + put(1)
        + b"0]("
        + (get(1) + b")R" + get(0) + b"b") * MANY
        + b"e"
    ),
}


@pytest.mark.parametrize("case", COPIES)
def test_a_reference_is_not_a_copy(case: str) -> None:
    """Two bytes refer to what takes a megabyte; copies of it are counted."""
    message = refused(COPIES[case], framework="numpy")
    assert "expands past the limit" in message, message


def test_what_is_referred_to_often_is_made_once() -> None:
    """Values that never change are one object."""
    for shared in (BYTES, number(1 << 900)):
        found = secure_torch.load(pickled(shared + put(0) + b"0](" + get(0) * MANY + b"e"))
        assert len(found) == MANY
        assert len({id(item) for item in found}) == 1


def record(inner: bytes) -> bytes:
    """A type of numpy's of two fields at one place, both of one type without bytes."""
    fields = b"".join(text(key) + tuple_(inner, number(0)) for key in "ab")
    state = (
        number(3),
        text("|"),
        b"N",
        tuple_(text("a"), text("b")),
        b"}(" + fields + b"u",
        number(0),
        number(1),
        number(0),
    )
    return call(name("numpy", "dtype"), text("V0"), b"\x89", b"\x88") + tuple_(*state) + b"b"


def test_records_that_share_fields_are_counted_in_full() -> None:
    """Each level doubles the fields and takes a hundred bytes."""
    body = call(name("numpy", "dtype"), text("V0"), b"\x89", b"\x88") + put(0)
    for level in range(20):
        body += b"0" + record(get(level)) + put(level + 1)
    assert "expands past the limit" in refused(pickled(body), framework="numpy")


def sparse(layout: str, *parts: bytes) -> bytes:
    """A sparse tensor."""
    arguments = (name("torch", layout), tuple_(*parts))
    return call(name("torch._utils", "_rebuild_sparse_tensor"), *arguments)


def test_indices_marked_negative_are_refused() -> None:
    """torch would show the negatives of the numbers that were checked."""
    pytest.importorskip("torch")
    marked = b"}" + text("neg") + b"\x88s"
    values = tensor(storage("1", "FloatStorage", 3), [3], [1])
    records = {"0": struct.pack("<3q", 1, 2, 4), "1": bytes(12)}
    for metadata in (b"N", marked):
        indices = tensor(storage("0", "LongStorage", 3), [1, 3], [3, 1], metadata)
        content = archive(
            sparse("sparse_coo", indices, values, tuple_(number(5)), b"\x89"), records
        )
        if metadata is marked:
            assert "sparse" in refused(content)
        else:
            assert secure_torch.load(content)._indices().tolist() == [[1, 2, 4]]


def test_a_chain_of_views_is_no_recursion() -> None:
    """Each storage is a part of the one before."""
    pytest.importorskip("torch")
    count = 60_000
    first = tuple_(number(0), text("cpu"), name("torch", "FloatStorage"))
    views = b"".join(tuple_(number(k + 1), number(k), number(0), number(1)) for k in range(count))
    members = {
        "storages": pickled(number(1))
        + pickled(first)
        + struct.pack("<qf", 1, 2.5)
        + pickled(b"](" + views + b"e"),
        "tensors": pickled(number(1))
        + pickled(tuple_(number(count + 1), number(count), name("torch", "FloatTensor")))
        + struct.pack("<i4x3q", 1, 1, 1, 0),
        "pickle": pickled(number(count + 1) + b"Q"),
    }
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as made:
        for member, content in members.items():
            info = tarfile.TarInfo(member)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
    assert secure_torch.load(file.getvalue()).tolist() == [2.5]


def test_numpy_writes_out_no_tensor_that_repeats() -> None:
    """A negative would be written to memory of its own."""
    marked = b"}" + text("neg") + b"\x88s"
    body = tensor(storage("0", "FloatStorage", 1), [1 << 40], [0], marked)
    assert "repeats its elements" in refused(archive(body, {"0": bytes(4)}), framework="numpy")


class Called(Exception):
    """Something was called that a file named."""


def marker(*_: Any, **__: Any) -> Any:
    """What nobody may call."""
    raise Called


def test_attributes_of_a_file_are_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """An `OrderedDict` takes attributes, and `dict.update` calls an attribute `keys` of it."""
    monkeypatch.setattr("decimal.Decimal", marker)
    full = call(name("collections", "OrderedDict"), b"](](" + text("a") + b"K\x01ee")

    def shadowed(method: str) -> bytes:
        return full + b"}" + text(method) + name("decimal", "Decimal") + b"sb"

    found = secure_torch.load(
        pickled(name("types", "SimpleNamespace") + b")R" + shadowed("keys") + b"b")
    )
    assert vars(found) == {"a": 1}
    assert "without its number" in refused(
        pickled(name("uuid", "UUID") + b")R" + shadowed("get") + b"b")
    )
    pytest.importorskip("torch")
    weight = tensor(storage("0", "FloatStorage", 1), [1], [1])
    body = call(
        name("torch._utils", "_rebuild_parameter_with_state"),
        weight,
        b"\x88",
        ORDERED,
        shadowed("keys"),
    )
    assert vars(secure_torch.load(archive(body, {"0": bytes(4)}))) == {"a": 1}


def test_a_package_is_not_imported_because_a_file_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder may hold a package of any name beside a model."""
    package = "pytorch_lightning"
    for part in (package, f"{package}/utilities"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "__init__.py").write_text("raise SystemExit('it was imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    body = pickled(name(f"{package}.utilities.parsing", "AttributeDict"))
    found = secure_torch.load(body)
    assert package not in sys.modules
    assert found.__name__ == "AttributeDict"
    # What the program imported itself is used.
    module = types.ModuleType(f"{package}.utilities.parsing")
    module.AttributeDict = type("AttributeDict", (dict,), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert secure_torch.load(body) is module.AttributeDict
