"""What the command prints for other programs is what their own schemas and parsers take."""

from __future__ import annotations

import html.parser
import json
import os
import re
import subprocess
import sys
import textwrap
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import vectors
from conftest import ROOT, missing, needed

HOSTILE = b"cposix\nsystem\n(S'echo secure-torch'\ntR."
UNKNOWN = b"\x80\x02cmy_app.models\nConfig\n)\x81."
BENIGN = b"\x80\x02}."

# Names that try to be more than names. A `/` and a zero cannot stand in one.
NAMES = [
    "plain.pkl",
    "a\x1b[2Jb.pkl",
    "a\nb\r\n# heading\n.pkl",
    "\u202elkp.evil",
    "<img src=x onerror=alert(1)>.pkl",
    "]]><testcase name='x'>.pkl",
    "a|b\\|c`d``e.pkl",
    "[link](javascript:alert(1)).pkl",
    "![image](x.png).pkl",
    "@everyone #1 www.example.org a@example.org.pkl",
    "```\n<details>.pkl",
    "{0} {{1}} %s &amp; &#60;b&#62;.pkl",
    "\ufffe\uffff\u2028\x7f\x9b.pkl",
    "\u6a21\u578b tr\u00e4nen.pkl",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree of blocked and allowed files under hostile names, and every vector."""
    root = tmp_path_factory.mktemp("outputs")
    for number, name in enumerate(NAMES):
        for kind, data in (("hostile", HOSTILE), ("unknown", UNKNOWN), ("benign", BENIGN)):
            place = root / kind / str(number)
            place.mkdir(parents=True)
            (place / name).write_bytes(data)
    (root / "vectors").mkdir()
    for number, vector in enumerate(vectors.load()):
        (root / "vectors" / f"{number:05}.bin").write_bytes(vector.data)
    return root


def run(command: str, cwd: Path, *arguments: str) -> tuple[str, int]:
    """What `scan` printed, and its exit code."""
    output = subprocess.run(
        [command, "scan", *arguments], cwd=cwd, capture_output=True, timeout=600
    )
    return output.stdout.decode("utf-8"), output.returncode


# --- SARIF --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sarif_schema(schemas: dict[str, Path]) -> Any:
    """The published schema of SARIF 2.1.0."""
    schema = json.loads(schemas["sarif"].read_text(encoding="utf-8-sig"))
    assert "SARIF" in schema["title"] and "2.1.0" in schema["title"]
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    return kind(schema, format_checker=kind.FORMAT_CHECKER)


def test_sarif_is_valid(command: str, folder: Path, sarif_schema: Any) -> None:
    """Hostile names, every vector, and what could not be judged, against the OASIS schema."""
    text, code = run(command, folder, "--format", "sarif", ".", "missing\x1b.pt")
    assert text.isascii() and "\x1b" not in text
    log = json.loads(text)
    errors = sorted(sarif_schema.iter_errors(log), key=lambda error: list(error.absolute_path))
    assert not errors, f"at {list(errors[0].absolute_path)}: {errors[0].message}"
    (sarif_run,) = log["runs"]
    (invocation,) = sarif_run["invocations"]
    assert (
        (invocation["exitCode"], invocation["executionSuccessful"]) == (code, False) == (1, False)
    )
    blocked = {
        artifact["location"]["uri"]
        for artifact in sarif_run["artifacts"]
        if artifact["properties"]["verdict"] == "block"
    }
    seen = set()
    for result in sarif_run["results"]:
        rule = sarif_run["tool"]["driver"]["rules"][result["ruleIndex"]]
        assert rule["id"] == result["ruleId"]
        (location,) = result["locations"]
        assert location["physicalLocation"]["region"] == {"startLine": 1}
        seen.add(location["physicalLocation"]["artifactLocation"]["uri"])
    assert len(blocked) > 100
    assert blocked <= seen, "a blocked file has no result"


def test_sarif_of_an_empty_scan(command: str, tmp_path: Path, sarif_schema: Any) -> None:
    """Nothing to judge is a valid log too, of a run that did not succeed."""
    text, code = run(command, tmp_path, "--format", "sarif", ".")
    log = json.loads(text)
    sarif_schema.validate(log)
    assert code == 2
    assert log["runs"][0]["results"] == []


def test_sarif_fingerprints_are_stable(command: str, folder: Path) -> None:
    """The same results in a second run, from another folder, and one for each finding."""

    def prints(cwd: Path, path: str) -> list[str]:
        log = json.loads(run(command, cwd, "--format", "sarif", path)[0])
        results = log["runs"][0]["results"]
        return [result["partialFingerprints"]["secureTorch/v1"] for result in results]

    first = prints(folder, "unknown")
    assert first == prints(folder, str(folder / "unknown"))
    assert len(set(first)) == len(first)


def test_sarif_names_files_by_the_uri_that_leads_to_them(command: str, folder: Path) -> None:
    """Percent-decoding a URI gives the file's path, whatever is in its name."""
    from urllib.parse import unquote

    log = json.loads(run(command, folder, "--format", "sarif", "benign")[0])
    paths = {unquote(a["location"]["uri"]) for a in log["runs"][0]["artifacts"]}
    plain = {path for path in paths if "\\u{" not in path}
    assert "benign/0/plain.pkl" in plain and len(plain) > 5
    assert all((folder / path).is_file() for path in plain)


# --- JUnit --------------------------------------------------------------------------------------


def test_junit_is_valid(command: str, folder: Path, schemas: dict[str, Path]) -> None:
    """Well-formed for a parser, and what Jenkins' schema describes."""
    xmlschema = needed("xmlschema")
    text, code = run(command, folder, "--format", "junit", ".", "missing\x1b.pt")
    xmlschema.XMLSchema(str(schemas["junit"])).validate(text)
    root = ElementTree.fromstring(text.encode("utf-8"))
    cases = list(root.iter("testcase"))
    count = {name: int(root.attrib[name]) for name in ("tests", "failures", "errors")}
    # A folder that holds a repository is judged as a whole too.
    files = [case for case in cases if case.attrib["classname"] != "repository"]
    assert code == 1
    assert count["tests"] == len(cases)
    assert len(files) == sum(1 for path in folder.rglob("*") if path.is_file()) + 1
    assert count["failures"] == len(list(root.iter("failure"))) > 100
    assert count["errors"] == len(list(root.iter("error"))) == 1
    for failure in root.iter("failure"):
        assert failure.attrib["type"] in {"LOW", "MEDIUM", "HIGH", "CRITICAL"}
        assert "What to do next" in (failure.text or "")


# --- Markdown -----------------------------------------------------------------------------------


class Tags(html.parser.HTMLParser):
    """The tags of a page, and its text outside of code."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text: list[str] = []
        self.inside = 0

    def handle_starttag(self, tag: str, _: Any) -> None:
        self.tags.append(tag)
        self.inside += tag == "code"

    def handle_endtag(self, tag: str) -> None:
        self.inside -= tag == "code"

    def handle_data(self, data: str) -> None:
        if not self.inside:
            self.text.append(data)


@pytest.mark.parametrize("kind", ["hostile", "unknown", "benign", "vectors"])
def test_markdown_holds_no_markup_of_a_name(command: str, folder: Path, kind: str) -> None:
    """As GitHub's own renderer reads it: our tags, and hostile names nowhere but in code."""
    cmarkgfm = needed("cmarkgfm")
    text, code = run(command, folder, "--format", "markdown", kind, f"{kind}/missing|`<b>`.pt")
    assert code == (2 if kind == "benign" else 1)
    assert len(text) < 65_536
    options = cmarkgfm.Options.CMARK_OPT_UNSAFE
    page = Tags()
    page.feed(cmarkgfm.github_flavored_markdown_to_html(text, options))
    allowed = {"h3", "p", "table", "thead", "tbody", "tr", "th", "td", "code", "pre"}
    assert set(page.tags) <= allowed | {"details", "summary"}
    outside = "".join(page.text)
    assert not re.search(r"[@#`<>\\\[\]|]|http|www|javascript", outside), outside
    if kind in ("hostile", "unknown"):
        # A row for each blocked file and for the missing one, under two heads.
        assert page.tags.count("tr") == len(NAMES) + 1 + 2
        assert page.tags.count("details") == page.tags.count("summary") == len(NAMES)
    if kind == "vectors":
        assert "left out, because a comment may not be longer" in text


# --- Table --------------------------------------------------------------------------------------


def test_table_is_one_line_for_each_file(command: str, folder: Path) -> None:
    """Columns at fixed places, and totals that add up."""
    text, _ = run(command, folder, "--format", "table", ".")
    head, *rows, totals = text.splitlines()
    files = [row for row in rows if not row.startswith("repository ")]
    assert len(files) == sum(1 for path in folder.rglob("*") if path.is_file())
    place = head.index("file")
    verdicts = [re.fullmatch(r"(allowed|blocked) +", row[place - 9 : place]) for row in rows]
    assert all(verdicts)
    allowed = sum(match[1] == "allowed" for match in verdicts if match)
    blocked = len(rows) - allowed
    assert totals == f"{len(rows)} files judged: {allowed} allowed, {blocked} blocked"


# --- Files of other tools -----------------------------------------------------------------------


def tool(name: str, *arguments: str) -> None:
    """Runs a program of the environment of the tests, which must be content."""
    program = Path(sys.executable).with_name(name)
    if not program.is_file():
        missing(f"no `{name}` beside this Python")
    output = subprocess.run([program, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert output.returncode == 0, output.stdout + output.stderr


def test_pre_commit_takes_the_manifest() -> None:
    """`.pre-commit-hooks.yaml`, as pre-commit itself validates it."""
    tool("pre-commit", "validate-manifest", ".pre-commit-hooks.yaml")


# What `spec/detection.toml` promises a reader for, and is a model by its name alone.
MODELS = "safetensors|onnx|gguf|npy|npz|hdf5|keras|tflite|executorch|torchserve"


def test_the_hook_is_run_on_model_files() -> None:
    """The hook takes every ending that promises a model, and no source code."""
    manifest = (ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8")
    (pattern,) = re.findall(r"^  files: '(.*)'$", manifest, re.MULTILINE)
    detection = (ROOT / "spec/detection.toml").read_text(encoding="utf-8")
    promises = re.findall(r"^endings = \[(.*)\]\nkeepers = \[(.*)\]$", detection, re.MULTILINE)
    endings = {
        ending
        for written, keepers in promises
        if re.match(rf'"({MODELS})"', keepers)
        for ending in re.findall(r'"([^"]+)"', written)
    }
    assert len(endings) >= 10
    for ending in endings | {"pt", "pth", "bin", "ckpt", "pkl", "joblib", "pth.tar", "pkl.gz"}:
        assert re.search(pattern, f"models/a.{ending}"), ending
        assert re.search(pattern, f"models/a.{ending}".upper()), ending
    for name in ("a.py", "README.md", "src/lib.rs", "pt", "a.ptx", "package.json", "a.gz"):
        assert not re.search(pattern, name), name


def test_the_action_is_one() -> None:
    """`action.yml`, against the schema of GitHub's actions."""
    tool("check-jsonschema", "--builtin-schema", "vendor.github-actions", "action.yml")


def test_the_action_puts_no_input_into_a_script() -> None:
    """An input in a script would be code of whoever sets it: inputs go through the environment."""
    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    scripts = scripts_of(text)
    assert len(scripts) == len(re.findall(r"^ +run:", text, re.MULTILINE)) > 1
    assert not [script for script in scripts if "${{" in script]


def scripts_of(text: str) -> list[str]:
    """The scripts of an action, each without its indentation."""
    found = re.findall(r"^( +)run: \|\n((?:\1 +.*\n)+)", text, re.MULTILINE)
    return [textwrap.dedent(script) for _, script in found]


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({}, 1),
        ({"SCAN_PATHS": "benign"}, 0),
        ({"SCAN_PATHS": "benign\n\nhostile"}, 1),
        ({"SCAN_FAIL_ON_BLOCK": "false"}, 0),
        ({"SCAN_PATHS": "missing", "SCAN_FAIL_ON_BLOCK": "false"}, 2),
        ({"SCAN_PATHS": ""}, 2),
        ({"SCAN_PATHS": "benign", "SCAN_MAX_THREAT_SCORE": "0"}, 1),
        ({"SCAN_PATHS": "benign", "SCAN_MAX_THREAT_SCORE": "0 --no-policy"}, 2),
        ({"SCAN_PATHS": "--help\n$(touch pwned)\n`touch pwned`; touch pwned"}, 2),
    ],
)
def test_the_action_ends_as_the_scan_does(
    command: str, folder: Path, tmp_path: Path, inputs: dict[str, str], code: int
) -> None:
    """Its script, run as a runner runs it; no input becomes a switch or a command."""
    *_, script = scripts_of((ROOT / "action.yml").read_text(encoding="utf-8"))
    places = {name: tmp_path / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    environment = {
        "PATH": os.environ["PATH"],
        "RUNNER_TEMP": str(tmp_path),
        "SCAN_PATHS": "hostile",
        "SCAN_FORMAT": "sarif",
        "SCAN_OUTPUT": str(tmp_path / "scan.sarif"),
        "SCAN_POLICY": "",
        "SCAN_MAX_THREAT_SCORE": "",
        "SCAN_SUMMARY": "true",
        "SCAN_FAIL_ON_BLOCK": "true",
        "SCAN_COMMAND": command,
        **{name: str(place) for name, place in places.items()},
        **inputs,
    }
    shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    output = subprocess.run(shell, cwd=folder, env=environment, capture_output=True, timeout=600)
    assert output.returncode == code, output.stderr.decode(errors="replace")
    assert not list(folder.rglob("pwned"))
    if code < 2:
        assert json.loads((tmp_path / "scan.sarif").read_text())["version"] == "2.1.0"
        assert places["GITHUB_STEP_SUMMARY"].read_text().startswith("### secure-torch: ")
        assert places["GITHUB_OUTPUT"].read_text().startswith("exit-code=")
