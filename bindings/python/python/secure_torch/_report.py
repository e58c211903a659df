"""The judgement of a file, for people and programs."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from functools import cached_property
from html import escape
from typing import Any, TypeVar

from ._native import Judgement

_T = TypeVar("_T")


def _filled(kind: type[_T], values: dict[str, Any]) -> _T:
    """A dataclass from the keys of JSON that it has fields for. Later releases may add keys."""
    return kind(**{field.name: values[field.name] for field in fields(kind)})  # type: ignore[arg-type]


@dataclass(frozen=True)
class Finding:
    """A rule that was hit: what was seen, where, and how many points it is worth."""

    rule: str
    points: int
    path: str
    offset: int | None
    subject: str
    message: str
    count: int
    ignored: str | None


@dataclass(frozen=True)
class Global:
    """A global that a pickle asks for. `module` and `name` are as the stream spells them."""

    module: str
    name: str
    python3: str
    # `class` in JSON: `allowed`, `dangerous` or `unknown`.
    kind: str
    family: str | None
    path: str
    offset: int
    call_count: int


@dataclass(frozen=True)
class Part:
    """A part of the file that was judged: itself, or a member."""

    path: str
    format: str
    size_bytes: int


class Report:
    """The judgement of one file.

    `load_allowed` says whether the policy lets it through, however it was loaded.
    """

    def __init__(self, judgement: Judgement) -> None:
        self._judgement = judgement

    @cached_property
    def _json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._judgement.json())
        return found

    @property
    def path(self) -> str:
        """The path or name under which the file was given."""
        return str(self._json["path"])

    @property
    def format(self) -> str:
        """What the file is, by structure."""
        return str(self._json["format"])

    @property
    def formats(self) -> list[str]:
        """Every format whose loader would accept the file; more than one is a polyglot."""
        return list(self._json["formats"])

    @property
    def threat_level(self) -> str:
        """`SAFE`, `LOW`, `MEDIUM`, `HIGH` or `CRITICAL`."""
        return str(self._json["threat_level"])

    @property
    def threat_score(self) -> int:
        """The points of every rule that was hit, at most 100."""
        return int(self._json["threat_score"])

    @property
    def score_breakdown(self) -> dict[str, int]:
        """Each rule that was hit, with its points."""
        return dict(self._json["score_breakdown"])

    @property
    def verdict(self) -> str:
        """`allow` or `block`."""
        return str(self._json["verdict"])

    @property
    def reasons(self) -> list[str]:
        """Each reason for a block, as a sentence."""
        return list(self._json["reasons"])

    @property
    def load_allowed(self) -> bool:
        """Whether the policy lets the file through."""
        return self._judgement.load_allowed

    @cached_property
    def findings(self) -> list[Finding]:
        """What was seen, the heaviest first."""
        return [_filled(Finding, found) for found in self._json["findings"]]

    @property
    def warnings(self) -> list[str]:
        """What the judgement does not cover, and what a policy ignores, as sentences."""
        ignored = [
            f"{finding.message} (ignored: {finding.ignored})"
            for finding in self.findings
            if finding.ignored is not None
        ]
        omitted = self._json["findings_omitted"]
        more = [f"{omitted} more findings are not listed"] if omitted else []
        return [*self._json["limits"], *ignored, *more]

    @cached_property
    def globals(self) -> list[Global]:
        """Every global that a pickle of the file asks for."""
        return [
            _filled(Global, {**found, "kind": found["class"]}) for found in self._json["globals"]
        ]

    @cached_property
    def parts(self) -> list[Part]:
        """The file itself and, for a container, each member that was judged."""
        return [_filled(Part, found) for found in self._json["parts"]]

    @property
    def size_bytes(self) -> int:
        """The file's length."""
        return int(self._json["size_bytes"])

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of the file. It is read in full for it, the first time that it is asked for.

        Raises an `InputError` where the file is gone, or is another one by now.
        """
        return self._judgement.sha256()

    @property
    def sandbox_active(self) -> bool:
        """Whether the file was loaded in a sandbox. There is none in this release."""
        return False

    @property
    def provenance(self) -> None:
        """Who signed the file. Signatures are not in this release."""
        return

    @property
    def sbom(self) -> None:
        """What the file's bill of materials says. None is read in this release."""
        return

    def json(self) -> str:
        """The report's canonical JSON: the same bytes as in every other language, once encoded."""
        return self._judgement.json()

    def to_dict(self) -> dict[str, Any]:
        """The report in the form of `spec/report.schema.json`."""
        found: dict[str, Any] = json.loads(self._judgement.json())
        return found

    def to_json(self, indent: int | None = None) -> str:
        """The report as JSON, in the form of `spec/report.schema.json`."""
        return json.dumps(self._json, indent=indent, ensure_ascii=False)

    def to_sarif(self) -> str:
        """The report as a SARIF 2.1.0 log, for code scanning."""
        return self._judgement.to_sarif()

    def __repr__(self) -> str:
        verdict = "allowed" if self.load_allowed else "BLOCKED"
        head = (
            f"<Report {_plain(self.path)!r}: {verdict}, {self.threat_level} "
            f"({self.threat_score}/100), {self.format}, {self.size_bytes:,} bytes"
        )
        seen = [
            f"{finding.points:>4}  {finding.subject}: {finding.message}"
            for finding in self.findings[:10]
        ]
        rest = len(self.findings) - len(seen)
        if rest > 0:
            seen.append(f"      and {rest} more")
        return "\n".join([head, *seen]) + ">"

    def _repr_html_(self) -> str:
        """The report for notebooks. Nothing of a file reaches the page but as text."""
        colour = "#1a7f37" if self.load_allowed else "#cf222e"
        verdict = "allowed" if self.load_allowed else "BLOCKED"
        cells = [
            ("verdict", f'<b style="color:{colour}">{verdict}</b>'),
            ("threat", f"{_html(self.threat_level)} ({self.threat_score}/100)"),
            ("format", _html(self.format)),
            ("size", f"{self.size_bytes:,} bytes"),
        ]
        cells += [("reason", _html(reason)) for reason in self.reasons]
        head = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in cells)
        rows = "".join(
            f"<tr><td>{finding.points}</td><td><code>{_html(finding.rule)}</code></td>"
            f"<td><code>{_html(finding.subject)}</code> {_html(finding.message)}</td>"
            f"<td><code>{_html(finding.path)}</code></td></tr>"
            for finding in self.findings
        )
        table = (
            "<table><tr><th>points</th><th>rule</th><th>what was seen</th><th>where</th></tr>"
            f"{rows}</table>"
            if rows
            else ""
        )
        return f"<div><p><code>{_html(self.path)}</code></p><table>{head}</table>{table}</div>"


def _plain(text: str) -> str:
    """Text whose characters that hide, move or reorder others are spelled out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _html(text: str) -> str:
    return escape(_plain(text), quote=True)
