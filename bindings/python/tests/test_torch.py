"""What `load` gives beside what `torch.load` gives, leaf by leaf."""

from __future__ import annotations

import collections
import datetime
import hashlib
import io
import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import pytest

import secure_torch

torch = pytest.importorskip("torch")

from equal import assert_equal  # noqa: E402

PROTOCOLS = [2, 3, 4, 5]
LAYOUTS = {"zip": True, "legacy": False}


def saved(value: Any, layout: str = "zip", protocol: int = 2) -> bytes:
    """A file as `torch.save` writes it."""
    file = io.BytesIO()
    torch.save(
        value,
        file,
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=LAYOUTS[layout],
    )
    return file.getvalue()


def check(value: Any, tmp_path: Path, layout: str = "zip", protocol: int = 2) -> Any:
    """Loads a value through a file and through bytes; both have to be what torch gives."""
    content = saved(value, layout, protocol)
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    theirs = torch.load(path, weights_only=False)
    for given in (path, content, io.BytesIO(content)):
        ours = secure_torch.load(given)
        assert_equal(ours, theirs)
    assert_equal(secure_torch.load(path, mmap=False), theirs)
    assert path.read_bytes() == content
    return secure_torch.load(path)


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> str:
    """Each of the layouts that `torch.save` writes."""
    return str(request.param)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_state_dict(tmp_path: Path, layout: str, protocol: int) -> None:
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Conv1d(1, 2, 3, bias=False)
    )
    state = module.state_dict()
    found = check(state, tmp_path, layout, protocol)
    assert type(found) is collections.OrderedDict
    assert found._metadata == state._metadata
    module.load_state_dict(found)


