"""`patch_pickle`: every way to an unpickler, before and after the hook, and after it was undone."""

from __future__ import annotations

import copy
import io
import json
import multiprocessing
import pickle
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest

import secure_torch
from attack import EVIL, GOOD, GOOD_VALUE, process, results
from secure_torch import UnsafePickleError, patch_pickle
from secure_torch._hooks._frames import pickle_length
from ways_pickle import WAYS, Early, EarlyOpcodes, EarlyPure, Stream

MODES = ("unhooked", "hooked", "late", "undone")


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """What each way did in each mode."""
    folder = tmp_path_factory.mktemp("ways")
    return {mode: results("ways_pickle.py", mode, "patch_pickle", folder) for mode in MODES}


@pytest.mark.parametrize("way", WAYS)
def test_a_way_is_open_without_the_hook_and_closed_with_it(
    way: str, seen: dict[str, dict[str, str]]
) -> None:
    """Before the hook, with it, with it first, and after it was undone."""
    assert seen["unhooked"][way] == "ran"
    assert seen["hooked"][way] == "UnsafePickleError"
    assert seen["late"][way] == "UnsafePickleError"
    assert seen["undone"][way] == "ran"


def _state() -> dict[str, int]:
    import _pickle

    # Identities, not values: the hook would replace those in this very dict.
    state: dict[str, int] = {}
    for module in (pickle, _pickle):
        state.update({f"{module.__name__}.{k}": id(v) for k, v in vars(module).items()})
    state.update({f"_Unpickler.{k}": id(v) for k, v in vars(pickle._Unpickler).items()})
    return state


def test_undoing_leaves_everything_as_it_was() -> None:
    """Also names and subclasses that were made while the hook was in."""

    class Before(pickle.Unpickler):
        pass

    early = {"loads": pickle.loads}
    state, bases, finders = _state(), Before.__bases__, list(sys.meta_path)
    with patch_pickle() as handle:
        assert handle.active
        assert id(pickle.loads) != state["pickle.loads"]
        assert early["loads"] is pickle.loads
        assert Before.__bases__ != bases
        assert sys.meta_path != finders

        class Within(pickle.Unpickler):
            pass

        within = {"loads": pickle.loads}
    assert not handle.active
    assert _state() == state
    assert sys.meta_path == finders
    assert Before.__bases__ == Within.__bases__ == bases
    assert id(early["loads"]) == id(within["loads"]) == state["pickle.loads"]


def test_undoing_twice_and_in_any_order() -> None:
    """The hooks are in until the last handle is undone."""
    original = pickle.loads
    first, second = patch_pickle(), patch_pickle()
    hooked = pickle.loads
    first.undo()
    first.undo()
    assert pickle.loads is hooked
    with pytest.raises(UnsafePickleError):
        pickle.loads(EVIL)
    second.undo()
    assert pickle.loads is original


def test_a_second_hook_does_not_loosen_the_first() -> None:
    """Each policy in force has to agree, whichever came first."""
    # An import of an unknown module, 25 points, which is not there to be imported.
    unknown = b"cno_such_module_anywhere\nThing\n."
    with patch_pickle(max_threat_score=60):
        with pytest.raises(ModuleNotFoundError):
            pickle.loads(unknown)
        with patch_pickle(), pytest.raises(UnsafePickleError):
            pickle.loads(unknown)
        with pytest.raises(ModuleNotFoundError):
            pickle.loads(unknown)
    with patch_pickle(), patch_pickle(max_threat_score=60), pytest.raises(UnsafePickleError):
        pickle.loads(unknown)


def test_a_policy_lets_a_class_through_by_name() -> None:
    """And the error of a block carries code and report."""
    data = pickle.dumps(UnsafeButOurs(3), 2)
    policy = secure_torch.Policy(allow=[f"{__name__}.UnsafeButOurs"], max_threat_score=40)
    with patch_pickle(), pytest.raises(UnsafePickleError) as caught:
        pickle.loads(data)
    assert caught.value.code == "model-blocked"
    assert caught.value.report is not None
    assert not caught.value.report.load_allowed
    with patch_pickle(policy):
        assert pickle.loads(data).value == 3


