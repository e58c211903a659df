"""Real published models: each that the gate lets through is what torch gives, leaf by leaf."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

import secure_torch

torch = pytest.importorskip("torch")

from compare import assert_same  # noqa: E402

INPUTS = Path(os.environ.get("SECURE_TORCH_INPUTS", "none")) / "index.json"
LAYOUTS = ("torch-zip", "torch-legacy", "torch-tar")

pytestmark = pytest.mark.skipif(
    not INPUTS.is_file(), reason="no real inputs: run `cargo xtask inputs`"
)


def models() -> list[dict[str, Any]]:
    """The PyTorch files of the index that torch's own restricted loader may be asked about."""
    found = json.loads(INPUTS.read_text()) if INPUTS.is_file() else []
    return [model for model in found if model["layout"] in LAYOUTS]


@pytest.mark.parametrize("model", models(), ids=lambda model: Path(model["path"]).name)
def test_a_real_model(model: dict[str, Any]) -> None:
    path = model["path"]
    report = secure_torch.scan(path)
    if not report.load_allowed:
        with pytest.raises(secure_torch.UnsafeModelError):
            secure_torch.load(path)
        return
    theirs = torch.load(path, map_location="cpu", weights_only=True)
    assert_same(secure_torch.load(path, map_location="cpu"), theirs)
    content = Path(path).read_bytes()
    assert_same(secure_torch.load(content, map_location="cpu", mmap=False), theirs)


def test_most_state_dicts_are_let_through() -> None:
    state_dicts = [model for model in models() if model["kind"] == "state_dict"]
    assert len(state_dicts) > 10
    assert all(secure_torch.scan(model["path"]).load_allowed for model in state_dicts)