@pytest.mark.parametrize(
    "name",
    sorted(
        name
        for name, value in vars(torch).items()
        if isinstance(value, torch.dtype) and str(value) == f"torch.{name}"
    ),
)
def test_each_dtype(tmp_path: Path, name: str, layout: str) -> None:
    dtype = getattr(torch, name)
    storage = torch.arange(64, dtype=torch.uint8).untyped_storage()
    if name.startswith("q"):
        pytest.skip("quantised tensors have a test of their own")
    tensor = torch.empty(0, dtype=dtype).set_(storage, 0, (64 // dtype.itemsize,), (1,))
    if dtype == torch.bool:
        tensor = torch.tensor([True, False])
    view = torch.empty(0, dtype=dtype).set_(storage, 1, (3,), (1,))
    try:
        content = saved([tensor, view], layout)
    except Exception as error:
        pytest.skip(f"torch does not save it: {error}")
    try:
        torch.load(io.BytesIO(content), weights_only=False)
    except AttributeError:
        pytest.skip("torch does not load what it saves here: an untyped storage has no dtype")
    check([tensor, view], tmp_path, layout)


def test_views_and_ties(tmp_path: Path, layout: str) -> None:
    base = torch.arange(24.0)
    check(
        {
            "base": base,
            "again": base,
            "rows": base.view(4, 6),
            "turned": base.view(4, 6).t(),
            "steps": base[1::3],
            "wide": base[:1].expand(5),
            "one": base[7],
            "none": base[5:5],
            "odd": base.view(2, 3, 4).permute(2, 0, 1)[1:],
            "image": torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last),
        },
        tmp_path,
        layout,
    )


def test_what_has_no_elements(tmp_path: Path, layout: str) -> None:
    check(
        [torch.empty(0), torch.empty(0, 3), torch.empty(2, 0, 4), torch.tensor(1.5)],
        tmp_path,
        layout,
    )


def test_a_part_of_a_storage_first_then_all_of_it(tmp_path: Path, layout: str) -> None:
    base = torch.arange(10)
    check([base[2:4], base, base[1:]], tmp_path, layout)
    check([base, base[1:]], tmp_path, layout)


def test_gradients_parameters_and_their_kin(tmp_path: Path) -> None:
    weight = torch.nn.Parameter(torch.rand(3))
    named = torch.nn.Parameter(torch.rand(2), requires_grad=False)
    named.note = "kept"
    check(
        [
            weight,
            weight,
            torch.rand(2, requires_grad=True),
            torch.nn.Parameter(torch.rand(2, 2).t(), requires_grad=False),
            named,
            torch.nn.UninitializedParameter(),
            torch.nn.parameter.UninitializedBuffer(),
        ],
        tmp_path,
    )


def test_attributes_of_a_parameter_are_attributes_and_nothing_else(tmp_path: Path) -> None:
    parameter = torch.nn.Parameter(torch.rand(2))
    parameter.__dict__.update({"grad_fn": 7, "note": "x"})
    found = secure_torch.load(saved(parameter))
    assert found.note == "x"
    assert found.grad_fn is None


def test_conjugates_and_negatives(tmp_path: Path) -> None:
    value = torch.tensor([1 + 2j, 3 - 4j])
    check([value, value.conj(), value.conj()[1:]], tmp_path)
    # The imaginary part of a conjugate is a view with the bit for a negative.
    check([value.conj().imag], tmp_path)


@pytest.mark.filterwarnings("ignore")
def test_quantised_tensors(tmp_path: Path, layout: str) -> None:
    values = torch.rand(4, 6)
    per_tensor = torch.quantize_per_tensor(values, 0.1, 3, torch.quint8)
    scales, points = torch.rand(4, dtype=torch.double) + 0.1, torch.arange(4)
    check(
        [
            per_tensor,
            per_tensor.t(),
            torch.quantize_per_tensor(values, 0.5, 0, torch.qint8),
            torch.quantize_per_tensor(values, 0.5, 0, torch.qint32),
            torch.quantize_per_channel(values, scales, points, 0, torch.qint8),
            torch.quantize_per_channel(values, scales.float(), points.float(), 0, torch.quint8),
        ],
        tmp_path,
        layout,
    )


@pytest.mark.filterwarnings("ignore")
def test_sparse_tensors(tmp_path: Path, layout: str) -> None:
    dense = torch.tensor([[0.0, 1, 0, 2], [3, 0, 0, 0], [0, 0, 4, 5], [0, 6, 0, 0]])
    check(
        [
            dense.to_sparse(),
            dense.to_sparse(1),
            torch.sparse_coo_tensor(torch.tensor([[1, 1]]), torch.tensor([1.0, 2]), (3,)),
            dense.to_sparse_csr(),
            dense.to_sparse_csc(),
            dense.to_sparse_bsr((2, 2)),
            dense.to_sparse_bsc((2, 2)),
        ],
        tmp_path,
        layout,
    )


def test_meta_tensors(tmp_path: Path) -> None:
    tensor = torch.empty(3, 4, device="meta", dtype=torch.bfloat16)
    check([tensor, tensor.t(), torch.empty(2, device="meta", requires_grad=True)], tmp_path)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_data(tmp_path: Path, protocol: int, layout: str) -> None:
    shared = ["shared"]
    counted = collections.Counter("abca")
    default = collections.defaultdict(list, {"a": [1]})
    value = {
        "numbers": [0, -1, 255, 256, 2**31, -(2**63), 2**64, -(10**40), 1.5, -0.0, float("inf")],
        "flags": [True, False, None, ...],
        "text": ["", "a", "é", "模型", "\U0001f600", "a\0b"],
        "bytes": [b"", b"\0\xff", bytearray(b"xyz")],
        "nested": ((), (1,), (1, (2, (3,))), [[]], {}),
        "sets": [{1, 2}, frozenset({3}), set()],
        "shared": [shared, shared],
        "odd keys": {1: "a", (2, 3): "b", None: "c", 1.5: "d", b"x": "e", False: "f"},
        "kin": [counted, default, collections.OrderedDict(a=1), collections.deque([1, 2], 5)],
        "complex": 1 - 2j,
        "slices": [slice(1, None, 2), range(0, 10, 3)],
        "torch": [torch.Size([1, 2]), torch.float32, torch.device("cpu"), torch.strided],
        "device": torch.device("cuda", 1),
        "time": [
            datetime.date(2020, 1, 2),
            datetime.timedelta(1, 2, 3),
            datetime.datetime(2020, 1, 2, 3, 4, 5, 6),
            datetime.datetime(2020, 1, 2, tzinfo=datetime.timezone.utc),
            datetime.time(1, 2),
        ],
    }
    check(value, tmp_path, layout, protocol)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_rarer_objects(tmp_path: Path, protocol: int) -> None:
    import argparse
    import decimal
    import pathlib
    import types
    import uuid

    values = [
        decimal.Decimal("1.50"),
        pathlib.PurePosixPath("a/b"),
        pathlib.Path("x") / "y",
        pathlib.PureWindowsPath("a\\b"),
        argparse.Namespace(lr=0.1, layers=[1, 2]),
        types.SimpleNamespace(a=1),
        uuid.UUID(int=7),
        torch.torch_version.TorchVersion("2.1.0"),
        torch.rand(5).topk(2),
        torch.rand(2, 2).max(0),
        list,
        collections.OrderedDict,
        torch.nn.Parameter,
    ]
    for value in values:
        content = saved([value], protocol=protocol)
        ours = secure_torch.load(content)[0]
        theirs = torch.load(io.BytesIO(content), weights_only=False)[0]
        assert type(ours) is type(theirs)
        if isinstance(theirs, tuple):
            assert_equal(list(ours), list(theirs))
        else:
            assert ours == theirs


def test_storages_that_are_values(tmp_path: Path, layout: str) -> None:
    tensor = torch.arange(4.0)
    check([tensor, tensor.storage(), torch.arange(3).storage()], tmp_path, layout)


def test_an_optimizer(tmp_path: Path, layout: str) -> None:
    module = torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(module.parameters())
    module(torch.rand(1, 2)).sum().backward()
    optimizer.step()
    check({"epoch": 3, "optimizer": optimizer.state_dict()}, tmp_path, layout)


def test_numpy_inside(tmp_path: Path, layout: str) -> None:
    np = pytest.importorskip("numpy")
    check(
        {"rng": np.arange(3), "f": np.asfortranarray(np.eye(3)), "s": np.float64(2.5)},
        tmp_path,
        layout,
    )


def test_safetensors(safetensors: Callable[..., Path]) -> None:
    kinds = {
        "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "F8_E5M2": torch.float8_e5m2,
        "F8_E4M3": torch.float8_e4m3fn, "I16": torch.int16, "U16": torch.uint16,
        "F16": torch.float16, "BF16": torch.bfloat16, "I32": torch.int32, "U32": torch.uint32,
        "F32": torch.float32, "F64": torch.float64, "I64": torch.int64, "U64": torch.uint64,
    }  # fmt: skip
    content = struct.pack("<2Q", 1, 2**40 + 257)
    tensors = {
        name: (name, [16 // dtype.itemsize], b"\1\0" * 8 if name == "BOOL" else content)
        for name, dtype in kinds.items()
    }
    tensors["scalar"] = ("F32", [], struct.pack("<f", 2.5))
    tensors["none"] = ("F32", [0, 3], b"")
    path = safetensors(tensors)
    model = secure_torch.load(path)
    assert list(model) == list(tensors)
    for name, dtype in kinds.items():
        assert model[name].dtype == dtype
        assert model[name].untyped_storage().nbytes() == 16
        raw = torch.empty(0, dtype=torch.uint8).set_(model[name].untyped_storage())
        assert bytes(raw.tolist()) == tensors[name][2]
    assert model["scalar"].shape == () and model["scalar"].item() == 2.5
    assert model["none"].shape == (0, 3)
    library = pytest.importorskip("safetensors.torch")
    for name, theirs in library.load_file(path).items():
        assert_equal(model[name].clone(), theirs.clone(), name)


def test_writes_stay_in_this_process(tmp_path: Path, layout: str) -> None:
    value = {"a": torch.zeros(100_000), "b": torch.ones(3)}
    content = saved(value, layout)
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    first, second = secure_torch.load(path), secure_torch.load(path)
    first["a"].fill_(7)
    first["b"] += 1
    assert path.read_bytes() == content
    assert_equal(second, torch.load(path))
    assert first["a"].sum() == 700_000


def test_tensors_outlive_the_file_and_each_other(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(saved({"a": torch.arange(100_000), "b": torch.arange(3.0)}))
    model = secure_torch.load(path)
    path.unlink()
    tail = model["a"][-2:]
    del model
    assert tail.tolist() == [99_998, 99_999]


def test_mmap_shows_the_file_and_a_copy_does_not(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(saved({"a": torch.zeros(1_000_000, dtype=torch.uint8)}))
    copied = secure_torch.load(path, mmap=False)["a"]
    mapped = secure_torch.load(path)["a"]
    with path.open("r+b") as file:
        file.seek(500_000)
        file.write(b"\7")
    assert int(copied.sum()) == 0
    assert int(mapped.sum()) == 7


def test_collecting_garbage_goes_on() -> None:
    import gc

    assert gc.isenabled()
    secure_torch.load(saved([1]))
    assert gc.isenabled()
    gc.disable()
    try:
        secure_torch.load(saved([1]))
        assert not gc.isenabled()
    finally:
        gc.enable()
    with pytest.raises(secure_torch.SecurityError):
        secure_torch.load(b"cposix\nsystem\n.")
    assert gc.isenabled()


PLACES = [
    "import torch, secure_torch",
    "import secure_torch, torch",
    "import secure_torch; secure_torch.nn; import torch",
    "import secure_torch, torch; secure_torch.load(b'\\x80\\x02}.')",
    "from secure_torch import per_tensor_affine; import torch",
    "import secure_torch as torch",
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("dumps", ["pickle.dumps", "pickle._dumps"])
def test_what_is_saved_never_refers_to_this_package(place: str, dumps: str) -> None:
    program = f"""
{place}
import pickle
for value in (torch.per_tensor_affine, torch.contiguous_format, torch.float32):
    for protocol in range(4 if value is torch.contiguous_format else 0, 6):
        for _ in range(2):
            content = {dumps}(value, protocol)
            assert b"secure_torch" not in content, content
        assert pickle.loads(content) is value
import secure_torch, torch
assert secure_torch.per_tensor_affine is torch.per_tensor_affine
assert getattr(secure_torch, "per_tensor_affine") is torch.per_tensor_affine
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_converting(tmp_path: Path) -> None:
    weight = torch.arange(6.0).view(2, 3)
    path, out = tmp_path / "model.pt", tmp_path / "model.safetensors"
    path.write_bytes(
        saved({"model": {"a": weight, "tied": weight, "b": torch.ones(2)}, "epoch": 3})
    )
    with pytest.raises(secure_torch.FormatError) as caught:
        secure_torch.convert(path, out)
    assert caught.value.code == "model-inconvertible"
    assert not out.exists()
    done = secure_torch.convert(path, out, drop_rest=True)
    assert (done.tensors, done.dropped, done.dropped_first) == (2, 1, ["epoch"])
    assert done.tied == {"model.tied": "model.a"}
    assert done.bytes == out.stat().st_size
    assert done.report.load_allowed
    model = secure_torch.load(out)
    assert torch.equal(model["model.a"], weight)
    assert torch.equal(model["model.b"], torch.ones(2))
    with pytest.raises(FileExistsError):
        secure_torch.convert(path, out, key="model")
    done = secure_torch.convert(path.read_bytes(), out, key="model", force=True)
    assert done.tensors == 2
    with pytest.raises(secure_torch.UnsafeModelError):
        secure_torch.convert(path, out, max_threat_score=0, force=True)


def test_a_folder_with_shards(tmp_path: Path, safetensors: Callable[..., Path]) -> None:
    names = {}
    for name, value in (("a", 1.0), ("b", 2.0)):
        path = safetensors({name: ("F32", [1], struct.pack("<f", value))})
        names[name] = f"model-{name}.safetensors"
        path.rename(tmp_path / names[name])
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 8}, "weight_map": names}))
    for given in (tmp_path, index):
        model, report = secure_torch.load(given, audit_only=True)
        assert {name: tensor.item() for name, tensor in model.items()} == {"a": 1.0, "b": 2.0}
        assert report.sha256 == hashlib.sha256(index.read_bytes()).hexdigest()
    (tmp_path / names["b"]).unlink()
    with pytest.raises((secure_torch.SecurityError, OSError)):
        secure_torch.load(tmp_path)


def test_python_2_strings() -> None:
    # `{'a': '\xe9'}` as Python 2 writes it.
    content = b"\x80\x02}U\x01aU\x01\xe9s."
    assert secure_torch.load(content, encoding="latin1") == {"a": "é"}
    assert secure_torch.load(content, encoding="bytes") == {b"a": b"\xe9"}
    with pytest.raises(secure_torch.FormatError):
        secure_torch.load(content)
