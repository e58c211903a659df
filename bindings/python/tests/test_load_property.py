"""Checkpoints that Hypothesis draws come out of `secure_torch.load` as out of `torch.load`."""

from __future__ import annotations

import io
import itertools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
np = pytest.importorskip("numpy")

from checkpoints import (  # noqa: E402
    CHECKPOINTS,
    FLOATS,
    INTEGERS,
    OBJECTS,
    SIMPLE,
    meta,
    nested,
    parameters,
    quantised,
    views,
)
from equal import assert_equal  # noqa: E402
from layouts import archive, members, tar  # noqa: E402
from oracle import looked_at, saved, torch_load  # noqa: E402

import secure_torch  # noqa: E402

NUMBERS = itertools.count()
HOW = st.sampled_from(["path", "str", "bytes", "file", "copied"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the files of all examples go, each under a name of its own."""
    return tmp_path_factory.mktemp("drawn")


def ours(path: Path, how: str) -> Any:
    """Loads in one of the ways that a caller can ask for."""
    if how == "bytes":
        return secure_torch.load(path.read_bytes())
    if how == "file":
        return secure_torch.load(io.BytesIO(path.read_bytes()))
    if how == "copied":
        return secure_torch.load(path, mmap=False)
    return secure_torch.load(str(path) if how == "str" else path)


def judged(load: Callable[[], Any]) -> Any:
    """What a load gives. Numbers that begin like an archive are taken for a broken one inside the
    file, which the judge blocks: that is not for the loader to say."""
    try:
        return load()
    except secure_torch.UnsafeModelError as blocked:
        rules = set(blocked.report.score_breakdown) - {"trust.unsigned"}
        assume(rules != {"archive.corrupt"})
        raise


def check(value: Any, folder: Path, protocol: int, new: bool, how: str) -> None:
    """Saves, loads twice, compares."""
    path = folder / f"{next(NUMBERS)}.pt"
    try:
        saved(value, path, protocol, new)
    except Exception:
        # Not every type of elements can be saved in every layout.
        assume(False)
    try:
        expected = torch_load(path)
    except Exception:
        assume(False)
    assert_equal(judged(lambda: ours(path, how)), expected)
    path.unlink()


@looked_at(300)
@given(value=CHECKPOINTS, protocol=st.sampled_from([2, 2, 3, 4, 5]), new=st.booleans(), how=HOW)
def test_checkpoints(folder: Path, value: Any, protocol: int, new: bool, how: str) -> None:
    """What `weights_only=True` knows, in both layouts and every protocol."""
    check(value, folder, protocol, new, how)


@looked_at(300)
@given(value=OBJECTS, protocol=st.integers(2, 5), new=st.booleans(), how=HOW)
def test_objects(folder: Path, value: Any, protocol: int, new: bool, how: str) -> None:
    """Everything that the allowlist knows."""
    check(value, folder, protocol, new, how)


def alike(content: bytes, **kwargs: Any) -> None:
    """Compares what comes of bytes; a file that torch does not load is not looked at further."""
    try:
        expected = torch_load(content, **kwargs)
    except Exception:
        assume(False)
    assert_equal(judged(lambda: secure_torch.load(content)), expected)


def zipped(value: Any) -> bytes:
    """The ZIP layout of a value, where torch can save it."""
    buffer = io.BytesIO()
    try:
        torch.save(value, buffer)
    except Exception:
        assume(False)
    return buffer.getvalue()


# Turned around, good indices become bad ones, which torch does not look at.
SWAPPABLE = nested(st.one_of(views(), parameters(), quantised(), meta(), SIMPLE))


@looked_at(150)
@given(
    value=CHECKPOINTS,
    turned=SWAPPABLE,
    deflated=st.sampled_from(["all", "data", "pickle", "none"]),
    unaligned=st.booleans(),
    big=st.sampled_from([None, b"big", b"little"]),
    root=st.sampled_from(["archive", "model", "a b", "x/y"]),
)
def test_archives(
    value: Any, turned: Any, deflated: str, unaligned: bool, big: Any, root: str
) -> None:
    """Packed members, members at odd addresses, the other byte order, no mark of one."""
    found = members(zipped(turned if big == b"big" else value))
    old = next(iter(found)).split("/")[0]
    found = {root + name[len(old) :]: content for name, content in found.items()}
    found.pop(f"{root}/byteorder")
    if big is not None:
        found[f"{root}/byteorder"] = big

    def packed(name: str) -> bool:
        return deflated == "all" or (
            deflated != "none" and (deflated == "data") == ("/data/" in name)
        )

    alike(archive(found, packed, unaligned))


STORABLE = [
    dtype for dtype in INTEGERS + FLOATS if dtype in torch.storage._dtype_to_storage_type_map()
]


@looked_at(100)
@given(value=nested(views(STORABLE)))
def test_tar(folder: Path, value: Any) -> None:
    """PyTorch's oldest layout. Its reader wants a real file."""
    path = folder / f"{next(NUMBERS)}.tar"
    try:
        path.write_bytes(tar(plain(value)))
    except KeyError:
        assume(False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = torch.load(path, weights_only=False)
    except Exception:
        assume(False)
    assert_equal(judged(lambda: secure_torch.load(path)), expected)


def plain(value: Any) -> Any:
    """Without what came after that layout: bits, gradients, types without a class of tensors."""
    if isinstance(value, torch.Tensor):
        made = torch.empty(0, dtype=value.dtype)
        made.set_(value.untyped_storage(), value.storage_offset(), value.shape, value.stride())
        return made
    if isinstance(value, dict):
        return type(value)((key, plain(item)) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return type(value)(plain(item) for item in value)
    return value


@looked_at(100)
@given(tensors=views(STORABLE), new=st.booleans(), how=st.integers(0, 2))
def test_old_states(tensors: Any, new: bool, how: int) -> None:
    """Tensors as the releases before 0.4 saved them: by `BUILD`, and by `_rebuild_tensor`."""

    class Old:
        def __init__(self, tensor: Any) -> None:
            state = (
                tensor.storage(), tensor.storage_offset(), tuple(tensor.shape), tensor.stride(),
            )  # fmt: skip
            typed = getattr(torch, tensor.type().split(".")[-1])
            by_state: list[Any] = [(torch.Tensor, (), state), (typed, (), state)]
            self.made = ((torch._utils._rebuild_tensor, state), *by_state)[how]

        def __reduce__(self) -> Any:
            return self.made

    buffer = io.BytesIO()
    value = [Old(plain(tensor)) for tensor in tensors]
    torch.save(value, buffer, _use_new_zipfile_serialization=new)
    alike(buffer.getvalue())


# ---------------------------------------------------------------- what the documentation excepts


def cycle() -> Any:
    """A list that holds itself."""
    made: list[Any] = [1]
    made.append(made)
    return made


EXCEPTED = {
    "a list in itself": cycle(),
    "half of a character": "\ud800",
    "arrays in records": np.zeros(2, [("a", "<f4", (2,))]),
    "objects in records": np.zeros(2, [("a", "O")]),
    "quint4x2": torch.quantize_per_channel(
        torch.rand(2, 4), torch.rand(2) + 1, torch.zeros(2), 0, torch.quint4x2
    ),
}


@pytest.mark.parametrize("name", EXCEPTED)
@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_what_is_excepted_is_told(name: str, new: bool) -> None:
    """torch loads it. Here it is a typed error, and nothing is left out silently."""
    buffer = io.BytesIO()
    torch.save(EXCEPTED[name], buffer, _use_new_zipfile_serialization=new)
    with pytest.raises(secure_torch.FormatError, match="byte") as raised:
        secure_torch.load(buffer.getvalue(), max_threat_score=100)
    assert raised.value.code in {"model-malformed", "model-unsupported"}
