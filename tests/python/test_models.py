"""Real published models come out as `spec/inputs.toml` expects."""

from __future__ import annotations

from typing import Any

from conftest import note, run_json

EXIT_CODES = {"allow": 0, "block": 1}
BATCH = 40


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
