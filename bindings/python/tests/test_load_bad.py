"""Broken files of every layout: a typed error, or a result that can be used.

Each lot is loaded in a process of its own whose memory is limited, so that a crash fails the test,
and so does memory that a file only speaks of.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
np = pytest.importorskip("numpy")

from layouts import archive, changed, legacy, members, tar  # noqa: E402

import secure_torch  # noqa: E402

LAYOUTS = ["zip", "deflated", "big", "legacy", "tar", "npy", "npz", "safetensors"]
WANTED = os.environ.get("SECURE_TORCH_SEED", "")
SEED = str(int.from_bytes(os.urandom(4), "little")) if WANTED == "random" else WANTED or "7"


def lot(kind: str, layout: str, count: int, folder: Path) -> dict[str, Any]:
    """What a process says that loads a lot of files."""
    worker = Path(__file__).with_name("bad_worker.py")
    arguments = [kind, layout, str(count), SEED, str(folder)]
    made = subprocess.run(
        [sys.executable, "-W", "ignore", str(worker), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert made.returncode == 0, f"exit {made.returncode} (seed {SEED}):\n{made.stderr[-3000:]}"
    said = json.loads(made.stdout.splitlines()[-1])
    assert not said["wrong"], f"seed {SEED}: {said['wrong'][:10]}"
    return said


@pytest.mark.parametrize("layout", LAYOUTS)
def test_cut_at_every_byte(layout: str, tmp_path: Path) -> None:
    """Every beginning of a small file."""
    said = lot("cut", layout, 1, tmp_path)
    assert sum(said["counts"].values()) == said["size"] > 100
    # The padding behind the last member of a tar is not looked at, by torch neither.
    if layout != "tar":
        assert "loaded" not in said["counts"], said


@pytest.mark.parametrize("layout", LAYOUTS)
def test_single_bytes(layout: str, tmp_path: Path) -> None:
    """Files of which a byte or two are others, judged as lax as can be."""
    times = int(os.environ.get("SECURE_TORCH_EXAMPLES", "1"))
    said = lot("mutants", layout, 1500 * times, tmp_path)
    assert sum(said["counts"].values()) == 1500 * times
    assert said["counts"].get("model-malformed"), said


@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_cut_at_every_thousandth_byte(new: bool, tmp_path: Path) -> None:
    """A file that is not small."""
    buffer = io.BytesIO()
    model = {f"layer.{n}": torch.rand(100, 7) for n in range(60)}
    torch.save(model, buffer, _use_new_zipfile_serialization=new)
    content = buffer.getvalue()
    cuts = range(0, len(content), 1000)
    assert len(cuts) > 150
    for number, length in enumerate(cuts):
        (tmp_path / f"{number}.bad").write_bytes(content[:length])
    said = lot("given", "-", 0, tmp_path)
    assert sum(said["counts"].values()) == len(cuts)
    assert "loaded" not in said["counts"]


# --------------------------------------------------------------------- files that say too much


def storage(key: str, elements: int, kind: str = "Float", legacy_id: bool = False) -> bytes:
    """The persistent id of a storage, and the opcode that asks for it."""
    body = b"(X\7\0\0\0storagectorch\n" + kind.encode() + b"Storage\n"
    body += b"X" + struct.pack("<I", len(key)) + key.encode() + b"X\3\0\0\0cpu" + number(elements)
    return body + (b"Nt" if legacy_id else b"t") + b"Q"


def number(value: int) -> bytes:
    """An integer, as protocol 2 writes it."""
    return pickle.dumps(value, protocol=2)[2:-1]


def numbers(values: tuple[int, ...]) -> bytes:
    """A tuple of them."""
    return b"(" + b"".join(map(number, values)) + b"t"


def tensor(
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    offset: int = 0,
    elements: int = 4,
    kind: str = "Float",
    legacy_id: bool = False,
) -> bytes:
    """`_rebuild_tensor_v2`, up to its `REDUCE`."""
    body = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage("0", elements, kind, legacy_id)
    body += number(offset) + numbers(shape) + numbers(strides)
    return body + b"\x89ccollections\nOrderedDict\n)RtR"


def zipped(body: bytes, **records: bytes) -> bytes:
    """An archive around the body of a pickle. `s0` is the record `data/0`."""
    found = {"m/data.pkl": b"\x80\2" + body + b".", "m/byteorder": b"little"}
    found.update({f"m/data/{name[1:]}": content for name, content in records.items()})
    found["m/version"] = b"3\n"
    return archive(found)


BILLION = 10**9
SPARSE = b"ctorch._utils\n_rebuild_sparse_tensor\n(ctorch.serialization\n_get_layout\n"


def layout(name: str) -> bytes:
    """The rest of a call of `_get_layout`, and the start of the parts."""
    return b"X" + struct.pack("<I", len(name)) + name.encode() + b"\x85R("


def huge() -> dict[str, bytes]:
    """Files whose headers declare far more than they hold."""
    sixteen = bytes(16)
    found = {
        "shape": zipped(tensor((BILLION,), (1,)), s0=sixteen),
        "shapes": zipped(tensor((BILLION, BILLION), (BILLION, 1)), s0=sixteen),
        "overflow": zipped(tensor((2**62, 2**62), (2**62, 1)), s0=sixteen),
        "wrap": zipped(tensor((2**32, 2**32), (2**32, 1)), s0=sixteen),
        "strides": zipped(tensor((2,), (BILLION,)), s0=sixteen),
        "offset": zipped(tensor((1,), (1,), offset=BILLION), s0=sixteen),
        "offset wraps": zipped(tensor((2,), (1,), offset=2**63 - 1), s0=sixteen),
        "below zero": zipped(tensor((2,), (-1,), offset=1), s0=sixteen),
        "short record": zipped(tensor((4,), (1,)), s0=bytes(15)),
        "empty record": zipped(tensor((4,), (1,)), s0=b""),
        "no record": zipped(tensor((4,), (1,))),
        "storage": zipped(tensor((1,), (1,), elements=BILLION), s0=sixteen),
        "storage wraps": zipped(tensor((1,), (1,), elements=2**62 + 1), s0=sixteen),
        "storage below zero": zipped(tensor((1,), (1,), elements=-1), s0=sixteen),
        "storage too large": zipped(tensor((1,), (1,), elements=2**70), s0=sixteen),
        "dimensions": zipped(tensor((1,) * 5000, (1,) * 5000), s0=sixteen),
        "legacy shape": legacy(
            b"\x80\2" + tensor((BILLION,), (1,), legacy_id=True) + b".", [("0", sixteen, 4)]
        ),
        "legacy storage": legacy(
            b"\x80\2" + tensor((1,), (1,), elements=BILLION, legacy_id=True) + b".",
            [("0", sixteen, BILLION)],
        ),
        "legacy count": legacy(
            b"\x80\2" + tensor((1,), (1,), legacy_id=True) + b".", [("0", sixteen, 2**61)]
        ),
        "legacy without": legacy(b"\x80\2" + tensor((1,), (1,), legacy_id=True) + b".", []),
        "legacy below zero": legacy(
            b"\x80\2" + tensor((1,), (1,), legacy_id=True) + b".", [("0", sixteen, -1)]
        ),
        "bytes of an array": zipped(
            b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\0\x85c_codecs\nencode\n"
            b"(X\1\0\0\0bX\6\0\0\0latin1tRtR(K\1"
            + numbers((BILLION,))
            + b"cnumpy\ndtype\n(X\2\0\0\0f8\x89\x88tR(K\3X\1\0\0\0<NNNJ\xff\xff\xff\xffJ\xff\xff"
            b"\xff\xffK\0tb\x89c_codecs\nencode\n(X\2\0\0\0abX\6\0\0\0latin1tRtb"
        ),
        "nested": zipped(b"]" * 100_000 + b"a" * 99_999),
        "nested tuples": zipped(b")" + b"\x85" * 100_000),
        "doubled": zipped(b"]q\0" + b"h\0h\0\x86q\0" * 200),
        "cycle": zipped(b"]q\0h\0a"),
        "number": zipped(b"\x8b" + struct.pack("<i", 2**31 - 1)),
        "text": zipped(b"X" + struct.pack("<I", 2**32 - 1)),
        "count of a tar": tar([torch.zeros(1)]).replace(number(1) + b".", b"J\xff\xff\xff\x7f."),
    }
    rows = tensor((BILLION * 1000 + 1,), (0,), elements=1, kind="Long")
    none = tensor((0,), (1,), elements=1, kind="Long")
    many = tensor((0, 2**50), (0, 0), elements=1, kind="Long")
    values = tensor((2**50,), (0,), elements=1, kind="Long")
    shape = numbers((BILLION * 1000, 3))
    found["spread rows"] = zipped(
        SPARSE + layout("torch.sparse_csr")[:-1] + b"(" + rows + none + none + shape + b"ttR",
        s0=bytes(8),
    )
    found["no indices"] = zipped(
        SPARSE + layout("torch.sparse_coo")[:-1] + b"(" + many + values + b")ttR", s0=bytes(8)
    )
    return found


# What is declared and harmless: nothing of that size is ever made.
LOADS = {"no indices"}


def test_what_is_declared_is_not_allocated(tmp_path: Path) -> None:
    """All of them at once, in a process that has no room for any."""
    files = huge()
    for number_, content in enumerate(files.values()):
        (tmp_path / f"{number_:03}.bad").write_bytes(content)
    said = lot("given", "-", 0, tmp_path)
    assert sum(said["counts"].values()) == len(files)
    assert said["counts"].get("loaded", 0) <= len(LOADS), said


@pytest.mark.parametrize("name", sorted(huge()))
def test_what_is_declared_is_told(name: str) -> None:
    """Each one by itself: a code, a place, and a report."""
    content = huge()[name]
    if name in LOADS:
        secure_torch.load(content)
        return
    with pytest.raises(secure_torch.SecurityError) as raised:
        secure_torch.load(content, max_threat_score=100)
    error = raised.value
    assert error.code in {"model-malformed", "model-unsupported", "input-too-large"}, error
    assert error.report is not None
    assert "byte" in str(error), str(error)


def test_bombs(tmp_path: Path) -> None:
    """A member that unpacks to far more than the file has, and one that says less than it has."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("m/data.pkl", b"\x80\2" + tensor((1,), (1,), elements=1 << 28) + b".")
        with made.open("m/data/0", "w", force_zip64=True) as member:
            for _ in range(1024):
                member.write(bytes(1 << 20))
        made.writestr("m/version", b"3\n")
    content = buffer.getvalue()
    assert len(content) < 2 << 20
    (tmp_path / "bomb.bad").write_bytes(content)
    size = struct.pack("<I", 4)
    (tmp_path / "liar.bad").write_bytes(content.replace(struct.pack("<I", 1 << 30), size))
    said = lot("given", "-", 0, tmp_path)
    assert "loaded" not in said["counts"], said


