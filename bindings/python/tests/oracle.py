"""What torch makes of a file that a test wrote itself, and how long tests look."""

from __future__ import annotations

import io
import os
import pickle
import warnings
from pathlib import Path
from typing import Any, Callable

import torch
from hypothesis import HealthCheck, seed, settings

WANTED = os.environ.get("SECURE_TORCH_SEED", "")


def looked_at(examples: int) -> Callable[[Any], Any]:
    """So many examples: the same ones in every run, unless `SECURE_TORCH_SEED` says otherwise.

    It is a number, or `random`. `SECURE_TORCH_EXAMPLES` multiplies how many there are.
    """
    times = int(os.environ.get("SECURE_TORCH_EXAMPLES", "1"))
    held = settings(
        max_examples=examples * times,
        deadline=None,
        database=None,
        derandomize=not WANTED,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    if WANTED and WANTED != "random":
        return lambda test: seed(int(WANTED))(held(test))
    return held


def torch_load(source: Any, weights_only: bool | None = None, **kwargs: Any) -> Any:
    """What torch gives: with `weights_only=True` where that does, else without.

    Only for files that the test wrote itself.
    """
    if isinstance(source, bytes):
        source = io.BytesIO(source)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if weights_only is not None:
            return torch.load(source, weights_only=weights_only, **kwargs)
        try:
            return torch.load(source, weights_only=True, **kwargs)
        except (pickle.UnpicklingError, RuntimeError, UnicodeDecodeError):
            if hasattr(source, "seek"):
                source.seek(0)
            return torch.load(source, weights_only=False, **kwargs)


def saved(value: Any, path: Path, protocol: int = 2, new: bool = True) -> Path:
    """Saves as torch does, in one of its two layouts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(value, path, pickle_protocol=protocol, _use_new_zipfile_serialization=new)
    return path
