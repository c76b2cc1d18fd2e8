"""The registry that builds on the cluster pull from."""

import json
import urllib.request
from pathlib import Path

import pytest

from testbed import registry
from testbed.images import Entry, Image, Layer
from testbed.processes import Processes
from testbed.registry import RegistryError

IMAGE = Image(
    name="docker.io/library/hello:1", layers=(Layer((Entry(path="hello", content=b"hi\n"),)),), env=("A=1",)
)


def test_an_image_that_was_pushed_is_had_as_from_the_registry_of_its_name(tmp_path: Path) -> None:
    address = registry.up(tmp_path, "127.0.0.1", lambda line: None)
    try:
        registry.push(address, IMAGE)
        with urllib.request.urlopen(f"http://{address}/v2/library/hello/manifests/1", timeout=10) as answer:
            manifest = json.load(answer)
        blob = f"http://{address}/v2/library/hello/blobs/{manifest['config']['digest']}"
        with urllib.request.urlopen(blob, timeout=10) as answer:
            assert json.load(answer)["config"]["Env"] == ["A=1"]
        assert len(manifest["layers"]) == 1
    finally:
        registry.down(tmp_path)
    assert Processes(tmp_path).names() == []
    with pytest.raises(RegistryError, match=r"the registry refused docker\.io/library/hello:1"):
        registry.push(address, IMAGE)


def test_a_registry_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"(?s)did not start:.*203\.0\.113\.1"):
        registry.up(tmp_path, "203.0.113.1", lambda line: None)
