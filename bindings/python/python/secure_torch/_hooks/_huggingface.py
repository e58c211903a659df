"""The hooks of `huggingface_hub`, `transformers` and `diffusers`: a file is judged before its path
is given out.

A folder is judged file by file. Nothing is removed from the cache: the caller just never learns
where a blocked file lies.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from . import _gate
from ._family import FAMILIES, Family, Site
from ._proxy import stand_in

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._replace import Held

_FUNCTIONS = {
    "huggingface_hub.file_download": [
        "hf_hub_download",
        "cached_download",
        "try_to_load_from_cache",
    ],
    "huggingface_hub._snapshot_download": ["snapshot_download"],
    "huggingface_hub.hf_api": [
        "HfApi.hf_hub_download",
        "HfApi.snapshot_download",
    ],
    "transformers.utils.hub": [
        "cached_file",
        "cached_files",
        "cached_path",
        "get_file_from_repo",
        "get_checkpoint_shard_files",
    ],
    "transformers.file_utils": ["cached_path"],
    "diffusers.utils.hub_utils": ["_get_model_file", "_get_checkpoint_shard_files"],
    "diffusers.pipelines.pipeline_utils": ["DiffusionPipeline.download"],
}


def judge_paths(result: Any, policies: _gate.Policies) -> None:
    """Judges every file that a result names: a path, or paths in lists, tuples and dicts."""
    if _gate.is_path(result):
        path = os.fspath(result)
        for file in _files(path):
            _gate.judge(file, policies, f"`{ascii(os.path.basename(file))[1:-1]}`")
    elif isinstance(result, (list, tuple, set)):
        for item in result:
            judge_paths(item, policies)
    elif isinstance(result, dict):
        for item in result.values():
            judge_paths(item, policies)


def _files(path: str) -> Iterable[str]:
    if os.path.isfile(path):
        yield path
    elif os.path.isdir(path):
        # Links to folders are not followed, as nothing in a snapshot is one.
        for folder, _, names in os.walk(path):
            for name in sorted(names):
                file = os.path.join(folder, name)
                if os.path.isfile(file):
                    yield file


def _download(held: Held) -> Any:
    function = held.original
    if isinstance(function, (classmethod, staticmethod)):
        return _bound(held)

    def run(*args: Any, **options: Any) -> Any:
        result = held.original(*args, **options)
        judge_paths(result, FAMILY.policies())
        return result

    return stand_in(held, run)


def _bound(held: Held) -> Any:
    kind = type(held.original)

    def run(*args: Any, **options: Any) -> Any:
        result = held.original.__func__(*args, **options)
        judge_paths(result, FAMILY.policies())
        return result

    run.__name__ = held.original.__func__.__name__
    run.__doc__ = held.original.__func__.__doc__
    return kind(run)


def _sites() -> list[Site]:
    return [
        Site(module, name, _download, "." not in name)
        for module, names in _FUNCTIONS.items()
        for name in names
    ]


FAMILY = Family("huggingface", _sites())
FAMILIES.append(FAMILY)
