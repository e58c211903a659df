"""`import secure_torch as torch`."""

from __future__ import annotations

import importlib
import io
import textwrap
import warnings
from pathlib import Path

import pytest

import secure_torch
from attack import EVIL, process

NO_TORCH = "import sys; sys.modules['torch'] = None\n"


def test_names_of_torch_pass_through() -> None:
    """Attributes, modules, and `from ... import`."""
    torch = pytest.importorskip("torch")
    from secure_torch import nn, optim

    assert nn is torch.nn
    assert optim is torch.optim
    assert secure_torch.Tensor is torch.Tensor
    assert secure_torch.nn.functional is torch.nn.functional
    assert secure_torch._C is torch._C
    assert secure_torch.get_rng_state is torch.get_rng_state
    assert secure_torch.jit.script is torch.jit.script
    assert secure_torch.hub.get_dir is torch.hub.get_dir
    assert secure_torch.serialization.add_safe_globals is torch.serialization.add_safe_globals
    assert secure_torch.export.export is torch.export.export
    assert secure_torch.package.PackageExporter is torch.package.PackageExporter
    assert isinstance(secure_torch.zeros(2), torch.Tensor)


def test_what_loads_is_ours() -> None:
    """`torch.load` and its kin are never torch's."""
    torch = pytest.importorskip("torch")
    for ours, theirs in (
        (secure_torch.load, torch.load),
        (secure_torch.serialization.load, torch.load),
        (secure_torch.jit.load, torch.jit.load),
        (secure_torch.export.load, torch.export.load),
        (secure_torch.hub.load, torch.hub.load),
        (secure_torch.hub.load_state_dict_from_url, torch.hub.load_state_dict_from_url),
        (secure_torch.package.PackageImporter, torch.package.PackageImporter),
    ):
        assert ours is not theirs
        assert ours.__module__.startswith("secure_torch")


def test_a_module_of_torch_is_not_imported_under_another_name() -> None:
    """`import secure_torch.nn` would be a second module, or the same under two names."""
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("secure_torch.nn")


def test_missing_names_are_said() -> None:
    """With the module that was asked."""
    pytest.importorskip("torch")
    for module, theirs in ((secure_torch, "torch"), (secure_torch.jit, "torch.jit")):
        with pytest.raises(AttributeError, match=f"nor '{theirs}' has an attribute 'no_such'"):
            getattr(module, "no_such")  # noqa: B009 - it is no expression for its value
    with pytest.raises(AttributeError):
        getattr(secure_torch, "__no_such__")  # noqa: B009


def test_dir_shows_both() -> None:
    """For completion."""
    pytest.importorskip("torch")
    assert {"load", "scan", "nn", "Tensor", "protect", "jit"} <= set(dir(secure_torch))
    assert {"load", "script", "trace"} <= set(dir(secure_torch.jit))


def test_without_torch_there_is_no_name_of_it(tmp_path: Path) -> None:
    """And everything that needs no torch is there."""
    code = """
        import secure_torch
        print(secure_torch.scan(b"N.").load_allowed, "nn" in dir(secure_torch))
        for name in ("nn", "jit.script"):
            try:
                exec(f"secure_torch.{name}")
            except AttributeError as error:
                print(error)
        with secure_torch.protect():
            pass
    """
    done = process(["-c", NO_TORCH + textwrap.dedent(code)], tmp_path)
    lines = done.stdout.splitlines()
    assert lines[0] == "True False"
    assert lines[1].startswith("module 'secure_torch' has no attribute 'nn', and torch")
    assert lines[2].startswith("module 'secure_torch.jit' has no attribute 'script', and torch")


def test_importing_the_package_does_not_import_torch(tmp_path: Path) -> None:
    """It takes seconds, and `scan` needs none of it."""
    code = "import sys, secure_torch; secure_torch.protect(); print('torch' in sys.modules)"
    assert process(["-c", code], tmp_path).stdout == "False\n"


