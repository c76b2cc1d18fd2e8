"""A stand-in for the whole session, and for each test a repository, a receiver and a hook."""

from collections.abc import Iterator

import pytest
import yaml

from testbed.github.client import Person
from tests.testbed.github_standin.helpers import SEED, Receiver, Standin, listening, new_repository, running


@pytest.fixture(scope="session")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standin]:
    folder = tmp_path_factory.mktemp("github")
    seed = folder / "seed.yaml"
    seed.write_text(yaml.safe_dump(SEED))
    with running(folder / "state", seed) as server:
        yield server
        assert server.stop() == 0


@pytest.fixture
def repo() -> str:
    return new_repository()


@pytest.fixture
def alice(standin: Standin) -> Person:
    return standin.person("alice")


@pytest.fixture
def bot(standin: Standin) -> Person:
    return standin.person("prow-bot")


@pytest.fixture
def mallory(standin: Standin) -> Person:
    return standin.person("mallory")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with listening() as state:
        yield state


@pytest.fixture
def hook(alice: Person, repo: str, receiver: Receiver) -> int:
    """A hook on everything, whose ping has come. Its secret is `s3cret`."""
    config = {"url": receiver.url, "content_type": "json", "secret": "s3cret"}
    created = alice.repository(repo).create_hook("web", config, ["*"], active=True)
    receiver.wait("ping")
    receiver.got.clear()
    return created.id
