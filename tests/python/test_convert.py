"""What `convert` writes is what the reference library reads, and equals the source bit for bit."""

from __future__ import annotations

import collections
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import pytest

from conftest import ROOT, needed, note

# torch's own warning that numpy is another version than it was built with, and the like.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def torch(torch_module: Any) -> Any:
    """torch, and the reference library beside it."""
    needed("safetensors.torch")
    return torch_module


def run(command: str, *arguments: str | Path) -> tuple[int, str, str]:
    """The exit code of `convert`, and what it said."""
    output = subprocess.run(
        [command, "convert", *map(str, arguments)], capture_output=True, timeout=600
    )
    return output.returncode, output.stdout.decode(), output.stderr.decode()


def written(command: str, source: Path, *switches: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The tensors and the metadata that the reference library finds in the converted file."""
    safetensors = needed("safetensors")
    out = source.with_name(source.name + ".out.safetensors")
    code, said, errors = run(command, source, out, "--no-policy", "--force", *switches)
    assert code == 0, f"{said}{errors}"
    with safetensors.safe_open(out, framework="pt") as file:
        metadata = dict(file.metadata() or {})
    tensors = needed("safetensors.torch").load_file(out)
    out.unlink()
    return tensors, metadata


def bits(torch: Any, tensor: Any) -> tuple[Any, tuple[int, ...], bytes]:
    """All that the format keeps of a tensor."""
    data = tensor.detach().resolve_conj().resolve_neg().contiguous().reshape(-1)
    content = bytes(data.view(torch.uint8).numpy()) if data.numel() else b""
    return tensor.dtype, tuple(tensor.shape), content


def flat(torch: Any, value: Any, path: str = "") -> dict[str, Any]:
    """The tensors below a value, by the names that `convert` gives them."""
    if isinstance(value, torch.Tensor):
        return {path or "tensor": value}
    if isinstance(value, dict):
        items: Any = value.items()
    elif isinstance(value, (list, tuple)) and not isinstance(value, torch.Size):
        items = enumerate(value)
    else:
        return {}
    found: dict[str, Any] = {}
    for key, inner in items:
        below = flat(torch, inner, f"{path}.{key}" if path else str(key))
        assert not found.keys() & below.keys()
        found.update(below)
    return found


def assert_equal(
    torch: Any, found: dict[str, Any], metadata: dict[str, str], expected: dict[str, Any]
) -> None:
    """Every tensor is there, under its name or as another name of its equal."""
    for name, tensor in expected.items():
        kept = name if name in found else metadata[name]
        assert bits(torch, found[kept]) == bits(torch, tensor), name
    assert found.keys() <= expected.keys()


DTYPES = [
    *("bool", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64"),
    *("float16", "bfloat16", "float32", "float64", "complex64", "float8_e4m3fn", "float8_e5m2"),
    *("float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"),
]


def tricky(torch: Any) -> dict[str, Any]:
    """A state with every kind of tensor that the format holds."""
    weight = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    state: dict[str, Any] = collections.OrderedDict()
    state["weight"] = weight
    state["tied"] = weight
    state["turned"] = weight.t()
    state["part"] = weight[1:3, ::2]
    state["row"] = weight[2]
    state["seen otherwise"] = weight.view(-1)
    state["bias"] = torch.nn.Parameter(torch.randn(4))
    state["empty"] = torch.empty(0, 3)
    state["scalar"] = torch.tensor(2.5, dtype=torch.float64)
    state["spread"] = torch.tensor([1, 2, 3]).expand(5, 3)
    state["channels_last"] = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    state["nested"] = {"list": [torch.ones(1), (torch.zeros(2),)], 7: torch.full((2,), 7)}
    state["conjugate"] = torch.tensor([1 + 2j, 3 - 4j], dtype=torch.complex64).conj()
    # A negative: torch shows the numbers of a conjugate's imaginary part so.
    state["imaginary"] = torch.tensor([1 + 2j, 3 - 4j], dtype=torch.complex64).conj().imag
    for name in DTYPES:
        dtype = getattr(torch, name)
        raw = torch.randint(0, 2 if name == "bool" else 256, (6, 8), dtype=torch.uint8)
        tensor = raw.view(dtype)
        state[f"dtype.{name}"] = tensor
        state[f"dtype.{name}.turned"] = tensor.t() if name != "bool" else tensor[:, ::2]
    four = torch.randint(0, 256, (2, 3), dtype=torch.uint8)
    state["four"] = four.view(torch.float4_e2m1fn_x2)
    return state


@pytest.mark.parametrize("layout", ["zip", "legacy"])
def test_every_kind_of_tensor(command: str, torch: Any, tmp_path: Path, layout: str) -> None:
    """Views, types, nesting and shared storages, from both layouts of PyTorch."""
    torch.manual_seed(1)
    state = tricky(torch)
    path = tmp_path / "model.pt"
    torch.save(state, path, _use_new_zipfile_serialization=layout == "zip")
    expected = flat(torch, state)
    four = expected.pop("four")
    found, metadata = written(command, path)
    assert metadata["format"] == "pt"
    assert metadata["weight"] == "tied"
    # torch cannot look at these as bytes without help.
    assert found["four"].shape == four.shape
    back = found.pop("four")
    assert bytes(back.view(torch.uint8).numpy()) == bytes(four.view(torch.uint8).numpy())
    assert_equal(torch, found, metadata, expected)
    assert len(found) == len(expected) - 1

    found, metadata = written(command, path, "--duplicate-shared")
    assert metadata == {"format": "pt"}
    found.pop("four")
    assert found.keys() == expected.keys()
    assert_equal(torch, found, metadata, expected)


def test_the_file_is_the_one_that_the_reference_writes(
    command: str, torch: Any, tmp_path: Path
) -> None:
    """The same tensors give the same bytes behind the header, and the same header but for order."""
    state = {
        f"{n % 3}.{name}": torch.randn(3, 5).to(getattr(torch, name))
        for n, name in enumerate(DTYPES)
        if not name.startswith("uint")
    }
    source, ours = tmp_path / "model.pt", tmp_path / "ours.safetensors"
    torch.save(state, source)
    assert run(command, source, ours)[0] == 0
    theirs = tmp_path / "theirs.safetensors"
    needed("safetensors.torch").save_file(state, theirs, metadata={"format": "pt"})
    assert ours.read_bytes() == theirs.read_bytes()


def test_a_model_with_tied_weights_loads_back(command: str, torch: Any, tmp_path: Path) -> None:
    """`load_model` of the reference takes what `save_model` would have written."""

    class Tied(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = torch.nn.Embedding(7, 3)
            self.head = torch.nn.Linear(3, 7, bias=False)
            self.head.weight = self.embed.weight

    model, other = Tied(), Tied()
    source, out = tmp_path / "model.pt", tmp_path / "model.safetensors"
    torch.save(model.state_dict(), source)
    code, said, _ = run(command, source, out)
    assert code == 0
    assert "1 tensor," in said and "1 more name in the metadata" in said
    assert needed("safetensors.torch").load_model(other, out) == (set(), [])
    assert torch.equal(other.embed.weight, model.embed.weight)
    assert other.head.weight is other.embed.weight


def test_safetensors_and_numpy(command: str, torch: Any, tmp_path: Path) -> None:
    """Formats of arrays alone: what they hold, with the metadata of the one that has it."""
    numpy = needed("numpy")
    state = {"w": torch.randn(3, 2), "e": torch.zeros(0), "s": torch.tensor(3)}
    path = tmp_path / "in.safetensors"
    needed("safetensors.torch").save_file(state, path, metadata={"note": "x", "format": "np"})
    found, metadata = written(command, path)
    assert metadata == {"note": "x", "format": "np"}
    assert_equal(torch, found, metadata, state)

    arrays = {
        "plain": numpy.arange(6, dtype="<i4").reshape(2, 3),
        "fortran": numpy.asfortranarray(numpy.arange(6.0).reshape(2, 3)),
        "big": numpy.arange(5, dtype=">f8"),
        "c": numpy.array([1 + 2j], dtype="<c8"),
        "scalar": numpy.array(True),
    }
    path = tmp_path / "in.npz"
    for save in (numpy.savez, numpy.savez_compressed):
        save(path, **arrays)
        found, metadata = written(command, path)
        native = {k: v.astype(v.dtype.newbyteorder("=")) for k, v in arrays.items()}
        expected = {k: torch.from_numpy(v.copy(order="C")) for k, v in native.items()}
        assert_equal(torch, found, metadata, expected)
        assert found.keys() == arrays.keys()
    path = tmp_path / "in.npy"
    numpy.save(path, arrays["plain"])
    found, _ = written(command, path)
    assert bits(torch, found["tensor"]) == bits(torch, torch.from_numpy(arrays["plain"]))


def test_parts_and_what_is_no_tensor(command: str, torch: Any, tmp_path: Path) -> None:
    """A training checkpoint: an error as a whole, fine in part, and counted when it is cut."""
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    saved = {"state_dict": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}
    path = tmp_path / "checkpoint.pt"
    torch.save(saved, path)
    out = tmp_path / "out.safetensors"
    code, said, errors = run(command, path, out)
    assert (code, said) == (2, "")
    assert "model-inconvertible" in errors and "--key state_dict" in errors
    assert not out.exists()
    found, _ = written(command, path, "--key", "state_dict")
    assert_equal(torch, found, {}, dict(model.state_dict()))
    found, _ = written(command, path, "--drop-rest")
    assert_equal(torch, found, {}, flat(torch, saved))
    assert "optimizer.state.0.exp_avg" in found
    code, said, _ = run(command, path, out, "--drop-rest")
    assert code == 0 and "values that are no tensors left out" in said


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda torch: torch.ones(2, dtype=torch.complex128), "complex64"),
        (lambda torch: torch.eye(3).to_sparse(), "to_dense"),
        (lambda torch: torch.eye(3).to_sparse_csr(), "to_dense"),
        (lambda torch: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8), "dequantize"),
        (lambda torch: torch.empty(3, device="meta"), "meta"),
        (lambda torch: torch.zeros(1).expand(1_000_000_000), "convert.ratio"),
    ],
)
def test_what_the_format_cannot_hold(
    command: str, torch: Any, tmp_path: Path, make: Callable[[Any], Any], says: str
) -> None:
    """An error that says what to do, and no file, whatever else is asked for."""
    path, out = tmp_path / "model.pt", tmp_path / "out.safetensors"
    torch.save({"fine": torch.ones(1), "layer": make(torch)}, path)
    code, said, errors = run(command, path, out, "--drop-rest")
    assert (code, said) == (2, "")
    assert says in errors
    assert sorted(os.listdir(tmp_path)) == ["model.pt"]


def test_nothing_is_replaced_or_half_written(command: str, torch: Any, tmp_path: Path) -> None:
    """An existing file stays, a blocked one is not converted, and a full disk leaves nothing."""
    path, out = tmp_path / "model.pt", tmp_path / "out.safetensors"
    torch.save({"w": torch.zeros(300_000)}, path)
    out.write_bytes(b"precious")
    code, _, errors = run(command, path, out)
    assert code == 2 and "io-exists" in errors
    assert out.read_bytes() == b"precious"

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    # Python ignores the signal that comes with the limit, and so does what it starts.
    full = subprocess.run(
        [command, "convert", str(path), str(out), "--force"],
        capture_output=True,
        preexec_fn=small_files,
        restore_signals=False,
    )
    assert full.returncode == 2 and b"io-write-failed" in full.stderr
    assert out.read_bytes() == b"precious"

    evil = tmp_path / "evil.pkl"
    evil.write_bytes(b"cposix\nsystem\n(S'echo secure-torch'\ntR.")
    code, said, _ = run(command, evil, out, "--force")
    assert code == 1 and "BLOCKED" in said
    assert out.read_bytes() == b"precious"
    assert sorted(os.listdir(tmp_path)) == ["evil.pkl", "model.pt", "out.safetensors"]

    assert run(command, path, out, "--force", "--sealed")[0] == 0
    assert needed("safetensors.torch").load_file(out)["w"].shape == (300_000,)


def test_large_views_take_little_memory(command: str, torch: Any, tmp_path: Path) -> None:
    """A tensor that is turned passes through a buffer, whatever its size."""
    if sys.platform != "linux":
        pytest.skip("the high-water mark is read as Linux gives it")
    path, out = tmp_path / "model.pt", tmp_path / "out.safetensors"
    torch.save({"w": torch.randn(8192, 4096).t()}, path)
    script = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    arguments = [command, "convert", str(path), str(out), "--no-policy"]
    process = [sys.executable, "-c", script, *arguments]
    output = subprocess.run(process, capture_output=True, check=True)
    peak = int(output.stdout.split()[-1]) * 1024
    # Pages of the two files that are mapped count too, so the bound is their size and some.
    size = path.stat().st_size
    note(f"convert of a turned tensor of {size >> 20} MiB: {peak >> 20} MiB resident at most")
    assert peak < 2 * size + (64 << 20)


def test_real_state_dicts(
    command: str, torch: Any, inputs: list[dict[str, Any]], tmp_path: Path
) -> None:
    """Every real input that torch loads as data converts, and equals what torch loads."""
    done = 0
    for number, model in enumerate(inputs):
        if not str(model["layout"]).startswith("torch-"):
            continue
        try:
            loaded = torch.load(model["path"], weights_only=True, map_location="cpu")
        except Exception:
            continue
        expected = flat(torch, loaded)
        if not expected or any(t.is_sparse or t.is_quantized for t in expected.values()):
            continue
        link = tmp_path / f"{number}{Path(model['path']).suffix}"
        link.symlink_to(model["path"])
        found, metadata = written(command, link, "--drop-rest")
        assert_equal(torch, found, metadata, expected)
        done += 1
    note(f"real state dicts converted and compared with torch: {done}")
    assert done > 10


# --- inspect -------------------------------------------------------------------------------------


def inspected(command: str, *arguments: str | Path) -> tuple[Any, int]:
    """What `inspect` printed as JSON, valid by its schema, and the exit code."""
    jsonschema = needed("jsonschema")
    output = subprocess.run(
        [command, "inspect", "--format", "json", "--no-policy", *map(str, arguments)],
        capture_output=True,
        timeout=600,
    )
    assert output.stdout.isascii()
    document = json.loads(output.stdout)
    schema = json.loads((ROOT / "spec" / "inspect.schema.json").read_text(encoding="utf-8"))
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    errors = sorted(kind(schema).iter_errors(document), key=lambda e: list(e.absolute_path))
    assert not errors, f"at {list(errors[0].absolute_path)}: {errors[0].message}"
    return document, output.returncode


def test_inspect_says_what_torch_says(command: str, torch: Any, tmp_path: Path) -> None:
    """Type, shape, strides, sharing and size of every tensor."""
    state = tricky(torch)
    state["hyper\x1b"] = {"lr": 0.1, "betas": (0.9, 0.999), "name": "x" * 500, "none": None}
    state["sparse"] = torch.eye(3).to_sparse()
    state["quantized"] = torch.quantize_per_tensor(torch.ones(2), 0.5, 3, torch.quint8)
    path = tmp_path / "model.pt"
    torch.save(state, path)
    document, code = inspected(command, path)
    assert code == 0 and document["complete"]
    entries = {entry["path"]: entry for entry in document["entries"]}
    assert len(entries) == len(document["entries"])
    for name, tensor in flat(torch, state).items():
        facts = entries[name]["tensor"]
        assert facts["dtype"] == str(tensor.dtype).removeprefix("torch."), name
        assert facts["shape"] == list(tensor.shape), name
        if tensor.is_sparse:
            assert (facts["layout"], facts["specified"]) == ("sparse_coo", 3)
            continue
        assert facts["bytes"] == tensor.numel() * tensor.element_size(), name
        if tensor.is_contiguous():
            assert "strides" not in facts or tensor.numel() == 0, name
        else:
            assert facts["strides"] == list(tensor.stride()), name
    assert entries["tied"]["same_as"] == "weight"
    assert entries["turned"]["tensor"]["shares_storage_with"] == "weight"
    assert entries["conjugate"]["tensor"]["conjugate"]
    assert entries["bias"]["kind"] == "Parameter"
    assert entries["quantized"]["tensor"]["quantized"] == "per tensor, scale 0.5, zero point 3"
    assert entries["hyper\x1b.betas"]["value"] == "(0.9, 0.999)"
    assert len(entries["hyper\x1b.name"]["value"]) < 100
    distinct = {id(t): t for t in flat(torch, state).values() if not t.is_sparse}
    assert document["totals"]["tensors"] == len(distinct) + 1
    assert document["totals"]["tied"] == 1
    assert document["totals"]["elements"] == sum(t.numel() for t in distinct.values()) + 3

    shallow, _ = inspected(command, path, "--depth", "1")
    assert shallow["totals"] == document["totals"]
    assert max(entry["depth"] for entry in shallow["entries"]) == 1
    assert any(entry.get("folded") for entry in shallow["entries"])


def test_inspect_prints_a_tree(command: str, torch: Any, tmp_path: Path) -> None:
    """The text form, whole."""
    weight = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    state = {
        "layer": {"weight": weight, "turned": weight.t()},
        "tied": weight,
        "hyper\x1b[2J": {"lr": 0.5, "steps": list(range(20)), "name": "a\nb"},
    }
    path = tmp_path / "model.pt"
    torch.save(state, path)
    output = subprocess.run(
        [command, "inspect", "--no-policy", "model.pt"], cwd=tmp_path, capture_output=True
    )
    assert output.returncode == 0
    first, *lines = output.stdout.decode().splitlines()
    assert first.startswith("allowed ") and " model.pt " in first
    assert lines == [
        "",
        "dict, 3 items",
        "  layer           dict, 2 items",
        "    weight  float32 [2, 3]  24 bytes",
        "    turned  float32 [3, 2]  24 bytes  "
        "strides [1, 3], at byte 0 of the storage of layer.weight",
        "  tied            float32 [2, 3]  24 bytes  = layer.weight",
        "  hyper\\u{1b}[2J  dict, 3 items",
        "    lr     0.5",
        "    steps  [0, 1, 2, 3, 4, 5, 6, 7, \u2026]  20 items",
        "    name   'a\\u{a}b'",
        "",
        "2 tensors, 12 elements, 48 bytes in 1 storage of 24 bytes; 1 more name; 22 plain values",
    ]


def test_inspect_lists_a_blocked_file_only_when_asked(command: str, tmp_path: Path) -> None:
    """Without `--audit-only` there is the report alone, and the exit code is that of a block."""
    path = tmp_path / "plain.pkl"
    path.write_bytes(b"\x80\x02}U\x01aK\x01s.")
    strict = ["--no-policy", "--max-threat-score", "0", str(path)]
    output = subprocess.run([command, "inspect", *strict], capture_output=True)
    assert output.returncode == 1 and b"BLOCKED" in output.stdout
    assert b"dict, 1 item" not in output.stdout
    output = subprocess.run([command, "inspect", "--audit-only", *strict], capture_output=True)
    assert output.returncode == 1 and b"BLOCKED" in output.stdout
    assert b"dict, 1 item\n  a  1\n" in output.stdout
    document, code = inspected(command, "--audit-only", "--max-threat-score", "0", path)
    assert (document["file"]["verdict"], code) == ("block", 1)


def test_inspect_lists_every_real_input(
    command: str, torch: Any, inputs: list[dict[str, Any]]
) -> None:
    """What torch loads as data, `inspect` lists, by the schema."""
    done = 0
    for model in inputs:
        if not str(model["layout"]).startswith("torch-") or model["large"]:
            continue
        try:
            loaded = torch.load(model["path"], weights_only=True, map_location="cpu")
        except Exception:
            continue
        document, _ = inspected(command, model["path"])
        names = {entry["path"] for entry in document["entries"]}
        assert set(flat(torch, loaded)) - {"tensor"} <= names, model["path"]
        done += 1
    assert done > 10
