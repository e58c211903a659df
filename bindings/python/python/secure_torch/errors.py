"""What goes wrong, as exceptions.

Each carries `code`, one of the stable codes of `spec/errors.toml`, `hint`, what to do about it, and
`report`, the judgement of the file where there is one. A file that cannot be read raises a subclass
of `OSError`; whatever is wrong *in* a file is a `SecurityError`.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._native import Judgement
    from ._report import Report


class SecurityError(Exception):
    """A model was not loaded."""

    code: str = "model-blocked"
    hint: str = ""
    report: Report | None = None


class UnsafeModelError(SecurityError):
    """The policy does not let the file through."""


class UnsafePickleError(UnsafeModelError):
    """The policy does not let the file through because of a pickle in it."""


class SignatureRequiredError(SecurityError):
    """The file is not signed, and has to be."""


class UntrustedPublisherError(SecurityError):
    """The file is signed by somebody who is not trusted."""


class FormatError(SecurityError):
    """The file is broken, or holds something that is not rebuilt without running it."""

    code = "model-malformed"


class SandboxError(SecurityError):
    """The sandbox could not be set up, or ended what ran in it."""


class FeatureError(SecurityError):
    """Something was asked for that this release does not have, or that is not installed."""

    code = "feature-missing"


class PolicyError(SecurityError, ValueError):
    """The policy is not valid."""

    code = "policy-invalid"


class SecurityWarning(UserWarning):
    """What was written would not be let through when it is loaded."""

    def __init__(self, message: str, report: Report | None = None) -> None:
        super().__init__(message)
        self.report = report


class InputError(OSError):
    """A file could not be read or written."""

    code: str = "io-failed"
    hint: str = ""
    report: Report | None = None
    message: str = ""

    def __str__(self) -> str:
        return self.message or super().__str__()


class MissingInputError(InputError, FileNotFoundError):
    """The path leads nowhere."""

    code = "io-not-found"


class ForbiddenInputError(InputError, PermissionError):
    """The file may not be read."""

    code = "io-permission"


class ExistingOutputError(InputError, FileExistsError):
    """What is to be written is there already."""

    code = "io-exists"


_OS_ERRORS: dict[str, tuple[type[InputError], int]] = {
    "io-not-found": (MissingInputError, errno.ENOENT),
    "io-permission": (ForbiddenInputError, errno.EACCES),
    "io-exists": (ExistingOutputError, errno.EEXIST),
    "io-not-a-file": (InputError, errno.EINVAL),
    "io-linked-folder": (InputError, errno.ELOOP),
    "io-changed": (InputError, errno.EBUSY),
    "io-failed": (InputError, errno.EIO),
    "io-write-failed": (InputError, errno.EIO),
}

_ERRORS: dict[str, type[SecurityError]] = {
    "feature-missing": FeatureError,
    "input-too-large": FormatError,
    "model-blocked": UnsafeModelError,
    "model-inconvertible": FormatError,
    "model-malformed": FormatError,
    "model-unsupported": FormatError,
    "policy-invalid": PolicyError,
}


class Unbuilt(Exception):
    """An object of a file is of a kind that is not rebuilt. The caller sees a `FormatError`."""


def _made(
    code: str, message: str, hint: str, path: str, judgement: Judgement | None
) -> BaseException:
    """The exception of a code. The native half raises what this gives."""
    from ._report import Report

    report = None if judgement is None else Report(judgement)
    if code in _OS_ERRORS:
        failure, number = _OS_ERRORS[code]
        error = failure(number, message, path)
        error.message = f"{message} ({hint})" if hint else message
        error.code, error.hint, error.report = code, hint, report
        return error
    kind = _ERRORS.get(code, SecurityError)
    if code == "model-blocked" and report is not None and _is_pickle(report):
        kind = UnsafePickleError
    return told(kind(f"{message} ({hint})" if hint else message), code, hint, report)


def _is_pickle(report: Report) -> bool:
    """Whether what speaks against a file is what its pickles do."""
    return any(rule.startswith("pickle.") for rule in report.score_breakdown)


def told(
    error: SecurityError, code: str, hint: str = "", report: Report | None = None
) -> SecurityError:
    """The same error, with what it carries."""
    error.code, error.hint, error.report = code, hint, report
    return error


def _explained(error: BaseException, name: str, judgement: Judgement) -> BaseException:
    """What the native half raises where building an object ended in `error`."""
    from ._report import Report

    report = Report(judgement)
    if isinstance(error, (SecurityError, InputError)):
        error.report = report
        return error
    if isinstance(error, Unbuilt):
        made = FormatError(f"`{name}` cannot be loaded: {error}")
        return told(made, "model-unsupported", report=report)
    if not isinstance(error, Exception) or isinstance(error, (MemoryError, ImportError)):
        return error
    cause = f"{type(error).__name__}: {error}".partition("\n")[0]
    made = FormatError(f"`{name}` is broken: an object of it cannot be made ({cause})")
    told(made, "model-malformed", report=report)
    made.__cause__ = error
    return made


def missing(feature: str, instead: str) -> SecurityError:
    """The error for a feature that is not there yet: what protects is not left out in silence."""
    message = f"{feature} is not in this release of secure_torch: {instead}"
    return told(FeatureError(message), "feature-missing", instead)
