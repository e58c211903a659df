"""`torch.serialization`, with our `load`."""

from __future__ import annotations

from ._dropin import passthrough
from ._load import load

__all__ = ["load"]

__getattr__, __dir__ = passthrough(__name__, globals())
