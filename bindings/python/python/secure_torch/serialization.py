"""`torch.serialization`, with our `load` and `save`."""

from __future__ import annotations

from ._dropin import passthrough
from ._load import load
from ._save import save

__all__ = ["load", "save"]

__getattr__, __dir__ = passthrough(__name__, globals())
