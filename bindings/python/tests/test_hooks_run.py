"""`python -m secure_torch.run`: as Python runs a program, with every hook in."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

from attack import EVIL, process

SHOW = """
    import json, os, sys
    print(json.dumps([__name__, __file__, sys.argv, sys.path[0], __spec__ is None]))
    print(os.path.basename(sys.modules["__main__"].__file__), "__cached__" in globals())
"""
LOAD = "import pickle, sys; pickle.loads(open('evil.pkl', 'rb').read())"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a few programs and an evil file."""
    (tmp_path / "show.py").write_text(textwrap.dedent(SHOW))
    (tmp_path / "load.py").write_text(LOAD)
    (tmp_path / "evil.pkl").write_bytes(EVIL)
    (tmp_path / "broken.py").write_text("x = )\n")
    (tmp_path / "deep.py").write_text("def f():\n    raise ValueError('told')\n\nf()\n")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "helper.py").write_text("import sys\nVALUE = sys.argv[1:]\n")
    (tmp_path / "below" / "main.py").write_text("import helper\nprint(helper.VALUE)\n")
    (tmp_path / "link.py").symlink_to(tmp_path / "below" / "main.py")
    return tmp_path


def both(
    arguments: list[str], folder: Path
) -> tuple[subprocess.CompletedProcess[str], subprocess.CompletedProcess[str]]:
    """A program by Python, and by us."""
    return (
        process(arguments, folder, check=False),
        process(["-m", "secure_torch.run", *arguments], folder, check=False),
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["show.py"],
        ["show.py", "a", "--policy", "b", "-c", "-m"],
        ["./show.py", "--", "x"],
        ["below/main.py", "one"],
        ["link.py", "one"],
        ["deep.py"],
        ["broken.py"],
        ["-c", "import sys; print(sys.argv, sys.path[0] == '', __name__)", "a", "-m"],
        ["-c", "raise SystemExit(7)"],
        ["-c", "raise SystemExit('told')"],
        ["-c", "import sys; sys.exit()"],
        ["-c", "1/0"],
        ["-c", "import os; os._exit(9)"],
        ["-m", "json.tool", "--help"],
        ["-m", "below.main"],
        ["-m", "no_such_module"],
        ["missing.py"],
    ],
)
def test_a_program_sees_and_says_what_it_does_without_us(
    arguments: list[str], folder: Path
) -> None:
    """The same output, the same traceback and the same exit code."""
    plain, ours = both(arguments, folder)
    assert ours.returncode == plain.returncode
    assert ours.stdout == plain.stdout
    if arguments[0] == "-m" and plain.returncode:
        # The last line: what stands above it are frames of runpy, of which we have others.
        assert plain.stderr.splitlines()[-1].rpartition(": ")[2] in ours.stderr
    else:
        assert ours.stderr == plain.stderr


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_a_folder_or_a_zip_runs_too(folder: Path, kind: str) -> None:
    """As `python folder` runs its `__main__.py`."""
    text = "import sys, beside\nprint(beside.VALUE, sys.argv[1:], __name__)\n"
    if kind == "folder":
        (folder / "app").mkdir()
        (folder / "app" / "__main__.py").write_text(text)
        (folder / "app" / "beside.py").write_text("VALUE = 5\n")
    else:
        with zipfile.ZipFile(folder / "app", "w") as file:
            file.writestr("__main__.py", text)
            file.writestr("beside.py", "VALUE = 5\n")
    plain, ours = both(["app", "x"], folder)
    assert plain.stdout == ours.stdout == "5 ['x'] __main__\n"


@pytest.mark.parametrize(
    "arguments", [["load.py"], ["-c", LOAD], ["-m", "load"]], ids=["script", "code", "module"]
)
def test_the_hooks_are_in(arguments: list[str], folder: Path) -> None:
    """The attack works without us, and ends the program with us."""
    plain, ours = both(arguments, folder)
    assert plain.returncode == 0
    (folder / "marker").rmdir()
    assert ours.returncode == 1
    assert "UnsafePickleError: the pickle is blocked" in ours.stderr
    assert not (folder / "marker").exists()


def test_policies_are_taken_from_the_command_line(folder: Path) -> None:
    """A score, a file, and both."""
    (folder / "unknown.py").write_text(
        "import pickle\n"
        "try:\n    pickle.loads(b'cno_such_module_anywhere\\nThing\\n.')\n"
        "except Exception as error:\n    print(type(error).__name__)\n"
    )
    (folder / "lax.toml").write_text("max_threat_score = 60\n")
    for options, expected in (
        ([], "UnsafePickleError"),
        (["--max-threat-score", "60"], "ModuleNotFoundError"),
        (["--policy", "lax.toml"], "ModuleNotFoundError"),
        (["--policy=lax.toml"], "ModuleNotFoundError"),
        (["--policy", "lax.toml", "--max-threat-score", "20"], "UnsafePickleError"),
    ):
        done = process(["-m", "secure_torch.run", *options, "unknown.py"], folder)
        assert done.stdout == f"{expected}\n", options


@pytest.mark.parametrize(
    "options", [["--policy", "missing.toml"], ["--max-threat-score", "many"], ["--nonsense"], []]
)
def test_a_mistake_in_the_options_runs_nothing(options: list[str], folder: Path) -> None:
    """Whatever protects is never left out in silence."""
    program = ["show.py"] if options else []
    done = process(["-m", "secure_torch.run", *options, *program], folder, check=False)
    assert done.returncode != 0
    assert done.stdout == ""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_an_interrupt_ends_it_as_python_ends(folder: Path) -> None:
    """By the signal, so that a shell stops too."""
    # A program that a shell starts in the background ignores the signal, and so would its children.
    code = (
        "import os, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "os.kill(os.getpid(), signal.SIGINT)"
    )
    plain, ours = both(["-c", code], folder)
    assert plain.returncode == ours.returncode == -signal.SIGINT
    assert plain.stderr.splitlines()[-1] == ours.stderr.splitlines()[-1] == "KeyboardInterrupt"


def test_a_sitecustomize_protects_every_python(folder: Path) -> None:
    """The two lines of docs/hooks.md."""
    (folder / "sitecustomize.py").write_text("import secure_torch\nsecure_torch.protect()\n")
    done = process(["-c", LOAD], folder, check=False, path=[str(folder)])
    assert "UnsafePickleError" in done.stderr
    assert not (folder / "marker").exists()
    spawn = """
        import multiprocessing, pickle

        class Thing:
            pass

        def work(pipe, thing):
            assert type(pickle.loads).__module__ == "secure_torch._hooks._proxy"
            try:
                pickle.loads(open("evil.pkl", "rb").read())
            except Exception as error:
                pipe.send((type(error).__name__, thing))

        if __name__ == "__main__":
            context = multiprocessing.get_context("spawn")
            ours, theirs = context.Pipe()
            child = context.Process(target=work, args=(theirs, Thing()))
            child.start()
            # So that a child that ends early ends this too.
            theirs.close()
            name, thing = ours.recv()
            child.join()
            print(name, type(thing) is Thing)
    """
    (folder / "spawn.py").write_text(textwrap.dedent(spawn))
    done = process(["spawn.py"], folder, path=[str(folder)])
    assert done.stdout == "UnsafePickleError True\n"
    assert not (folder / "marker").exists()
