"""What stands in the place of functions and modules while hooks are in."""

from __future__ import annotations

import contextlib
import inspect
import types
import weakref
from typing import Any, Callable

from ._replace import Held

_DESCRIBES = frozenset(
    {"__name__", "__qualname__", "__module__", "__doc__", "__text_signature__", "__self__"}
)


_HELD: weakref.WeakKeyDictionary[Any, Held] = weakref.WeakKeyDictionary()


class Builtin:
    """Stands for a function of a C module.

    Like that function, and unlike a function of Python, it is not bound when it is looked up in a
    class: `class Serializer: loads = pickle.loads` works as before.
    """

    __slots__ = ("_held", "_run")

    def __init__(self, held: Held, run: Callable[..., Any]) -> None:
        self._held = held
        self._run = run

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return object.__getattribute__(self, "_run")(*args, **kwargs)

    def __getattribute__(self, name: str) -> Any:
        if name in _DESCRIBES:
            return getattr(object.__getattribute__(self, "_held").original, name)
        return object.__getattribute__(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        # torch renames what it takes over from its C module (torch/__init__.py).
        if name in _DESCRIBES:
            setattr(object.__getattribute__(self, "_held").original, name, value)
        else:
            object.__setattr__(self, name, value)

    def __reduce__(self) -> str:
        # By name, as the function itself: `pickle.dumps(pickle.loads)`.
        return str(self.__qualname__)

    def __repr__(self) -> str:
        return f"<guarded {self.__module__}.{self.__qualname__}>"


def stand_in(held: Held, run: Callable[..., Any]) -> Any:
    """Something to call in the place of a function, which calls `run`."""
    original = held.original
    if not isinstance(original, types.FunctionType):
        return Builtin(held, run)

    def guarded(*args: Any, **kwargs: Any) -> Any:
        return run(*args, **kwargs)

    for name in ("__name__", "__qualname__", "__module__", "__doc__"):
        setattr(guarded, name, getattr(original, name))
    guarded.__dict__.update(vars(original))
    # Not `__wrapped__`: `inspect.unwrap` would lead past the guard.
    guarded.__dict__.pop("__wrapped__", None)
    with contextlib.suppress(TypeError, ValueError):
        guarded.__signature__ = inspect.signature(original)  # type: ignore[attr-defined]
    _HELD[guarded] = held
    return guarded


def original(value: Any) -> Any:
    """What a stand-in stands for; anything else as it is."""
    while True:
        if type(value) is Builtin:
            value = object.__getattribute__(value, "_held").original
        elif isinstance(value, types.FunctionType) and value in _HELD:
            value = _HELD[value].original
        else:
            return value


class Module(types.ModuleType):
    """A module with some names of its own, and all others of another module."""

    def __init__(self, module: types.ModuleType, names: dict[str, Any]) -> None:
        super().__init__(module.__name__, module.__doc__)
        self.__dict__["__module_below__"] = module
        self.__dict__.update(names)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["__module_below__"], name)

    def __dir__(self) -> list[str]:
        return sorted({*self.__dict__, *dir(self.__dict__["__module_below__"])})
