"""Asks for a judgement, and turns a block into an exception.

It holds no rule. Where several policies are in force, each of them must let the bytes through.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NoReturn

from .. import _scan, errors

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .._native import Policy
    from .._report import Report

    Policies = Iterable[Policy]

_HINT = (
    "read the findings of `.report`; names that are known to be harmless are allowed by a policy: "
    "`policy=Policy(allow=[...])`, see docs/policy.md"
)
# The rules that every TorchScript file hits, and nothing else.
_SCRIPT = frozenset({"torchscript.code", "trust.unsigned"})
_SCRIPT_HINT = (
    "TorchScript is code, which torch runs without limits; where you trust who made the file, "
    "`policy=Policy(max_threat_score={})` lets it through"
)


def scan(source: Any, policy: Policy) -> Report:
    """The judgement of a path, of bytes or of a file object."""
    return _scan.scan(source, policy=policy)


def is_path(source: object) -> bool:
    """Whether something names a file, as torch sees it."""
    return isinstance(source, (str, os.PathLike))


def refuse(
    message: str, hint: str, *, report: Report | None = None, pickle: bool = False
) -> NoReturn:
    """Raises the exception for something that is not let through."""
    kind = errors.UnsafePickleError if pickle else errors.UnsafeModelError
    raise errors.told(kind(f"{message} ({hint})"), "model-blocked", hint, report)


def require(report: Report, what: str, *, pickle: bool = False) -> None:
    """Raises unless the policy lets the file through."""
    if report.load_allowed:
        return
    cause = "; ".join(report.reasons) or f"its threat score is {report.threat_score}"
    hint = _SCRIPT_HINT if set(report.score_breakdown) <= _SCRIPT else _HINT
    hint = hint.format(report.threat_score)
    pickle = pickle or any(rule.startswith("pickle.") for rule in report.score_breakdown)
    refuse(f"{what} is blocked: {cause}", hint, report=report, pickle=pickle)


def judge(source: Any, policies: Policies, what: str, *, pickle: bool = False) -> None:
    """Judges under every policy, and raises at the first that does not let it through."""
    for policy in policies:
        require(scan(source, policy), what, pickle=pickle)


def read(source: Any) -> bytes:
    """The bytes of a path, a file object or a buffer, read once."""
    if is_path(source):
        with open(source, "rb") as file:
            return file.read()
    if hasattr(source, "read"):
        data = source.read()
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"a file opened for bytes is expected, its read() gave {type(data)}")
        return bytes(data)
    return bytes(source)


def judged_bytes(source: Any, policies: Policies, what: str) -> tuple[bytes, list[Report]]:
    """Reads a source once and gives its bytes, which are those that every policy let through."""
    data = read(source)
    reports = []
    for policy in policies:
        # By its path, so that the entries of a policy that hold for some paths apply.
        report = scan(source if is_path(source) else data, policy)
        require(report, what)
        if is_path(source):
            require_same(data, report)
        reports.append(report)
    return data, reports


def require_same(data: bytes, report: Report) -> None:
    """Raises unless a report is about these bytes."""
    import hashlib

    if hashlib.sha256(data).hexdigest() != report.sha256:
        hint = "judge the file again once nothing writes to it"
        error = errors.InputError(f"`{report.path}` changed while it was read ({hint})")
        error.code, error.hint, error.report = "io-changed", hint, report
        raise error


class Imports:
    """Whether a policy lets a pickle import one global, asked with a pickle that does only that.

    It is the second line behind the judgement of the whole pickle: an unpickler that has opcodes
    of its own, or that renames what it imports, is held to it.
    """

    __slots__ = ("_known", "_policy")

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._known: dict[tuple[str, str], bool] = {}

    def allows(self, module: str, name: str) -> bool:
        """Whether the global may be imported."""
        known = self._known.get((module, name))
        if known is None:
            known = any(scan(data, self._policy).load_allowed for data in _imports(module, name))
            self._known[module, name] = known
        return known


def _imports(module: str, name: str) -> Iterable[bytes]:
    """Pickles that import a global: as Python 2 names it, where that can be written, and as 3."""
    words = [word.encode("utf-8", "surrogatepass") for word in (module, name)]
    # Protocol 4 alone walks the dots of a name (Modules/_pickle.c, _pickle_Unpickler_find_class).
    if "\n" not in module + name and "." not in name:
        yield b"\x80\x02c" + b"\n".join(words) + b"\n."
    texts = (b"X" + len(word).to_bytes(4, "little") + word for word in words)
    yield b"\x80\x04" + b"".join(texts) + b"\x93."
