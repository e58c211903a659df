"""What PyTorch's own tests of serialization show, shown for `secure_torch.load`.

The tests of test/test_serialization.py of PyTorch 2.13 are told again here, each under its own
name, where they apply to a loader; `docs/loading.md` lists all of them, and why each other one does
not. Nothing of their code is here.
"""

from __future__ import annotations

import gzip
import io
import pickle
import re
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from equal import assert_equal  # noqa: E402
from layouts import archive, big_endian, changed, legacy, members  # noqa: E402
from oracle import torch_load  # noqa: E402

import secure_torch  # noqa: E402

DOCUMENT = Path(__file__).parents[3] / "docs" / "loading.md"
BOTH = pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])


def bytes_of(value: Any, new: bool = True, protocol: int = 2) -> bytes:
    """What `torch.save` writes."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(value, buffer, _use_new_zipfile_serialization=new, pickle_protocol=protocol)
    return buffer.getvalue()


def same(content: bytes, **kwargs: Any) -> Any:
    """Loads, compares with torch, and gives what came."""
    ours = secure_torch.load(content, **kwargs)
    counts = assert_equal(ours, torch_load(content, **kwargs))
    assert counts.leaves or counts.tensors
    return ours


def shared() -> list[Any]:
    """Tensors and storages that share, in each of the ways that a file can say."""
    first, second = torch.rand(5, 5), torch.rand(5, 5)
    part = first.reshape(-1)[1:4].clone()
    one, two = part.clone().storage(), part.clone().storage()
    found = [first, second, first, second, first.storage(), torch.arange(1, 11).int()]
    return [*found, (one, one, two), first.reshape(-1)[:2].storage(), first.reshape(-1)[1:4]]


class Given:
    """A file object with few methods."""

    def __init__(self, content: bytes, *, fileno: bool = False, short: bool = False) -> None:
        self._buffer = io.BytesIO(content)
        self._short = short
        self.calls: set[str] = set()
        if fileno:
            self.fileno = self._fileno

    def read(self, size: int = -1) -> bytes:
        """Fewer bytes than were asked for, as a pipe gives them."""
        self.calls.add("read")
        return self._buffer.read(min(size, 1000) if self._short and size > 0 else size)

    def readline(self) -> bytes:
        self.calls.add("readline")
        return self._buffer.readline()

    def seek(self, place: int, whence: int = 0) -> int:
        self.calls.add("seek")
        return self._buffer.seek(place, whence)

    def tell(self) -> int:
        self.calls.add("tell")
        return self._buffer.tell()

    def _fileno(self) -> int:
        raise io.UnsupportedOperation("not a real file")


# --------------------------------------------------------------------------------- both layouts


@BOTH
def test_serialization(tmp_path: Path, new: bool) -> None:
    """Sharing, from a path and from a file; texts of Python 2, as text and as bytes."""
    content = bytes_of(shared(), new)
    path = tmp_path / "shared.pt"
    path.write_bytes(content)
    for source in (path, str(path), content):
        loaded = secure_torch.load(source)
        assert_equal(loaded, torch_load(content))
    with path.open("rb") as file:
        assert_equal(secure_torch.load(file), torch_load(content))
    loaded[0].fill_(10)
    assert loaded[2].eq(10).all()
    assert loaded[4].tolist() == [10] * 25
    assert loaded[8].eq(10).all()
    assert loaded[6][0]._cdata == loaded[6][1]._cdata
    assert loaded[6][0]._cdata != loaded[6][2]._cdata
    assert loaded[7].data_ptr() == loaded[0].data_ptr()


def python2(text: bytes) -> bytes:
    """A list of a `str` of Python 2, a tensor and a number, as PyTorch 0.4 wrote it there."""
    body = b"\x80\x02]q\x01(U" + bytes([len(text)]) + text
    body += b"q\x02ctorch._utils\n_rebuild_tensor_v2\nq\x03((U\x07storageq\x04ctorch\n"
    body += b"FloatStorage\nq\x05U\x0212q\x06U\x03cpuq\x07\x8a\x01\x01NtQK\x00K\x01\x85K\x01\x85"
    body += b"\x89NtRq\x08K\x02e."
    return legacy(body, [("12", b"\0\0\x80\x3f", 1)]).replace(b"X\x02\x00\x00\x0012", b"U\x0212")


def test_serialization_python2() -> None:
    """The second half of `test_serialization`: how the caller wants such texts read."""
    text = "żółć".encode()
    content = python2(text)
    assert same(content, encoding="utf-8")[0] == text.decode()
    assert same(content, encoding="latin1")[0] == text.decode("latin1")
    loaded = secure_torch.load(content, encoding="bytes")
    assert loaded[0] == text
    assert_equal(loaded[1:], torch_load(content, encoding="bytes", weights_only=True)[1:])


def test_load_unicode_error_msg() -> None:
    """ASCII that is none is an error, not a guess."""
    with pytest.raises(secure_torch.FormatError, match="encoding") as raised:
        secure_torch.load(python2("ż".encode()), encoding="ascii")
    assert raised.value.code == "model-malformed"
    with pytest.raises(ValueError, match="encoding"):
        secure_torch.load(python2(b"a"), encoding="utf-16")


@BOTH
def test_serialization_filelike(new: bool) -> None:
    """A file object gives what the bytes give."""
    content = bytes_of(shared(), new)
    assert_equal(secure_torch.load(io.BytesIO(content)), torch_load(content))


@BOTH
def test_serialization_filelike_api_requirements(new: bool) -> None:
    """`read` is all that a file object needs."""
    given = Given(bytes_of(torch.rand(3, 5), new))
    secure_torch.load(given)
    assert given.calls <= {"read", "seek", "tell"}


@BOTH
def test_serialization_filelike_missing_attrs(new: bool) -> None:
    """A file object with a number that is none, and one without."""
    value = torch.rand(3, 10)
    for fileno in (True, False):
        given = Given(bytes_of(value, new), fileno=fileno)
        assert torch.equal(secure_torch.load(given), value)


@BOTH
def test_serialization_filelike_stress(new: bool) -> None:
    """A file object that gives less than it was asked for."""
    value = torch.rand(1153, 512)
    assert torch.equal(secure_torch.load(Given(bytes_of(value, new), short=True)), value)


def test_serialization_filelike_exceptions() -> None:
    """What a file object raises comes out, and what gives no bytes is a `TypeError`."""

    class Raises:
        def read(self, size: int = -1) -> bytes:
            raise KeyError("mine")

    class Text:
        def read(self, size: int = -1) -> str:
            return "text"

    with pytest.raises(KeyError, match="mine"):
        secure_torch.load(Raises())
    with pytest.raises(TypeError):
        secure_torch.load(Text())
    with pytest.raises(TypeError):
        secure_torch.load(torch.rand(2))


def test_load_error_msg() -> None:
    """A file that cannot seek is read from where it stands."""

    class Piped:
        def __init__(self, content: bytes) -> None:
            self.read = io.BytesIO(content).read

    value = torch.rand(4)
    assert torch.equal(secure_torch.load(Piped(bytes_of(value))), value)


@BOTH
def test_serialization_gzip(tmp_path: Path, new: bool) -> None:
    """An open gzip file is a file object."""
    content = bytes_of(shared(), new)
    path = tmp_path / "shared.pt.gz"
    with gzip.open(path, "wb") as file:
        file.write(content)
    with gzip.open(path, "rb") as file:
        assert_equal(secure_torch.load(file), torch_load(content))


@BOTH
def test_serialization_offset_gzip(tmp_path: Path, new: bool) -> None:
    """It is read from where it stands."""
    value = torch.rand(5, 5)
    path = tmp_path / "offset.gz"
    with gzip.open(path, "wb") as file:
        pickle.dump(41, file)
        file.write(bytes_of(value, new))
    with gzip.open(path, "rb") as file:
        assert pickle.load(file) == 41
        assert torch.equal(secure_torch.load(file), value)


def test_serialization_fake_zip() -> None:
    """A tensor in the legacy layout whose bytes look like the end of an archive."""
    value = torch.tensor([*b"PK\5\6", *[0] * 100], dtype=torch.uint8)
    content = bytes_of(value, new=False)
    assert torch.equal(torch_load(content), value)
    try:
        assert torch.equal(secure_torch.load(content), value)
    except secure_torch.SecurityError as refused:
        # Two kinds of readers take it: that is for the judge to say.
        assert refused.report is not None


def test_pickle_module() -> None:
    """Somebody's own unpickler is not run."""
    content = bytes_of(torch.eye(3))
    with pytest.raises(secure_torch.SecurityError, match="pickle_module"):
        secure_torch.load(content, pickle_module=pickle)
    same(content)


