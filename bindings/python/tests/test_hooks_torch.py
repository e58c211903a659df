"""`patch_torch`: every way into a file by torch, with torch imported before and after the hook."""

from __future__ import annotations

import io
import textwrap
from pathlib import Path
from typing import Any

import pytest

from attack import process, results

torch = pytest.importorskip("torch")

import secure_torch  # noqa: E402 - torch may be missing
from secure_torch import (  # noqa: E402
    Policy,
    SecurityError,
    UnsafeModelError,
    UnsafePickleError,
    patch_torch,
    protect,
)
from ways_torch import WAYS, archive, package  # noqa: E402

MODES = ("unhooked", "hooked", "late", "undone")
ERRORS = {
    "torch.hub.load": "UnsafeModelError",
}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """What each way did in each mode."""
    folder = tmp_path_factory.mktemp("ways")
    return {mode: results("ways_torch.py", mode, "patch_torch", folder) for mode in MODES}


@pytest.mark.parametrize("way", WAYS)
def test_a_way_is_open_without_the_hook_and_closed_with_it(
    way: str, seen: dict[str, dict[str, str]]
) -> None:
    """Before the hook, with it, with it first, and after it was undone."""
    assert seen["unhooked"][way] == "ran"
    error = ERRORS.get(way, "UnsafePickleError")
    assert seen["hooked"][way] == error
    assert seen["late"][way] == error
    assert seen["undone"][way] == "ran"


def saved(value: Any, **options: Any) -> io.BytesIO:
    """A file of torch, in memory."""
    out = io.BytesIO()
    torch.save(value, out, **options)
    out.seek(0)
    return out


