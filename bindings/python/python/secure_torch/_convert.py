"""`convert`, and the rules as data."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

from ._load import DEFAULT_MAX_THREAT_SCORE, scored_policy
from ._native import convert as _convert
from ._native import rules as _rules
from ._report import Report
from ._scan import Given, PolicyLike


@dataclass(frozen=True)
class Converted:
    """What was converted.

    `tied` leads from each name that was not written to the name that has the same tensor;
    `dropped_first` names the first values that were left out because they are no tensors.
    """

    tensors: int
    bytes: int
    tied: dict[str, str]
    dropped: int
    dropped_first: list[str]
    report: Report


def convert(
    f: Given,
    out: str | os.PathLike[str],
    *,
    policy: PolicyLike = None,
    max_threat_score: int = DEFAULT_MAX_THREAT_SCORE,
    key: str | None = None,
    drop_rest: bool = False,
    duplicate_shared: bool = False,
    force: bool = False,
) -> Converted:
    """Judges a model file and writes its tensors to a safetensors file, whole or not at all.

    `key` is the part to convert: the keys that lead to it, joined by dots. `drop_rest` leaves out
    what is no tensor, which is an error otherwise. A tensor that has several names is written once,
    and the metadata says which name stands for which; `duplicate_shared` writes it once for each.
    `force` replaces a file that is there.
    """
    told, judgement = _convert(
        f,
        os.fspath(out),
        scored_policy(policy, max_threat_score),
        key=key,
        drop_rest=drop_rest,
        duplicate_shared=duplicate_shared,
        force=force,
    )
    tensors, written, tied, dropped, first = told
    return Converted(tensors, written, dict(tied), dropped, first, Report(judgement))


def rules() -> dict[str, Any]:
    """Every rule, level, family, limit and allowed global: the tables that judge."""
    found: dict[str, Any] = json.loads(_rules())
    return found
