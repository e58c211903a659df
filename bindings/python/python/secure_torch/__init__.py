"""Load PyTorch checkpoints without running anything that is in them.

`load` judges a file and, where the policy lets it through, rebuilds what `torch.load` would give,
without unpickling. `scan` only judges. Every other name is torch's: `import secure_torch as torch`
works.
"""

from __future__ import annotations

import sys
from typing import Any

from ._convert import Converted, convert, rules
from ._hooks import Handle, patch_huggingface, patch_pickle, patch_torch, protect
from ._load import DEFAULT_MAX_THREAT_SCORE, load
from ._native import Policy, __version__
from ._report import Finding, Global, Part, Report
from ._save import save
from ._scan import scan, scan_file
from .errors import (
    FeatureError,
    FormatError,
    InputError,
    PolicyError,
    SandboxError,
    SecurityError,
    SecurityWarning,
    SignatureRequiredError,
    UnsafeModelError,
    UnsafePickleError,
    UntrustedPublisherError,
)

__all__ = [
    "DEFAULT_MAX_THREAT_SCORE",
    "Converted",
    "FeatureError",
    "Finding",
    "FormatError",
    "Global",
    "Handle",
    "InputError",
    "Part",
    "Policy",
    "PolicyError",
    "Report",
    "SandboxError",
    "SecurityError",
    "SecurityWarning",
    "SignatureRequiredError",
    "UnsafeModelError",
    "UnsafePickleError",
    "UntrustedPublisherError",
    "__version__",
    "convert",
    "load",
    "patch_huggingface",
    "patch_pickle",
    "patch_torch",
    "protect",
    "rules",
    "save",
    "scan",
    "scan_file",
]


def __getattr__(name: str) -> Any:
    # Python asks for names such as `__path__` on its own; torch's answer would be a wrong one.
    if name.startswith("__") and name.endswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Not `from . import _dropin`: Python would ask this function for `_dropin`.
    from ._dropin import attribute
    from ._order import answered

    torch_was_there = "torch" in sys.modules
    return answered(attribute(name), name, torch_was_there, sys._getframe(1))


def __dir__() -> list[str]:
    from ._dropin import names

    return sorted({*globals(), *names()})
