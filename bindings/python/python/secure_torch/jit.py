"""`torch.jit`, with a `load` behind the gate.

TorchScript is code: its operators read and write files, and torch compiles and runs it without any
limit. The gate judges the archive first, and lets it through only where its operators are harmless
and the policy admits code; torch then loads the bytes that were judged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._dropin import passthrough
from ._hooks import _torch
from ._scan import policy_of

if TYPE_CHECKING:
    from ._scan import PolicyLike

__all__ = ["load"]


def load(
    f: Any,
    map_location: Any = None,
    _extra_files: dict[str, Any] | None = None,
    _restore_shapes: bool = False,
    *,
    policy: PolicyLike = None,
) -> Any:
    """`torch.jit.load` of what the policy lets through.

    TorchScript scores 25, and 20 is what passes unless more is said: a policy with
    `max_threat_score=25` says so, for files whose publisher you trust.
    """
    from torch.jit import _serialization

    return _torch.run_under(
        [policy_of(policy)],
        _torch.unhooked(_serialization.load),
        f,
        map_location,
        _extra_files,
        _restore_shapes,
        what="the TorchScript file",
    )


__getattr__, __dir__ = passthrough(__name__, globals())