SPARSE = {
    "coo": lambda plain: plain.to_sparse(),
    "csr": lambda plain: plain.to_sparse_csr(),
    "csc": lambda plain: plain.to_sparse_csc(),
    "bsr": lambda plain: plain.to_sparse_bsr((1, 1)),
    "bsc": lambda plain: plain.to_sparse_bsc((1, 1)),
}


@BOTH
@pytest.mark.parametrize("layout", SPARSE)
def test_serialization_sparse(layout: str, new: bool) -> None:
    """Every sparse layout comes back, coalesced where it was."""
    plain = torch.zeros(3, 3)
    plain[1][1] = 1
    same(bytes_of({"tensor": SPARSE[layout](plain)}, new))


class Spoofed:
    """Saved as a sparse tensor with parts of its own."""

    def __init__(self, layout: Any, parts: tuple[Any, ...]) -> None:
        self.made = (torch._utils._rebuild_sparse_tensor, (layout, parts))

    def __reduce_ex__(self, _: Any) -> Any:
        return self.made


def refused(content: bytes, match: str) -> Any:
    """The error that loading raises: typed, with a code, and with a place in the file."""
    with pytest.raises(secure_torch.FormatError, match=match) as raised:
        secure_torch.load(content)
    assert raised.value.code.startswith("model-")
    assert raised.value.report is not None
    return raised.value


