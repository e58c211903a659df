"""The example server, asked by curl.

`LIBTORCH_SERVER` is the program, `SECURE_TORCH_INPUTS` the folder of published models.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

SERVER = os.environ["LIBTORCH_SERVER"]
WEIGHTS = (
    Path(os.environ["SECURE_TORCH_INPUTS"]) / "facenet_pytorch-2.6.0/facenet_pytorch/data/pnet.pt"
)
# `os.system("echo hello")` when unpickled, which nobody does here.
HOSTILE = b"cposix\nsystem\n(S'echo hello'\ntR."


class Server:
    """A running server."""

    def __init__(self, *arguments: str) -> None:
        command = [SERVER, "--port", "0", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline().rsplit(":", 1)[1])

    def ask(self, path: str, *arguments: str, body: bytes | None = None) -> tuple[int, Any]:
        """The status and the JSON of an answer."""
        command = ["curl", "--silent", "--show-error", "--write-out", "\n%{http_code}", *arguments]
        if body is not None:
            command += ["--data-binary", "@-", "--header", "Content-Type:"]
        done = subprocess.run(
            [*command, f"http://127.0.0.1:{self.port}{path}"],
            input=body,
            stdout=subprocess.PIPE,
            check=True,
        )
        text, status = done.stdout.decode().rsplit("\n", 1)
        return int(status), json.loads(text)

    def upload(self, body: bytes, *arguments: str) -> tuple[int, Any]:
        """Gives it a model."""
        return self.ask("/model", *arguments, body=body)

    def raw(self, request: bytes, close: bool = False) -> bytes:
        """What it answers to bytes that curl would not send."""
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.sendall(request)
            if close:
                connection.shutdown(socket.SHUT_WR)
            answer = b""
            while more := connection.recv(65536):
                answer += more
        return answer

    def stop(self) -> int:
        """Asks it to stop, and waits."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait()


@pytest.fixture(name="server")
def fixture_server() -> Iterator[Server]:
    """A server without a model."""
    server = Server("--largest-model", str(1 << 20), "--patience", "2")
    yield server
    if server.process.poll() is None:
        assert server.stop() == 0


class PNet(nn.Module):
    """The network as Python knows it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 10, 3), nn.PReLU(10)
        self.conv2, self.prelu2 = nn.Conv2d(10, 16, 3), nn.PReLU(16)
        self.conv3, self.prelu3 = nn.Conv2d(16, 32, 3), nn.PReLU(32)
        self.conv4_1, self.conv4_2 = nn.Conv2d(32, 2, 1), nn.Conv2d(32, 4, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Chances and boxes."""
        x = nn.functional.max_pool2d(self.prelu1(self.conv1(x)), 2, 2, ceil_mode=True)
        x = self.prelu3(self.conv3(self.prelu2(self.conv2(x))))
        return self.conv4_1(x).softmax(1), self.conv4_2(x)


def picture(seed: int, width: int = 40, height: int = 30) -> tuple[bytes, torch.Tensor]:
    """A picture as a file, and as the network takes it."""
    pixels = bytes(random.Random(seed).randbytes(width * height * 3))
    image = torch.tensor(list(pixels), dtype=torch.float32).view(1, height, width, 3)
    return b"P6\n%d %d\n255\n" % (width, height) + pixels, (image.permute(0, 3, 1, 2) - 127.5) / 128


def expected(image: torch.Tensor, threshold: float) -> list[tuple[int, int, float, list[float]]]:
    """What Python's torch computes from the same weights."""
    network = PNet()
    network.load_state_dict(torch.load(WEIGHTS, map_location="cpu", weights_only=True))
    with torch.no_grad():
        chances, boxes = network(image)
    scores = chances[0, 1]
    return [
        (row, column, float(scores[row, column]), boxes[0, :, row, column].tolist())
        for row in range(scores.shape[0])
        for column in range(scores.shape[1])
        if scores[row, column] >= threshold
    ]


