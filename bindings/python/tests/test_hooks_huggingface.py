"""`patch_huggingface`, on small modules that stand for the real ones."""

from __future__ import annotations

import json
import os
import textwrap
from pathlib import Path

import pytest

from attack import EVIL, GOOD, process

# What `huggingface_hub`, `transformers` and `diffusers` look like from outside: files that define
# functions, and files that took them over by name when they were imported.
PACKAGES = {
    "huggingface_hub/__init__.py": """
        from .file_download import hf_hub_download, cached_download, try_to_load_from_cache
        from ._snapshot_download import snapshot_download
        from .hf_api import HfApi
    """,
    "huggingface_hub/file_download.py": """
        import os
        def hf_hub_download(repo_id, filename, *, cache="cache"):
            "Downloads."
            return os.path.join(cache, repo_id, filename)
        def cached_download(url): return hf_hub_download("repo", url)
        NOTHING = object()
        def try_to_load_from_cache(repo_id, filename):
            path = hf_hub_download(repo_id, filename)
            return path if os.path.exists(path) else NOTHING
    """,
    "huggingface_hub/_snapshot_download.py": """
        import os
        def snapshot_download(repo_id): return os.path.join("cache", repo_id)
    """,
    "huggingface_hub/hf_api.py": """
        class HfApi:
            def hf_hub_download(self, repo_id, filename):
                from .file_download import hf_hub_download
                return hf_hub_download(repo_id, filename)
            def snapshot_download(self, repo_id):
                from ._snapshot_download import snapshot_download
                return snapshot_download(repo_id)
    """,
    "transformers/__init__.py": "from .utils import cached_file, get_checkpoint_shard_files",
    "transformers/utils/__init__.py": """
        from .hub import cached_file, cached_files, get_checkpoint_shard_files
    """,
    "transformers/utils/hub.py": """
        import os
        def cached_file(repo, name):
            path = os.path.join("cache", repo, name)
            return path if os.path.exists(path) else None
        def cached_files(repo, names): return [cached_file(repo, name) for name in names]
        def get_checkpoint_shard_files(repo, names): return cached_files(repo, names), {"a": 1}
    """,
    "diffusers/__init__.py": """
        from .utils.hub_utils import _get_model_file
        from .pipelines.pipeline_utils import DiffusionPipeline
    """,
    "diffusers/utils/__init__.py": "",
    "diffusers/utils/hub_utils.py": """
        import os
        def _get_model_file(repo, *, weights_name): return os.path.join("cache", repo, weights_name)
    """,
    "diffusers/pipelines/__init__.py": "",
    "diffusers/pipelines/pipeline_utils.py": """
        import os
        class DiffusionPipeline:
            @classmethod
            def download(cls, repo): return os.path.join("cache", repo)
    """,
    # A program that bound everything before anybody thought of hooks.
    "program.py": """
        import functools
        import diffusers, huggingface_hub, transformers
        from huggingface_hub import HfApi, hf_hub_download, snapshot_download
        from huggingface_hub.file_download import cached_download, try_to_load_from_cache
        from transformers import cached_file, get_checkpoint_shard_files
        from transformers.utils.hub import cached_files
        from diffusers import DiffusionPipeline, _get_model_file

        partial = functools.partial(hf_hub_download, "repo")
        api = HfApi()
        bound = api.hf_hub_download
        def default(name, fetch=hf_hub_download): return fetch("repo", name)

        WAYS = {
            "hf_hub_download": lambda name: huggingface_hub.hf_hub_download("repo", name),
            "file_download.hf_hub_download": lambda name:
                huggingface_hub.file_download.hf_hub_download("repo", filename=name),
            "early hf_hub_download": lambda name: hf_hub_download("repo", name),
            "early cached_download": lambda name: cached_download(name),
            "early try_to_load_from_cache": lambda name: try_to_load_from_cache("repo", name),
            "early snapshot_download": lambda name: snapshot_download("folder-" + name),
            "HfApi.hf_hub_download": lambda name: HfApi().hf_hub_download("repo", name),
            "bound method": lambda name: bound("repo", name),
            "HfApi.snapshot_download": lambda name: api.snapshot_download("folder-" + name),
            "partial": lambda name: partial(name),
            "default": lambda name: default(name),
            "early cached_file": lambda name: cached_file("repo", name),
            "early cached_files": lambda name: cached_files("repo", [name])[0],
            "early get_checkpoint_shard_files": lambda name:
                get_checkpoint_shard_files("repo", ["good.pkl", name])[0][1],
            "early _get_model_file": lambda name: _get_model_file("repo", weights_name=name),
            "DiffusionPipeline.download": lambda name: DiffusionPipeline.download("folder-" + name),
        }

        def tell(name):
            import secure_torch
            told = {}
            for way, fetch in WAYS.items():
                try:
                    told[way] = str(fetch(name))
                except secure_torch.SecurityError as error:
                    told[way] = type(error).__name__
            return told
    """,
}
RUN = """
    import json, sys
    mode = sys.argv[1]
    import secure_torch
    if mode == "late":
        handle = secure_torch.patch_huggingface()
    import program
    if mode in ("hooked", "undone"):
        handle = secure_torch.patch_huggingface()
    if mode == "undone":
        handle.undo()
    assert program.hf_hub_download.__doc__ == "Downloads."
    print(json.dumps({name: program.tell(name) for name in ("good.pkl", "evil.pkl")}))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the modules, and with a cache that holds a good and an evil file."""
    root = tmp_path_factory.mktemp("hub")
    for name, text in PACKAGES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    (root / "run.py").write_text(textwrap.dedent(RUN))
    for name, data in (("good.pkl", GOOD), ("evil.pkl", EVIL)):
        # As in the real cache, what a name leads to lies elsewhere.
        blob = root / "cache" / "blobs" / name
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(data)
        for repository in ("repo", f"folder-{name}/deep"):
            place = root / "cache" / repository / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(blob)
            (place.parent / "__init__.py").touch()
    return root