@BOTH
def test_serialization_sparse_invalid(new: bool) -> None:
    """A coordinate outside the shape."""
    for bad in (3, -1, 2**62):
        parts = (torch.tensor([[bad], [1]]), torch.ones(1), torch.Size([3, 3]))
        refused(bytes_of(Spoofed(torch.sparse_coo, parts), new), "sparse")
        refused(bytes_of(Spoofed(torch.sparse_coo, (*parts, True)), new), "sparse")


@BOTH
@pytest.mark.parametrize("layout", ["csr", "csc", "bsr", "bsc"])
def test_serialization_sparse_compressed_invalid(layout: str, new: bool) -> None:
    """Compressed indices that do not start at 0, that fall, or that lead outside.

    Four tests of PyTorch's: `test_serialization_sparse_csr_invalid` and its like.
    """
    plain = torch.zeros(3, 3)
    plain[1][1] = 1
    made = SPARSE[layout](plain)
    rows = layout in ("csr", "bsr")
    compressed = made.crow_indices() if rows else made.ccol_indices()
    indices = made.col_indices() if rows else made.row_indices()
    for place, bad in ((0, 3), (0, -1), (1, 7), (3, 0), (3, 2**40)):
        spoofed = compressed.clone()
        spoofed[place] = bad
        parts = (spoofed, indices, made.values(), made.size())
        refused(bytes_of(Spoofed(made.layout, parts), new), "sparse")
    for bad in (3, -1, 2**40):
        parts = (compressed, torch.tensor([bad]), made.values(), made.size())
        refused(bytes_of(Spoofed(made.layout, parts), new), "sparse")


@BOTH
def test_serialize_device(new: bool) -> None:
    """Devices are values."""
    same(bytes_of([torch.device(name) for name in ("cpu", "cpu:0", "cuda", "cuda:0")], new))


class Old:
    """A tensor as PyTorch before 0.2 saved it: a class, and a state for `__setstate__`."""

    def __init__(self, tensor: Any, function: Any = None) -> None:
        size, stride = tuple(tensor.size()), tensor.stride()
        state = (tensor.storage(), tensor.storage_offset(), size, stride)
        self.made = (function, state) if function else (torch.Tensor, (), state)

    def __reduce__(self) -> Any:
        return self.made


@BOTH
def test_serialization_backwards_compat(new: bool) -> None:
    """Tensors by `BUILD`, and by the first `_rebuild_tensor`."""
    tensor = torch.rand(30).as_strided([2, 3], [9, 3], 2)
    same(bytes_of(Old(tensor), new))
    same(bytes_of([Old(tensor, torch._utils._rebuild_tensor), tensor], new))


