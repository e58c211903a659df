"""`map_location`: where storages go, as `torch.load` reads it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

# torch's own, which also knows the devices that other packages registered.
_restore = torch.serialization.default_restore_location


def asked(map_location: Any) -> tuple[Callable[[Any, str], Any], bool] | None:
    """What the native half asks for each storage, and whether it asks about those on the CPU.

    `None` where every storage stays on the CPU, wherever it was saved.
    """
    if map_location is None:
        return _default, False
    if isinstance(map_location, (str, bytes)):
        place = map_location.decode() if isinstance(map_location, bytes) else map_location
        return None if place == "cpu" else ((lambda storage, _: _moved(storage, place)), True)
    if isinstance(map_location, torch.device):
        return asked(str(map_location))
    if isinstance(map_location, dict):
        return (lambda storage, saved: _moved(storage, map_location.get(saved, saved))), True
    if not callable(map_location):
        raise TypeError(
            "`map_location` is None, a device, its name, a dict of names or a function, not "
            f"{type(map_location).__name__}"
        )

    def ask(storage: Any, saved: str) -> Any:
        place = map_location(storage, saved)
        return _default(storage, saved) if place is None else place

    return ask, True


def _moved(storage: Any, place: str) -> Any:
    return storage if place == "cpu" else _restore(storage, place)


def _default(storage: Any, saved: str) -> Any:
    try:
        return _moved(storage, saved)
    except RuntimeError as error:
        # The same kind of error, in the same case (torch/serialization.py, _validate_device).
        raise RuntimeError(
            f"a storage was saved on {saved!r}, which this machine does not have: give "
            f'`map_location="cpu"` to load it onto the CPU ({error})'
        ) from error
