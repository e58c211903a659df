"""Every vector gets the verdict that it states, through the command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import vectors
from conftest import run_json

LEVELS = ["safe", "low", "medium", "high", "critical"]


def test_every_vector(command: str, tmp_path: Path) -> None:
    """Scans all in one run; a vector keeps its file name, which is judged too."""
    found = vectors.load()
    if not found:
        pytest.fail("`spec/vectors` holds no vectors")
    places = {}
    for vector in found:
        place = tmp_path / vector.id / vector.name
        place.parent.mkdir(parents=True)
        place.write_bytes(vector.data)
        places[str(place)] = vector
    document, _ = run_json(command, "scan", "--format", "json", str(tmp_path))
    reports = {report["path"]: report for report in document["reports"]}
    wrong = []
    for place, vector in places.items():
        found_reports = [reports[place]] if place in reports else []
        if "repository.shard" not in vector.expect["rules"]:
            found_reports = [alone(report) for report in found_reports]
        wrong += differences(vector.id, found_reports, vector.expect)
    assert not wrong, f"{len(wrong)} complaints\n" + "\n".join(wrong)


def alone(report: dict[str, Any]) -> dict[str, Any]:
    """The report of a file by itself: here it lies in a folder without those it refers to.

    What is missing there is one finding of the folder, `repository.shard`; the rest is what the
    bytes are worth, and what the vector speaks of.
    """
    breakdown = dict(report["score_breakdown"])
    if breakdown.pop("repository.shard", None) is None:
        return report
    score = min(100, sum(breakdown.values()))
    level = next(name for name, last in zip(LEVELS, [0, 15, 35, 60, 100]) if score <= last)
    verdict = "allow" if score <= 20 else "block"
    return report | {
        "score_breakdown": breakdown,
        "threat_level": level,
        "verdict": verdict,
    }


def test_every_tree(command: str, tmp_path: Path) -> None:
    """Scans each folder by itself: what one report alone does not say, all of them say."""
    wrong = []
    for tree in vectors.trees():
        folder = tmp_path / tree.id
        folder.mkdir()
        tree.make(folder)
        document, code = run_json(command, "scan", "--no-policy", "--format", "json", str(folder))
        if code != {"allow": 0, "block": 1}[tree.expect["verdict"]]:
            wrong.append(f"{tree.id}: exit code {code}")
        wrong += differences(tree.id, document["reports"], tree.expect)
    assert not wrong, f"{len(wrong)} complaints\n" + "\n".join(wrong)


def differences(identity: str, reports: list[dict[str, Any]], expect: dict[str, Any]) -> list[str]:
    """Everything in which the reports of a vector, taken together, are not as expected."""
    if not reports:
        return [f"{identity}: no report"]
    wrong = []
    rules = {rule for report in reports for rule in report["score_breakdown"]}
    names = {(entry["module"], entry["name"]) for report in reports for entry in report["globals"]}
    wanted = {(module, name) for module, name in expect.get("globals", [])}
    verdict = "block" if any(report["verdict"] == "block" for report in reports) else "allow"
    if verdict != expect["verdict"]:
        wrong.append(f"{identity}: {verdict}, not {expect['verdict']}: {rules}")
    level = max((report["threat_level"].lower() for report in reports), key=LEVELS.index)
    if level not in [name.lower() for name in expect["level"]]:
        wrong.append(f"{identity}: {level}, not {expect['level']}: {rules}")
    if missing := set(expect["rules"]) - rules:
        wrong.append(f"{identity}: without {missing}, only {rules}")
    if extra := set(expect.get("not_rules", [])) & rules:
        wrong.append(f"{identity}: with {extra}")
    if unseen := wanted - names:
        wrong.append(f"{identity}: does not report {unseen}, only {names}")
    return wrong
