"""Published PyTorch checkpoints come out of `secure_torch.load` as out of `torch.load`.

`SECURE_TORCH_INPUTS` is the folder that `cargo xtask inputs` fills. What torch reads with
`weights_only=True` must be equal leaf by leaf. Where torch needs `weights_only=False`, it is only
asked for files that our judge lets through.
"""

from __future__ import annotations

import json
import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from equal import Compared, assert_equal  # noqa: E402

import secure_torch  # noqa: E402

LAYOUTS = ("torch-zip", "torch-legacy", "torch-tar")


def inputs() -> list[dict[str, Any]]:
    """The PyTorch files of the index."""
    index = Path(os.environ.get("SECURE_TORCH_INPUTS", "")) / "index.json"
    if "SECURE_TORCH_INPUTS" not in os.environ or not index.is_file():
        pytest.skip("SECURE_TORCH_INPUTS does not name a folder of inputs")
    found = json.loads(index.read_text())
    return [model for model in found if model["layout"] in LAYOUTS]


def theirs(path: str) -> tuple[Any, str]:
    """What torch gives, and how it was asked."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return torch.load(path, map_location="cpu", weights_only=True), "weights_only=True"
        except (pickle.UnpicklingError, RuntimeError):
            if not secure_torch.scan(path).load_allowed:
                raise
            return torch.load(path, map_location="cpu", weights_only=False), "weights_only=False"


def test_every_checkpoint_is_equal(capsys: pytest.CaptureFixture[str]) -> None:
    """Every one that our judge lets through is loaded, and equal; the others raise."""
    rows, wrong = [], []
    compared: dict[str, int] = {}
    for model in inputs():
        path = model["path"]
        name = f"{model['package']} {Path(model['member']).name}"
        report = secure_torch.scan(path)
        if not report.load_allowed:
            with pytest.raises(secure_torch.SecurityError) as blocked:
                secure_torch.load(path)
            assert blocked.value.report is not None
            rows.append(f"{name:<60} blocked, as the report says: {'; '.join(report.reasons)}")
            continue
        try:
            expected, how = theirs(path)
        except Exception as error:
            rows.append(f"{name:<60} torch.load: {type(error).__name__}")
            continue
        for given, mmap in ((path, True), (path, False), (Path(path).read_bytes(), True)):
            try:
                ours = secure_torch.load(given, map_location="cpu", mmap=mmap)
                counts: Compared = assert_equal(ours, expected, name)
            except (AssertionError, secure_torch.SecurityError) as error:
                wrong.append(f"{name} ({type(given).__name__}, mmap={mmap}): {error}")
                continue
            assert counts.leaves, f"{name} is empty"
            rows.append(f"{name:<60} {how:<19} {type(given).__name__:<5} mmap={mmap!s:<6} {counts}")
            compared[how] = compared.get(how, 0) + 1
    with capsys.disabled():
        print("\n" + "\n".join(rows))
    assert not wrong, f"{len(wrong)} differ\n" + "\n".join(wrong)
    assert compared.get("weights_only=True", 0) >= 90, f"too few files were compared: {compared}"


def test_state_dicts_are_let_through() -> None:
    """Each that the index calls one."""
    state_dicts = [model for model in inputs() if model["kind"] == "state_dict"]
    assert len(state_dicts) > 10
    assert all(secure_torch.scan(model["path"]).load_allowed for model in state_dicts)
