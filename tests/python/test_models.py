"""Real published models come out as `spec/inputs.toml` expects, and as they did last time."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT, missing, note, run_json

EXIT_CODES = {"allow": 0, "block": 1}
BATCH = 40
SNAPSHOT = "spec/inputs.snapshot.txt"
LARGE_SNAPSHOT = "spec/inputs-large.snapshot.txt"


def test_real_models(command: str, inputs: list[dict[str, Any]]) -> None:
    """Scans each once, prints one table, and names every one that is off."""
    rows, wrong = [], []
    for start in range(0, len(inputs), BATCH):
        batch = inputs[start : start + BATCH]
        paths = [model["path"] for model in batch]
        document, code = run_json(command, "scan", "--format", "json", *paths)
        assert document["errors"] == [], "a real model could not be judged"
        reports = {report["path"]: report for report in document["reports"]}
        assert code == max(EXIT_CODES[report["verdict"]] for report in reports.values())
        for model in batch:
            report = reports[model["path"]]
            level, score = report["threat_level"], report["threat_score"]
            rules = " ".join(report["score_breakdown"])
            right = model["expect"] is None or level in model["expect"]
            rows.append(
                f"{model['package']:<24} {model['member'].rsplit('/', 1)[-1]:<44} "
                f"{model['layout']:<13} {level:<9} {score:>3}  {rules}"
            )
            if not right:
                findings = [(f["rule"], f["subject"], f["message"]) for f in report["findings"]]
                expected = " or ".join(model["expect"])
                wrong.append(f"{model['path']}: {level}, not {expected}: {findings[:6]}")
    note("\n".join(rows))
    assert not wrong, f"{len(wrong)} of {len(inputs)} real models\n" + "\n".join(wrong)


def test_whole_objects_name_their_unknown_globals(
    command: str, inputs: list[dict[str, Any]]
) -> None:
    """A blocked model says which globals nobody vouches for."""
    blocked = [model for model in inputs if model["expect"] == ["MEDIUM", "HIGH"]]
    assert blocked
    for model in blocked[:3] + blocked[-3:]:
        document, _ = run_json(command, "scan", "--format", "json", model["path"])
        (report,) = document["reports"]
        unknown = {entry["python3"] for entry in report["globals"] if entry["class"] == "unknown"}
        named = {f["subject"] for f in report["findings"] if f["rule"] == "pickle.global.unknown"}
        assert unknown, model["path"]
        assert named, model["path"]


def rows_of(table: str) -> dict[str, list[str]]:
    """The lines of a table by file: format, level, score and verdict."""
    _, *rows, _ = table.splitlines()
    parts = [row.split(maxsplit=4) for row in rows]
    return {row[4]: row[:4] for row in parts}


def test_the_snapshot_is_what_a_scan_says(command: str, fetched: list[dict[str, Any]]) -> None:
    """The committed table of the development set, line by line."""
    committed = (ROOT / SNAPSHOT).read_text(encoding="utf-8")
    wanted = [entry for entry in fetched if not entry["large"] and entry["role"] != "schema"]
    # The cache is two levels above: a folder for each package, the member in it.
    places = [Path(entry["path"]) for entry in wanted]
    (root,) = {
        Path(str(place).removesuffix(entry["member"])).parent
        for place, entry in zip(places, wanted)
    }
    names = [place.relative_to(root).as_posix() for place in places]
    expected = rows_of(committed)
    absent = [name for name in expected if name not in names]
    if absent:
        missing(f"not fetched: {', '.join(absent)}: run `cargo xtask inputs`")
    output = subprocess.run(
        [command, "scan", "--format", "table", *names], cwd=root, capture_output=True, text=True
    )
    seen = rows_of(output.stdout)
    stale = [
        f"{name}: {expected.get(name)} is now {row}"
        for name, row in seen.items()
        if row != expected.get(name)
    ]
    hint = f"`{SNAPSHOT}` is stale: look at each line, then run `cargo xtask inputs --snapshot`"
    assert not stale, "\n".join([hint, *stale])
    assert output.stdout == committed, hint


def test_the_snapshot_of_large_ones_is_what_a_scan_says(
    command: str, fetched: list[dict[str, Any]]
) -> None:
    """The same of those that `cargo xtask inputs --large` fetches, as far as they are here."""
    expected = rows_of((ROOT / LARGE_SNAPSHOT).read_text(encoding="utf-8"))
    places = {
        name: entry["path"]
        for name in expected
        for entry in fetched
        if entry["large"] and entry["path"].endswith(name)
    }
    if not places:
        pytest.skip("no large models: `cargo xtask inputs --large` fetches them")
    note(f"large models: {len(places)} of {len(expected)} are here")
    for name, place in places.items():
        output = subprocess.run(
            [command, "scan", "--format", "table", place], capture_output=True, text=True
        )
        (row,) = rows_of(output.stdout).values()
        assert row == expected[name], name


def test_the_snapshot_knows_every_model_and_damns_none(inputs: list[dict[str, Any]]) -> None:
    """No published model is of an unknown format, and none is CRITICAL."""
    rows = rows_of((ROOT / SNAPSHOT).read_text(encoding="utf-8"))
    of_models = {
        name: row for name, row in rows.items() if any(m["path"].endswith(name) for m in inputs)
    }
    assert len(of_models) > 100
    of_models |= rows_of((ROOT / LARGE_SNAPSHOT).read_text(encoding="utf-8"))
    wrong = [
        f"{name}: {row}"
        for name, row in of_models.items()
        if row[0] == "unknown" or row[1] == "CRITICAL"
    ]
    assert not wrong, "\n".join(wrong)
