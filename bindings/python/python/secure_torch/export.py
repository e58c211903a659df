"""`torch.export`, with a `load` behind the gate.

A `.pt2` file may hold pickled tensors and compiled code; torch reads it, once it was judged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._dropin import passthrough
from ._hooks import _torch
from ._scan import policy_of

if TYPE_CHECKING:
    from ._scan import PolicyLike

__all__ = ["load"]


def load(f: Any, *, policy: PolicyLike = None, **options: Any) -> Any:
    """`torch.export.load` of what the policy lets through."""
    import torch.export

    function = _torch.unhooked(torch.export.load)
    return _torch.run_under(
        [policy_of(policy)], function, f, what="the exported program", **options
    )


__getattr__, __dir__ = passthrough(__name__, globals())