def scripted() -> io.BytesIO:
    """A TorchScript file."""

    class Module(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + 1

    out = io.BytesIO()
    torch.jit.save(torch.jit.trace(Module(), torch.zeros(1)), out)
    out.seek(0)
    return out


@pytest.mark.parametrize("weights_only", [True, False, None])
@pytest.mark.parametrize("zipped", [True, False])
def test_honest_files_load_as_before(
    weights_only: bool | None, zipped: bool, tmp_path: Path
) -> None:
    """With the arguments that programs use."""
    value = {"w": torch.arange(6.0).reshape(2, 3), "n": 3}
    path = tmp_path / "model.pt"
    torch.save(value, path, _use_new_zipfile_serialization=zipped)
    with patch_torch():
        for source in (path, str(path), io.BytesIO(path.read_bytes())):
            found = torch.load(source, "cpu", weights_only=weights_only)
            assert list(found) == ["w", "n"]
            assert torch.equal(found["w"], value["w"])
        loaded = torch.hub.load_state_dict_from_url(
            "https://example.invalid/model.pt", model_dir=str(tmp_path)
        )
        assert torch.equal(loaded["w"], value["w"])


def test_everything_is_loaded_by_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """The arguments arrive at `secure_torch.load`."""

    def load(f: object, **options: object) -> tuple[object, dict[str, object]]:
        return f, options

    monkeypatch.setattr("secure_torch._load.load", load)
    with patch_torch() as handle:
        assert handle.active
        file = saved(1)
        f, options = torch.load(file, "cpu", mmap=False, encoding="latin1")
        assert f is file
        policy = options.pop("policy")
        assert isinstance(policy, Policy)
        assert options == {
            "map_location": "cpu",
            "weights_only": True,
            "mmap": False,
            "encoding": "latin1",
        }


def test_an_unpickler_of_the_callers_choice_is_refused() -> None:
    """It would be held to no rule."""

    class Module:
        __name__ = "dill"
        Unpickler = load = None

    with patch_torch():
        with pytest.raises(UnsafePickleError, match="'dill'"):
            torch.load(saved(1), pickle_module=Module())
        with pytest.raises(RuntimeError):
            torch.load(saved(1), pickle_module=Module(), weights_only=True)


def test_torchscript_is_blocked_until_a_policy_admits_code() -> None:
    """By torch.jit and by what lies below it."""
    with patch_torch():
        with pytest.raises(UnsafeModelError, match="max_threat_score=25") as caught:
            torch.jit.load(scripted())
        assert not isinstance(caught.value, UnsafePickleError)
        data = scripted().getvalue()
        with pytest.raises(UnsafeModelError):
            torch._C.import_ir_module_from_buffer(torch._C.CompilationUnit(), data, None, {}, False)
    with patch_torch(max_threat_score=25):
        assert torch.jit.load(scripted())(torch.ones(1)).item() == 2
    assert torch.jit.load(scripted())(torch.ones(1)).item() == 2


def test_a_path_that_torch_opens_itself_is_refused(tmp_path: Path) -> None:
    """The file could be another one by then."""
    path = tmp_path / "script.pt"
    path.write_bytes(scripted().getvalue())
    unit = torch._C.CompilationUnit()
    with patch_torch(max_threat_score=25):
        assert torch.jit.load(str(path))(torch.ones(1)).item() == 2
        with pytest.raises(UnsafeModelError, match="opens the path by itself"):
            torch._C.import_ir_module(unit, str(path), None, {}, False)


def test_an_exported_program_is_judged_first(tmp_path: Path) -> None:
    """A `.pt2` goes through at its score, and not below."""

    class Module(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + 1

    path = tmp_path / "program.pt2"
    torch.export.save(torch.export.export(Module(), (torch.zeros(1),)), path)
    score = secure_torch.scan(path).threat_score
    with patch_torch(max_threat_score=score):
        program = torch.export.load(path)
        assert program.module()(torch.ones(1)).item() == 2
    with patch_torch(max_threat_score=score - 1), pytest.raises(UnsafeModelError):
        torch.export.load(str(path))


def test_packages_are_judged_whole(tmp_path: Path) -> None:
    """And a reader that is open already is refused."""
    data = package(b"N.")
    score = secure_torch.scan(data).threat_score
    with patch_torch(), pytest.raises(SecurityError):
        torch.package.PackageImporter(io.BytesIO(data))
    with patch_torch(max_threat_score=score):
        importer = torch.package.PackageImporter(io.BytesIO(data))
        assert importer.load_pickle("res", "data.pkl") is None
        with pytest.raises(UnsafeModelError, match="reader that is open"):
            torch.package.PackageImporter(torch._C.PyTorchFileReader(io.BytesIO(data)))


def test_hub_code_can_be_admitted(tmp_path: Path) -> None:
    """By every handle, or not at all."""
    (tmp_path / "hubconf.py").write_text("def model(): return 7\n")
    with patch_torch(), pytest.raises(UnsafeModelError, match=r"hubconf\.py"):
        torch.hub.load(str(tmp_path), "model", source="local")
    with patch_torch(hub_code=True):
        assert torch.hub.load(str(tmp_path), "model", source="local") == 7
        with patch_torch(), pytest.raises(UnsafeModelError):
            torch.hub.load(str(tmp_path), "model", source="local")


def test_the_hash_in_a_name_is_compared(tmp_path: Path) -> None:
    """Also where the file was there already."""
    (tmp_path / "model-0123456789.pt").write_bytes(archive(b"N."))
    with patch_torch(), pytest.raises(RuntimeError, match="invalid hash"):
        torch.hub.load_state_dict_from_url(
            "https://example.invalid/model-0123456789.pt", str(tmp_path), check_hash=True
        )


def test_undoing_leaves_everything_as_it_was() -> None:
    """All hooks at once, twice."""
    import torch.distributed.checkpoint.filesystem as filesystem

    def state() -> dict[str, int]:
        modules = {
            "torch": torch,
            "serialization": torch.serialization,
            "hub": torch.hub,
            "storage": torch.storage,
            "_C": torch._C,
            "jit": torch.jit,
            "filesystem": filesystem,
        }
        found = {f"{n}.{k}": id(v) for n, m in modules.items() for k, v in vars(m).items()}
        found["importer"] = id(torch.package.PackageImporter.__init__)
        return found

    before = state()
    with protect():
        with protect():
            during = state()
        assert state() == during
    assert state() == before
    changed = {name for name in before if before[name] != during[name]}
    assert {
        "torch.load",
        "serialization.load",
        "serialization._load",
        "serialization._legacy_load",
        "storage._load_from_bytes",
        "hub.load",
        "hub.load_state_dict_from_url",
        "jit.load",
        "_C.import_ir_module",
        "filesystem.pickle",
        "importer",
    } <= changed


def test_loaders_with_workers_still_work(tmp_path: Path) -> None:
    """Workers send objects of classes that nobody has judged."""
    code = """
        import secure_torch
        secure_torch.protect()
        import torch
        from torch.utils.data import DataLoader, Dataset

        class Item:
            def __init__(self, value): self.value = value

        class Numbers(Dataset):
            def __len__(self): return 4
            def __getitem__(self, at): return Item(torch.full((2,), float(at)))

        def first(batch): return batch[0]

        if __name__ == "__main__":
            for batch in DataLoader(Numbers(), num_workers=1, collate_fn=first):
                print(batch.value.sum().item())
    """
    (tmp_path / "workers.py").write_text(textwrap.dedent(code))
    done = process(["workers.py"], tmp_path)
    assert done.stdout.split() == ["0.0", "2.0", "4.0", "6.0"]


def test_every_policy_judges_the_bytes_that_are_loaded() -> None:
    """Also those of a file object, which can be read once."""

    class Once(io.BytesIO):
        """A file that ends for good."""

        def seek(self, *_: int) -> int:
            raise OSError("no")

    data = saved({"w": torch.ones(2)}).getvalue()
    with patch_torch(), patch_torch(), patch_torch():
        assert torch.equal(torch.load(Once(data))["w"], torch.ones(2))
    with patch_torch(max_threat_score=5), patch_torch(), pytest.raises(UnsafeModelError):
        torch.load(Once(data))
    with patch_torch(), patch_torch(max_threat_score=5), pytest.raises(UnsafeModelError):
        torch.load(Once(data))
