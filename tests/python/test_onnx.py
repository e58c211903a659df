"""The `onnx` package against our reader: what it refuses we block, what it takes we take.

Run as a script it is the oracle: it parses each file of a folder with protobuf, hands it to
`onnx.checker`, and prints what they say as one JSON object. That is a process of its own,
because both are native code that reads bytes made to break it.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

from conftest import ROOT, needed, note

MUTANTS = int(os.environ.get("SECURE_TORCH_ONNX_MUTANTS") or 6000)
SECONDS = 600

# What `onnx.checker` refuses and we let pass: each is about what a graph computes, or about names,
# and a loader that goes on all the same computes something else or stops. None leads anywhere.
LEFT_TO_LOADERS = {
    "operators by their own schema": (
        "No Op registered for ",
        "is deprecated in domain_version",
        "Unrecognized attribute: ",
        "Required attribute ",
        "Mismatched attribute type ",
        "is expected to have field",
        "has input size ",
        "has output size ",
        "'s input ",
        "'s output ",
    ),
    "values by their names": (
        "must be topologically sorted",
        "single static assignment",
        # "… is not an output of any node in graph"; a NUL in the name cuts the sentence short.
        "Graph output '",
        "initializer name is not unique",
        "in initializer but not in graph input",
        "duplicate outputs",
        "duplicate attributes",
    ),
    "a graph without a name, which honest exporters leave out too": (
        "Field 'name' of 'graph' is required to be non-empty.",
    ),
}


def oracle(folder: str) -> None:
    """Prints, for each file of the folder, what refuses it and how; nothing if nothing does."""
    import onnx
    from google.protobuf.message import DecodeError

    answers = {}
    for path in sorted(Path(folder).iterdir()):
        try:
            model = onnx.ModelProto.FromString(path.read_bytes())
        except DecodeError as error:
            answers[path.name] = ["protobuf", str(error)]
            continue
        try:
            onnx.checker.check_model(model)
        except (onnx.checker.ValidationError, ValueError) as error:
            answers[path.name] = ["checker", str(error)]
        else:
            answers[path.name] = None
    sys.stderr.flush()
    print("\n" + json.dumps(answers))


def models() -> dict[str, bytes]:
    """The package's own test models: those on disk, and those that its node tests make."""
    onnx = needed("onnx")
    from onnx.backend.test.case.node import collect_testcases

    root = Path(onnx.__file__).parent
    files = sorted(root.rglob("*.onnx"))
    found = {
        f"{index:03}-{path.parent.name}": path.read_bytes() for index, path in enumerate(files)
    }
    with warnings.catch_warnings():
        # Some cases compute what overflows.
        warnings.simplefilter("ignore")
        cases = collect_testcases("")
    found.update(
        {f"node-{case.name}": case.model.SerializeToString() for case in cases if case.model}
    )
    return found


def judge(
    command: str, folder: Path, files: dict[str, bytes]
) -> dict[str, tuple[dict[str, Any], list[str] | None]]:
    """Each file's report, and what the oracle says."""
    folder.mkdir()
    for name, content in files.items():
        (folder / f"{name}.onnx").write_bytes(content)
    run = [command, "scan", "--format", "json", str(folder)]
    scanned = subprocess.run(run, capture_output=True, timeout=SECONDS)
    document = json.loads(scanned.stdout)
    assert document["errors"] == [], document["errors"][:3]
    reports = {Path(report["path"]).stem: report for report in document["reports"]}
    asked = subprocess.run(
        [sys.executable, __file__, str(folder)], capture_output=True, timeout=SECONDS
    )
    assert asked.returncode == 0, asked.stderr.decode(errors="replace")[-2000:]
    answers = json.loads(asked.stdout.splitlines()[-1])
    assert len(reports) == len(answers) == len(files)
    return {name: (reports[name], answers[f"{name}.onnx"]) for name in files}


def why_not(said: str) -> str | None:
    """Why what the checker said is left to loaders; nothing if it is not."""
    for why, patterns in LEFT_TO_LOADERS.items():
        if any(pattern in said for pattern in patterns):
            return why
    return None


def mutants(originals: dict[str, bytes], seed: int) -> dict[str, bytes]:
    """Changes of one place: a byte set, a bit turned, one lost, one more, or the end cut off."""
    rng = random.Random(seed)
    names = [name for name, content in originals.items() if len(content) < 4000]
    made = {}
    for index in range(MUTANTS):
        name = rng.choice(names)
        content = bytearray(originals[name])
        at = rng.randrange(len(content))
        kind = rng.randrange(12)
        if kind < 4:
            content[at] = rng.randrange(256)
        elif kind < 8:
            content[at] ^= 1 << rng.randrange(8)
        elif kind < 10:
            del content[at]
        elif kind < 11:
            content.insert(at, rng.randrange(256))
        else:
            del content[at:]
        made[f"{index:05}-{name[:80]}"] = bytes(content)
    return made


def test_operators_are_in_the_table() -> None:
    """Every operator that ONNX ever had has its row, and the reader knows the newest set."""
    onnx = needed("onnx")
    tomllib = needed("tomllib")
    table = tomllib.loads((ROOT / "spec/rules/names.toml").read_text(encoding="utf-8"))
    (system,) = [system for system in table["system"] if system["id"] == "onnx"]
    rows = {row["name"] for row in system["names"] if "part of ONNX since" in row["why"]}
    schemas = onnx.defs.get_all_schemas_with_history()
    assert rows == {f"{schema.domain or 'ai.onnx'}::{schema.name}" for schema in schemas}
    reader = (ROOT / "core/src/format/onnx/domains.rs").read_text(encoding="utf-8")
    for domain in {schema.domain for schema in schemas}:
        newest = max(schema.since_version for schema in schemas if schema.domain == domain)
        assert f'(b"{domain or "ai.onnx"}", {newest})' in reader


def test_honest_models(command: str, tmp_path: Path) -> None:
    """Every model that the checker accepts is allowed, with nothing but its name unsigned."""
    judged = judge(command, tmp_path / "models", models())
    wrong = [
        (name, report["score_breakdown"], [f["message"] for f in report["findings"]][:3])
        for name, (report, refused) in judged.items()
        if refused is None and (report["format"] != "onnx" or report["threat_score"] > 10)
    ]
    assert sum(refused is None for _, refused in judged.values()) > 1000
    assert not wrong, f"{len(wrong)} of {len(judged)}: {wrong[:5]}"


def test_mutants(command: str, tmp_path: Path, seed: int) -> None:
    """Whatever protobuf or the checker refuses is blocked, or is left to loaders with a reason."""
    judged = judge(command, tmp_path / "mutants", mutants(models(), seed))
    counts: Counter[str] = Counter()
    wrong = []
    for name, (report, refused) in judged.items():
        blocked = report["verdict"] == "block"
        if refused is None:
            counts["both allow" if not blocked else "only we block"] += 1
        elif blocked:
            counts[f"both refuse: {refused[0]}"] += 1
        elif refused[0] == "checker" and (why := why_not(refused[1])):
            counts[f"left to loaders: {why}"] += 1
        else:
            wrong.append((name, refused))
    note("onnx mutants: " + ", ".join(f"{what} {count}" for what, count in sorted(counts.items())))
    assert counts["both allow"] > MUTANTS // 20
    assert counts["both refuse: protobuf"] > MUTANTS // 20
    assert not wrong, f"{len(wrong)} of {len(judged)}: {wrong[:10]}"


if __name__ == "__main__":
    oracle(sys.argv[1])
