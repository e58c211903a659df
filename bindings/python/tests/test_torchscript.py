"""The parameters of TorchScript archives, without running their code."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import secure_torch

torch = pytest.importorskip("torch")


class Net(torch.nn.Module):  # type: ignore[misc, name-defined]
    """Parameters, a buffer, a shared weight, a constant and a nested module."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Linear(3, 4)
        self.second = torch.nn.Linear(4, 4)
        self.tied = torch.nn.Linear(4, 4)
        self.tied.weight = self.second.weight
        self.norm = torch.nn.BatchNorm1d(4)
        self.register_buffer("scale", torch.arange(4, dtype=torch.float64))

    def forward(self, x: Any) -> Any:
        """Something that uses all of it."""
        return self.norm(self.tied(self.second(self.first(x)))) * self.scale


def tensors(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The tensors of nested dicts by dotted names, as `state_dict` names them."""
    for name, inner in value.items():
        if isinstance(inner, torch.Tensor):
            yield prefix + name, inner
        elif isinstance(inner, dict):
            yield from tensors(inner, f"{prefix}{name}.")


def same(path: Path) -> int:
    """Compares what both give; how many tensors that were."""
    ours = dict(tensors(secure_torch.load(path, max_threat_score=30)))
    theirs = torch.jit.load(str(path), map_location="cpu").state_dict()
    for name, wanted in theirs.items():
        found = ours[name].detach()
        assert found.dtype == wanted.dtype and found.shape == wanted.shape, name
        assert found.stride() == wanted.stride(), name
        assert torch.equal(found, wanted), name
    assert set(theirs) <= set(ours)
    return len(theirs)


def test_a_scripted_module(tmp_path: Path) -> None:
    """Names, values and sharing are those of the module."""
    path = tmp_path / "net.pt"
    torch.jit.trace(Net().eval(), torch.zeros(2, 3)).save(str(path))
    assert same(path) == 12
    model = secure_torch.load(path, max_threat_score=30)
    second, tied = model["second"]["weight"], model["tied"]["weight"]
    assert second.untyped_storage().data_ptr() == tied.untyped_storage().data_ptr()


def test_it_is_blocked_by_default(tmp_path: Path) -> None:
    """An archive that carries code, and that nobody has signed, is not let through."""
    path = tmp_path / "net.pt"
    torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)).save(str(path))
    with pytest.raises(secure_torch.errors.UnsafeModelError) as caught:
        secure_torch.load(path)
    assert caught.value.report.threat_score == 25


def test_a_published_model() -> None:
    """The published archive of the development inputs."""
    folder = os.environ.get("SECURE_TORCH_INPUTS")
    found = sorted(Path(folder).rglob("*.jit")) if folder else []
    if not found:
        pytest.skip("no TorchScript archive among the inputs")
    assert all(same(path) > 0 for path in found)
