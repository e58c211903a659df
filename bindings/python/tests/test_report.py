"""`scan`, `Report`, the exceptions, and what `load` refuses. Neither torch nor numpy is needed."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import secure_torch
from secure_torch import errors

HOSTILE_NAME = "<img src=x onerror=alert(1)>&\"'\u202e\x1b[2J.pkl"


def test_an_honest_pickle_is_allowed(tmp_path: Path) -> None:
    content = pickle.dumps({"a": [1, 2.5, None]})
    path = tmp_path / "m.pkl"
    path.write_bytes(content)
    for given in (path, str(path), content, bytearray(content), memoryview(content)):
        report = secure_torch.scan(given)
        assert report.load_allowed
        assert report.verdict == "allow"
        assert (report.format, report.size_bytes) == ("pickle", len(content))
        assert report.sha256 == hashlib.sha256(content).hexdigest()
        assert report.reasons == []
        assert (report.threat_level, report.threat_score) == ("LOW", 10)
        assert report.score_breakdown == {"trust.unsigned": 10}
        assert report.parts == [secure_torch.Part("", "pickle", len(content))]
        assert (report.sandbox_active, report.provenance, report.sbom) == (False, None, None)
    assert secure_torch.scan_file(path).path == str(path)


def test_a_file_object_is_read_from_where_it_stands(tmp_path: Path, hostile: bytes) -> None:
    content = pickle.dumps([1])
    stream = io.BytesIO(hostile + content)
    stream.seek(len(hostile))
    report = secure_torch.scan(stream)
    assert report.load_allowed
    assert report.sha256 == hashlib.sha256(content).hexdigest()
    assert secure_torch.load(io.BytesIO(content)) == [1]
    path = tmp_path / "m.pkl"
    path.write_bytes(content)
    with path.open("rb") as file:
        assert secure_torch.scan(file).path == str(path)


def test_a_file_object_that_fails_passes_its_own_exception_on() -> None:
    class Failing(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            raise KeyError("mine")

    class Greedy(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            return bytes(10_000_000)

    class Text(io.RawIOBase):
        def read(self, size: int = -1) -> Any:
            return "text"

    for stream, kind in ((Failing(), KeyError), (Greedy(), ValueError), (Text(), TypeError)):
        with pytest.raises(kind):
            secure_torch.scan(stream)  # type: ignore[arg-type]


def test_a_hostile_pickle_is_blocked_with_its_report(hostile: bytes) -> None:
    with pytest.raises(secure_torch.UnsafePickleError) as caught:
        secure_torch.load(hostile)
    error = caught.value
    assert isinstance(error, secure_torch.UnsafeModelError)
    assert error.code == "model-blocked"
    assert error.report is not None
    assert not error.report.load_allowed
    assert [found.python3 for found in error.report.globals] == ["posix.system"]
    assert error.report.globals[0].kind == "dangerous"
    assert error.report.findings[0].rule == "pickle.global.dangerous"
    assert error.report.sha256 == hashlib.sha256(hostile).hexdigest()


def test_an_audit_tells_the_truth_and_runs_nothing(hostile: bytes) -> None:
    model, report = secure_torch.load(pickle.dumps({"a": 1}), audit_only=True)
    assert model == {"a": 1}
    assert report.load_allowed
    # Under a stricter policy the same file is blocked; the audit loads it all the same.
    model, report = secure_torch.load(pickle.dumps({"a": 1}), audit_only=True, max_threat_score=0)
    assert model == {"a": 1}
    assert not report.load_allowed
    with pytest.raises(secure_torch.FormatError) as caught:
        secure_torch.load(hostile, audit_only=True)
    assert caught.value.report is not None
    assert not caught.value.report.load_allowed


def test_a_report_is_json_and_sarif(hostile: bytes) -> None:
    report = secure_torch.scan(hostile)
    assert json.loads(report.to_json()) == report.to_dict()
    assert report.to_dict()["schema" if "schema" in report.to_dict() else "path"]
    log = json.loads(report.to_sarif())
    assert log["version"] == "2.1.0"
    assert log["runs"][0]["results"][0]["ruleId"] == "pickle.global.dangerous"
    report.to_dict().clear()
    assert report.to_dict()


def test_the_canonical_report_is_compact_and_in_the_order_of_the_schema() -> None:
    given = "häßlich.pkl"
    path = Path(__file__).parents[3] / "spec/report.schema.json"
    schema = json.loads(path.read_text(encoding="utf-8"))["$defs"]["report"]
    source = io.BytesIO(pickle.dumps({"模": 1}))
    source.name = given
    text = secure_torch.scan(source).json()
    assert list(json.loads(text)) == list(schema["properties"])
    # Nothing is escaped that JSON lets stand.
    assert text == json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False)
    assert given in text


def test_a_report_reads_well_and_hides_nothing(tmp_path: Path, hostile: bytes) -> None:
    path = tmp_path / HOSTILE_NAME.replace("/", "_")
    path.write_bytes(hostile)
    report = secure_torch.scan(path)
    text = repr(report)
    assert "BLOCKED" in text and "posix.system" in text
    assert "\x1b" not in text and "\u202e" not in text
    page = report._repr_html_()
    assert "<img" not in page and "<b>hello" not in page
    assert "\x1b" not in page and "\u202e" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;&amp;&quot;&#x27;" in page
    assert "posix.system" in page


def test_names_in_a_stream_are_escaped() -> None:
    name = b"<script>alert(1)</script>"
    report = secure_torch.scan(b"c" + name + b"\nx\n.")
    assert "script" in report._repr_html_()
    assert "<script" not in report._repr_html_()


def test_a_file_that_changed_has_no_hash(tmp_path: Path) -> None:
    path = tmp_path / "m.pkl"
    path.write_bytes(pickle.dumps(1))
    report = secure_torch.scan(path)
    path.write_bytes(pickle.dumps("longer"))
    with pytest.raises(secure_torch.InputError) as caught:
        _ = report.sha256
    assert caught.value.code == "io-changed"


def test_files_that_cannot_be_read_are_oserrors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        secure_torch.load(tmp_path / "none.pt")
    assert (missing.value.code, missing.value.errno) == ("io-not-found", 2)  # type: ignore[attr-defined]
    assert missing.value.filename == str(tmp_path / "none.pt")
    with pytest.raises(OSError, match="not a regular file") as folder:
        secure_torch.scan(tmp_path)
    assert folder.value.code == "io-not-a-file"  # type: ignore[attr-defined]
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(OSError, match="not a regular file"):
            secure_torch.load(tmp_path / "pipe")


def test_a_broken_file_is_a_format_error() -> None:
    with pytest.raises(secure_torch.FormatError) as caught:
        secure_torch.load(pickle.dumps({"a": 1})[:-1], audit_only=True)
    assert caught.value.code in {"model-malformed", "model-unsupported"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("require_signature", True),
        ("trusted_publishers", ["a@example.org"]),
        ("bundle_path", "b"),
        ("pubkey_path", "p"),
        ("sbom_path", "s"),
        ("sbom_policy_path", "s"),
        ("policy_context", {}),
        ("sandbox", True),
    ],
)
def test_a_feature_that_is_not_there_is_never_passed_over(name: str, value: Any) -> None:
    with pytest.raises(secure_torch.SecurityError, match=name) as caught:
        secure_torch.load(pickle.dumps(1), **{name: value})
    assert caught.value.code == "feature-missing"
    assert not isinstance(caught.value, NotImplementedError)


def test_arguments_are_checked() -> None:
    content = pickle.dumps(1)
    with pytest.raises(TypeError, match="unexpected keyword argument 'other'"):
        secure_torch.load(content, other=1)
    with pytest.raises(secure_torch.SecurityError, match="pickle_module"):
        secure_torch.load(content, pickle_module=pickle)
    with pytest.raises(ValueError, match="encoding"):
        secure_torch.load(content, encoding="rot13")
    with pytest.raises(ValueError, match="framework"):
        secure_torch.load(content, framework="jax")
    with pytest.raises(TypeError):
        secure_torch.load(7)  # type: ignore[arg-type]
    for score in (-1, 101, True):
        with pytest.raises(ValueError, match="max_threat_score"):
            secure_torch.load(content, max_threat_score=score)


def test_scores_combine_to_the_stricter(tmp_path: Path) -> None:
    content = pickle.dumps(1)
    loose, strict = tmp_path / "loose.toml", tmp_path / "strict.toml"
    loose.write_text("max_threat_score = 35\n")
    strict.write_text("max_threat_score = 0\n")
    assert secure_torch.Policy.open(loose).max_threat_score == 35
    assert secure_torch.load(content, max_threat_score=10) == 1
    for arguments in (
        {"max_threat_score": 9},
        {"policy": strict},
        {"policy": str(strict), "max_threat_score": 100},
        {"policy": loose, "max_threat_score": 9},
        {"policy": secure_torch.Policy(max_threat_score=9)},
    ):
        with pytest.raises(secure_torch.UnsafeModelError):
            secure_torch.load(content, **arguments)  # type: ignore[arg-type]
    assert secure_torch.load(content, policy=loose) == 1


def test_a_policy_is_an_object(tmp_path: Path) -> None:
    policy = secure_torch.Policy(
        max_threat_score=5, allow=["a.b", "c:d.e"], limits={"pickle.stack_items": 10}
    )
    assert policy.allow == ["a.b", "c:d.e"]
    assert policy.path is None
    assert policy.with_max_threat_score(7).max_threat_score == 7
    assert "max_threat_score=5" in repr(policy)
    with pytest.raises(ValueError, match="no limit"):
        secure_torch.Policy(limits={"pickle.none": 1})
    with pytest.raises(secure_torch.PolicyError) as caught:
        secure_torch.Policy(allow=["nodots"])
    assert caught.value.code == "policy-invalid"
    with pytest.raises(ValueError, match="policy"):
        secure_torch.Policy.from_toml("max_threat_score = 'x'", tmp_path)


def test_every_code_of_the_table_has_an_exception() -> None:
    table = Path(__file__).parents[3] / "spec" / "errors.toml"
    codes = [line.split('"')[1] for line in table.read_text().splitlines() if line[:4] == "code"]
    assert len(codes) > 10
    for code in codes:
        error = errors._made(code, "message", "hint", "path", None)
        assert error.code == code  # type: ignore[attr-defined]
        assert str(error) == "message (hint)"
        assert isinstance(error, OSError) == code.startswith("io-")


def test_the_rules_are_data() -> None:
    tables = secure_torch.rules()
    assert tables["max_threat_score"] == secure_torch.DEFAULT_MAX_THREAT_SCORE == 20
    assert {rule["id"] for rule in tables["rules"]} >= {"trust.unsigned", "pickle.global.dangerous"}
    assert any(entry["name"] == "OrderedDict" for entry in tables["allowed"])


def test_the_command_comes_with_the_package(tmp_path: Path, hostile: bytes) -> None:
    path = tmp_path / "m.pkl"
    path.write_bytes(hostile)
    command = [sys.executable, "-m", "secure_torch._cli", "scan", "--format", "json", str(path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "posix.system" in run.stdout
    script = Path(sys.executable).with_name("secure-torch")
    version = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.startswith(f"secure-torch {secure_torch.__version__}\n")
