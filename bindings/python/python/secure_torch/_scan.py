"""Judging without loading."""

from __future__ import annotations

import os
from typing import IO, Any, Union

from ._native import Policy
from ._native import scan as _scan
from ._report import Report

Given = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview, IO[bytes]]
PolicyLike = Union[Policy, str, "os.PathLike[str]", None]


def policy_of(policy: PolicyLike) -> Policy:
    """A policy, from whatever stands for one: itself, the path of a file, or the built-in one."""
    if policy is None:
        return Policy()
    return policy if isinstance(policy, Policy) else Policy.open(os.fspath(policy))


def scan(f: Given, *, policy: PolicyLike = None) -> Report:
    """Judges a path, bytes, or a file object, and loads nothing.

    `policy` is a `Policy` or the path of a `secure-torch.toml`; no file is looked for.
    """
    return Report(_scan(f, policy_of(policy)))


def scan_file(path: str | os.PathLike[str], **kwargs: Any) -> Report:
    """`scan`, for a path alone."""
    return scan(os.fspath(path), **kwargs)


def path_of(f: Given) -> str | None:
    """The path in `f`, where it is one."""
    return os.fspath(f) if isinstance(f, (str, os.PathLike)) else None
