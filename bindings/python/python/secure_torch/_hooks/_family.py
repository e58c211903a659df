"""Hooks that are put in together, counted, and taken out again."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable

from ._gate import Imports
from ._replace import Held, replace
from ._watch import Watch

if TYPE_CHECKING:
    from types import TracebackType

    from .._native import Policy

# One lock for all: a hook that is put in may import what another one watches.
_LOCK = threading.RLock()


@dataclass(frozen=True)
class Site:
    """A name that gets another value while hooks are in."""

    module: str
    """The module that defines it."""
    name: str
    """The name there; `Class.method` for one of a class."""
    make: Callable[[Held], Any]
    """Makes the new value from the old one."""
    everywhere: bool = True
    """Whether every other reference to the old value is replaced too."""


@dataclass
class _Change:
    owner: Any
    name: str
    old: Held
    new: Held
    everywhere: bool


@dataclass(eq=False)
class _Order:
    """What one handle asks for."""

    policy: Policy
    options: frozenset[str]
    imports: Imports = field(init=False)

    def __post_init__(self) -> None:
        self.imports = Imports(self.policy)


class Handle:
    """Hooks that are in. `undo()` takes them out; so does the end of a `with` block."""

    __slots__ = ("_parts",)

    def __init__(self, parts: list[tuple[Family, _Order]]) -> None:
        self._parts = parts

    @classmethod
    def of(cls, *handles: Handle) -> Handle:
        """One handle in the place of several."""
        parts = [part for handle in handles for part in handle._parts]
        for handle in handles:
            handle._parts = []
        return cls(parts)

    def undo(self) -> None:
        """Takes the hooks out, unless another handle needs them. A second call does nothing."""
        with _LOCK:
            parts, self._parts = self._parts, []
            for family, order in reversed(parts):
                family.remove(order)

    @property
    def active(self) -> bool:
        """Whether the hooks of this handle are in."""
        return bool(self._parts)

    def __enter__(self) -> Handle:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.undo()

    def __repr__(self) -> str:
        names = ", ".join(family.name for family, _ in self._parts)
        return f"<secure_torch hooks: {names or 'taken out'}>"


class Family:
    """The hooks of one library, in or out as a whole."""

    def __init__(self, name: str, sites: list[Site]) -> None:
        self.name = name
        self._sites = sites
        self._orders: tuple[_Order, ...] = ()
        self._changes: list[_Change] = []

    def add(self, policy: Policy, options: frozenset[str] = frozenset()) -> Handle:
        """Puts the hooks in, or tightens those that are in already."""
        order = _Order(policy, options)
        with _LOCK:
            self._orders += (order,)
            if len(self._orders) == 1:
                self._put_in()
        return Handle([(self, order)])

    def remove(self, order: _Order) -> None:
        """Takes back one `add`."""
        with _LOCK:
            self._orders = tuple(o for o in self._orders if o is not order)
            if not self._orders:
                self._take_out()

    def policies(self, option: str | None = None) -> list[Policy]:
        """The policies in force: every one of them must let a file through."""
        return [o.policy for o in self._orders if option is None or option in o.options]

    def allows_import(self, module: str, name: str) -> bool:
        """Whether every policy in force lets a pickle import a global."""
        return all(order.imports.allows(module, name) for order in self._orders)

    def imported(self, module: str) -> None:
        """Changes a module that has just been imported."""
        with _LOCK:
            if self._orders:
                self._apply([site for site in self._sites if site.module == module])

    def _put_in(self) -> None:
        for name in {site.module for site in self._sites}:
            WATCH.want(name)
        self._apply(self._sites)

    def _apply(self, sites: list[Site]) -> None:
        pairs = []
        # `pickle.load` and `_pickle.load` are one function, and stay one.
        made = {id(c.old.original): c.new.original for c in self._changes if c.everywhere}
        for site in sites:
            owner: Any = sys.modules.get(site.module)
            *path, name = site.name.split(".")
            for step in path:
                owner = getattr(owner, step, None)
            old = None if owner is None else vars(owner).get(name)
            if old is None or any(
                c.owner is owner and c.name == name and c.new.original is old for c in self._changes
            ):
                continue
            held = Held(old)
            new = made.get(id(old)) if site.everywhere else None
            new = site.make(held) if new is None else new
            self._changes.append(_Change(owner, name, held, Held(new), site.everywhere))
            setattr(owner, name, new)
            if site.everywhere:
                made[id(old)] = new
                pairs.append((held, new))
        replace(pairs)

    def _take_out(self) -> None:
        for name in {site.module for site in self._sites}:
            WATCH.drop(name)
        changes, self._changes = self._changes, []
        for change in reversed(changes):
            # Somebody else may have put something on top meanwhile, which is theirs.
            if vars(change.owner).get(change.name) is change.new.original:
                setattr(change.owner, change.name, change.old.original)
        replace([(c.new, c.old.original) for c in changes if c.everywhere])


FAMILIES: list[Family] = []


def _imported(module: str) -> None:
    for family in FAMILIES:
        family.imported(module)


WATCH = Watch(_imported)
