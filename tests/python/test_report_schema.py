"""JSON reports are what `spec/report.schema.json` says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import vectors
from conftest import ROOT, run_json

SCHEMA = ROOT / "spec" / "report.schema.json"


@pytest.fixture(scope="module")
def validator() -> Any:
    """A validator of the published schema, itself checked."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    return kind(schema)


def check(validator: Any, document: Any) -> None:
    """Fails with the first place that is not as the schema says."""
    errors = sorted(validator.iter_errors(document), key=lambda error: list(error.absolute_path))
    assert not errors, f"at {list(errors[0].absolute_path)}: {errors[0].message}"


def test_reports_of_vectors(command: str, validator: Any, tmp_path: Path) -> None:
    """Every vector, as files of one folder."""
    found = vectors.load()
    assert found
    for number, vector in enumerate(found):
        (tmp_path / f"{number:05}.bin").write_bytes(vector.data)
    document, code = run_json(command, "scan", "--format", "json", str(tmp_path))
    assert code in (0, 1, 2)
    check(validator, document)
    # A folder that holds a repository is judged as a whole too.
    files = [report for report in document["reports"] if report["format"] != "repository"]
    assert len(files) + len(document["errors"]) == len(found)


def test_reports_of_real_models(command: str, validator: Any, inputs: list[dict[str, Any]]) -> None:
    """Every real input."""
    paths = [model["path"] for model in inputs]
    document, _ = run_json(command, "scan", "--format", "json", *paths)
    check(validator, document)


def test_reports_of_what_cannot_be_judged(command: str, validator: Any, tmp_path: Path) -> None:
    """A missing file is an error in the report, and exit code 2."""
    document, code = run_json(command, "scan", "--format", "json", str(tmp_path / "missing.pt"))
    check(validator, document)
    assert code == 2
    assert document["reports"] == []
    assert len(document["errors"]) == 1


def test_reports_of_folders_and_under_a_policy(
    command: str, validator: Any, tmp_path: Path
) -> None:
    """Every vector that is a folder, under a policy that ignores and denies."""
    policy = tmp_path / "policy.toml"
    policy.write_text(
        "max_threat_score = 30\nlimits.archive.depth = 4\nformats.deny = ['text']\n"
        "[[ignore]]\nrule = 'repository.shard'\nreason = 'a test'\n"
        "[[allow]]\nglobal = 'own.Model'\nreason = 'a test'\n",
        encoding="utf-8",
    )
    for tree in vectors.trees():
        tree.make(tmp_path / "models" / tree.id)
    arguments = ("--policy", str(policy), "--format", "json", str(tmp_path / "models"))
    document, _ = run_json(command, "scan", *arguments)
    check(validator, document)
    reports = document["reports"]
    assert {"repository", "pickle"} <= {report["format"] for report in reports}
    entries = {entry["entry"] for report in reports for entry in report["policy"]["applied"]}
    assert entries == {"max_threat_score", "limits", "formats.deny", "ignore", "allow"}
    assert any(finding["ignored"] for report in reports for finding in report["findings"])
