"""`load`: judged, then rebuilt without unpickling."""

from __future__ import annotations

import gc
import importlib.util
import os
from typing import Any, Final

from ._native import Policy
from ._native import load as _load
from ._report import Report
from ._scan import Given, PolicyLike, policy_of
from .errors import FeatureError, SecurityError, missing, told


class _Default(int):
    """A number that tells whether it is the default itself, or was given."""

    def __repr__(self) -> str:
        return str(int(self))


DEFAULT_MAX_THREAT_SCORE: Final[int] = _Default(20)

_ENCODINGS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "ascii": "ascii",
    "latin1": "latin1",
    "latin-1": "latin1",
    "iso-8859-1": "latin1",
    "bytes": "bytes",
}

_FEATURES = {
    "require_signature": "signatures come with a later release; leave it out for unsigned files",
    "trusted_publishers": "signatures come with a later release; leave it out, and compare "
    "`scan(path).sha256` with what the publisher says",
    "bundle_path": "signatures come with a later release; leave it out",
    "pubkey_path": "signatures come with a later release; leave it out",
    "sbom_path": "bills of materials come with a later release; leave it out",
    "sbom_policy_path": "bills of materials come with a later release; leave it out",
    "policy_context": "policies that read one come with a later release; leave it out",
    "sandbox": "the sandbox comes with a later release; without it, `weights_only=True`, the "
    "default, runs nothing of the file",
}


def load(
    f: Given,
    map_location: Any = None,
    *,
    mmap: bool | None = True,
    weights_only: bool = True,
    policy: PolicyLike = None,
    max_threat_score: int = DEFAULT_MAX_THREAT_SCORE,
    require_signature: bool = False,
    trusted_publishers: Any = None,
    bundle_path: Any = None,
    pubkey_path: Any = None,
    sbom_path: Any = None,
    sbom_policy_path: Any = None,
    policy_context: Any = None,
    audit_only: bool = False,
    sandbox: bool = False,
    **kwargs: Any,
) -> Any:
    """Judges a model file and gives what it holds, as `torch.load` would.

    `f` is a path, bytes, or a file object, which is read from where it stands to its end.

    With `weights_only=True` nothing of the file is run or imported: what it holds is rebuilt from
    data, and whatever there is no rule for raises `FormatError`. It prevents execution of arbitrary
    classes during load, and may not support legacy models that rely on full object reconstruction.
    With `weights_only=False` the file goes through torch's unpickler after it was judged, held to
    the globals that the report lists and the policy allows. By default loading occurs in the main
    process after validation; for untrusted models or production environments `sandbox=True` is
    strongly recommended, once a release has it.

    With `mmap=True` tensors of a file lie over a private, copy-on-write mapping of it: they can be
    written to, and the file does not change. The file must stay as it is while they are used. With
    `mmap=False`, and from bytes and file objects, they are copies.

    `max_threat_score` is the highest score that is let through; with a `policy`, the lower of its
    score and this one, where this one is given. With `audit_only=True` the verdict is not enforced:
    the answer is a pair of the model and its `Report`, whose `load_allowed` tells the truth.

    Without torch, or with `framework="numpy"`, tensors become numpy's arrays. `encoding` is that of
    strings in pickles of Python 2: `utf-8`, `ascii`, `latin1` or `bytes`.
    """
    # `None` is torch's own default, which leaves the choice to the loader.
    mmap = True if mmap is None else bool(mmap)
    given = {
        "require_signature": require_signature,
        "trusted_publishers": trusted_publishers,
        "bundle_path": bundle_path,
        "pubkey_path": pubkey_path,
        "sbom_path": sbom_path,
        "sbom_policy_path": sbom_policy_path,
        "policy_context": policy_context,
        "sandbox": sandbox,
    }
    for name, value in given.items():
        if value is not None and value is not False:
            raise missing(f"`{name}`", _FEATURES[name])
    encoding = _encoding(kwargs.pop("encoding", "utf-8"))
    framework = kwargs.pop("framework", None)
    _refuse(kwargs)
    scored = scored_policy(policy, max_threat_score)
    if not weights_only:
        return _unpickled(f, scored, audit_only, map_location, mmap, encoding)
    torch = _has_torch(framework)
    location = None
    if torch:
        from ._location import asked
        from ._order import settle

        settle()
        location = asked(map_location)
    # Every object that is made is alive at the end, so looking for garbage meanwhile finds none.
    collecting = gc.isenabled()
    gc.disable()
    try:
        model, judgement = _load(
            f,
            scored,
            encoding=encoding,
            mmap=mmap,
            torch=torch,
            audit_only=bool(audit_only),
            location=location,
        )
    finally:
        if collecting:
            gc.enable()
    return (model, Report(judgement)) if audit_only else model