class UnsafeButOurs:
    """A class of an application."""

    def __init__(self, value: int) -> None:
        self.value = value


def test_files_are_left_where_the_original_leaves_them() -> None:
    """Exactly behind the pickle, in every protocol."""
    rest = b"not a pickle at all"
    protocols = [pickle.dumps(GOOD_VALUE, p) for p in range(pickle.HIGHEST_PROTOCOL + 1)]
    for data in (*protocols, GOOD, b"N.", b"I1\n.", b"\x8a\x02\x01\x02.", b"(lp0\nI1\na."):
        plain, hooked = io.BytesIO(b"xx" + data + rest), io.BytesIO(b"xx" + data + rest)
        plain.seek(2)
        hooked.seek(2)
        value = pickle.load(plain)
        with patch_pickle():
            assert pickle.load(hooked) == value
        assert hooked.tell() == plain.tell() == 2 + len(data)


def test_errors_of_the_original_are_still_its_errors() -> None:
    """Programs catch EOFError at the end of a file."""

    class NoFile:
        pass

    for call in (
        lambda: pickle.load(io.BytesIO(b"")),
        lambda: pickle.loads(b""),
        lambda: pickle.load(NoFile()),  # type: ignore[arg-type]
        lambda: pickle.loads("text"),  # type: ignore[arg-type]
        lambda: pickle.loads(5),  # type: ignore[arg-type]
        lambda: pickle.Unpickler(NoFile()),  # type: ignore[arg-type]
        lambda: pickle.Unpickler(io.BytesIO(b"")).load(),
    ):
        with pytest.raises(Exception) as plain:
            call()
        with patch_pickle(), pytest.raises(plain.type):
            call()


def test_the_bytes_that_are_judged_are_those_that_are_unpickled() -> None:
    """A file may give something else each time."""

    class Changing(io.BytesIO):
        """Gives something else when it is read again."""

        def seek(self, *_: int) -> int:
            raise OSError("no")

        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            self.getbuffer()[:] = (EVIL + b" " * len(GOOD))[: len(self.getbuffer())]
            return data

        def seekable(self) -> bool:
            return False

    with patch_pickle(), pytest.raises(Exception) as caught:
        pickle.load(Changing(GOOD))
    assert not Path("marker").exists()
    assert not isinstance(caught.value, FileExistsError)


def test_out_of_band_buffers_and_persistent_ids_pass() -> None:
    """What an application adds to pickle works as before."""

    class Ids(pickle.Unpickler):
        def persistent_load(self, pid: str) -> str:
            return f"<{pid}>"

    # A persistent id of its own is 15 points beside 10 for the missing signature.
    with patch_pickle(max_threat_score=30):
        assert Ids(io.BytesIO(b"Pkey\n.")).load() == "<key>"
        buffers: list[pickle.PickleBuffer] = []
        data = pickle.dumps(
            pickle.PickleBuffer(bytearray(b"abc")), 5, buffer_callback=buffers.append
        )
        assert bytes(pickle.loads(data, buffers=buffers)) == b"abc"


def test_the_functions_still_look_like_themselves() -> None:
    """Their names, their identity, and pickling them by name."""
    with patch_pickle():
        assert pickle.load is sys.modules["_pickle"].load
        assert copy.deepcopy([pickle.loads])[0] is pickle.loads
        assert pickle.loads.__name__ == "loads"
        assert pickle.loads.__module__ == "_pickle"
        assert pickle.Unpickler.__name__ == "Unpickler"
        assert isinstance(pickle.Unpickler(io.BytesIO(GOOD)), pickle.Unpickler)
        assert pickle.dumps(pickle.loads) == b"".join(
            [pickle.dumps(pickle.dumps).replace(b"\x05dumps", b"\x05loads")]
        )