def check(answer: Any, image: torch.Tensor, threshold: float) -> None:
    """That an answer is what torch computes."""
    wanted = expected(image, threshold)
    assert answer["found"] == len(answer["faces"]) == len(wanted) > 0
    for face, (row, column, score, box) in zip(answer["faces"], wanted):
        assert (face["row"], face["column"]) == (row, column)
        assert face["score"] == pytest.approx(score, abs=1e-5)
        assert face["box"] == pytest.approx(box, abs=1e-5)


def test_a_published_model_answers(server: Server) -> None:
    """A published file is judged, loaded and asked."""
    assert server.ask("/healthz") == (200, {"status": "ok", "model": False})
    assert server.ask("/report")[0] == 404
    data, image = picture(1)
    assert server.ask("/predict", body=data)[0] == 409
    status, report = server.upload(WEIGHTS.read_bytes(), "--header", "X-Model-Name: pnet.pt")
    assert (status, report["verdict"], report["path"]) == (200, "allow", "pnet.pt")
    assert server.ask("/report") == (200, report)
    assert server.ask("/healthz") == (200, {"status": "ok", "model": True})
    status, answer = server.ask("/predict?threshold=0.01", body=data)
    assert status == 200
    check(answer, image, 0.01)


def test_a_hostile_model_is_refused(server: Server) -> None:
    """With the report; the model before it stays."""
    _, before = server.upload(WEIGHTS.read_bytes())
    status, report = server.upload(HOSTILE)
    assert (status, report["verdict"], report["threat_level"]) == (422, "block", "CRITICAL")
    assert any(item["python3"] == "posix.system" for item in report["globals"])
    assert server.ask("/report") == (200, before)


def test_models_that_do_not_fit(server: Server) -> None:
    """What is let through and is another network, broken or cut is told by a code."""
    other = WEIGHTS.with_name("rnet.pt").read_bytes()
    status, told = server.upload(other)
    assert (status, told["code"]) == (422, "model-unsupported")
    assert "unexpected: dense4.weight" in told["message"]
    assert "does not fit: conv1.weight (the module has the shape [10, 3, 3, 3]" in told["message"]
    status, told = server.upload(WEIGHTS.read_bytes()[:-100])
    assert status == 422 and told.get("code", told.get("verdict")) in ("model-malformed", "block")
    assert server.upload(b"")[0] == 422
    assert server.ask("/healthz")[1]["model"] is False


def test_weights_that_are_not_finite(server: Server, tmp_path: Path) -> None:
    """They fit the network, and the answer is JSON all the same."""
    weights = torch.load(WEIGHTS, map_location="cpu", weights_only=True)
    weights["conv4_2.bias"][:2] = torch.tensor([float("inf"), float("nan")])
    torch.save(weights, tmp_path / "model.pt")
    assert server.upload((tmp_path / "model.pt").read_bytes())[0] == 200
    status, answer = server.ask("/predict?threshold=0", body=picture(1)[0])
    assert status == 200 and answer["found"] > 0
    assert all(face["box"][:2] == [None, None] for face in answer["faces"])


def test_limits(server: Server) -> None:
    """Sizes, methods, paths, queries and pictures."""
    status, told = server.upload(b"x" * ((1 << 20) + 1))
    assert (status, told["code"]) == (413, "too-large")
    chunked = ("--header", "Transfer-Encoding: chunked")
    assert server.upload(b"x" * (20 << 20), *chunked)[0] == 413
    assert server.ask("/model")[0] == 405
    assert server.ask("/predict", "--request", "PUT", body=b"x")[0] == 405
    assert server.ask("/report", body=b"x")[0] == 405
    assert server.ask("/elsewhere")[0] == 404
    assert server.ask("/healthz", "--header", "X-Long: " + "x" * 9000)[0] == 431
    assert server.upload(WEIGHTS.read_bytes())[0] == 200
    for query in ("threshold=", "threshold=2", "threshold=x", "other=1"):
        assert server.ask(f"/predict?{query}", body=b"x")[0] == 400
    data, _ = picture(1)
    bad = [b"", b"P6", b"P5" + data[2:], data[:-1], data + b"\n", b"P6\n1 1\n255\nxxx"]
    bad += [b"P6\n99999 99999\n255\n", b"P6\n-5 40\n255\n", b"P6 40 30 65535\n" + data[13:]]
    for body in bad:
        assert server.ask("/predict", body=body)[0] == 400


