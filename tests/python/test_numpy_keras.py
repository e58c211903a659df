"""Arrays and HDF5 files against the libraries that read them."""

from __future__ import annotations

import io
import json
import random
import subprocess
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import h5py
import numpy
import pytest
from numpy.lib import format as npy

from conftest import SEED, note

ARRAYS = 4000
DTYPES = [
    "<f4", "<f8", ">i2", "|u1", "?", "<c16", "|S3", "<U2", "|V5", "<M8[ns]", "<m8[25us]",
    [("a", "<i4"), ("b", "|S3", (2,))], [("", "|V4"), (("t", "x"), [("y", ">f2")], (3,))], [],
    ("<f4", (2, 3)),
]  # fmt: skip
SHAPES = [(), (1,), (2, 3), (0,), (3, 0, 2), (1, 1, 1, 1), (7,)]
PIECES = [
    b" ", b"\n", b"\t", b"(", b")", b"[", b"]", b"{", b"}", b",", b":", b"'", b'"', b"\\", b"L",
    b"-", b"0", b"9", b"1_0", b"0x1", b"True", b"None", b"O", b"<", b"f4", b"u", b"b", b"#", b"\0",
    b"\xff", b"\\x41", b"'descr'", b"'shape'", b"(1, )", b"18446744073709551616",
]  # fmt: skip


def written(rng: random.Random) -> bytes:
    """An array as numpy writes it."""
    array = numpy.zeros(rng.choice(SHAPES), dtype=rng.choice(DTYPES))
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        npy.write_array(out, array, version=rng.choice([(1, 0), (2, 0), (3, 0)]))
    return out.getvalue()


def mutated(rng: random.Random, array: bytes) -> bytes:
    """The same with a header that has been tampered with, its length right mostly."""
    start = 10 if array[6] == 1 else 12
    length = int.from_bytes(array[8:start], "little")
    header, body = array[start : start + length], array[start + length :]
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(header.rstrip()) + 1)
        how = rng.randrange(3)
        if how == 0:
            header = header[:at] + rng.choice(PIECES) + header[at:]
        elif how == 1:
            header = header[:at] + header[at + rng.randrange(1, 4) :]
        else:
            header = header[:at] + rng.choice(PIECES) + header[at + 1 :]
    length = len(header) + rng.choice([0, 0, 0, 0, 0, 0, 0, 0, 1, -1])
    return array[:8] + max(length, 0).to_bytes(start - 8, "little") + header + body


def numpy_reads(array: bytes) -> str:
    """What numpy makes of it: an array, objects, or the name of what it raises."""
    stream = io.BytesIO(array)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            npy.read_array(stream, allow_pickle=False)
        except Exception as error:
            return "objects" if "Object arrays" in str(error) else type(error).__name__
    return "array" if not stream.read() else "more"


def scanned(command: str, folder: Path) -> dict[str, dict[str, Any]]:
    """The report on each file of a folder."""
    run = subprocess.run(
        [command, "scan", "--format", "json", str(folder)], capture_output=True, check=False
    )
    reports = json.loads(run.stdout)
    return {Path(report["path"]).name: report for report in reports["reports"]}


def test_npy_headers(command: str, tmp_path: Path) -> None:
    """numpy reads what we let through, and we let through what its writer spells."""
    rng = random.Random(SEED)
    arrays = {}
    for index in range(ARRAYS):
        array = written(rng)
        arrays[f"{index}.npy"] = array if index % 8 == 0 else mutated(rng, array)
    for name, array in arrays.items():
        (tmp_path / name).write_bytes(array)
    reports = scanned(command, tmp_path)
    seen: Counter[str] = Counter()
    for name, array in arrays.items():
        reads = numpy_reads(array)
        rules = reports[name]["score_breakdown"]
        ours = "refused" if "format.structure" in rules else "read"
        seen[f"numpy: {reads}, here: {ours}"] += 1
        if ours == "read":
            assert reads in ("array", "objects"), (name, array, reads)
        if int(name.removesuffix(".npy")) % 8 == 0:
            assert (reads, ours) == ("array", "read"), (name, array)
    note(f"arrays with headers tampered with: {dict(sorted(seen.items()))}")
    # Spellings of Python that `repr` never uses.
    assert seen["numpy: array, here: refused"] <= ARRAYS // 100
    assert seen["numpy: array, here: read"] > ARRAYS // 5


# --- HDF5 --------------------------------------------------------------------------------------

CODE = json.dumps(
    {
        "class_name": "Sequential",
        "config": [
            {
                "class_name": "Lambda",
                "config": {"function": ["4wEAAA==", None, None], "function_type": "lambda"},
            }
        ],
    }
)
FILES = 6
LAYOUTS = ["earliest", "v108", "v110", "latest"]