def scored_policy(policy: PolicyLike, max_threat_score: int) -> Policy:
    """The policy of a call, with the score of a call."""
    found = policy_of(policy)
    if max_threat_score is DEFAULT_MAX_THREAT_SCORE:
        return found
    if isinstance(max_threat_score, bool) or not 0 <= max_threat_score <= 100:
        raise ValueError(f"`max_threat_score` is a number from 0 to 100, not {max_threat_score!r}")
    if policy is not None:
        max_threat_score = min(max_threat_score, found.max_threat_score)
    return found.with_max_threat_score(max_threat_score)


def _encoding(encoding: Any) -> str:
    known = (
        _ENCODINGS.get(encoding.lower().replace("_", "-")) if isinstance(encoding, str) else None
    )
    if known is None:
        raise ValueError(
            f"`encoding` is one of utf-8, ascii, latin1 and bytes, not {encoding!r}: Python would "
            "import a codec for any other"
        )
    return known


def _refuse(kwargs: dict[str, Any]) -> None:
    if kwargs.pop("pickle_module", None) is not None:
        message = "`pickle_module` is not taken: no module unpickles here"
        raise told(FeatureError(message), "feature-missing", "leave it out")
    if kwargs:
        name = next(iter(kwargs))
        raise TypeError(f"load() got an unexpected keyword argument {name!r}")


def _has_torch(framework: str | None) -> bool:
    if framework not in (None, "torch", "numpy"):
        raise ValueError(f"`framework` is 'torch' or 'numpy', not {framework!r}")
    if framework == "numpy":
        return False
    found = _torch_is_there()
    if framework == "torch" and not found:
        message = "torch is not installed: install it, or take `framework='numpy'`"
        raise told(FeatureError(message), "feature-missing", "install torch")
    return found


_found_torch: bool | None = None


def _torch_is_there() -> bool:
    global _found_torch
    if _found_torch is None:
        try:
            _found_torch = importlib.util.find_spec("torch") is not None
        except (ImportError, ValueError):
            # Somebody took it out of the way on purpose.
            _found_torch = False
    return _found_torch


def _unpickled(
    f: Given,
    policy: Policy,
    audit_only: bool,
    map_location: Any,
    mmap: bool,
    encoding: str,
) -> Any:
    """`weights_only=False`: judged the same way, then unpickled by torch within bounds."""
    from ._native import scan
    from ._unpickle import unpickle
    from .errors import UnsafeModelError, UnsafePickleError

    content = _content(f)
    report = Report(scan(content, policy))
    if not report.load_allowed:
        pickles = any(rule.startswith("pickle.") for rule in report.score_breakdown)
        kind: type[SecurityError] = UnsafePickleError if pickles else UnsafeModelError
        reasons = "; ".join(report.reasons)
        message = f"`{report.path}` is blocked: {reasons}"
        raise told(kind(message), "model-blocked", "read the findings of the report", report)
    model = unpickle(
        content, report, policy, map_location=map_location, mmap=mmap, encoding=encoding
    )
    return (model, report) if audit_only else model


def _content(f: Given) -> str | bytes:
    """A path, or the bytes that both the judge and the unpickler read."""
    if isinstance(f, (str, os.PathLike)):
        return os.fspath(f)
    return bytes(f.read()) if hasattr(f, "read") else bytes(f)
