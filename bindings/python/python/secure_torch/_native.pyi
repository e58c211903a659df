# The native half, which `src/` defines; `mypy.stubtest` compares them.
import os
from collections.abc import Callable
from typing import IO, Any, final

__all__ = ["Judgement", "Policy", "__version__", "convert", "load", "rules", "run", "scan"]

__version__: str

@final
class Policy:
    """What is let through: a score, names of globals, limits, and perhaps a `secure-torch.toml`."""

    def __new__(
        cls,
        max_threat_score: int | None = None,
        allow: list[str] = ...,
        limits: dict[str, int] = ...,
    ) -> Policy: ...
    @staticmethod
    def open(path: str | os.PathLike[str]) -> Policy: ...
    @staticmethod
    def from_toml(text: str, base: str | os.PathLike[str]) -> Policy: ...
    @staticmethod
    def discover(path: str | os.PathLike[str]) -> tuple[os.PathLike[str], Policy] | None: ...
    def with_max_threat_score(self, score: int) -> Policy: ...
    @property
    def max_threat_score(self) -> int: ...
    @property
    def allow(self) -> list[str]: ...
    @property
    def path(self) -> os.PathLike[str] | None: ...

@final
class Judgement:
    """The judgement of one file. `secure_torch.Report` is its face."""

    @property
    def load_allowed(self) -> bool: ...
    def json(self) -> str: ...
    def to_sarif(self) -> str: ...
    def sha256(self) -> str: ...

def scan(
    given: str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes], policy: Policy
) -> Judgement: ...
def load(
    given: str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes],
    policy: Policy,
    *,
    encoding: str,
    mmap: bool,
    torch: bool,
    audit_only: bool,
    location: tuple[Callable[[Any, str], Any], bool] | None,
) -> tuple[Any, Judgement]: ...
def run(arguments: list[str]) -> int: ...
def rules() -> str: ...
def convert(
    given: str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes],
    out: str | os.PathLike[str],
    policy: Policy,
    *,
    key: str | None,
    drop_rest: bool,
    duplicate_shared: bool,
    force: bool,
) -> tuple[tuple[int, int, list[tuple[str, str]], int, list[str]], Judgement]: ...
