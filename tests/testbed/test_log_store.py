"""VersityGW with the users and policies of `components/log_store.py`: what each key can do, and what it cannot."""

import json
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from components.log_store import ACCOUNTS, PREPARE, ROOT, render_policies, render_users
from components.storage import Access
from testbed import tools
from testbed.cluster_view import wait_for
from tests.s3 import S3

LOG = "pr-logs/pull/acme_app/1/unit/1/build-log.txt"
STATE = "tide/history.json"


@dataclass(frozen=True)
class Store:
    """A running server."""

    endpoint: str
    folder: Path

    def client(self, access: Access | None) -> S3:
        """A client with the key for an access; None: with the administrator's."""
        account = ROOT if access is None else ACCOUNTS[access]
        return S3(endpoint=self.endpoint, access_key=account, secret_key=f"secret-of-{account}")


def prepare(folder: Path) -> None:
    """What the pod's init container does."""
    (folder / "policies").mkdir(exist_ok=True)
    for file, policy in render_policies("logs", "state").items():
        (folder / "policies" / file).write_text(json.dumps(policy))
    paths = [str(folder / part) for part in ("objects", "metadata", "policies")]
    subprocess.run(["sh", "-c", PREPARE, "prepare", *paths, "logs", "state"], check=True)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("log-store")
    prepare(folder)
    users = folder / "users"
    users.mkdir()
    (users / "users.json").write_text(
        render_users({account: f"secret-of-{account}" for account in ACCOUNTS.values()})
    )
    users.chmod(0o555)  # as a mounted Secret
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    binary = tools.ensure(["versitygw"])["versitygw"]
    backend = ["posix", f"--sidecar={folder / 'metadata'}", str(folder / "objects")]
    flags = [f"--port={address}", "--region=us-east-1", f"--iam-dir={users}", "--health=/health", "--quiet"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [binary, *flags, *backend],
            env={"ROOT_ACCESS_KEY": ROOT, "ROOT_SECRET_KEY": f"secret-of-{ROOT}"},
            stdout=log,
            stderr=log,
        )
    try:

        def answers() -> bool:
            try:
                return requests.get(f"http://{address}/health", timeout=5).ok
            except requests.ConnectionError:
                return False

        wait_for("the store", answers, 20)
        yield Store(f"http://{address}", folder)
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture(autouse=True)
def content(store: Store) -> None:
    """A log and a state that are there already."""
    root = store.client(None)
    assert root.put("logs", LOG, b"a log").ok
    assert root.put("state", STATE, b"{}").ok


def allowed(client: S3) -> set[str]:
    """Names of the attempts of a thief that the store does not refuse."""
    answers = {name: answer.status_code for name, answer in client.attempts("logs", LOG, "state", STATE)}
    assert set(answers.values()) <= {200, 400, 403}, answers  # refused, not failed
    return {name for name, status in answers.items() if status == 200}


def test_the_upload_key_adds_objects_below_the_logs_prefix_and_does_nothing_else(store):
    uploader = store.client(Access.UPLOAD)
    assert allowed(uploader) == {"add below logs/", "add below pr-logs/", "add in parts", "overwrite"}
    assert store.client(None).get("logs", LOG).content == b"overwritten"


def test_a_path_prefix_of_the_users_may_stand_before_the_logs(store):
    assert store.client(Access.UPLOAD).put("logs", "ci/v1/pr-logs/pull/1/build-log.txt", b"a log").ok


def test_decks_key_reads_and_lists_logs_and_does_nothing_else(store):
    assert allowed(store.client(Access.READ)) == {"get", "head", "list"}


def test_criers_key_reads_and_adds_logs_and_deletes_none(store):
    assert allowed(store.client(Access.WRITE)) == {
        *("get", "head", "list", "overwrite", "add below logs/", "add below pr-logs/", "add in parts"),
        "add elsewhere",
    }


def test_the_states_key_reaches_the_state_alone(store):
    assert allowed(store.client(Access.STATE)) == {"get state", "list state", "change state"}


@pytest.mark.parametrize(("access", "bucket"), [(Access.WRITE, "logs"), (Access.STATE, "state")])
def test_an_object_that_is_not_there_is_404_for_who_may_read(store, access, bucket):
    # Prow takes a 403 for a failure: tide would not start, crier not report.
    assert store.client(access).get(bucket, "tide/none").status_code == 404


def test_who_has_no_key_gets_nothing(store):
    thief = S3(endpoint=store.endpoint, access_key=ACCOUNTS[Access.READ], secret_key="guessed")
    assert allowed(thief) == set()


def test_state_of_earlier_releases_moves_from_the_logs_bucket_and_later_starts_change_nothing(tmp_path):
    for top in ("objects", "metadata"):
        (tmp_path / top / "logs" / "tide").mkdir(parents=True)
        (tmp_path / top / "logs" / "tide" / "history.json").write_text(top)
    for _ in range(2):
        prepare(tmp_path)
        assert (tmp_path / "objects" / "state" / "tide" / "history.json").read_text() == "objects"
        assert (tmp_path / "metadata" / "state" / "tide" / "history.json").read_text() == "metadata"
        assert not (tmp_path / "objects" / "logs" / "tide").exists()
