"""The rules of the policy pack: for each a resource that keeps it and one that breaks it; and our own program keeps all."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from pulumi_policy import (
    PolicyCustomTimeouts,
    PolicyResource,
    PolicyResourceOptions,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, unknown_checking_proxy
from rules import POLICIES

from tests.unit.mocked import reveal
from tests.unit.test_program import program

pytestmark = pytest.mark.unit
__all__ = ["program"]  # the fixture

RELEASE = "us-docker.pkg.dev/k8s-infra-prow/images/hook:v20260819-7593870dc"
TOKEN = "ghp_" + "a1B2" * 9
OPTIONS = PolicyResourceOptions(
    protect=False,
    ignore_changes=[],
    delete_before_replace=None,
    aliases=[],
    custom_timeouts=PolicyCustomTimeouts(0, 0, 0),
    additional_secret_outputs=[],
    parent="",
)
Resource = tuple[str, str, dict[str, Any]]
"""Type, name and properties."""

POD = {
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [
        {
            "name": "hook",
            "image": RELEASE,
            "args": ["--hmac-secret-file=/etc/webhook/hmac", "--dry-run=false"],
            "env": [{"name": "TOKEN_FILE", "value": "/etc/github/token"}],
            "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
    ],
}


def broken(policy: str, *resources: Resource) -> list[str]:
    """What a policy says of resources."""
    found: list[str] = []
    (chosen,) = (one for one in POLICIES if one.name == policy)

    def report(message: str, urn: str | None = None) -> None:
        found.append(message)

    if isinstance(chosen, ResourceValidationPolicy):
        for kind, name, properties in resources:
            proxy = unknown_checking_proxy(properties)
            chosen.validate(ResourceValidationArgs(kind, proxy, f"urn::{name}", name, OPTIONS, None), report)
    else:
        assert isinstance(chosen, StackValidationPolicy)
        made = [
            PolicyResource(
                kind, unknown_checking_proxy(properties), f"urn::{name}", name, OPTIONS, None, None, [], {}
            )
            for kind, name, properties in resources
        ]
        chosen.validate(StackValidationArgs(made), report)
    return found


def workload(
    edit: Callable[[dict[str, Any]], object] = lambda pod: None, kind: str = "Deployment"
) -> Resource:
    """A workload that keeps every rule, but for the edit."""
    pod = copy.deepcopy(POD)
    edit(pod)
    spec: dict[str, Any] = {"template": {"spec": pod}}
    if kind == "CronJob":
        spec = {"jobTemplate": {"spec": spec}}
    elif kind == "Pod":
        spec = pod
    metadata = {"name": "hook", "namespace": "prow"}
    return f"kubernetes:apps/v1:{kind}", "hook", {"kind": kind, "metadata": metadata, "spec": spec}


def container(**fields: Any) -> Callable[[dict[str, Any]], object]:
    return lambda pod: pod["containers"][0].update(fields)


def config_map(text: str) -> Resource:
    properties = {
        "kind": "ConfigMap",
        "metadata": {"name": "config", "namespace": "prow"},
        "data": {"a": text},
    }
    return "kubernetes:core/v1:ConfigMap", "config", properties


def secret(value: str) -> Resource:
    properties = {"kind": "Secret", "metadata": {"name": "token"}, "stringData": {"token": value}}
    return "kubernetes:core/v1:Secret", "token-secret", properties


def webhook(**configuration: Any) -> Resource:
    properties = {"events": ["*"], "configuration": configuration}
    return "github:index/repositoryWebhook:RepositoryWebhook", "webhook-acme/a", properties


KEPT: list[tuple[str, tuple[Resource, ...]]] = [
    ("no-open-credential", (workload(), config_map("tide: {}"))),
    (
        "no-open-credential",
        (workload(container(env=[{"name": "TOKEN", "valueFrom": {"secretKeyRef": {}}}])),),
    ),
    ("no-open-credential", (config_map(UNKNOWN_STRING_VALUE), secret(TOKEN))),
    ("no-known-secret", (secret("a-long-secret-value"), config_map("something else"), workload())),
    ("no-known-secret", (secret("short"), config_map("short"))),
    ("allowed-image", (workload(), workload(kind="CronJob"))),
    ("one-release", (workload(), workload(container(image=RELEASE.replace("hook", "deck"))))),
    ("restricted-workload", (workload(), workload(kind="Pod"), workload(kind="StatefulSet"))),
    (
        "restricted-workload",  # what the pod says holds for the container, too
        (
            workload(
                container(
                    securityContext={
                        "runAsNonRoot": True,
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
                    }
                )
            ),
        ),
    ),
    ("listed-cluster-right", (("kubernetes:x:Role", "a", {"kind": "Role", "metadata": {"name": "a"}}),)),
    ("signed-webhook", (webhook(url="u", contentType="json", secret="s", insecureSsl=False),)),
    ("signed-webhook", (webhook(url="u", contentType="json", secret=UNKNOWN_STRING_VALUE),)),
]

BROKEN: list[tuple[str, tuple[Resource, ...], str]] = [
    ("no-open-credential", (config_map(f"token: {TOKEN}"),), "data[a] holds a credential"),
    ("no-open-credential", (config_map("-----BEGIN RSA PRIVATE KEY-----"),), "data[a] holds a credential"),
    ("no-open-credential", (workload(container(args=[f"--x={TOKEN}"])),), "args[0] holds a credential"),
    (
        "no-open-credential",
        (workload(container(env=[{"name": "SLACK_TOKEN", "value": "abc"}])),),
        "variable SLACK_TOKEN has its value in plain text",
    ),
    (
        "no-open-credential",
        (workload(container(command=["x", "--hmac-secret=abc"])),),
        "argument --hmac-secret=… gives a secret in plain text",
    ),
    (
        "no-known-secret",
        (secret("a-long-secret-value"), config_map("x: a-long-secret-value")),
        "ConfigMap prow/config, data[a] holds the value of token-secret",
    ),
    (
        "no-known-secret",
        (secret("a-long-secret-value"), workload(container(args=["YS1sb25nLXNlY3JldC12YWx1ZQ=="]))),
        "Deployment prow/hook, container hook, args[0] holds the value of token-secret",
    ),
    (
        "allowed-image",
        (workload(container(image="evil.example/hook:v1")),),
        "evil.example/hook:v1 is from nowhere",
    ),
    ("allowed-image", (workload(container(image=RELEASE.partition(":")[0])),), "has no version"),
    (
        "allowed-image",
        (workload(container(image=RELEASE.partition(":")[0] + ":latest"), "CronJob"),),
        "has no version",
    ),
    (
        "allowed-image",
        (workload(lambda pod: pod.update(initContainers=[{"name": "i", "image": "x:1"}])),),
        "x:1 is from nowhere",
    ),
    (
        "one-release",
        (workload(), workload(container(image=RELEASE.replace("20260819", "20240802")))),
        "images of 2 releases of Prow",
    ),
    ("restricted-workload", (workload(container(resources={})),), "requests no memory"),
    ("restricted-workload", (workload(container(securityContext={})),), "may gain rights"),
    ("restricted-workload", (workload(lambda pod: pod.pop("securityContext")),), "may run as root"),
    (
        "restricted-workload",
        (workload(lambda pod: pod["securityContext"].pop("seccompProfile")),),
        "no seccomp profile",
    ),
    ("restricted-workload", (workload(lambda pod: pod.update(hostNetwork=True)),), "hostNetwork is on"),
    (
        "restricted-workload",
        (workload(lambda pod: pod.update(volumes=[{"name": "v", "hostPath": {"path": "/"}}])),),
        "volume v is a folder of the node",
    ),
    ("restricted-workload", (workload(container(securityContext={"privileged": True})),), "is privileged"),
    ("restricted-workload", (workload(container(securityContext={"runAsUser": 0})),), "runs as root"),
    (
        "restricted-workload",
        (workload(container(securityContext={"capabilities": {"add": ["SYS_ADMIN"]}})),),
        "adds capabilities: SYS_ADMIN",
    ),
    (
        "listed-cluster-right",
        (("kubernetes:x:ClusterRole", "a", {"kind": "ClusterRole", "metadata": {"name": "a"}}),),
        "ClusterRole a reaches every namespace",
    ),
    ("signed-webhook", (webhook(url="u", contentType="json"),), "has no secret"),
    ("signed-webhook", (webhook(url="u", contentType="form", secret="s"),), "is not of contentType json"),
    ("signed-webhook", (webhook(url="u", secret="s"),), "is not of contentType json"),
    (
        "signed-webhook",
        (webhook(url="u", contentType="json", secret="s", insecureSsl=True),),
        "does not check the certificate",
    ),
]


@pytest.mark.parametrize(("policy", "resources"), KEPT)
def test_a_rule_is_kept(policy: str, resources: tuple[Resource, ...]):
    assert broken(policy, *resources) == []


@pytest.mark.parametrize(("policy", "resources", "message"), BROKEN)
def test_a_rule_is_broken(policy: str, resources: tuple[Resource, ...], message: str):
    assert any(message in found for found in broken(policy, *resources))


def test_every_rule_is_tested_both_ways():
    names = {policy.name for policy in POLICIES}
    assert {policy for policy, _ in KEPT} == names
    assert {policy for policy, _, _ in BROKEN} == names


@pytest.mark.parametrize("policy", [policy.name for policy in POLICIES])
def test_our_own_program_keeps_every_rule(policy: str, program):
    resources = [(made.type, made.name, reveal(made.inputs)) for made in program.resources]
    assert len(resources) > 50
    assert broken(policy, *resources) == []