def test_saving_and_loading() -> None:
    """As every program does it."""
    pytest.importorskip("torch")
    import secure_torch as torch

    file = io.BytesIO()
    torch.save({"w": torch.ones(2, 3)}, file)
    file.seek(0)
    assert torch.equal(torch.load(file)["w"], torch.ones(2, 3))
    file.seek(0)
    assert torch.equal(torch.serialization.load(file)["w"], torch.ones(2, 3))


def test_torchscript_needs_a_policy() -> None:
    """It is code; the message says how to let it through."""
    torch = pytest.importorskip("torch")

    class Module(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + 1

    file = io.BytesIO()
    traced = torch.jit.trace(Module(), torch.zeros(1))
    torch.jit.save(traced, file, _extra_files={"note": b"hello"})
    data = file.getvalue()
    with pytest.raises(secure_torch.UnsafeModelError, match="max_threat_score=25"):
        secure_torch.jit.load(io.BytesIO(data))
    extra = {"note": ""}
    policy = secure_torch.Policy(max_threat_score=25)
    module = secure_torch.jit.load(io.BytesIO(data), "cpu", extra, policy=policy)
    assert module(torch.ones(1)).item() == 2
    assert extra["note"] == b"hello"


def test_downloads_are_judged(tmp_path: Path) -> None:
    """torch downloads, from a file here; what it gives is loaded by ours."""
    torch = pytest.importorskip("torch")
    torch.save({"w": torch.ones(2)}, tmp_path / "good.pt")
    (tmp_path / "evil.pt").write_bytes(EVIL)
    cache = str(tmp_path / "cache")
    load = secure_torch.hub.load_state_dict_from_url
    url = (tmp_path / "good.pt").as_uri()
    assert torch.equal(load(url, cache, progress=False)["w"], torch.ones(2))
    with pytest.raises(secure_torch.UnsafePickleError):
        load((tmp_path / "evil.pt").as_uri(), cache, progress=False)
    with pytest.raises(secure_torch.UnsafePickleError):
        load((tmp_path / "evil.pt").as_uri(), cache, progress=False, weights_only=False)
    with pytest.raises(RuntimeError, match="invalid hash"):
        load(url, cache, progress=False, check_hash=True, file_name="good-00000000.pt")


@pytest.mark.parametrize("name", ["load", "list", "help"])
def test_code_of_a_repository_is_refused(name: str) -> None:
    """No judgement of a model file says anything about it."""
    with pytest.raises(secure_torch.UnsafeModelError, match=r"hubconf\.py"):
        getattr(secure_torch.hub, name)("owner/repository")


def test_what_is_saved_is_judged(tmp_path: Path) -> None:
    """A file that the gate would block is written, and whoever wrote it is told."""
    torch = pytest.importorskip("torch")
    path, buffer = tmp_path / "model.pt", io.BytesIO(b"in front")
    buffer.seek(8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        secure_torch.save({"w": torch.ones(2)}, path)
        secure_torch.save({"w": torch.ones(2)}, buffer)
    assert torch.equal(secure_torch.load(path)["w"], torch.ones(2))
    assert buffer.tell() == len(buffer.getvalue()) and buffer.getvalue()[:8] == b"in front"
    buffer.seek(8)
    assert torch.equal(secure_torch.load(buffer)["w"], torch.ones(2))
    for target in (path, io.BytesIO()):
        with pytest.warns(secure_torch.SecurityWarning, match="would be blocked") as caught:
            secure_torch.serialization.save(Thing(), target)
        report = caught[0].message.report
        assert not report.load_allowed and "pickle.global.unknown" in report.score_breakdown
        assert caught[0].filename == __file__
    assert torch.load(path, weights_only=False) == Thing()


class Thing:
    """A class that no rule knows."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Thing)

    __hash__ = None  # type: ignore[assignment]