def test_requests_that_end_early(server: Server) -> None:
    """A cut body is no model, and slow ones are hung up on."""
    head = b"POST /model HTTP/1.1\r\nHost: x\r\nContent-Length: 28570\r\n\r\n"
    assert server.raw(head + WEIGHTS.read_bytes()[:5000], close=True).startswith(b"HTTP/1.1 400 ")
    # It waits for the rest as long as it was told, and no longer.
    assert server.raw(head + b"x") == b""
    assert server.raw(b"GET / nonsense\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    two = b"Content-Length: 1\r\nContent-Length: 2\r\n"
    assert server.raw(b"POST /model HTTP/1.1\r\n" + two + b"\r\nx").startswith(b"HTTP/1.1 400 ")
    assert server.ask("/healthz")[0] == 200


def test_pictures_do_not_keep_models_out() -> None:
    """Pictures that are still under way are no uploads."""
    server = Server("--uploads", "1")
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head + b"P6")
        time.sleep(0.2)
        assert server.upload(WEIGHTS.read_bytes())[0] == 200
    assert server.stop() == 0


def test_many_at_one_time(server: Server) -> None:
    """Models are swapped while others are asked; every answer is whole."""
    good = WEIGHTS.read_bytes()
    assert server.upload(good)[0] == 200
    pictures = [picture(seed) for seed in range(4)]

    def one(turn: int) -> tuple[int, int, Any]:
        if turn % 4 == 0:
            return turn, *server.upload(good)
        if turn % 4 == 1:
            return turn, *server.upload(HOSTILE)
        return turn, *server.ask("/predict?threshold=0.01", body=pictures[turn % 3][0])

    with ThreadPoolExecutor(8) as pool:
        for turn, status, answer in pool.map(one, range(48)):
            # More uploads at one time than were agreed are sent away, and may come again.
            if turn % 4 < 2 and status == 503:
                assert answer["code"] == "busy"
            elif turn % 4 == 0:
                assert (status, answer["verdict"]) == (200, "allow")
            elif turn % 4 == 1:
                assert (status, answer["verdict"]) == (422, "block")
            else:
                assert status == 200
                check(answer, pictures[turn % 3][1], 0.01)


def test_it_stops_when_told() -> None:
    """What was begun is finished, nothing new is taken, and nothing is left behind."""
    server = Server("--model", str(WEIGHTS))
    assert server.ask("/healthz") == (200, {"status": "ok", "model": True})
    data, image = picture(2)
    head = b"POST /predict?threshold=0.01 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(
        data
    )
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head + data[:100])
        # An answer to a later connection says that the one before it was taken.
        assert server.ask("/healthz")[0] == 200
        server.process.send_signal(signal.SIGTERM)
        while True:
            try:
                socket.create_connection(("127.0.0.1", server.port)).close()
            except ConnectionRefusedError:
                break
            time.sleep(0.01)
        connection.sendall(data[100:])
        answer = b""
        while more := connection.recv(65536):
            answer += more
    check(json.loads(answer.split(b"\r\n\r\n", 1)[1]), image, 0.01)
    assert server.process.wait() == 0
    assert server.process.stdout is not None
    assert server.process.stdout.read() == "stopped\n"


def test_a_hostile_model_at_the_start() -> None:
    """The server does not even begin."""
    done = subprocess.run(
        [SERVER, "--port", "0", "--model", "/dev/stdin"],
        input=HOSTILE,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1 and done.stdout == b""
    assert json.loads(done.stderr)["verdict"] == "block"