def told(folder: Path, mode: str) -> dict[str, dict[str, str]]:
    """What a program hears from each way, for each file."""
    found: dict[str, dict[str, str]] = json.loads(process(["run.py", mode], folder).stdout)
    return found


@pytest.mark.parametrize("mode", ["unhooked", "undone"])
def test_without_the_hook_every_path_is_given_out(folder: Path, mode: str) -> None:
    """The ways work, for a good file and for an evil one."""
    for name, paths in told(folder, mode).items():
        assert paths
        for way, path in paths.items():
            assert path in (
                os.path.join("cache", "repo", name),
                os.path.join("cache", f"folder-{name}"),
            ), way


@pytest.mark.parametrize("mode", ["hooked", "late"])
def test_with_the_hook_no_caller_learns_where_a_blocked_file_lies(folder: Path, mode: str) -> None:
    """Whether the modules were imported before the hook or after it."""
    paths = told(folder, mode)
    assert set(paths["evil.pkl"].values()) == {"UnsafePickleError"}
    assert paths["good.pkl"] == told(folder, "unhooked")["good.pkl"]


def test_what_is_no_path_is_passed_on(folder: Path) -> None:
    """A sentinel, `None`, and the path of something that is not there."""
    code = """
        import secure_torch, program
        with secure_torch.patch_huggingface():
            nothing = program.huggingface_hub.file_download.NOTHING
            assert program.try_to_load_from_cache("repo", "missing") is nothing
            assert program.cached_file("repo", "missing") is None
            assert program.hf_hub_download("repo", "missing").endswith("missing")
            assert program.get_checkpoint_shard_files("repo", []) == ([], {"a": 1})
        print("passed")
    """
    assert process(["-c", textwrap.dedent(code)], folder).stdout == "passed\n"


def test_the_error_names_the_file_and_has_its_report(folder: Path) -> None:
    """Whoever catches it can read what was found."""
    code = """
        import secure_torch, program
        with secure_torch.patch_huggingface():
            try:
                program.snapshot_download("folder-evil.pkl")
            except secure_torch.UnsafePickleError as error:
                assert "evil.pkl" in str(error), error
                assert error.report.path.endswith("evil.pkl")
                assert error.report.globals[0].family == "process-execution"
                print(error.code)
    """
    assert process(["-c", textwrap.dedent(code)], folder).stdout == "model-blocked\n"
