"""The Secrets, ConfigMaps and ServiceAccounts that jobs name, and which of them nobody makes.

A pod that names one that is missing waits for it (Secrets, ConfigMaps) or is refused (ServiceAccounts); Prow ends the job
as it ends one that does not start, after `plank.pod_pending_timeout`.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prowconfig.jobs import Job
from prowconfig.problem import Path, Problem
from prowconfig.values import as_list, as_map, as_text, get_in, shorten
from prowconfig.yaml_text import YamlFile

SECRET, CONFIG_MAP, SERVICE_ACCOUNT = "Secret", "ConfigMap", "ServiceAccount"
SETTINGS = {
    SECRET: 'pulumi config set --secret --path \'jobSecrets["{name}"]["<key>"]\' < <file>',
    CONFIG_MAP: "pulumi config set --path 'jobConfigMaps[\"{name}\"][\"<key>\"]' '<text>'",
    SERVICE_ACCOUNT: "pulumi config set --path 'jobServiceAccounts[\"{name}\"]' ''",
}
"""The command that has the stack make one."""
_CLUSTERS_OWN = frozenset({(SERVICE_ACCOUNT, "default"), (CONFIG_MAP, "kube-root-ca.crt")})
"""What Kubernetes makes in every namespace."""
# Fields of a DecorationConfig (pkg/apis/prowjobs/v1/types.go) with the name of a Secret, or with names of several.
_DECORATION = ("gcs_credentials_secret", "s3_credentials_secret", "cookiefile_secret")
_DECORATION_KEYS = ("oauth_token_secret", "github_app_private_key_secret")

Object = tuple[str, str]
"""Kind and name."""
References = Iterator[tuple[Path, str, str]]
"""Where an object is named, its kind and its name."""


def find_unknown_objects(
    jobs: Iterable[Job], files: Iterable[YamlFile], known: frozenset[Object], *, existing: int = 0
) -> Iterator[Problem]:
    """One warning for each object that jobs of this cluster, or presets, name and nobody makes.

    :param known: objects of the settings, and of the stack's own, in the jobs' namespace.
    :param existing: how many of them the setting existingJobObjects has.
    """
    first: dict[Object, Problem] = {}
    more: dict[Object, int] = {}
    for place, kind, name, make_problem in _iterate_references(jobs, files):
        if (kind, name) in known or (kind, name) in _CLUSTERS_OWN or not name:
            continue
        more[kind, name] = more.get((kind, name), -1) + 1
        if (kind, name) not in first:
            reason = f"the {kind} {shorten(name)} is nobody's in the jobs' namespace, so a pod with it does not start"
            fix = SETTINGS[kind].format(name=shorten(name))
            other = f"if something else makes it: pulumi config set --path 'existingJobObjects[{existing}]' {kind}/{shorten(name)}"
            first[kind, name] = make_problem(place, f"{reason}; to have the stack make it: {fix}; {other}")
    for found, problem in first.items():
        times = f" (and {more[found]} more)" if more[found] else ""
        yield Problem(file=problem.file, line=problem.line, reason=f"{problem.reason}{times}", warning=True)


def _iterate_references(
    jobs: Iterable[Job], files: Iterable[YamlFile]
) -> Iterator[tuple[Path, str, str, Any]]:
    for job in jobs:
        if as_text(job.body.get("cluster")) in ("", "default"):
            for path, kind, name in find_references(job.body):
                yield path, kind, name, job.make_problem
    for file in files:
        for path, decoration in _iterate_decorations(file.data):
            for step, kind, name in _find_in_decoration(decoration, path):
                yield step, kind, name, file.make_problem
        for at, preset in enumerate(as_list(file.data.get("presets"))):
            for path, kind, name in _find_in_pod(as_map(preset), ("presets", at)):
                yield path, kind, name, file.make_problem
            for path, kind, name in _find_in_container(as_map(preset), ("presets", at)):
                yield path, kind, name, file.make_problem


def find_references(job: Mapping[str, Any]) -> References:
    """What a job names, with the path from it. What is `optional` may be missing."""
    spec = as_map(job.get("spec"))
    yield from _find_in_pod(spec, ("spec",))
    for field in ("containers", "initContainers"):
        for at, container in enumerate(as_list(spec.get(field))):
            yield from _find_in_container(as_map(container), ("spec", field, at))
    yield from _find_in_decoration(as_map(job.get("decoration_config")), ("decoration_config",))


def _iterate_decorations(config: Mapping[str, Any]) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """The defaults of config.yaml for decorated jobs."""
    for key, value in as_map(get_in(config, "plank", "default_decoration_configs")).items():
        yield ("plank", "default_decoration_configs", key), as_map(value)
    for at, entry in enumerate(as_list(get_in(config, "plank", "default_decoration_config_entries"))):
        path = ("plank", "default_decoration_config_entries", at, "config")
        yield path, as_map(get_in(entry, "config"))


def _find_in_decoration(decoration: Mapping[str, Any], here: Path) -> References:
    for field in _DECORATION:
        yield (*here, field), SECRET, as_text(decoration.get(field))
    for field in _DECORATION_KEYS:
        yield (*here, field), SECRET, as_text(get_in(decoration, field, "name"))
    for at, name in enumerate(as_list(decoration.get("ssh_key_secrets"))):
        yield (*here, "ssh_key_secrets", at), SECRET, as_text(name)
    account = as_text(decoration.get("default_service_account_name"))
    yield (*here, "default_service_account_name"), SERVICE_ACCOUNT, account


def _find_in_pod(spec: Mapping[str, Any], here: Path) -> References:
    for field in ("serviceAccountName", "serviceAccount"):
        yield (*here, field), SERVICE_ACCOUNT, as_text(spec.get(field))
    for at, volume in enumerate(as_list(spec.get("volumes"))):
        place = (*here, "volumes", at)
        yield from _find_source(get_in(volume, "secret"), place, SECRET, "secretName")
        yield from _find_source(get_in(volume, "configMap"), place, CONFIG_MAP, "name")
        for source in as_list(get_in(volume, "projected", "sources")):
            yield from _find_source(get_in(source, "secret"), place, SECRET, "name")
            yield from _find_source(get_in(source, "configMap"), place, CONFIG_MAP, "name")


def _find_in_container(container: Mapping[str, Any], here: Path) -> References:
    for at, variable in enumerate(as_list(container.get("env"))):
        place = (*here, "env", at)
        yield from _find_source(get_in(variable, "valueFrom", "secretKeyRef"), place, SECRET, "name")
        yield from _find_source(get_in(variable, "valueFrom", "configMapKeyRef"), place, CONFIG_MAP, "name")
    for at, source in enumerate(as_list(container.get("envFrom"))):
        place = (*here, "envFrom", at)
        yield from _find_source(get_in(source, "secretRef"), place, SECRET, "name")
        yield from _find_source(get_in(source, "configMapRef"), place, CONFIG_MAP, "name")


def _find_source(source: Any, place: Path, kind: str, key: str) -> References:
    if isinstance(source, dict) and source.get("optional") is not True:
        yield place, kind, as_text(source.get(key))
