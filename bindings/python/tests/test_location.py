"""`map_location`, as `torch.load` takes it."""

from __future__ import annotations

import io
from typing import Any

import pytest

import secure_torch

torch = pytest.importorskip("torch")

from equal import assert_equal  # noqa: E402


def saved(value: Any) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def on_cuda(value: Any) -> bytes:
    """A file whose storages say that they were saved on `cuda:0`."""
    original = torch.serialization.location_tag
    torch.serialization.location_tag = lambda storage: "cuda:0"
    try:
        return saved(value)
    finally:
        torch.serialization.location_tag = original


VALUE = {"a": torch.arange(3.0), "b": torch.arange(6)[1:4], "c": torch.nn.Parameter(torch.rand(2))}
WAYS: list[Any] = [
    None,
    "cpu",
    torch.device("cpu"),
    {},
    {"cuda:0": "cpu"},
    {"cpu": "cpu"},
    lambda storage, location: storage,
    lambda storage, location: None,
    "meta",
    torch.device("meta"),
    {"cpu": "meta"},
    lambda storage, location: storage.clone() if location == "cpu" else storage,
]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_each_form_is_that_of_torch(way: Any) -> None:
    content = saved(VALUE)
    theirs = torch.load(io.BytesIO(content), map_location=way, weights_only=False)
    assert_equal(secure_torch.load(content, map_location=way), theirs)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, so nothing is missing")
def test_what_was_on_a_device_that_is_not_here() -> None:
    content = on_cuda(VALUE)
    for way in (None, {}, "cuda", "cuda:1", torch.device("cuda"), lambda storage, location: None):
        for load in (torch.load, secure_torch.load):
            with pytest.raises(RuntimeError, match="map_location"):
                load(io.BytesIO(content), map_location=way)
    for way in ("cpu", torch.device("cpu"), {"cuda:0": "cpu"}, lambda storage, location: storage):
        assert_equal(
            secure_torch.load(content, map_location=way),
            torch.load(io.BytesIO(content), map_location=way),
        )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_onto_a_gpu() -> None:
    for content in (saved(VALUE), on_cuda(VALUE)):
        for way in (None, "cuda", "cuda:0", torch.device("cuda:0"), {"cpu": "cuda:0"}):
            theirs = torch.load(io.BytesIO(content), map_location=way)
            ours = secure_torch.load(content, map_location=way)
            for name, tensor in theirs.items():
                assert ours[name].device == tensor.device
                assert torch.equal(ours[name], tensor)
                assert type(ours[name]) is type(tensor)


def test_a_function_is_asked_once_for_each_storage() -> None:
    base = torch.arange(4.0)
    content = saved([base, base[1:], torch.arange(2)])
    asked = []

    def way(storage: Any, location: str) -> Any:
        asked.append((storage.nbytes(), location))
        return storage

    found = secure_torch.load(content, map_location=way)
    assert asked == [(16, "cpu"), (16, "cpu")]
    assert found[0].data_ptr() == found[1].data_ptr() - 4


def test_an_exception_of_the_function_passes() -> None:
    def way(storage: Any, location: str) -> Any:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        secure_torch.load(saved(VALUE), map_location=way)
    with pytest.raises(TypeError, match="map_location"):
        secure_torch.load(saved(VALUE), map_location=7)
