"""Replaces an object by another, wherever something refers to it by name.

`from pickle import loads` makes a second reference that a new `pickle.loads` does not reach. The
garbage collector knows all of them, so it is asked: dicts of modules, instances and classes, lists,
closures, default arguments, partial objects, static and class methods.

Not replaced: local variables of functions that are running, keys and members of sets, bound
methods, and whatever a C extension keeps to itself. See docs/hooks.md.
"""

from __future__ import annotations

import collections
import functools
import gc
import sys
import types
from typing import Any

_PACKAGE = __name__.partition(".")[0]


class Held:
    """Keeps the original of something that was replaced, out of the reach of `replace`."""

    __slots__ = ("original",)

    def __init__(self, original: Any) -> None:
        self.original = original


def ours(module: object) -> bool:
    """Whether a module name belongs to this package."""
    return isinstance(module, str) and (module == _PACKAGE or module.startswith(_PACKAGE + "."))


def replace(pairs: list[tuple[Held, Any]]) -> None:
    """Replaces each held object by its new one, everywhere."""
    found = {id(held.original): new for held, new in pairs}
    if not found:
        return
    referrers = _referrers([held.original for held, _ in pairs])
    own = {id(vars(m)) for name, m in list(sys.modules.items()) if ours(name) and m is not None}
    own |= {id(found), id(referrers)}
    dicts = [r for r in referrers if type(r) is dict and id(r) not in own]
    tuples = [r for r in referrers if type(r) is tuple]
    # What holds the dicts and tuples: classes, functions, and dicts that hold the tuples.
    second: list[Any] = _referrers([*dicts, *tuples]) if dicts or tuples else []
    own |= {id(dicts), id(tuples), id(second)}
    of_classes: set[int] = set()
    for owner in second:
        if isinstance(owner, type):
            of_classes.update(id(d) for d in gc.get_referents(vars(owner)))
            if not ours(owner.__module__):
                _in_class(owner, found)
    for owner in second:
        if isinstance(owner, types.FunctionType):
            _in_function(owner, found)
        elif isinstance(owner, functools.partial):
            _in_partial(owner, found)
    own |= of_classes
    newer = {id(t): _tuple(t, found) for t in tuples}
    for holder in second:
        if type(holder) is dict and id(holder) not in own:
            _in_dict(holder, newer)
    for referrer in referrers:
        if id(referrer) not in own:
            _in_other(referrer, found)


def _referrers(objects: list[Any]) -> list[Any]:
    """What refers to one of the objects."""
    # What `gc.freeze` set aside, the collector does not search: it is walked from the modules.
    found = _walked(objects) if gc.get_freeze_count() else []
    return [
        referrer
        for referrer in [*gc.get_referrers(*objects), *found]
        if referrer is not objects and not isinstance(referrer, types.FrameType)
    ]


def _walked(objects: list[Any]) -> list[Any]:
    wanted = {id(o) for o in objects}
    found = []
    todo: list[Any] = [sys.modules]
    seen = {id(sys.modules): todo[0]}
    while todo:
        container = todo.pop()
        referents = gc.get_referents(container)
        if any(id(o) in wanted for o in referents):
            found.append(container)
        for referent in referents:
            if id(referent) not in seen and gc.is_tracked(referent):
                seen[id(referent)] = referent
                todo.append(referent)
    return found


def _in_class(owner: type, found: dict[int, Any]) -> None:
    for name, value in list(vars(owner).items()):
        new = found.get(id(value))
        if new is not None:
            try:
                type.__setattr__(owner, name, new)
            except TypeError:
                # A class of a C extension, which nobody can change.
                continue


def _in_function(function: types.FunctionType, found: dict[int, Any]) -> None:
    if ours(function.__module__):
        return
    if function.__defaults__ is not None:
        defaults = _tuple(function.__defaults__, found)
        if defaults is not function.__defaults__:
            function.__defaults__ = defaults


def _in_dict(space: dict[Any, Any], found: dict[int, Any]) -> None:
    # By the methods of `dict` itself: a subclass may do something else with what it is given.
    for key, value in list(dict.items(space)):
        new = found.get(id(value))
        if new is not None and new is not value:
            dict.__setitem__(space, key, new)


def _in_other(referrer: Any, found: dict[int, Any]) -> None:
    """Replaces in whatever is none of the cases above."""
    kind = type(referrer)
    if isinstance(referrer, dict):
        _in_dict(referrer, found)
    elif isinstance(referrer, list):
        for at, value in enumerate(list.__iter__(referrer)):
            if id(value) in found:
                list.__setitem__(referrer, at, found[id(value)])
    elif isinstance(referrer, collections.deque):
        for at, value in enumerate(list(referrer)):
            if id(value) in found:
                referrer[at] = found[id(value)]
    elif kind is types.CellType:
        new = found.get(id(referrer.cell_contents))
        if new is not None:
            referrer.cell_contents = new
    elif isinstance(referrer, functools.partial):
        _in_partial(referrer, found)
    elif kind is staticmethod or kind is classmethod:
        new = found.get(id(referrer.__func__))
        if new is not None:
            referrer.__init__(new)
    elif not ours(kind.__module__) and not isinstance(referrer, (type, tuple)):
        _in_instance(referrer, kind, found)


def _in_partial(partial: functools.partial[Any], found: dict[int, Any]) -> None:
    function, args = found.get(id(partial.func), partial.func), _tuple(partial.args, found)
    # The only way to change one in place: its own unpickling (Lib/functools.py, partial).
    state = (function, args, partial.keywords, vars(partial) or None)
    partial.__setstate__(state)  # type: ignore[attr-defined]


def _in_instance(instance: Any, kind: type, found: dict[int, Any]) -> None:
    # Python 3.11 and later keep attributes of an instance without a dict until one is asked for.
    try:
        space = object.__getattribute__(instance, "__dict__")
    except Exception:
        space = None
    if isinstance(space, dict):
        _in_dict(space, found)
    for base in kind.__mro__:
        for slot in list(vars(base).values()):
            if not isinstance(slot, types.MemberDescriptorType):
                continue
            try:
                new = found.get(id(slot.__get__(instance)))
                if new is not None:
                    slot.__set__(instance, new)
            except (AttributeError, TypeError):
                # Empty, or a slot of a C class that is read-only.
                continue


def _tuple(values: tuple[Any, ...], found: dict[int, Any]) -> tuple[Any, ...]:
    if any(id(value) in found for value in values):
        return tuple(found.get(id(value), value) for value in values)
    return values
