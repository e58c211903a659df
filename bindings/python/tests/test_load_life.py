"""What becomes of loaded tensors: writing to them, keeping them, and the file going away."""

from __future__ import annotations

import copy
import gc
import io
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from equal import assert_equal  # noqa: E402

import secure_torch  # noqa: E402

PAGES = 16
# Large enough that nothing is read along with the directory.
ELEMENTS = PAGES * 4096
MMAP = pytest.mark.parametrize("mmap", [True, False], ids=["mapped", "copied"])


@pytest.fixture(params=[True, False], ids=["zip", "legacy"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file of a few tensors, two of which share."""
    path = tmp_path / "model.pt"
    base = torch.arange(ELEMENTS, dtype=torch.float32)
    value = {"a": base, "part": base[10:20], "t": torch.rand(64, 64).t(), "n": [1, 2]}
    torch.save(value, path, _use_new_zipfile_serialization=request.param)
    return path


@MMAP
def test_writing_does_not_reach_the_file(model: Path, mmap: bool) -> None:
    """Copy on write: the next caller sees what was saved."""
    content = model.read_bytes()
    first = secure_torch.load(model, mmap=mmap)
    expected = torch.load(model, weights_only=True)
    first["a"].fill_(7)
    first["t"].mul_(2)
    assert first["part"].eq(7).all()
    assert model.read_bytes() == content
    second = secure_torch.load(model, mmap=mmap)
    assert_equal(second, expected)
    assert first["a"].eq(7).all()


@MMAP
def test_tensors_outlive_everything_else(model: Path, mmap: bool) -> None:
    """One tensor is enough to keep its memory."""
    expected = torch.load(model, weights_only=True)
    part = secure_torch.load(model, mmap=mmap)["part"]
    gc.collect()
    assert torch.equal(part, expected["part"])
    view = secure_torch.load(model, mmap=mmap)["t"][3:7]
    array = secure_torch.load(model, mmap=mmap)["a"].numpy()
    gc.collect()
    assert torch.equal(view, expected["t"][3:7])
    assert array.sum(dtype="float64") == expected["a"].double().sum().item()
    assert array.flags.writeable
    array[0] = 5
    assert torch.load(model, weights_only=True)["a"][0] == 0


@MMAP
def test_a_deleted_file_stays(model: Path, mmap: bool) -> None:
    """Deleting a file, or putting another in its place, changes nothing for who has loaded it."""
    expected = torch.load(model, weights_only=True)
    loaded = secure_torch.load(model, mmap=mmap)
    model.unlink()
    assert_equal(loaded, expected)
    torch.save({"a": torch.zeros(1)}, model)
    assert_equal(loaded, expected)


TRUNCATED = """
import os, sys
import torch, secure_torch
path, mmap = sys.argv[1], sys.argv[2] == "True"
loaded = secure_torch.load(path, mmap=mmap)
os.truncate(path, 0)
print(float(loaded["a"].double().sum()), float(loaded["t"].double().sum()))
loaded["a"].fill_(1)
print(float(loaded["a"].double().sum()))
"""


def test_a_truncated_file_is_copied_away(model: Path) -> None:
    """Without mapping, what happens to the file afterwards does not matter."""
    made = ran(TRUNCATED, model, "False")
    assert made.returncode == 0, made.stderr
    first, second = made.stdout.split("\n")[:2]
    assert float(first.split()[0]) == sum(range(ELEMENTS))
    assert float(second) == ELEMENTS


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a mapped file cannot be truncated")
def test_a_truncated_file_under_a_mapping(model: Path) -> None:
    """With mapping, what the file no longer has is zeros, which can be written to. torch's own
    `mmap=True` ends the process here."""
    made = ran(TRUNCATED, model, "True")
    assert made.returncode == 0, (made.returncode, made.stderr)
    first, second = made.stdout.split("\n")[:2]
    assert first.split() == ["0.0", "0.0"]
    assert float(second) == ELEMENTS


def ran(program: str, *arguments: Any) -> subprocess.CompletedProcess[str]:
    """A program in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


@MMAP
def test_what_is_done_with_tensors(model: Path, mmap: bool) -> None:
    """In-place operations, views, conversions, gradients."""
    loaded = secure_torch.load(model, mmap=mmap)
    a = loaded["a"]
    a += 1
    a[3:5] = 0
    a.view(16, -1)[0].zero_()
    assert a.sum() != 0
    weight = a.clone().requires_grad_()
    (weight * 2).sum().backward()
    assert weight.grad.eq(2).all()
    loaded["t"].requires_grad_().sum().backward()
    assert loaded["t"].grad.eq(1).all()
    model_ = torch.nn.Linear(64, 64, bias=False)
    model_.load_state_dict({"weight": loaded["t"].detach()}, assign=True)
    assert model_.weight.data_ptr() == loaded["t"].data_ptr()
    assert a.to(torch.float64).dtype == torch.float64
    a.data = torch.zeros(3)
    assert a.tolist() == [0, 0, 0]


@MMAP
def test_resizing(model: Path, mmap: bool) -> None:
    """A tensor can shrink. Its memory is not torch's own, so it cannot grow: torch says so, as it
    does of what `torch.load(mmap=True)` gives. By then torch has given the tensor its new shape,
    so nobody must use it again; a copy can grow."""
    loaded = secure_torch.load(model, mmap=mmap)["a"]
    loaded.resize_(10)
    assert loaded.tolist() == list(range(10))
    grown = loaded.clone().resize_(ELEMENTS * 2)
    assert grown.numel() == ELEMENTS * 2
    assert grown[:10].tolist() == list(range(10))
    with pytest.raises(RuntimeError, match="not resizable"):
        loaded.resize_(ELEMENTS * 2)


@MMAP
def test_saving_and_copying(model: Path, mmap: bool, tmp_path: Path) -> None:
    """Saved again, pickled, copied: it is like any other tensor."""
    loaded = secure_torch.load(model, mmap=mmap)
    expected = torch.load(model, weights_only=True)
    assert_equal(copy.deepcopy(loaded), copy.deepcopy(expected))
    again = tmp_path / "again.pt"
    torch.save(loaded, again)
    assert_equal(torch.load(again, weights_only=True), expected)
    assert_equal(secure_torch.load(again), expected)
    torch.save(loaded, model.with_suffix(".other"), _use_new_zipfile_serialization=False)
    assert_equal(secure_torch.load(model.with_suffix(".other")), expected)
    twin = pickle.loads(pickle.dumps(loaded["a"]))
    assert torch.equal(twin, expected["a"])
    loaded["a"].share_memory_()
    assert torch.equal(loaded["a"], expected["a"])


def test_saving_over_the_file_that_is_loaded(model: Path) -> None:
    """A new file under the old name is another file; the tensors stay."""
    loaded = secure_torch.load(model)
    expected = torch.load(model, weights_only=True)
    buffer = io.BytesIO()
    torch.save(loaded, buffer)
    fresh = model.with_suffix(".new")
    fresh.write_bytes(buffer.getvalue())
    fresh.replace(model)
    assert_equal(loaded, expected)
    assert_equal(secure_torch.load(model), expected)


@MMAP
def test_threads(model: Path, mmap: bool) -> None:
    """Many load the same file at once, and each has tensors of its own."""
    expected = torch.load(model, weights_only=True)
    wrong: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for _ in range(10):
                loaded = secure_torch.load(model, mmap=mmap)
                assert_equal(loaded, expected)
                loaded["a"].fill_(number)
                assert loaded["part"].eq(number).all()
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[0]


FORKED = """
import os, sys
import torch, secure_torch
torch.set_num_threads(1)
loaded = secure_torch.load(sys.argv[1])
before = float(loaded["a"].double().sum())
child = os.fork()
if child == 0:
    ok = float(loaded["a"].double().sum()) == before
    loaded["a"].fill_(3)
    ok = ok and bool(loaded["part"].eq(3).all())
    fresh = secure_torch.load(sys.argv[1])
    ok = ok and float(fresh["a"].double().sum()) == before
    os._exit(0 if ok else 1)
_, status = os.waitpid(child, 0)
assert status == 0, status
assert float(loaded["a"].double().sum()) == before
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_fork(model: Path) -> None:
    """A child writes to its own copy, and can load."""
    made = ran(FORKED, model)
    assert made.returncode == 0, made.stderr


def open_files() -> int:
    """How many files this process has open."""
    return len(os.listdir("/proc/self/fd"))


def mappings(name: str) -> int:
    """How many mappings of such a file there are."""
    return sum(name in line for line in Path("/proc/self/maps").read_text().splitlines())


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="there is no /proc")
@MMAP
def test_nothing_is_left_behind(tmp_path: Path, mmap: bool) -> None:
    """Two thousand files in a row leave no file open and nothing mapped."""
    path = tmp_path / "leaks-nothing.pt"
    torch.save({"a": torch.rand(3000), "b": torch.rand(3, 3).t()}, path)
    secure_torch.load(path, mmap=mmap)
    gc.collect()
    before = open_files()
    for number in range(2000):
        loaded = secure_torch.load(path, mmap=mmap)
        if number % 500 == 0:
            assert loaded["a"].numel() == 3000
    del loaded
    gc.collect()
    assert open_files() == before
    assert mappings("leaks-nothing.pt") == 0


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="there is no /proc")
def test_what_is_refused_leaves_nothing(tmp_path: Path) -> None:
    """Errors do not keep files either."""
    path = tmp_path / "refused.pt"
    torch.save({"a": torch.rand(3000)}, path)
    path.write_bytes(path.read_bytes()[:-400])
    before = open_files()
    for _ in range(300):
        with pytest.raises(secure_torch.SecurityError):
            secure_torch.load(path)
    gc.collect()
    assert open_files() == before
    assert mappings("refused.pt") == 0


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="there is no /proc")
def test_two_thousand_at_once(tmp_path: Path) -> None:
    """Kept tensors keep a mapping each, and no file open."""
    path = tmp_path / "kept.pt"
    torch.save(torch.rand(3000), path)
    kept = [secure_torch.load(path)]
    before = open_files()
    kept += [secure_torch.load(path) for _ in range(1999)]
    assert open_files() - before <= 2000
    assert all(torch.equal(tensor, kept[0]) for tensor in kept)
    del kept
    gc.collect()
    assert mappings("kept.pt") == 0


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="there is no /proc")
def test_opening_touches_no_storage(tmp_path: Path) -> None:
    """Opening costs the directory and the pickle: memory grows when a tensor is used."""
    path = tmp_path / "large.pt"
    torch.save({str(n): torch.ones(1 << 20) for n in range(32)}, path)

    def resident() -> int:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    secure_torch.load(path)
    gc.collect()
    before = resident()
    loaded = secure_torch.load(path)
    opened = resident() - before
    assert opened < 16 << 20, f"{opened} bytes for opening a file of {path.stat().st_size}"
    loaded["0"].add_(1)
    touched = resident() - before
    assert touched >= 4 << 20
