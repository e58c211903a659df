"""Asking the oracle and our command about many streams at once.

Both run as child processes that read length-prefixed streams and answer one
JSON line for each. Nothing is unpickled in this process.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ORACLE = Path(__file__).with_name("oracle.py")
BATCH = 250
SECONDS_FOR_A_BATCH = 300


def framed(streams: Sequence[bytes]) -> bytes:
    """The streams as both children read them."""
    return b"".join(struct.pack("<I", len(stream)) + stream for stream in streams)


@dataclass
class Answers:
    """What the oracle said; None where it was ended by a limit or a crash."""

    asked: list[list[tuple[str, str, str]] | None] = field(default_factory=list)
    runs: int = 0
    breaches: int = 0

    @property
    def unanswered(self) -> int:
        return sum(asked is None for asked in self.asked)


def ask_batch(python: str, streams: Sequence[bytes], seed: int, mode: str) -> Answers:
    """Asks one oracle process, and a new one after each stream that ended it."""
    answers = Answers()
    command = [python, "-I", "-S", "-W", "ignore", str(ORACLE), str(seed), mode]
    while len(answers.asked) < len(streams):
        rest = streams[len(answers.asked) :]
        with tempfile.TemporaryFile() as stdin:
            stdin.write(framed(rest))
            stdin.seek(0)
            try:
                output = subprocess.run(
                    command, stdin=stdin, capture_output=True, timeout=SECONDS_FOR_A_BATCH
                )
                stdout, stderr = output.stdout, output.stderr
            except subprocess.TimeoutExpired as late:
                stdout, stderr = late.stdout or b"", b"timed out"
        # A line without its end was cut off by whatever ended the process.
        lines = stdout.split(b"\n")[:-1]
        for line in lines:
            reply = json.loads(line)
            answers.asked.append([tuple(entry) for entry in reply["asked"]])
            answers.runs += reply["runs"]
            answers.breaches += reply["breaches"]
        if len(lines) < len(rest):
            if not lines and b"Error" in stderr and len(rest) == len(streams):
                first = stderr.decode(errors="replace").strip().splitlines()[-1]
                print(f"the oracle stopped at its first stream: {first}", file=sys.stderr)
            answers.asked.append(None)
    return answers


def ask_oracle(
    streams: Sequence[bytes], seed: int, mode: str = "sample", python: str = sys.executable
) -> Answers:
    """What CPython asks for in each stream, two processes at a time."""
    starts = range(0, len(streams), BATCH)
    with ThreadPoolExecutor(max_workers=min(2, os.cpu_count() or 1)) as pool:
        parts = pool.map(
            lambda start: ask_batch(python, streams[start : start + BATCH], seed + start, mode),
            starts,
        )
        answers = Answers()
        for part in parts:
            answers.asked += part.asked
            answers.runs += part.runs
            answers.breaches += part.breaches
    return answers


def pythons() -> list[str]:
    """The interpreters to ask: ours first, then the others that xtask found."""
    others = os.environ.get("SECURE_TORCH_PYTHONS", "").split(os.pathsep)
    version = "import sys; print(sys.version_info[:2])"
    found: dict[str, str] = {}
    for python in (sys.executable, *filter(None, others)):
        answer = subprocess.run([python, "-I", "-S", "-c", version], capture_output=True, text=True)
        if answer.returncode == 0:
            found.setdefault(answer.stdout.strip(), python)
    return list(found.values())


def ask_command(command: str, streams: Sequence[bytes]) -> list[dict[str, Any]]:
    """What `secure-torch globals --stdin-frames` says about each stream."""
    with tempfile.TemporaryFile() as stdin:
        stdin.write(framed(streams))
        stdin.seek(0)
        output = subprocess.run(
            [command, "globals", "--stdin-frames"],
            stdin=stdin,
            capture_output=True,
            timeout=SECONDS_FOR_A_BATCH,
        )
    replies = [json.loads(line) for line in output.stdout.splitlines()]
    said = output.stderr.decode(errors="replace")[-2000:]
    assert len(replies) == len(streams), f"{len(replies)} of {len(streams)} answers: {said}"
    return replies
