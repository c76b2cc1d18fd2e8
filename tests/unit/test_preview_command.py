"""What `python -m previews` does before and after it runs the CLI."""

import json
from pathlib import Path

import pytest

from previews.__main__ import run, secrets
from previews.cli import CliError, Stack

pytestmark = pytest.mark.unit


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A stack whose CLI is a script that writes its arguments to `calls` and does as `answers` says."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pulumi").write_text(
        f'#!/bin/sh\necho "$KUBECONFIG $*" >> {tmp_path}/calls\n. {tmp_path}/answers\n'
    )
    (tmp_path / "bin" / "pulumi").chmod(0o755)
    (tmp_path / "answers").write_text("")
    (tmp_path / "Pulumi.yaml").write_text("name: prow\nruntime: python\n")
    (tmp_path / "Pulumi.dev.yaml").write_text("config: {}\n")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    return Stack(tmp_path, "dev")


def answer(stack: Stack, settings: dict, state: list[dict], then: str = "") -> None:
    (stack.project / "answers").write_text(
        f"case $1 in\nconfig) echo '{json.dumps(settings)}';;\n"
        f"stack) echo '{json.dumps({'deployment': {'resources': state}})}';;\n*) {then or ':'};;\nesac\n"
    )


def calls(stack: Stack) -> list[str]:
    return (stack.project / "calls").read_text().splitlines()


def test_without_the_cluster_a_preview_gets_the_nodes_address_from_the_state(stack: Stack, tmp_path: Path):
    settings = {"prow:context": {"value": "prow-cluster"}}
    answer(stack, settings, [{"type": "prow:index:Cluster", "outputs": {"nodeAddress": "192.0.2.7"}}])
    code, about, text = run("preview", stack, tmp_path / "bin", "")
    assert code == 0
    assert about.from_state == "there is no context prow-cluster in a kubeconfig here"
    assert "The cluster could not be asked" in text
    (told,) = (call for call in calls(stack) if " config set " in call)
    copy = tmp_path / "bin" / "Pulumi.dev.yaml"
    assert "--plaintext prow:nodeAddress 192.0.2.7" in told
    assert f"--config-file {copy}" in told
    # The user's own settings are not touched, and the provider looks for no cluster.
    assert (tmp_path / "Pulumi.dev.yaml").read_text() == "config: {}\n"
    assert calls(stack)[-1].startswith(f"{tmp_path}/bin/no-kubeconfig preview ")
    assert f"--config-file {copy}" in calls(stack)[-1]


def test_a_given_address_of_the_node_is_kept(stack: Stack, tmp_path: Path):
    answer(stack, {"prow:context": {"value": "x"}, "prow:nodeAddress": {"value": "192.0.2.9"}}, [])
    assert run("preview", stack, tmp_path / "bin", "")[0] == 0
    assert not [call for call in calls(stack) if " config set " in call]


def test_drift_is_not_looked_for_without_the_cluster(stack: Stack, tmp_path: Path):
    answer(stack, {"prow:context": {"value": "x"}}, [])
    code, _, text = run("drift", stack, tmp_path, "")
    assert code == 1
    assert "the cluster cannot be asked (there is no context x in a kubeconfig here)" in text
    assert not [call for call in calls(stack) if "refresh" in call]


def test_what_the_cli_says_before_the_engine_begins_is_the_error(stack: Stack, tmp_path: Path):
    answer(
        stack, {"prow:context": {"value": "x"}}, [], "echo 'warning: x'; echo 'error: no such key'; exit 255"
    )
    code, about, text = run("preview", stack, tmp_path, "")
    assert code == 1
    assert about.failed
    assert "```\nerror: no such key\n```" in text
    assert "warning: x" not in text


def test_after_an_update_nothing_may_be_left_to_do(stack: Stack, tmp_path: Path):
    answer(stack, {}, [], "case $1 in preview) echo 'error: no changes were expected'; exit 1;; esac")
    code, _, text = run("up", stack, tmp_path, "")
    assert code == 1
    assert "After the update stack `dev` would change again" in text
    assert "no changes were expected" in text


def test_a_wrong_passphrase_is_told_in_the_clis_words_and_masks_what_it_can(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "wrong-passphrase")
    (stack.project / "answers").write_text("echo 'error: incorrect passphrase' >&2; exit 255\n")
    code, _, text = run("preview", stack, tmp_path, "")
    assert code == 1
    assert "error: incorrect passphrase" in text
    assert {"wrong-passphrase", "token"} <= set(secrets(stack, "token"))


def test_a_missing_cli_is_named(stack: Stack, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(CliError, match=r"not on the path: https://www\.pulumi\.com"):
        _ = stack.settings
