"""Calls back when a module has been imported, before anybody else sees it.

`patch_torch()` may come before `import torch`. The module is then changed right behind its own
code, so that whoever imports a name from it gets the changed one.
"""

from __future__ import annotations

import importlib.machinery
import sys
from typing import TYPE_CHECKING, Any, Callable

if TYPE_CHECKING:
    import types
    from collections.abc import Sequence

Callback = Callable[[str], None]


class Watch:
    """A finder for `sys.meta_path` that finds what the others find, and listens."""

    def __init__(self, callback: Callback) -> None:
        self._callback = callback
        self._wanted: dict[str, int] = {}
        self._looking: set[str] = set()

    def want(self, name: str) -> None:
        """Listens for a module."""
        self._wanted[name] = self._wanted.get(name, 0) + 1
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def drop(self, name: str) -> None:
        """Takes back one `want`."""
        left = self._wanted.pop(name, 1) - 1
        if left:
            self._wanted[name] = left
        elif not self._wanted and self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,
        target: types.ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        """What the other finders find."""
        if name not in self._wanted or name in self._looking:
            return None
        self._looking.add(name)
        try:
            for finder in list(sys.meta_path):
                find = None if finder is self else getattr(finder, "find_spec", None)
                spec: importlib.machinery.ModuleSpec | None = (
                    None if find is None else find(name, path, target)
                )
                if spec is not None:
                    break
            else:
                return None
        finally:
            self._looking.discard(name)
        if spec.loader is not None:
            self._listen(name, spec)
        return spec

    def _listen(self, name: str, spec: importlib.machinery.ModuleSpec) -> None:
        loader: Any = spec.loader
        execute = getattr(loader, "exec_module", None)
        if execute is None:
            # A loader without it is deprecated, and takes no part in this.
            return

        def exec_module(module: types.ModuleType) -> None:
            execute(module)
            self._callback(name)

        try:
            if isinstance(loader, type):
                raise AttributeError
            # The loader belongs to this spec alone; whoever asks for its type still gets the truth.
            loader.exec_module = exec_module
        except AttributeError:
            # One that has no attributes, or a class that loads all modules of its kind.
            spec.loader = _Loader(loader, exec_module)  # type: ignore[assignment]


class _Loader:
    """A loader that cannot be changed itself."""

    def __init__(self, loader: Any, execute: Callable[[types.ModuleType], None]) -> None:
        self._loader = loader
        self.exec_module = execute

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)
