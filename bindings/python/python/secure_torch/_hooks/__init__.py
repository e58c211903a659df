"""Hooks that put other people's loading code under the gate, and can be taken out again.

    with secure_torch.protect():
        model = some_library.load("model.pt")

Each function puts its hooks in at once and gives a `Handle`: `undo()` takes them out, and so does
the end of a `with` block. Hooks hold for the whole process and for all of its threads. Where
several are in, each of their policies has to let a file through: nobody loosens what somebody else
asked for. What was imported before is covered as well, and what is imported later. What no hook can
reach is listed in docs/hooks.md; hooks are no sandbox.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _huggingface, _pickle, _torch
from ._family import Handle

if TYPE_CHECKING:
    from .._native import Policy
    from .._scan import PolicyLike

__all__ = ["Handle", "patch_huggingface", "patch_pickle", "patch_torch", "protect"]


def patch_torch(
    policy: PolicyLike = None, *, max_threat_score: int | None = None, hub_code: bool = False
) -> Handle:
    """Puts `torch.load` and everything else in torch that reads model files under the gate.

    `hub_code=True` leaves `torch.hub.load` and its kin alone, which run the Python code of a
    repository and are refused otherwise.
    """
    options = frozenset({_torch.HUB_CODE} if hub_code else ())
    return _torch.FAMILY.add(_policy(policy, max_threat_score), options)


def patch_pickle(
    policy: PolicyLike = None,
    *,
    max_threat_score: int | None = None,
    multiprocessing: bool = False,
) -> Handle:
    """Judges every pickle before it is unpickled, whoever unpickles it.

    Messages between this process and its own children are left alone: they are as trusted as the
    process itself, and are full of classes that nobody has judged. `multiprocessing=True` has
    them judged too.
    """
    options = frozenset({_pickle.CHILDREN} if multiprocessing else ())
    return _pickle.FAMILY.add(_policy(policy, max_threat_score), options)


def patch_huggingface(policy: PolicyLike = None, *, max_threat_score: int | None = None) -> Handle:
    """Judges what `huggingface_hub`, `transformers` and `diffusers` download before they tell
    where it lies.
    """
    return _huggingface.FAMILY.add(_policy(policy, max_threat_score))


def protect(
    policy: PolicyLike = None,
    *,
    max_threat_score: int | None = None,
    multiprocessing: bool = False,
    hub_code: bool = False,
) -> Handle:
    """All hooks at once."""
    found = _policy(policy, max_threat_score)
    return Handle.of(
        patch_pickle(found, multiprocessing=multiprocessing),
        patch_torch(found, hub_code=hub_code),
        patch_huggingface(found),
    )


def _policy(policy: PolicyLike, max_threat_score: int | None) -> Policy:
    from .._load import DEFAULT_MAX_THREAT_SCORE, scored_policy

    score = DEFAULT_MAX_THREAT_SCORE if max_threat_score is None else max_threat_score
    return scored_policy(policy, score)
