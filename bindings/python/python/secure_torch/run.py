"""`python -m secure_torch.run script.py`: a program with every hook in.

The program runs as `__main__`, with the arguments, the module path and the exit code that it has
without us. Its own code is trusted: it is the model files that it loads which are judged.
"""

from __future__ import annotations

import argparse
import builtins
import linecache
import os
import runpy
import sys
import types
from importlib.machinery import SourceFileLoader
from typing import Any

_FRAMES = (__file__, "<frozen runpy>", runpy.__file__)
_EPILOG = """\
Processes that the program starts have no hooks, unless they are forked from it. To put every
Python process of an environment under the gate, see docs/hooks.md, sitecustomize.
"""


def _arguments(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Our options, and the arguments of the program: all that follow it."""
    parser = argparse.ArgumentParser(
        prog="python -m secure_torch.run",
        description="Run a Python program with every model file that it loads under the gate.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--policy", metavar="FILE", help="a secure-torch.toml")
    parser.add_argument(
        "--max-threat-score", metavar="N", type=int, help="the highest score let through"
    )
    parser.add_argument(
        "--multiprocessing", action="store_true", help="judge messages of own children too"
    )
    parser.add_argument("--hub-code", action="store_true", help="let torch.hub.load run code")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("-c", metavar="CODE", dest="code", help="run this code")
    what.add_argument("-m", metavar="MODULE", dest="module", help="run this module")
    what.add_argument("script", nargs="?", help="run this file, folder or ZIP")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="the program's own arguments")
    ours, rest = _split(arguments)
    return parser.parse_args(ours), rest


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Like Python's own command line: what follows the program is the program's."""
    takes_value = {"--policy", "--max-threat-score"}
    at = 0
    while at < len(arguments):
        word = arguments[at]
        if word in ("-c", "-m"):
            return arguments[: at + 2], arguments[at + 2 :]
        if word.startswith(("-c", "-m")) or word == "-" or not word.startswith("-"):
            return arguments[: at + 1], arguments[at + 1 :]
        at += 2 if word in takes_value else 1
    return arguments, []


def _hide_our_frames() -> None:
    """Tracebacks start in the program, as they do without us."""
    below = sys.excepthook

    def excepthook(
        kind: type[BaseException], error: BaseException, traceback: types.TracebackType | None
    ) -> None:
        first = traceback
        while first is not None and first.tb_frame.f_code.co_filename in _FRAMES:
            first = first.tb_next
        # Where none is left, the program did not even start: a syntax error, shown without frames.
        below(kind, error.with_traceback(first), first)

    sys.excepthook = excepthook


def _main_module(file: str | None) -> types.ModuleType:
    module = types.ModuleType("__main__")
    module.__dict__.update(__builtins__=builtins, __spec__=None, __loader__=None)
    if file is not None:
        module.__dict__.update(__file__=file, __cached__=None)
        module.__loader__ = SourceFileLoader("__main__", file)
    sys.modules["__main__"] = module
    return module


def _safe_path() -> bool:
    return bool(getattr(sys.flags, "safe_path", False)) or bool(sys.flags.isolated)


def _run_code(code: str) -> None:
    sys.argv[0] = "-c"
    if not _safe_path():
        sys.path[0] = ""
    if sys.version_info >= (3, 13):
        # Since then tracebacks show the lines of `-c` (Python/pythonrun.c).
        lines = code.splitlines(keepends=True)
        linecache.cache["<string>"] = (len(code), None, lines, "<string>")
    exec(compile(code, "<string>", "exec"), vars(_main_module(None)))


def _run_script(script: str) -> None:
    sys.argv[0] = script
    if os.path.isdir(script) or not _is_source(script):
        # A folder or a ZIP with a `__main__.py`, or compiled code.
        if not _safe_path():
            del sys.path[0]
        runpy.run_path(script, run_name="__main__")
        return
    if not _safe_path():
        sys.path[0] = os.path.dirname(os.path.realpath(script))
    # Python names its main file by the whole path, and leaves a `./` in it.
    script = os.path.join(os.getcwd(), script)
    with open(script, "rb") as file:
        source = file.read()
    exec(compile(source, script, "exec"), vars(_main_module(script)))


def _is_source(script: str) -> bool:
    import zipfile

    try:
        return not (script.endswith(".pyc") or zipfile.is_zipfile(script))
    except OSError:
        return True


def main(arguments: list[str] | None = None) -> None:
    """Runs a program; returns or raises as it does."""
    options, rest = _arguments(sys.argv[1:] if arguments is None else arguments)
    from ._hooks import protect

    protect(
        options.policy,
        max_threat_score=options.max_threat_score,
        multiprocessing=options.multiprocessing,
        hub_code=options.hub_code,
    )
    _hide_our_frames()
    if options.code is not None:
        sys.argv = ["-c", *rest]
        _run_code(options.code)
    elif options.module is not None:
        sys.argv = [options.module, *rest]
        runpy.run_module(options.module, run_name="__main__", alter_sys=True)
    else:
        script: Any = options.script
        sys.argv = [script, *rest]
        if not os.path.exists(script):
            # In Python's words and with its exit code.
            message = (
                f"can't open file {os.path.abspath(script)!r}: [Errno 2] No such file or directory"
            )
            print(f"{sys.executable}: {message}", file=sys.stderr)
            raise SystemExit(2)
        _run_script(script)


if __name__ == "__main__":
    main()
