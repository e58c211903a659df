"""Every vector gets the verdict that it states, through the command."""

from __future__ import annotations

from pathlib import Path

import pytest

import vectors
from conftest import run_json


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
        report, expect = reports.get(place), vector.expect
        if report is None:
            wrong.append(f"{vector.id}: no report")
            continue
        rules = set(report["score_breakdown"])
        names = {(entry["module"], entry["name"]) for entry in report["globals"]}
        wanted = {(module, name) for module, name in expect.get("globals", [])}
        if report["verdict"] != expect["verdict"]:
            wrong.append(f"{vector.id}: {report['verdict']}, not {expect['verdict']}: {rules}")
        level = report["threat_level"].lower()
        if level not in [name.lower() for name in expect["level"]]:
            wrong.append(f"{vector.id}: {level}, not {expect['level']}: {rules}")
        if missing := set(expect["rules"]) - rules:
            wrong.append(f"{vector.id}: without {missing}, only {rules}")
        if extra := set(expect.get("not_rules", [])) & rules:
            wrong.append(f"{vector.id}: with {extra}")
        if unseen := wanted - names:
            wrong.append(f"{vector.id}: does not report {unseen}, only {names}")
    assert not wrong, f"{len(wrong)} complaints\n" + "\n".join(wrong)
