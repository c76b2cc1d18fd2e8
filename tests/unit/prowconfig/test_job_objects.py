"""What jobs name: Secrets, ConfigMaps and ServiceAccounts that somebody makes, or a warning with the line."""

import textwrap
from pathlib import Path
from typing import Any

import pytest

from prowconfig import files
from tests.unit.prowconfig.examples import REPOSITORIES, A, C, write

pytestmark = pytest.mark.unit
JOBS = """\
presubmits:
  me/app:
  - name: a
    spec:
      serviceAccountName: robot
      containers:
      - image: busybox
        env:
        - name: X
          valueFrom: {secretKeyRef: {name: env, key: x}}
        envFrom:
        - configMapRef: {name: all}
      volumes:
      - name: v
        secret: {secretName: files}
      - name: p
        projected:
          sources: [{secret: {name: part}}, {configMap: {name: more}}]
"""
NAMED = (
    ("ServiceAccount", "robot", 5),
    ("Secret", "env", 9),
    ("ConfigMap", "all", 12),
    ("Secret", "files", 14),
    ("Secret", "part", 16),
    ("ConfigMap", "more", 16),
)


def warnings(folder: Path, texts: dict[str, str], known: Any = (), **options: Any) -> list[str]:
    options["enabled"] = files.Enabled(job_objects=None if known is None else frozenset(known))
    loaded = files.load(write(folder, texts), REPOSITORIES, **options)
    return [str(warning) for warning in loaded.warnings if "nobody's" in warning.reason]


def test_each_object_that_nobody_makes_is_warned_of_with_its_line(tmp_path):
    found = warnings(tmp_path, {"jobs/a.yaml": JOBS})
    assert len(found) == len(NAMED)
    for kind, name, line in NAMED:
        (warning,) = [text for text in found if f"the {kind} {name} is nobody's" in text]
        assert warning.startswith(f"{A}:{line}: presubmit a: ")


def test_the_warning_has_the_commands_that_make_it_or_say_that_it_is_there(tmp_path):
    text = "\n".join(warnings(tmp_path, {"jobs/a.yaml": JOBS}))
    assert 'pulumi config set --secret --path \'jobSecrets["files"]["<key>"]\' < <file>' in text
    assert "pulumi config set --path 'jobConfigMaps[\"all\"][\"<key>\"]' '<text>'" in text
    assert "pulumi config set --path 'jobServiceAccounts[\"robot\"]' ''" in text
    assert "pulumi config set --path 'existingJobObjects[0]' Secret/files" in text


def test_the_command_keeps_the_objects_that_the_setting_has(tmp_path):
    enabled = files.Enabled(job_objects=frozenset({("Secret", "env")}), existing_objects=1)
    loaded = files.load(write(tmp_path, {"jobs/a.yaml": JOBS}), REPOSITORIES, enabled=enabled)
    assert any("'existingJobObjects[1]' Secret/files" in warning.reason for warning in loaded.warnings)


def test_what_somebody_makes_is_not_warned_of(tmp_path):
    known = {(kind, name) for kind, name, _ in NAMED}
    assert not warnings(tmp_path, {"jobs/a.yaml": JOBS}, known)
    assert not warnings(tmp_path / "2", {"jobs/a.yaml": JOBS}, None)


@pytest.mark.parametrize(
    "line",
    [
        "volumes: [{name: v, secret: {secretName: x, optional: true}}]",
        "serviceAccountName: default",
        "volumes: [{name: v, configMap: {name: kube-root-ca.crt}}]",
    ],
)
def test_what_may_be_missing_and_what_kubernetes_makes_is_not_warned_of(tmp_path, line):
    text = f"presubmits:\n  me/app:\n  - name: a\n    spec:\n      {line}\n      containers: [{{image: busybox}}]\n"
    assert not warnings(tmp_path, {"jobs/a.yaml": text})


def test_a_job_of_another_cluster_finds_its_objects_there(tmp_path):
    text = JOBS.replace("  - name: a\n", "  - name: a\n    cluster: build\n")
    assert not warnings(tmp_path, {"jobs/a.yaml": text}, clusters=("build",))


def test_one_warning_for_an_object_that_many_jobs_name(tmp_path):
    job = "  - name: {}\n    spec:\n      serviceAccountName: robot\n      containers: [{{image: busybox}}]\n"
    text = "presubmits:\n  me/app:\n" + "".join(job.format(name) for name in "abc")
    (warning,) = warnings(tmp_path, {"jobs/a.yaml": text})
    assert warning.startswith(f"{A}:5: presubmit a: ")
    assert warning.endswith("(and 2 more)")


def test_presets_and_decoration_name_objects_too(tmp_path):
    config = textwrap.dedent("""\
        presets:
        - labels: {x: "true"}
          env: [{name: X, valueFrom: {secretKeyRef: {name: env, key: x}}}]
          volumes: [{name: v, secret: {secretName: files}}]
        plank:
          default_decoration_configs:
            "*":
              gcs_credentials_secret: bucket
              ssh_key_secrets: [ssh]
              default_service_account_name: robot
        """)
    found = warnings(tmp_path, {"config.yaml": config})
    assert all(warning.startswith(f"{C}:") for warning in found)
    names = ("Secret env", "Secret files", "Secret bucket", "Secret ssh", "ServiceAccount robot")
    assert len(found) == len(names)
    for name in names:
        assert any(f"the {name} is nobody's" in warning for warning in found), name