def test_wrong_storages() -> None:
    """A key that is declared twice, in two ways, and records that are left out or swapped."""
    buffer = io.BytesIO()
    torch.save([torch.rand(4), torch.rand(8)], buffer)
    content = buffer.getvalue()
    found = members(content)
    (first, second) = (name for name in found if "/data/" in name)
    broken = {
        "swapped": {**found, first: found[second][:8], second: found[first]},
        "gone": {name: data for name, data in found.items() if name != second},
        "no pickle": {name: data for name, data in found.items() if "data.pkl" not in name},
    }
    for name, what in broken.items():
        with pytest.raises(secure_torch.SecurityError) as raised:
            secure_torch.load(archive(what), max_threat_score=100)
        assert raised.value.code in {"model-malformed", "model-unsupported"}, name
    twice = zipped(b"(" + tensor((1,), (1,)) + tensor((1,), (1,), kind="Int") + b"t", s0=bytes(16))
    with pytest.raises(secure_torch.FormatError, match="declared twice"):
        secure_torch.load(twice)
    # A record that is longer than it has to be: torch refuses it as well.
    longer = archive({**found, first: found[first] + b"more"})
    with pytest.raises(secure_torch.FormatError, match="more bytes"):
        secure_torch.load(longer)
    with pytest.raises(RuntimeError, match="does not match"):
        torch.load(io.BytesIO(longer))
    assert secure_torch.load(changed(content, version=b"9999\n"))[0].shape == (4,)
