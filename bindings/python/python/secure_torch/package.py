"""`torch.package`, with a `PackageImporter` behind the gate.

A package is Python code and pickles that import it. It is judged as a whole, and is blocked unless
a policy lets it through.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from . import _dropin
from ._hooks import _torch
from ._scan import policy_of

if TYPE_CHECKING:
    from ._scan import PolicyLike

__all__ = ["PackageImporter"]  # noqa: F822 - made when it is asked for


@functools.cache
def _importer() -> Any:
    import torch.package

    class PackageImporter(torch.package.PackageImporter):  # type: ignore[misc]
        """A `torch.package.PackageImporter` of a package that the policy lets through."""

        def __init__(
            self, file_or_buffer: Any, *args: Any, policy: PolicyLike = None, **options: Any
        ) -> None:
            start = super().__init__
            _torch.run_under(
                [policy_of(policy)], start, file_or_buffer, *args, what="the package", **options
            )

    return PackageImporter


_others, __dir__ = _dropin.passthrough(__name__, {"PackageImporter": None})


def __getattr__(name: str) -> Any:
    return _importer() if name == "PackageImporter" else _others(name)
