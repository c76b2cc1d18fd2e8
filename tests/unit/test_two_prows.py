"""Two Prows in one program, as somebody else's program may have them: on one cluster, each in its own namespaces."""

from pathlib import Path

import pulumi
import pytest
from pulumi.runtime.settings import SETTINGS

from components.catalog import REQUIRED
from components.github_account import GitHubAccount
from components.images import Images
from components.prow import Prow, ProwArgs, ProwOptions, read_files
from components.redelivery import Redelivery, RedeliveryArgs
from components.relay import Relay, RelayArgs
from components.storage import Storage

from .mocked import Recorder, known, reveal

PROW = Path(__file__).parents[2] / "prow"


def make(name: str, *, install_crd: bool, after: pulumi.Resource | None = None) -> Prow:
    """A Prow with all of its parts, in namespaces that begin with its name, made of other resources' outputs."""
    output = pulumi.Output.from_input
    options = ProwOptions(
        github=GitHubAccount(bot_token=output("ghp_1"), endpoint="https://ghe.example/api/v3"),
        images=Images(
            registry=output("registry.example/prow"),
            tag=output("v1"),
            script=output("registry.example/python:3"),
        ),
        namespace=output(name),
        job_namespace=output(f"{name}-jobs"),
        prowjobs_beside_jobs=not install_crd,
        components=REQUIRED,
        storage=Storage(kind="in-cluster", bucket=output("logs"), region=output("eu-1")),
        install_crd=install_crd,
    )
    files = read_files(PROW, options, repositories=["acme/one"])
    opts = pulumi.ResourceOptions(depends_on=[after] if after else [])
    hmacs = {2: output("2" * 40), 1: output("1" * 40)}
    prow = Prow(
        name, ProwArgs(options=options, files=files, hmacs=hmacs, node_address=output("192.0.2.7")), opts
    )
    Relay(
        f"{name}-relay",
        RelayArgs(
            kind="gosmee",
            values={"gosmeeServer": "https://gosmee.example"},
            node_url=prow.hook_url,
            namespace=prow.namespace,
        ),
    )
    Redelivery(
        f"{name}-redelivery",
        RedeliveryArgs(
            token=output("ghp_2"),
            schedule="0 * * * *",
            webhooks={"acme/one": "https://ghe.example/hooks/1"},
            targets=None,
            deck_url=prow.deck_url,
            namespace=prow.namespace,
            prowjob_namespace=prow.prowjob_namespace,
            image="registry.example/python:3",
        ),
    )
    return prow


@pytest.fixture
def both(run) -> Recorder:
    def program() -> None:
        first = make("red", install_crd=True)
        make("blue", install_crd=False, after=first.prowjob_crd)

    return run(program)


def test_no_two_resources_have_the_same_urn(both):
    names = [(resource.type, resource.name) for resource in both.resources]
    assert len(names) == len(set(names))
    assert all(name.startswith(("red", "blue")) for _, name in names)


def test_no_two_objects_of_the_cluster_have_the_same_name(both):
    objects = []
    for resource in both.resources:
        if resource.type.startswith("kubernetes:"):
            metadata = reveal(resource.inputs)["metadata"]
            objects.append((resource.type, metadata.get("namespace"), metadata["name"]))
    assert len(objects) > 60
    assert len(objects) == len(set(objects))


def test_the_type_prowjob_is_made_once(both):
    assert list(both.of("CustomResourceDefinition")) == ["prowjobs.prow.k8s.io"]


def test_hooks_are_named_after_their_component(both):
    names = SETTINGS.callbacks.names
    assert len(names) == len(set(names)) >= 6
    assert all(name.startswith(("red-", "blue-")) for name in names)


def test_values_that_other_resources_make_reach_flags_images_and_configuration(both):
    (hook,) = reveal(both.of("Deployment")["blue/hook"])["spec"]["template"]["spec"]["containers"]
    assert hook["image"] == "registry.example/prow/hook:v1"
    assert "--github-endpoint=https://ghe.example/api/v3" in hook["args"]
    config = both.of("ConfigMap")["blue/config"]["data"]["config.yaml"]
    assert "bucket: s3://logs" in config
    assert "link_url: https://ghe.example" in config


def test_what_a_component_makes_is_told_to_the_program(run):
    made = []
    run(lambda: made.append(make("red", install_crd=True)))
    assert known(made[0].deck_url) == "http://192.0.2.7:30080/"
    assert (known(made[0].namespace), known(made[0].job_namespace)) == ("red", "red-jobs")