def on(place: str) -> bytes:
    """A tensor that says that it was saved on that device."""
    content = bytes_of(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), new=False)
    length = len(place).to_bytes(4, "little")
    return content.replace(b"X\3\0\0\0cpu", b"X" + length + place.encode())


def test_serialization_map_location() -> None:
    """Every way to say that a tensor of a GPU belongs on the CPU, from a file and from memory."""
    content = on("cuda:0")
    places = ["cpu", torch.device("cpu"), {"cuda:0": "cpu"}, lambda storage, place: storage]
    for place in places:
        for source in (content, io.BytesIO(content)):
            loaded = secure_torch.load(source, map_location=place)
            assert_equal(loaded, torch_load(content, map_location=place))
            assert loaded.tolist() == [[1, 2], [3, 4]]
    asked: list[tuple[int, str]] = []
    secure_torch.load(content, map_location=lambda s, place: asked.append((s.nbytes(), place)) or s)
    assert asked == [(16, "cuda:0")]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device")
def test_load_nonexistent_device() -> None:
    """The same kind of error as torch's, and it says what to do."""
    for loader in (secure_torch.load, torch_load):
        with pytest.raises(RuntimeError, match=r"cuda:0|CUDA"):
            loader(on("cuda:0"))


def test_serialization_storage_slice() -> None:
    """Storages that are parts of one, as PyTorch 0.3 saved them."""
    body = b"\x80\x02(X\7\0\0\0storageq\0ctorch\nFloatStorage\nq\1X\1\0\0\0aq\2X\3\0\0\0cpuq\3K\2"
    body += b"X\1\0\0\0bq\4K\0K\1\x87q\5tq\6Q(h\0h\1X\1\0\0\0aq\7h\3K\2X\1\0\0\0cq\x08K\1K\1\x87"
    body += b"q\ttq\nQ\x86q\x0b."
    first, second = same(legacy(body, [("a", bytes(range(8)), 2)]))
    assert first.data_ptr() + 4 == second.data_ptr()


@BOTH
def test_save_different_dtype_unallocated(new: bool) -> None:
    """Empty storages are declared with as many types as there are tensors over them."""
    dtypes = [torch.float32, torch.float16, torch.int64, torch.bool, torch.complex128]
    for dtype in dtypes:
        empty = torch.tensor([], dtype=dtype)
        for other in dtypes:
            typed = torch.TypedStorage(
                wrap_storage=empty.untyped_storage(), dtype=other, _internal=True
            )
            same(bytes_of([empty, typed], new))
            same(bytes_of([empty.storage(), typed], new))
            same(bytes_of([empty, torch.tensor([], dtype=other)], new))
            same(bytes_of([empty, empty.view(other)], new))


@BOTH
def test_safe_load_basic_types(new: bool) -> None:
    """A dict of plain values."""
    same(bytes_of({"int": 123, "str": "world", "float": 3.14, "bool": False}, new))