def fill(group: Any, rng: random.Random, depth: int = 0) -> None:
    """Puts honest things of many kinds into a group."""
    for index in range(rng.choice([1, 3, 12, 60])):
        kind, name = rng.randrange(8), f"{'x' * rng.randrange(40)}{index}"
        if kind == 0 and depth < 3:
            fill(group.create_group(name), rng, depth + 1)
        elif kind == 1:
            group.attrs[name] = "text" * rng.choice([1, 5, 500])
        elif kind == 2:
            group.attrs[name] = numpy.bytes_(b"v" * rng.choice([1, 30, 5000]))
        elif kind == 3:
            shape = (rng.randrange(1, 40), rng.randrange(1, 40))
            options = rng.choice(
                [
                    {},
                    {"chunks": True},
                    {"chunks": (2, 2), "maxshape": (None, None)},
                    {"chunks": True, "compression": "gzip", "shuffle": True, "fletcher32": True},
                    {"chunks": (5, 5), "maxshape": (None, 50), "compression": "lzf"},
                ]
            )
            if "maxshape" in options:
                shape = (max(shape[0], 5), max(shape[1], 5))
            values = numpy.frombuffer(rng.randbytes(4 * shape[0] * shape[1]), "<i4")
            group.create_dataset(name, data=values.reshape(shape), **options)
        elif kind == 4:
            group.create_dataset(name, data=["a", "bb", "c" * 300], dtype=h5py.string_dtype())
        elif kind == 5:
            group.create_dataset(name, data=numpy.zeros(3, dtype=[("a", "<f4"), ("b", "|S7")]))
        elif kind == 6:
            group[name] = h5py.SoftLink("/elsewhere")
        else:
            group.create_dataset(name, data=rng.choice([1.5, True, h5py.Empty("<f4")]))


def deepest(group: Any) -> Any:
    """Some group at the bottom."""
    for value in group.values():
        if isinstance(value, h5py.Group):
            return deepest(value)
    return group


@pytest.mark.parametrize("layout", LAYOUTS)
def test_hdf5_layouts(command: str, tmp_path: Path, layout: str) -> None:
    """Honest files are allowed; one thing more, put anywhere, is found."""
    rng = random.Random(SEED)
    wanted = {}
    for index in range(FILES):
        for what in ("honest", "configuration", "link", "pickle"):
            seed = rng.randrange(1 << 30)
            with h5py.File(tmp_path / f"{index}-{what}.h5", "w", libver=layout) as file:
                fill(file, random.Random(seed))
                target = deepest(file)
                if what == "configuration":
                    as_bytes = numpy.bytes_(CODE) if index % 2 else CODE
                    target.attrs["secure-torch-vector"] = as_bytes
                elif what == "link":
                    target["secure-torch-vector"] = h5py.ExternalLink("elsewhere.h5", "/x")
                elif what == "pickle":
                    target.attrs["secure-torch-vector"] = numpy.bytes_(b"cposix\nsystem\n.")
            wanted[f"{index}-{what}.h5"] = {
                "honest": "format.partial",
                "configuration": "code.bytecode",
                "link": "reference.dangerous",
                "pickle": "pickle.global.dangerous",
            }[what]
    reports = scanned(command, tmp_path)
    for name, rule in wanted.items():
        report = reports[name]
        assert rule in report["score_breakdown"], (name, report)
        if rule == "format.partial":
            assert report["threat_score"] == 15, (name, report["findings"])
            assert report["verdict"] == "allow"


# --- Keras and skops ---------------------------------------------------------------------------

HOSTILE = {
    "keras": {"class_name": "system", "module": "os", "config": {"x": "\u2200"}},
    "skops": {"__class__": "system", "__module__": "os", "__loader__": "FunctionNode"},
}
ENCODINGS = [
    "utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32",
    "utf-32-le", "utf-32-be",
]  # fmt: skip


def spelled(rng: random.Random, what: dict[str, Any]) -> bytes:
    """A text around a hostile object that Python's reader of JSON takes."""
    value: Any = what
    for _ in range(rng.choice([0, 1, 3, 150])):
        value = [value] if rng.random() < 0.5 else {rng.choice(["a", "\u2200", "config"]): value}
    extra = rng.choice(
        [None, 1.5, float("nan"), float("inf"), "\ud800", "\u2200\u2222", 10**30, "\\"]
    )
    value = [extra, value] if rng.random() < 0.5 else {"z": extra, "config": value}
    text = json.dumps(value, ensure_ascii=rng.random() < 0.5, indent=rng.choice([None, 1]))
    if rng.random() < 0.5:
        for word in ("class_name", "config", "module", "system", "__class__", "__module__", "os"):
            at = rng.randrange(len(word))
            escaped = f"{word[:at]}\\u{ord(word[at]):04x}{word[at + 1 :]}"
            text = text.replace(f'"{word}"', f'"{escaped}"')
    if rng.random() < 0.2:
        text = text.replace('"os"', '"numpy", "module": "os", "__module__": "os"')
    blank = rng.choice(["", " ", "\t\n", "\r\n "])
    return (blank + text).encode(rng.choice(ENCODINGS), "surrogatepass")


@pytest.mark.parametrize("loader", list(HOSTILE))
def test_json_spellings(command: str, tmp_path: Path, loader: str) -> None:
    """However Python's reader of JSON lets a text be spelled, what it names is found."""
    rng = random.Random(SEED)
    for index in range(1500):
        text = spelled(rng, HOSTILE[loader])
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            continue
        (tmp_path / f"{index}.json").write_bytes(text)
    reports = scanned(command, tmp_path)
    assert len(reports) > 1000
    for name, report in reports.items():
        found = {"reference.dangerous", "format.structure"} & report["score_breakdown"].keys()
        assert found and report["verdict"] == "block", (name, (tmp_path / name).read_bytes())
