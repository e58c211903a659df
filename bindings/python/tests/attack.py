"""Runs harmless attacks in a process of their own, with and without hooks.

An attack makes a folder `marker` in a temporary folder. A test proves both: without a hook the
folder is there, so the attack works; with the hook it is not, and the error says why.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

HERE = Path(__file__).parent
# `os.mkdir("marker")`, in protocol 0: GLOBAL, MARK, STRING, TUPLE, REDUCE, STOP.
EVIL = b"cos\nmkdir\n(S'marker'\ntR."
GOOD = b"\x80\x04\x95\x0f\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x01a\x94]\x94(K\x01K\x02es."
GOOD_VALUE = {"a": [1, 2]}

Way = Callable[[bytes], Any]


def try_all(ways: dict[str, Way], evil: bytes = EVIL, good: bytes | None = GOOD) -> dict[str, str]:
    """What each way does with the attack: `ran`, or the name of the error."""
    seen = {}
    for name, way in ways.items():
        if good is not None and way(good) != GOOD_VALUE:
            seen[name] = "broken"
            continue
        try:
            way(evil)
            seen[name] = "nothing"
        except Exception as error:
            seen[name] = type(error).__name__
        if os.path.isdir("marker"):
            os.rmdir("marker")
            seen[name] = "ran"
    return seen


def main(ways: dict[str, Way], **options: Any) -> None:
    """Tries all ways in the mode that the command line names, and prints what came of it."""
    mode = sys.argv[1]
    if mode == "unhooked":
        print(json.dumps(try_all(ways, **options)))
        return
    import secure_torch

    hook = getattr(secure_torch, sys.argv[2])
    if mode == "late":
        # The hook came first, by `-c`, and the modules of the ways after it.
        print(json.dumps(try_all(ways, **options)))
        return
    handle = hook()
    hooked = try_all(ways, **options)
    if mode == "undone":
        handle.undo()
        hooked = try_all(ways, **options)
    print(json.dumps(hooked))


def process(
    arguments: list[str], folder: Path, *, check: bool = True, path: list[str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs Python in a folder."""
    search = [*(path or []), str(HERE), *_paths()]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(search)}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if check and done.returncode:
        raise AssertionError(f"{arguments}: {done.stdout}\n{done.stderr}")
    return done


def _paths() -> list[str]:
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


def results(script: str, mode: str, hook: str, folder: Path) -> dict[str, str]:
    """What the ways of a script did."""
    path = HERE / script
    if mode == "late":
        code = (
            f"import secure_torch, runpy; secure_torch.{hook}(); "
            f"runpy.run_path({str(path)!r}, run_name='__main__')"
        )
        done = process(["-c", code, mode, hook], folder)
    else:
        done = process([str(path), mode, hook], folder)
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found
