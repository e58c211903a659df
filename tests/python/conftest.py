"""What the tests share: the command under test, the real inputs, the seed."""

from __future__ import annotations

import importlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
# The same streams in every run, so that a failure is the change's own; a campaign starts
# elsewhere: `SECURE_TORCH_SEED=random` takes any.
_WANTED = os.environ.get("SECURE_TORCH_SEED") or "704850428"
SEED = random.SystemRandom().randrange(1 << 31) if _WANTED == "random" else int(_WANTED)
NOTES: list[str] = []

# What `hypothesis` remembers goes where nothing is committed.
os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(ROOT / ".cache" / "hypothesis"))


def note(text: str) -> None:
    """Keeps a line for the end of the run, where it is shown even if all passed."""
    NOTES.append(text)


def pytest_report_header() -> str:
    """The seed, first of all."""
    return f"SECURE_TORCH_SEED={SEED}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The notes, and the seed again."""
    terminalreporter.section("measured")
    for text in (*NOTES, f"SECURE_TORCH_SEED={SEED}"):
        terminalreporter.write_line(text)


def missing(what: str) -> None:
    """Skips here, fails where `CI=true` allows no skip."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="session")
def command() -> str:
    """The path of the built `secure-torch`."""
    path = os.environ.get("SECURE_TORCH_BIN", "")
    if not path:
        missing("`SECURE_TORCH_BIN` names no command: run `cargo xtask test`")
    return path


@pytest.fixture(scope="session")
def fetched() -> list[dict[str, Any]]:
    """All that `cargo xtask inputs` fetched and checked."""
    folder = os.environ.get("SECURE_TORCH_INPUTS", "")
    index = Path(folder, "index.json")
    if not folder or not index.is_file():
        missing("no real inputs: run `cargo xtask inputs`")
    return json.loads(index.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def inputs(fetched: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The real models among them."""
    return [entry for entry in fetched if entry["role"] == "model"]


@pytest.fixture(scope="session")
def schemas(fetched: list[dict[str, Any]]) -> dict[str, Path]:
    """The published schemas among them, by kind."""
    found = {e["kind"]: Path(e["path"]) for e in fetched if e["role"] == "schema"}
    if not {"sarif", "junit"} <= set(found):
        missing("no published schemas: run `cargo xtask inputs`")
    return found


@pytest.fixture(scope="session")
def seed() -> int:
    """The seed of this run; set `SECURE_TORCH_SEED` to run one again."""
    return SEED


def run_json(command: str, *arguments: str) -> tuple[Any, int]:
    """What the command printed as JSON, and its exit code."""
    output = subprocess.run([command, *arguments], capture_output=True, timeout=600)
    try:
        return json.loads(output.stdout), output.returncode
    except json.JSONDecodeError:
        said = output.stderr.decode(errors="replace")[-2000:]
        pytest.fail(f"no json from {arguments[:3]} (exit {output.returncode}): {said}")


def needed(module: str) -> Any:
    """A module of the environment of the tests."""
    try:
        return importlib.import_module(module)
    except ImportError:
        missing(f"no module `{module}`: run `cargo xtask env`")


@pytest.fixture(scope="session")
def torch_module() -> Any:
    """torch: this Python's own, or one that lies beside the real inputs."""
    inputs = Path(os.environ.get("SECURE_TORCH_INPUTS", "missing"))
    kind = f"cp{sys.version_info.major}{sys.version_info.minor}"
    sys.path.extend(str(folder) for folder in sorted(inputs.parent.glob(f"torch-*-{kind}")))
    return needed("torch")
