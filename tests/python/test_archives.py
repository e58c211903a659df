"""Where readers of an archive part, our report says so.

Three readers that are not ours look at generated archives and at damaged ones: Python's
`zipfile`, the Rust crate `zip`, and libtorch's own `PyTorchStreamReader`. Wherever two of them
see other names, another order or other content, our report must hold a finding that blocks.
Honest archives must be read alike, and must have no such finding. Set `SECURE_TORCH_SEED` to
repeat a run and `SECURE_TORCH_ARCHIVE_COUNT` for another number of archives.
"""

from __future__ import annotations

import base64
import io
import json
import os
import random
import subprocess
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any

import pytest

import vectors
from archives import by_zipfile, honest, mutant
from ask import ask_command, framed
from conftest import missing, note

COUNT = int(os.environ.get("SECURE_TORCH_ARCHIVE_COUNT", "4000"))
MOST_SHOWN = 6
LARGEST_MEMBER = 1 << 22

# Each blocks by itself.
FLAGS = {
    "archive.ambiguous",
    "archive.bomb",
    "archive.corrupt",
    "archive.encrypted",
    "archive.traversal",
    "format.polyglot",
    "format.unknown",
}

View = list[tuple[bytes, Any]]


def zipfile_view(data: bytes) -> View | None:
    """What Python's reader sees; None where it opens nothing."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError, OSError):
        return None
    view: View = []
    for info in archive.infolist():
        encoding = "utf-8" if info.flag_bits & 0x800 else "cp437"
        name = info.filename.encode(encoding, "surrogateescape")
        try:
            with archive.open(info) as member:
                content = member.read(LARGEST_MEMBER)
            view.append((name, (len(content), zlib.crc32(content))))
        except Exception:
            # Damaged data ends in whatever the decompressor raises.
            view.append((name, "error"))
    return view


def program_views(program: str, archives: Sequence[bytes]) -> list[View | None]:
    """What a program sees that answers frames with lines of JSON.

    libtorch itself may crash over a damaged archive, now and then: it is asked on behind that one.
    """
    answers: list[Any] = []
    crashes = 0
    while len(answers) < len(archives):
        with tempfile.TemporaryFile() as stdin:
            stdin.write(framed(archives[len(answers) :]))
            stdin.seek(0)
            output = subprocess.run([program], stdin=stdin, capture_output=True)
        answers += [json.loads(line) for line in output.stdout.splitlines()]
        if len(answers) < len(archives):
            said = output.stderr.decode(errors="replace")[-2000:]
            crashes += 1
            assert output.returncode < 0 and crashes <= 3, f"{len(answers)} answers: {said}"
            answers.append({"error": "crashed"})
    assert len(answers) == len(archives)
    views: list[View | None] = []
    for answer in answers:
        if "error" in answer:
            views.append(None)
            continue
        views.append(
            [
                (bytes.fromhex(name), "error" if size == "error" else (size, sum_))
                for name, size, sum_ in answer["members"]
            ]
        )
    return views


def with_folder(view: View | None, other: View | None) -> View | None:
    """libtorch's names with the archive's folder in front, which it takes from the first."""
    if view is None or not other:
        return view
    folder = other[0][0].split(b"/")[0]
    return [(folder + b"/" + name, content) for name, content in view]


def difference(views: dict[str, View | None]) -> str | None:
    """The first two readers that see two archives; one that opens nothing sees none."""
    seen = [(name, view) for name, view in views.items() if view is not None]
    for (first, one), (second, two) in zip(seen, seen[1:]):
        if one != two:
            return f"{first}: {one}\n  {second}: {two}"
    return None


def compare(command: str, archives: Sequence[bytes], title: str, quiet: bool = False) -> None:
    """Fails with the first few archives on which readers part and we are silent."""
    listing = os.environ.get("SECURE_TORCH_ZIP_LISTING", "")
    if not listing:
        missing("`SECURE_TORCH_ZIP_LISTING` names no program: run `cargo xtask test`")
    records = os.environ.get("SECURE_TORCH_RECORDS", "")
    replies = ask_command(command, archives)
    crate = program_views(listing, archives)
    torch = program_views(records, archives) if records else [None] * len(archives)
    bad = []
    opened = [0, 0, 0]
    parted = 0
    for at, data in enumerate(archives):
        python = zipfile_view(data)
        views = {
            "zipfile": python,
            "zip crate": crate[at],
            "libtorch": with_folder(torch[at], python or crate[at]),
        }
        for place, view in enumerate(views.values()):
            opened[place] += view is not None
        apart = difference(views)
        parted += apart is not None
        flagged = set(replies[at]["rules"]) & FLAGS
        if (apart and not flagged) or (quiet and (apart or flagged - {"format.unknown"})):
            bad.append((data, apart, replies[at]["rules"]))
    note(
        f"{title}: {len(archives)} archives; zipfile opens {opened[0]}, the zip crate {opened[1]},"
        f" libtorch {opened[2] if records else 'is not here'}; they part on {parted}"
    )
    shown = [
        f"{base64.b64encode(data).decode()}\n  {apart}\n  our rules: {rules}"
        for data, apart, rules in sorted(bad, key=lambda entry: len(entry[0]))[:MOST_SHOWN]
    ]
    assert not bad, f"{title}: {len(bad)} of {len(archives)} archives\n" + "\n".join(shown)


def test_libtorch_is_here() -> None:
    """The third reader is asked too; without it the comparison is by two."""
    if not os.environ.get("SECURE_TORCH_RECORDS"):
        missing("no libtorch: run `cargo xtask env`")


def test_vectors(command: str) -> None:
    """Every vector that some reader takes for a ZIP."""
    archives = [entry.data for entry in vectors.load() if b"PK\x05\x06" in entry.data]
    if not archives:
        pytest.fail("`spec/vectors` holds no archives")
    compare(command, archives, "vectors")


def test_honest_archives(command: str, seed: int) -> None:
    """What honest writers make is read alike, and we find nothing in it."""
    random_ = random.Random(seed)
    archives = [honest(random_).write() for _ in range(COUNT // 12)]
    archives += [by_zipfile(random_) for _ in range(COUNT // 12)]
    compare(command, archives, f"honest, seed {seed}", quiet=True)


def test_damaged_archives(command: str, seed: int) -> None:
    """Archives that lie in one to three places."""
    random_ = random.Random(seed + 1)
    compare(command, [mutant(random_) for _ in range(COUNT)], f"damaged, seed {seed}")


def test_every_byte_of_a_directory(command: str) -> None:
    """Each byte of a directory and of an end record, changed in each bit, to 0 and to 255."""
    archives = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w", method) as archive:
            for name, content in (("a/data.pkl", b"\x80\x02}."), ("a/version", b"3\n")):
                info = zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0))
                info.compress_type = method
                archive.writestr(info, content)
            start = archive.start_dir
        data = target.getvalue()
        for at in range(start, len(data)):
            values = {data[at] ^ 1 << bit for bit in range(8)} | {0, 255}
            for value in sorted(values - {data[at]}):
                archives.append(data[:at] + bytes([value]) + data[at + 1 :])
    assert len(archives) > 2000
    compare(command, archives, "single bytes of directories")