def test_threads_put_hooks_in_and_out_at_once() -> None:
    """No thread ever sees a gap while a handle is active."""
    original = pickle.loads
    outer = patch_pickle()
    failed: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(20):
                with patch_pickle():
                    assert pickle.loads(GOOD) == GOOD_VALUE
                    with pytest.raises(UnsafePickleError):
                        pickle.loads(EVIL)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    with pytest.raises(UnsafePickleError):
        pickle.loads(EVIL)
    outer.undo()
    assert pickle.loads is original


class _Message:
    """What a process sends to its parent: nobody has judged it."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Message)

    __hash__ = None  # type: ignore[assignment]


def _send(pipe: multiprocessing.connection.Connection) -> None:
    pipe.send(_Message())


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_messages_of_own_children_are_left_alone_unless_asked(method: str) -> None:
    """Whichever way children are started."""
    context = multiprocessing.get_context(method)

    def receive() -> object:
        ours, theirs = context.Pipe()
        child = context.Process(target=_send, args=(theirs,))
        child.start()
        try:
            return ours.recv()
        finally:
            child.join()

    with patch_pickle():
        assert receive() == _Message()
        with pytest.raises(UnsafePickleError):
            pickle.loads(pickle.dumps(_Message()))
    with patch_pickle(multiprocessing=True), pytest.raises(UnsafePickleError):
        receive()
    assert receive() == _Message()


def test_multiprocessing_imported_behind_the_hook_is_left_alone_too(tmp_path: Path) -> None:
    """And is as it was once undone."""
    code = """
        import secure_torch
        handle = secure_torch.patch_pickle()
        import multiprocessing.reduction as reduction, pickle, sys
        data = pickle.dumps(ValueError)
        class Thing: pass
        data = pickle.dumps(Thing())
        assert type(reduction.ForkingPickler.loads(data)) is Thing
        try:
            pickle.loads(data)
        except secure_torch.UnsafePickleError:
            handle.undo()
            assert reduction.ForkingPickler.loads is pickle.loads, reduction.ForkingPickler.loads
            assert reduction.pickle is pickle
            print("blocked")
    """
    assert process(["-c", textwrap.dedent(code)], tmp_path).stdout == "blocked\n"


@pytest.mark.parametrize(
    "attack",
    [
        b"csecure_torch._hooks._pickle\nFAMILY\n.",
        b"csecure_torch\npatch_pickle\n(tR.",
        b"\x80\x04\x8c\x0csecure_torch\x8c\x0f_hooks.FAMILIES\x93.",
        b"\x80\x04\x8c\x0csecure_torch\x8c\x08_scan.os\x93.",
    ],
)
def test_a_pickle_cannot_reach_the_hooks(attack: bytes) -> None:
    """An attack that imports the scanner to take its hooks out."""
    # Under the laxest policy that there is, and allowed by name.
    policy = secure_torch.Policy(allow=["secure_torch:patch_pickle"], max_threat_score=69)
    with patch_pickle(policy):
        with pytest.raises(UnsafePickleError) as caught:
            pickle.loads(attack)
        assert caught.value.report is not None
        families = {g.family for g in caught.value.report.globals}
        assert families <= {"scanner", "attribute-walk"}
        assert families


def test_frozen_objects_are_reached_as_well(tmp_path: Path) -> None:
    """`gc.freeze` hides objects from `gc.get_referrers`."""
    code = """
        import gc, json, os, sys
        import ways_pickle
        from attack import try_all
        gc.freeze()
        import secure_torch
        secure_torch.patch_pickle()
        print(json.dumps(try_all(ways_pickle.WAYS)))
    """
    seen = json.loads(process(["-c", textwrap.dedent(code)], tmp_path).stdout)
    assert set(seen.values()) == {"UnsafePickleError"}, seen


def test_numpy_reads_objects_through_the_hook(tmp_path: Path) -> None:
    """`allow_pickle=True` ends in `pickle.load`."""
    numpy = pytest.importorskip("numpy")
    path = tmp_path / "objects.npy"
    numpy.save(path, numpy.array([{1: 2}], dtype=object), allow_pickle=True)
    head = path.read_bytes()
    path.write_bytes(head[: head.index(b"\n") + 1] + EVIL)
    with patch_pickle(), pytest.raises(UnsafePickleError):
        numpy.load(path, allow_pickle=True)
    assert not Path("marker").exists()


def test_what_follows_the_first_pickle_may_be_anything() -> None:
    """`pickle.loads` does not look at it."""
    for rest in (b"\x00\x01checksum", EVIL, b"\xff" * 100):
        assert pickle.loads(GOOD + rest) == GOOD_VALUE
        with patch_pickle():
            assert pickle.loads(GOOD + rest) == GOOD_VALUE
    with patch_pickle(), pytest.raises(UnsafePickleError):
        pickle.loads(EVIL + GOOD)


def test_unpicklers_that_were_made_before_are_held_to_the_second_line() -> None:
    """Their file is out of reach, what they import is not."""

    class Mine(pickle.Unpickler):
        """A subclass, of which an instance is there already."""

    for kind in (Mine, pickle._Unpickler):
        good, evil = kind(io.BytesIO(GOOD)), kind(io.BytesIO(EVIL))
        with patch_pickle():
            assert good.load() == GOOD_VALUE
            with pytest.raises(UnsafePickleError):
                evil.load()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_kind_of_argument_is_read_to_its_end(protocol: int, tmp_path: Path) -> None:
    """Also those that are longer than a frame, from files, streams and bytes."""
    value = [
        *(0, 1, -1, 255, 256, 1 << 31, -(1 << 31), 1 << 70, -(1 << 2100)),
        *(None, True, False, 0.5, float("inf")),
        *("", "a\nb", "\udc80", "é" * 300, "long" * 50_000),
        *(b"", b"\n", b"\x00" * 300, b"." * 200_000),
        *((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], {}, [[]], {"k": {"l": [1] * 2000}}),
        *(set(), {1}, frozenset({2}), bytearray(b"b" * 200_000), 1 + 2j),
        [f"string {n}" for n in range(5000)],
    ]
    value += [value[18], value[-2]]
    data = pickle.dumps(value, protocol)
    assert pickle_length(data) == pickle_length(data + b"more") == len(data)
    path = tmp_path / "value.pkl"
    path.write_bytes(data + EVIL)
    with patch_pickle():
        assert pickle.loads(data) == pickle._loads(data) == value
        for kind in (pickle.Unpickler, pickle._Unpickler):
            for buffering in (0, -1):
                with open(path, "rb", buffering) as file:
                    assert kind(file).load() == value
                    assert file.tell() == len(data)
            assert kind(Stream(data + EVIL)).load() == value


# Names a class that is allowed, and calls it as no file does: with a text.
MISUSE = b"ccollections\nOrderedDict\n(S'text'\ntR."


@pytest.mark.parametrize("kind", [Early, EarlyPure, EarlyOpcodes, pickle._Unpickler])
@pytest.mark.parametrize("made", ["before", "after"])
def test_subclasses_are_judged_by_more_than_what_they_import(
    kind: type[pickle.Unpickler], made: str
) -> None:
    """The whole pickle is judged; but for the file of a C unpickler from before the hook."""
    unpickler = kind(io.BytesIO(MISUSE))
    with patch_pickle():
        if made == "after":
            unpickler = kind(io.BytesIO(MISUSE))
        error = ValueError if (kind, made) == (Early, "before") else UnsafePickleError
        with pytest.raises(error):
            unpickler.load()


@pytest.mark.parametrize("base", [pickle.Unpickler, pickle._Unpickler])
def test_an_unpickler_that_renames_is_held_to_what_it_really_imports(base: Any) -> None:
    """The pickle names a harmless class, and the unpickler makes another of it."""

    class Renames(base):  # type: ignore[misc]
        def find_class(self, module: str, name: str) -> Any:
            return super().find_class("os", "mkdir")

    data = b"ccollections\nOrderedDict\n."
    assert Renames(io.BytesIO(data)).load().__name__ == "mkdir"
    with patch_pickle(), pytest.raises(UnsafePickleError, match=r"os\.mkdir"):
        Renames(io.BytesIO(data)).load()