def test_serialization_new_format_old_format_compat() -> None:
    """Both layouts hold the same, and nothing warns."""
    value = [torch.ones(20, 20) for _ in range(30)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = [secure_torch.load(bytes_of(value, new)) for new in (True, False)]
    assert_equal(*made)


# ---------------------------------------------------------------------------- the legacy layout


@BOTH
def test_serialization_offset(tmp_path: Path, new: bool) -> None:
    """Behind something else in a file. What follows the checkpoint is not left unread: it is
    refused, so several checkpoints in one file need a file object each."""
    value = torch.rand(5, 5)
    path = tmp_path / "offset.pt"
    path.write_bytes(pickle.dumps(41) + bytes_of(value, new))
    with path.open("rb") as file:
        assert pickle.load(file) == 41
        assert torch.equal(secure_torch.load(file), value)
    with pytest.raises(secure_torch.SecurityError):
        secure_torch.load(bytes_of(value, False) + pickle.dumps(43))


@BOTH
def test_serialization_offset_filelike(new: bool) -> None:
    """The same in memory."""
    value = torch.rand(5, 5)
    file = io.BytesIO(pickle.dumps(41) + bytes_of(value, new))
    assert pickle.load(file) == 41
    assert torch.equal(secure_torch.load(file), value)


# ------------------------------------------------------------------------------- the ZIP layout


def test_serialization_zipfile(tmp_path: Path) -> None:
    """A path with letters of every kind."""
    folder = tmp_path / "非ASCIIパス"
    folder.mkdir()
    path = folder / "モデル é.pt"
    path.write_bytes(bytes_of(shared()))
    assert_equal(secure_torch.load(path), torch_load(path))


def test_serialization_zipfile_actually_jit() -> None:
    """A TorchScript archive gives its attributes; no code of it runs."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layer = torch.nn.Linear(3, 4)
        torch.jit.save(torch.jit.script(layer), buffer)
    content = buffer.getvalue()
    score = secure_torch.scan(content).threat_score
    loaded = secure_torch.load(content, max_threat_score=score)
    assert torch.equal(loaded["weight"], layer.weight)
    assert torch.equal(loaded["bias"], layer.bias)


def test_pathlike_serialization(tmp_path: Path) -> None:
    """A `Path` is a path."""
    path = tmp_path / "model.pt"
    path.write_bytes(bytes_of(torch.nn.Conv2d(2, 3, kernel_size=3).state_dict()))
    assert_equal(secure_torch.load(path), torch_load(path))


@BOTH
def test_meta_serialization(new: bool) -> None:
    """Tensors without data take none, however large they say they are."""
    model = torch.nn.Conv2d(20000, 320000, kernel_size=3, device="meta")
    content = bytes_of(model.state_dict(), new)
    assert len(content) < 10_000
    assert same(content)["weight"].size() == model.weight.size()


@BOTH
def test_lr_scheduler_serialization(new: bool) -> None:
    """The state of a schedule."""
    optimizer = torch.optim.SGD([torch.zeros(3, requires_grad=True)], lr=0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6.0, total_steps=10)
    same(bytes_of(scheduler.state_dict(), new))
    same(bytes_of(optimizer.state_dict(), new))


@BOTH
def test_serialization_python_attr(new: bool) -> None:
    """Attributes of a parameter. Those of a plain tensor are saved as a call that names another
    function and a class (`_rebuild_from_type_v2`): such a file is blocked."""
    plain, parameter = torch.zeros(3, 3), torch.nn.Parameter(torch.zeros(3, 3))
    for made in (plain, parameter):
        made.foo, made.pi = "foo", 3.14
    loaded = same(bytes_of(parameter, new))
    assert (loaded.foo, loaded.pi) == ("foo", 3.14)
    with pytest.raises(secure_torch.UnsafePickleError) as raised:
        secure_torch.load(bytes_of(plain, new))
    subjects = {finding.subject for finding in raised.value.report.findings}
    assert subjects == {"torch._tensor._rebuild_from_type_v2"}


class Harmless:
    """Asks for a call when it is loaded. The call is never made."""

    def __reduce__(self) -> Any:
        return print, ("hello",)


@BOTH
def test_weights_only_assert(new: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """A call is not made, and the error tells which."""
    with pytest.raises(secure_torch.UnsafePickleError) as raised:
        secure_torch.load(bytes_of(Harmless(), new))
    assert "print" in {
        finding.subject.rpartition(".")[2] for finding in raised.value.report.findings
    }
    assert capsys.readouterr().out == ""


def test_weights_only_error(tmp_path: Path) -> None:
    """The message names the file and says what to do."""
    path = tmp_path / "hello.pt"
    path.write_bytes(bytes_of([Harmless()]))
    with pytest.raises(secure_torch.SecurityError, match=re.escape(str(path))) as raised:
        secure_torch.load(path)
    assert raised.value.hint


def test_weights_only_safe_globals_blocklist() -> None:
    """What torch's list of the user allows is not asked: a policy says what is allowed."""
    with torch.serialization.safe_globals([print]), pytest.raises(secure_torch.SecurityError):
        secure_torch.load(bytes_of(Harmless()))


@BOTH
def test_serialization_math_bits(new: bool) -> None:
    """Conjugates and negatives are bits of a view."""
    number = torch.randn(3, dtype=torch.cfloat)
    for made in (
        torch.conj(number),
        torch._neg_view(number),
        torch._neg_view(torch.conj(number)),
        torch.conj(number).imag,
    ):
        same(bytes_of(made, new))


# ---------------------------------------------------------------------------------- byte order

SWAPPED = [
    torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16,
    torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128,
]  # fmt: skip


@pytest.mark.parametrize("dtype", SWAPPED, ids=str)
def test_serialization_load_bom_data(dtype: Any) -> None:
    """Files of machines of the other byte order, in each type: twelve tests of PyTorch's."""
    width = torch._utils._element_size(dtype)
    raw = torch.arange(1, 6 * width + 1, dtype=torch.uint8)
    value = {"a": raw.view(dtype) if dtype is not torch.bool else raw.to(torch.bool)}
    content = bytes_of(value)
    little = same(content)
    reversed_ = same(big_endian(content))
    piece = width // 2 if dtype.is_complex else width
    there = reversed_["a"].view(torch.uint8).reshape(-1, piece).flip(1).reshape(-1)
    assert torch.equal(there, little["a"].view(torch.uint8).reshape(-1))
    # Without the mark, files are little-endian.
    assert_equal(same(changed(content, byteorder=None)), little)


@pytest.mark.parametrize("mark", [b"", b"middle", b"little\n", b"BIG"])
def test_serialization_wrong_byteorder(mark: bytes) -> None:
    """A byte order that is none."""
    content = changed(bytes_of([torch.rand(3)]), byteorder=mark)
    refused(content, "byteorder")
    with pytest.raises(ValueError, match="endianness"):
        torch.load(io.BytesIO(content))


@BOTH
def test_serialization_dtype(new: bool) -> None:
    """The types whose storages are named `UntypedStorage`, and the narrow ones where torch can
    save them. In the legacy layout torch saves some of them and cannot load them."""
    names = ["uint16", "uint32", "uint64", "complex32", "float8_e5m2", "float8_e4m3fn"]
    narrow = [f"{kind}{width}" for kind in ("int", "uint") for width in range(1, 8)]
    saved = 0
    for name in names + narrow:
        made = torch.arange(16, dtype=torch.uint8).view(getattr(torch, name))
        try:
            content = bytes_of([made, made[0::2], made[1::2]], new)
        except KeyError:
            assert name in narrow
            continue
        saved += 1
        loaded = secure_torch.load(content)
        assert_equal(loaded, [made, made[0::2], made[1::2]])
        assert loaded[1].data_ptr() == loaded[0].data_ptr()
    assert saved >= len(names)


@BOTH
def test_serialization_byte_literal(new: bool) -> None:
    """Bytes, and bytes that can change."""
    for made in (b"byte", bytearray(b"bytearray"), b"", bytearray(), bytes(range(256))):
        same(bytes_of(made, new))


@BOTH
def test_sets_are_loadable_with_weights_only(new: bool) -> None:
    """A set."""
    same(bytes_of({1, 2, 3}, new))


@BOTH
def test_weights_only_with_zoneinfo_unpickle_registration_success(new: bool) -> None:
    """A time zone that is looked up by name is found in the system's files: it is not rebuilt.
    One that is an offset is."""
    datetime = pytest.importorskip("datetime")
    zoneinfo = pytest.importorskip("zoneinfo")
    try:
        zone = zoneinfo.ZoneInfo("UTC")
    except zoneinfo.ZoneInfoNotFoundError:
        pytest.skip("this machine has no time zones")
    moment = datetime.datetime(2025, 1, 1, 12)
    with pytest.raises(secure_torch.SecurityError):
        secure_torch.load(bytes_of(moment.replace(tzinfo=zone), new))
    same(bytes_of(moment.replace(tzinfo=datetime.timezone.utc), new))


def test_weights_only_env_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the environment makes a file run."""
    for name in ("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"):
        with monkeypatch.context() as context:
            context.setenv(name, "1")
            with pytest.raises(secure_torch.SecurityError):
                secure_torch.load(bytes_of(torch.nn.Linear(3, 5)))
            assert_equal(secure_torch.load(bytes_of([1, 2])), [1, 2])


def test_load_njt_weights_only() -> None:
    """A nested tensor is a class of its own: it is blocked."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nested = torch.nested.nested_tensor([[1, 2, 3], [4, 5]], layout=torch.jagged)
    with pytest.raises(secure_torch.SecurityError):
        secure_torch.load(bytes_of(nested))


@BOTH
def test_save_load_preserves_dtype(new: bool) -> None:
    """The type of elements is that of the file, whatever torch's default is."""
    before = torch.get_default_dtype()
    value = torch.rand(3, 3)
    content = bytes_of([value, value.t(), torch.rand(2).double(), torch.rand(2).half()], new)
    try:
        torch.set_default_dtype(torch.float64)
        same(content)
        torch.set_default_device("meta")
        same(content)
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(before)


# ----------------------------------------------------------------------------------------- mmap


def test_serialization_mmap_loading(tmp_path: Path) -> None:
    """Mapped or not, from a path or a file object, the same comes."""
    path = tmp_path / "model.pt"
    path.write_bytes(bytes_of(torch.nn.Linear(8, 32).state_dict()))
    expected = torch_load(path, mmap=True)
    for mmap in (True, False):
        assert_equal(secure_torch.load(path, mmap=mmap), expected)
        assert_equal(secure_torch.load(str(path), mmap=mmap), expected)
        with path.open("rb") as file:
            # torch wants a path here; a file object is read into memory.
            assert_equal(secure_torch.load(file, mmap=mmap), expected)


def test_serialization_mmap_loading_options(tmp_path: Path) -> None:
    """What is written to a tensor stays in memory, as with torch's `MAP_PRIVATE`."""
    path = tmp_path / "model.pt"
    content = bytes_of(torch.zeros(4096))
    path.write_bytes(content)
    loaded = secure_torch.load(path)
    loaded.fill_(1)
    assert path.read_bytes() == content
    assert secure_torch.load(path).eq(0).all()


def test_serialization_mmap_loading_with_map_location(tmp_path: Path) -> None:
    """Where storages go is asked of the mapped ones as well."""
    path = tmp_path / "model.pt"
    path.write_bytes(on("cuda:0"))
    loaded = secure_torch.load(path, mmap=True, map_location={"cuda:0": "cpu"})
    assert_equal(loaded, torch_load(path, map_location="cpu"))
    meta = secure_torch.load(path, map_location="meta")
    assert_equal(meta, torch_load(path, map_location="meta"))


# ------------------------------------------------------------------------------- other archives


@BOTH
def test_serialization_with_header(new: bool) -> None:
    """From a file object that stands behind a header."""
    value = torch.rand(3, 3)
    file = io.BytesIO(b"header" + bytes_of(value, new))
    file.seek(6)
    assert torch.equal(secure_torch.load(file), value)


def unchecked(content: bytes, blocked: bool = True) -> Any:
    """Loads what has no checksums, after the caller said so."""
    if blocked:
        with pytest.raises(secure_torch.UnsafeModelError) as raised:
            secure_torch.load(content)
        rules = set(raised.value.report.score_breakdown)
        assert rules - {"trust.unsigned"} == {"archive.corrupt"}
    loaded = secure_torch.load(content, max_threat_score=50 if blocked else 20)
    assert_equal(loaded, torch_load(content))
    return loaded


@pytest.mark.parametrize("compute", [True, False])
def test_crc32_options(compute: bool) -> None:
    """An archive without checksums: other readers refuse it, so a caller has to allow it."""
    model = torch.nn.Linear(3, 5).state_dict()
    try:
        torch.serialization.set_crc32_options(compute)
        content = bytes_of(model)
    finally:
        torch.serialization.set_crc32_options(True)
    unchecked(content, blocked=not compute)


def test_storage_alignment() -> None:
    """Storages that stand at the start of pages."""
    config = pytest.importorskip("torch.utils.serialization.config")
    before = config.save.storage_alignment
    try:
        config.save.storage_alignment = 4096
        content = bytes_of(torch.nn.Linear(10, 10).state_dict())
    finally:
        config.save.storage_alignment = before
    assert len(content) > 2 * 4096
    same(content)


def test_mmap_load_offset_calculation(tmp_path: Path) -> None:
    """Places come from the archive's directory, never from a calculation."""
    model = torch.nn.Sequential(*[torch.nn.Linear(4, 4) for _ in range(20)])
    path = tmp_path / "model.pt"
    path.write_bytes(bytes_of(model.state_dict()))
    for mmap in (True, False):
        loaded = secure_torch.load(path, mmap=mmap)
        assert_equal(loaded, torch_load(path, mmap=True))
        with torch.device("meta"):
            other = torch.nn.Sequential(*[torch.nn.Linear(4, 4) for _ in range(20)])
        other.load_state_dict(loaded, assign=True)
        given = torch.rand(2, 4)
        assert torch.equal(other(given), model(given))


def test_skip_data_serialization() -> None:
    """An archive whose storages were only announced: zeros, as many as they are long. It has no
    checksums of them."""
    sparse = torch.sparse_coo_tensor([[0, 1, 1], [2, 0, 2]], [3.0, 4.0, 5.0], (2, 4))
    plain = torch.rand(2, 3)
    with torch.serialization.skip_data():
        content = bytes_of({"v2": plain, "row": plain[1], "v3": plain.to(torch.complex32)})
        indices = bytes_of(sparse)
    loaded = unchecked(content)
    assert loaded["v2"].eq(0).all()
    assert loaded["row"].data_ptr() == loaded["v2"].data_ptr() + 12
    unchecked(indices)


# ------------------------------------------------------------------------------------- subclasses


@BOTH
def test_tensor_subclass_wrapper_serialization(new: bool) -> None:
    """A class of one's own is unknown, which blocks the file."""

    with pytest.raises(secure_torch.SecurityError):
        secure_torch.load(bytes_of(torch.rand(2).as_subclass(Mine), new))


class Mine(torch.Tensor):  # type: ignore[misc]
    """A subclass."""


@BOTH
def test_parameter_serialization(new: bool) -> None:
    """Parameters, buffers, and those without data yet."""
    same(
        bytes_of(
            [
                torch.nn.Parameter(torch.rand(2)),
                torch.nn.Parameter(torch.rand(2), requires_grad=False),
                torch.nn.Parameter(torch.arange(2), requires_grad=False),
                torch.nn.Parameter(torch.rand(3, 3).to_sparse()),
            ],
            new,
        )
    )


# ------------------------------------------------------------------------------------- archives


@pytest.mark.parametrize("deflated", ["all", "data", "pickle", "none"])
def test_deflated_members(deflated: str) -> None:
    """Members that somebody packed, or moved to odd addresses."""
    value = OrderedDict(a=torch.rand(100), b=torch.arange(50), c=torch.rand(7, 3).t())

    def packed(name: str) -> bool:
        inside = "/data/" in name
        return deflated == "all" or ((deflated == "data") == inside and deflated != "none")

    same(archive(members(bytes_of(value)), packed))


def test_protocols() -> None:
    """Every protocol that `torch.save` can be asked for, in both layouts."""
    value = {"t": torch.rand(3), "b": b"bytes", "s": {1, 2}, "c": 1 + 2j, "n": 2**100, "x": None}
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        for new in (True, False):
            same(bytes_of(value, new, protocol))


# ------------------------------------------------------------------------------------ the document


def documented() -> dict[str, str] | None:
    """The table of the document: each test's name, and what is said of it."""
    text = DOCUMENT.read_text()
    rows = re.findall(r"^\| (test_\w+) \| (.+?) \|$", text, re.MULTILINE)
    return dict(rows)


def test_the_document_lists_what_is_here() -> None:
    """Every test that the document says passes is here, under its name or the one it refers to."""
    if not DOCUMENT.is_file():
        pytest.skip("the package is tested without its repository")
    rows = documented()
    assert len(rows) > 80
    here = {name for name in globals() if name.startswith("test_")}
    before = ""
    for name, said in rows.items():
        assert said.startswith(("passes", "does not apply: ")), name
        if not said.startswith("passes") or name in here:
            before = name
            continue
        if not said.startswith("passes, likewise"):
            referred = re.search(r"as (test_\w+)", said)
            assert referred, f"{name} is not here"
            before = referred[1]
        assert before in here, f"{name} is not here"
    untold = here - set(rows)
    assert untold == {
        "test_serialization_python2",
        "test_serialization_sparse_compressed_invalid",
        "test_serialization_wrong_byteorder",
        "test_parameter_serialization",
        "test_deflated_members",
        "test_protocols",
        "test_the_document_lists_what_is_here",
    }
