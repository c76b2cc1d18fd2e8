"""The stand-in of gosmee, server and client as processes, between a sender and a receiver on loopback."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from testbed import gosmee, images
from testbed.cluster_view import wait_for
from testbed.processes import Processes
from tests import signed

SECRET = "0f" * 20
CHANNEL = "a" * 24
Start = Callable[..., Callable[[], list[str]]]
LIMIT = {"GOSMEE_SSE_BUFFER_SIZE": str(36 * signed.MEGABYTE)}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("gosmee")
    yield gosmee.serve(folder, "127.0.0.1")
    Processes(folder).stop_all()


@pytest.fixture
def receiver() -> Iterator[signed.Receiver]:
    with signed.receiver() as made:
        yield made


@pytest.fixture
def client(server: str, receiver: signed.Receiver, tmp_path: Path) -> Iterator[Start]:
    """Starts clients; each start returns a function that gives the lines that the client has logged."""
    started: list[subprocess.Popen[bytes]] = []

    def start(channel: str, *args: str, **env: str) -> Callable[[], list[str]]:
        path = tmp_path / f"client-{len(started)}.log"
        urls = {"GOSMEE_URL": f"{server}/{channel}", "GOSMEE_TARGET_URL": receiver.url}
        with path.open("wb") as log:
            argv = [sys.executable, str(gosmee.CLIENT), "client", "--output=json", *args]
            started.append(subprocess.Popen(argv, env=os.environ | urls | env, stdout=log, stderr=log))

        def lines() -> list[str]:
            return path.read_text().splitlines()

        wait_for("connection of the client", lambda: "Forwarding" in path.read_text(), 20)
        return lines

    yield start
    for child in started:
        child.terminate()
    for child in started:
        child.wait(10)


def send(server: str, body: bytes, channel: str = CHANNEL, **more: str) -> tuple[int, str]:
    headers = signed.headers(SECRET, body) | more
    answer = requests.post(f"{server}/{channel}", data=body, headers=headers, timeout=10)
    return answer.status_code, headers["X-GitHub-Delivery"]


def test_every_shape_arrives_byte_for_byte_with_both_signatures(server, receiver, client):
    client(CHANNEL, **LIMIT)
    for what, body in signed.shapes().items():
        status, delivery = send(server, body)
        assert status == 202
        (got,) = wait_for(what, lambda delivery=delivery: receiver.of(delivery), 20)
        assert got.body == body, what
        assert got.holds(SECRET), what
        assert got.headers["content-type"] == "application/json"
        assert got.headers["x-github-event"] == "ping"
        assert got.headers["user-agent"].startswith("GitHub-Hookshot/")


def test_an_event_above_the_buffers_size_is_not_taken_and_the_client_goes_on(server, receiver, client):
    lines = client("b" * 24)
    _, large = send(server, signed.shapes()["two megabytes"], "b" * 24)
    wait_for("the reason", lambda: any("token too long" in line for line in lines()), 20)
    # Each connection logs two such lines, for `connected` and `ready`.
    wait_for("the next connection", lambda: sum("Forwarding" in line for line in lines()) > 2, 20)
    _, small = send(server, b"{}", "b" * 24)
    wait_for("the next event", lambda: receiver.of(small), 20)
    assert receiver.of(large) == []


def test_what_comes_while_nobody_listens_is_accepted_and_lost(server, receiver, client):
    status, lost = send(server, b"{}", "c" * 24)
    assert status == 202
    client("c" * 24)
    _, later = send(server, b"{}", "c" * 24)
    wait_for("the later event", lambda: receiver.of(later), 20)
    assert receiver.of(lost) == []


def test_channels_are_apart(server, receiver, client):
    client("d" * 24)
    _, elsewhere = send(server, b"{}", "e" * 24)
    _, here = send(server, b"{}", "d" * 24)
    wait_for("the event", lambda: receiver.of(here), 20)
    assert receiver.of(elsewhere) == []


@pytest.mark.parametrize(
    ("body", "more"),
    [(b"no JSON", {}), (b"{}", {"Content-Type": "application/x-www-form-urlencoded"})],
)
def test_what_is_not_json_is_refused(server, body, more):
    assert send(server, body, **more)[0] == 400


@pytest.mark.parametrize("channel", ["short", "x" * 65, "with.dots.in.it"])
def test_a_channel_that_gosmee_does_not_take_is_not_found(server, channel):
    assert send(server, b"{}", channel)[0] == 404


def test_a_target_that_fails_for_a_while_gets_the_event_in_the_end(server, receiver, client):
    client("f" * 24)
    receiver.answers = [503, 503]
    _, delivery = send(server, b"{}", "f" * 24)
    wait_for("three attempts", lambda: len(receiver.of(delivery)) == 3, 20)


def test_a_target_that_refuses_is_not_asked_again(server, receiver, client):
    lines = client("g" * 24)
    receiver.answers = [403]
    _, delivery = send(server, b"{}", "g" * 24)
    wait_for("the refusal in the log", lambda: any("permanently" in line for line in lines()), 20)
    assert len(receiver.of(delivery)) == 1


def test_at_the_level_warn_the_log_does_not_hold_the_channel(server, receiver, client, tmp_path):
    environment = {"GOSMEE_URL": f"{server}/{'h' * 24}", "GOSMEE_TARGET_URL": receiver.url}
    log = tmp_path / "log"
    with log.open("wb") as file:
        argv = [sys.executable, str(gosmee.CLIENT), "client", "--output=json"]
        child = subprocess.Popen(
            argv, env=os.environ | environment | {"GOSMEE_LOG_LEVEL": "warn"}, stdout=file
        )
    try:
        wait_for("an event", lambda: receiver.of(send(server, b"{}", "h" * 24)[1]) or None, 20, every=0.5)
    finally:
        child.terminate()
        child.wait(10)
    assert "hhhh" not in log.read_text()


@pytest.mark.parametrize("argv", [["client", "--unknown"], ["client", "https://one.example/x"], ["client"]])
def test_arguments_that_gosmee_does_not_know_end_it(argv):
    env = {key: value for key, value in os.environ.items() if not key.startswith("GOSMEE_")}
    done = subprocess.run(
        [sys.executable, str(gosmee.CLIENT), *argv], env=env, capture_output=True, timeout=20, check=False
    )
    assert done.returncode != 0


def test_the_client_answers_health_checks(client):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    client("i" * 24, f"--health-port={port}")
    answer = requests.get(f"http://127.0.0.1:{port}/health", timeout=5)
    assert (answer.status_code, list(answer.json())) == (200, ["version"])


def test_its_image_has_the_real_images_name_and_entrypoint():
    image = images.gosmee()
    assert image.name == gosmee.IMAGE
    assert image.entrypoint == ("/usr/local/bin/gosmee",)
    assert json.dumps([entry.path for entry in image.layers[-1].entries]).count("usr/local/bin/gosmee") == 1
