"""`torch.hub`, with downloads that are judged before they are loaded.

`load` and its kin run the Python code of a repository. No judgement of a model file says anything
about code, so they are refused.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import zipfile
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlparse

from ._dropin import passthrough
from ._hooks import _gate, _torch
from ._scan import policy_of

if TYPE_CHECKING:
    from ._scan import PolicyLike

__all__ = ["help", "list", "load", "load_state_dict_from_url"]


def load_state_dict_from_url(
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = True,
    *,
    policy: PolicyLike = None,
) -> Any:
    """`torch.hub.load_state_dict_from_url`, by `secure_torch.load`.

    torch downloads the file, unless it is there already. With `check_hash` its SHA-256 is compared
    with its name in either case. `weights_only` is true where nothing else is said.
    """
    return from_url(
        [policy_of(policy)],
        url,
        model_dir,
        map_location,
        progress,
        check_hash,
        file_name,
        weights_only,
    )


def from_url(
    policies: _gate.Policies,
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = True,
) -> Any:
    """`load_state_dict_from_url` under some policies."""
    torch_hub = importlib.import_module("torch.hub")
    folder = model_dir or os.path.join(torch_hub.get_dir(), "checkpoints")
    os.makedirs(folder, exist_ok=True)
    name = file_name or os.path.basename(urlparse(url).path)
    path = os.path.join(folder, name)
    match = torch_hub.HASH_REGEX.search(name) if check_hash else None
    if not os.path.exists(path):
        print(f'Downloading: "{url}" to {path}')
        torch_hub.download_url_to_file(
            url, path, match.group(1) if match else None, progress=progress
        )
    if match and not _sha256(path).startswith(match.group(1)):
        raise RuntimeError(f"invalid hash value (expected {match.group(1)!r}, in {path})")
    return _torch.load_under(
        policies, _unzipped(path, policies), map_location, weights_only=weights_only
    )


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _unzipped(path: str, policies: _gate.Policies) -> Any:
    """The file, or the only member of a ZIP: how files were published before torch 1.6."""
    if not zipfile.is_zipfile(path):
        return path
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if len(members) != 1 or members[0].is_dir():
            return path
    data, _ = _gate.judged_bytes(path, policies, "the file")
    import io

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return io.BytesIO(archive.read(archive.infolist()[0]))


def refuse_code(what: str) -> NoReturn:
    """Raises for a function that runs a repository's code."""
    _gate.refuse(
        f"{what} runs the Python code of a repository (hubconf.py), which no judgement covers",
        "read the repository's code and import it like any other package, and load its weights "
        "with `load_state_dict_from_url`; or call torch.hub itself, in a process without secrets",
    )


def load(*_: Any, **__: Any) -> NoReturn:
    """Refused: it runs code."""
    refuse_code("torch.hub.load")


def list(*_: Any, **__: Any) -> NoReturn:
    """Refused: it runs code."""
    refuse_code("torch.hub.list")


def help(*_: Any, **__: Any) -> NoReturn:
    """Refused: it runs code."""
    refuse_code("torch.hub.help")


__getattr__, __dir__ = passthrough(__name__, globals())
