"""Every component's Deployment and rights, as the API server gets them."""

import pytest

from components.catalog import CATALOG, STORING_CRIER, Feature
from components.github_account import GITHUB_API, GitHubAccount, derive_web_url, make_github_flags
from components.images import Images
from components.script import read_script
from components.storage import Access, Storage
from components.workload import Workloads, WorkloadsArgs
from prowconfig.updater import CONFIG_MAPS

from .mocked import reveal

STORAGE = Storage(kind="s3", bucket="logs")


def make(
    run,
    names=tuple(CATALOG),
    slack=None,
    kubeconfig=None,
    endpoint=GITHUB_API,
    storage=None,
    app=None,
    replicas=1,
    features=frozenset(),
    jobs="job-config",
    config_size=0,
    prowjobs_beside_jobs=False,
):
    volumes = {
        "config": "config",
        "job-config": jobs,
        "plugins": "plugins",
        "hmac": "hmac-token",
        "github": "github-token",
        "slack": slack,
        "kubeconfig": kubeconfig,
        "storage-read": "s3-credentials-read" if storage else None,
        "storage-write": "s3-credentials" if storage else None,
        "storage-state": "s3-credentials-state" if storage else None,
    }
    args = WorkloadsArgs(
        components=tuple(STORING_CRIER if storage and name == "crier" else CATALOG[name] for name in names),
        namespace="prow",
        job_namespace="test-pods",
        prowjobs_beside_jobs=prowjobs_beside_jobs,
        images=Images(registry="registry.example/prow", tag="v1", script="python:3"),
        github=GitHubAccount(bot_token="ghp_1", app_id=app, endpoint=endpoint),
        volumes={volume: source for volume, source in volumes.items() if source is not None},
        storage=storage,
        digests={f"storage-{access.value}": access.value for access in Access} if storage else {},
        replicas=replicas,
        features=features,
        config_size=config_size,
    )
    return run(lambda: Workloads("prow", args))


def pods(recorder):
    return {
        key.split("/")[1]: reveal(inputs)["spec"]["template"]["spec"]
        for key, inputs in recorder.of("Deployment").items()
    }


def args_of(recorder, component):
    return pods(recorder)[component]["containers"][0]["args"]


@pytest.mark.parametrize("name", CATALOG)
def test_a_pod_satisfies_the_restricted_pod_security_standard(run, name):
    pod = pods(make(run, (name,)))[name]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(container["resources"]["requests"]) == {"cpu", "memory"}
    assert {"livenessProbe", "readinessProbe", "startupProbe"} <= set(container)
    assert all(set(volume) <= {"name", "secret", "configMap", "emptyDir"} for volume in pod["volumes"])


@pytest.mark.parametrize("name", CATALOG)
def test_a_pod_has_an_api_token_only_if_it_has_rights(run, name):
    component = CATALOG[name]
    assert pods(make(run, (name,)))[name]["automountServiceAccountToken"] is bool(
        component.rules + component.job_rules
    )


@pytest.mark.parametrize("name", CATALOG)
def test_every_volume_is_mounted_and_every_file_a_flag_names_is_in_one(run, name):
    pod = pods(make(run, slack="slack-token", kubeconfig="kubeconfig", storage=STORAGE))[name]
    (container,) = pod["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert set(mounts) == {volume["name"] for volume in pod["volumes"]}
    for flag in container["args"]:
        value = flag.partition("=")[2]
        if value.startswith("/"):
            assert any(value == path or value.startswith(path + "/") for path in mounts.values()), flag


def test_job_files_in_several_config_maps_are_one_directory(run):
    names = ("job-config-1-of-2", "job-config-2-of-2")
    for pod in pods(make(run, jobs=names)).values():
        for volume in pod["volumes"]:
            if volume["name"] == "job-config":
                sources = [source["configMap"]["name"] for source in volume["projected"]["sources"]]
                assert sources == [*names]
                break
        else:
            assert pod["containers"][0]["name"] == "ghproxy"


def test_deck_shows_what_jobs_store_in_buckets_of_the_users_own(run):
    assert "--spyglass=true" not in args_of(make(run), "deck")
    assert "--spyglass=true" in args_of(make(run, features={Feature.OWN_BUCKETS}), "deck")


def test_components_run_one_release_under_their_own_account(run):
    for name, pod in pods(make(run)).items():
        assert pod["containers"][0]["image"] == f"registry.example/prow/{name}:v1"
        assert pod["serviceAccountName"] == name


def test_rights_are_the_catalogs_and_bound_to_the_components_account(run):
    recorder = make(run)
    roles = {key: reveal(inputs)["rules"] for key, inputs in recorder.of("Role").items()}
    expected = {f"prow/{c.name}" for c in CATALOG.values() if c.rules}
    expected |= {f"test-pods/{c.name}" for c in CATALOG.values() if c.job_rules}
    assert set(roles) == expected
    for rules in roles.values():
        for rule in rules:
            assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
            assert not {"secrets", "configmaps"} & set(rule["resources"])
    for key, inputs in recorder.of("RoleBinding").items():
        binding, name = reveal(inputs), key.split("/")[1]
        assert binding["roleRef"]["name"] == name
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": name, "namespace": "prow"}]
    assert recorder.of("ClusterRole") == recorder.of("ClusterRoleBinding") == {}


def test_beside_the_jobs_the_rights_on_prowjobs_and_on_the_leaders_leases_are_there(run):
    """And those on something of Prow's own namespace are not."""
    features = frozenset({Feature.CONFIG_UPDATER})
    rights = {
        (*key.split("/"), resource, verb)
        for key, inputs in make(run, features=features, prowjobs_beside_jobs=True).of("Role").items()
        for rule in reveal(inputs)["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert {right[1:] for right in rights} == {
        (name, resource, verb)
        for name, component in CATALOG.items()
        for rule in (*component.adapt(features).rules, *component.job_rules)
        for resource in rule.resources
        for verb in rule.verbs
    }
    assert {right for right in rights if right[0] == "prow"} == {
        ("prow", "hook", "configmaps", "get"),
        ("prow", "hook", "configmaps", "update"),
    }
    for name in ("sinker", "prow-controller-manager"):  # LeaderElectionNamespace in cmd/<name>/main.go
        assert ("test-pods", name, "leases", "update") in rights


def test_the_account_of_a_role_beside_the_jobs_is_still_one_of_prows_namespace(run):
    recorder = make(run, prowjobs_beside_jobs=True)
    assert {key.partition("/")[0] for key in recorder.of("ServiceAccount")} == {"prow"}
    for inputs in recorder.of("RoleBinding").values():
        assert [subject["namespace"] for subject in inputs["subjects"]] == ["prow"]


def test_other_namespaces_are_other_pods_for_whoever_reads_them(run):
    """Prow's programs watch the namespaces that config.yaml named at their start."""
    for beside, namespaces in ((False, "prow test-pods"), (True, "test-pods test-pods")):
        recorder = make(run, prowjobs_beside_jobs=beside)
        for key, inputs in recorder.of("Deployment").items():
            metadata = reveal(inputs)["spec"]["template"]["metadata"]
            wanted = None if key == "prow/ghproxy" else namespaces  # which reads no configuration
            assert (metadata.get("annotations") or {}).get("prow-stack/namespaces") == wanted


def test_hook_may_write_the_config_maps_of_config_updater_only_with_that_feature(run):
    def rules(features):
        roles = {
            key: reveal(inputs)["rules"] for key, inputs in make(run, features=features).of("Role").items()
        }
        return {
            key: [rule for rule in found if rule["resources"] == ["configmaps"]]
            for key, found in roles.items()
        }

    assert not any(rules(frozenset()).values())
    found = {key: rule for key, rule in rules({Feature.CONFIG_UPDATER}).items() if rule}
    assert list(found) == ["prow/hook"]
    assert found["prow/hook"][0]["resourceNames"] == sorted(CONFIG_MAPS.values())
    assert found["prow/hook"][0]["verbs"] == ["get", "update"]


def test_hook_may_write_each_of_several_config_maps_with_jobs_and_no_other(run):
    names = ("job-config-1-of-2", "job-config-2-of-2")
    made = make(run, jobs=names, features={Feature.CONFIG_UPDATER})
    [rule] = [
        rule for rule in reveal(made.of("Role")["prow/hook"])["rules"] if rule["resources"] == ["configmaps"]
    ]
    assert rule["resourceNames"] == [*names, "plugins"]


def test_only_hook_and_deck_keep_the_old_pod_until_the_new_one_answers(run):
    strategies = {
        key.split("/")[1]: reveal(inputs)["spec"]["strategy"]["type"]
        for key, inputs in make(run).of("Deployment").items()
    }
    assert {name for name, kind in strategies.items() if kind == "RollingUpdate"} == {"hook", "deck"}


def test_the_first_ping_of_a_webhook_waits_until_nodes_can_send_it_to_hook(run):
    settling = {
        key.split("/")[1]: reveal(inputs)["spec"].get("minReadySeconds", 0)
        for key, inputs in make(run).of("Deployment").items()
    }
    assert settling.pop("hook") >= 2
    assert set(settling.values()) == {0}  # nobody is called once and for all


def test_github_is_reached_through_ghproxy_first_then_directly(run):
    recorder = make(run)
    endpoints = [flag for flag in args_of(recorder, "hook") if flag.startswith("--github-endpoint=")]
    assert endpoints == ["--github-endpoint=http://ghproxy", "--github-endpoint=https://api.github.com"]
    assert f"--upstream={GITHUB_API}" in args_of(recorder, "ghproxy")


def test_without_ghproxy_and_tide_nothing_points_at_them(run):
    recorder = make(run, names=[name for name in CATALOG if name not in ("ghproxy", "tide")])
    assert set(pods(recorder)) == set(CATALOG) - {"ghproxy", "tide"}
    assert "ghproxy" not in str(recorder.of("Deployment"))
    assert "http://tide" not in str(recorder.of("Deployment"))


def test_an_enterprise_server_has_its_own_graphql_endpoint_and_host():
    flags = make_github_flags("/etc/github", "https://ghe.example.com/api/v3", cache_url="http://ghproxy")
    assert "--github-graphql-endpoint=https://ghe.example.com/api/graphql" in flags
    assert "--github-host=ghe.example.com" in flags
    assert derive_web_url("https://ghe.example.com/api/v3") == "https://ghe.example.com"
    assert derive_web_url(GITHUB_API) == "https://github.com"


def test_slack_is_crier_only_and_only_with_a_token(run):
    assert "slack" not in str(pods(make(run)))


def test_with_a_slack_token_crier_reports_and_nobody_else_mounts_it(run):
    recorder = make(run, slack="slack-token")
    assert {"--slack-workers=1", "--slack-token-file=/etc/slack/token"} <= set(args_of(recorder, "crier"))
    assert [name for name, pod in pods(recorder).items() if "slack" in str(pod)] == ["crier"]


def test_build_clusters_reach_the_components_that_use_them(run):
    users = {
        name for name, pod in pods(make(run, kubeconfig="kubeconfig")).items() if "kubeconfig" in str(pod)
    }
    assert users == {"deck", "sinker", "prow-controller-manager"}


def test_with_storage_those_that_read_or_write_logs_have_its_credentials_and_nobody_else(run):
    recorder = make(run, storage=STORAGE)
    flag = "--s3-credentials-file=/etc/storage/service-account.json"
    users = {name for name in CATALOG if flag in args_of(recorder, name)}
    assert users == {"deck", "crier", "tide", "status-reconciler"}
    secrets = {
        name: volume["secret"]["secretName"]
        for name, pod in pods(recorder).items()
        for volume in pod["volumes"]
        if volume["name"].startswith("storage")
    }
    assert secrets == {
        "deck": "s3-credentials-read",
        "crier": "s3-credentials",
        "tide": "s3-credentials-state",
        "status-reconciler": "s3-credentials-state",
    }
    assert "--spyglass=true" in args_of(recorder, "deck")
    assert "--blob-storage-workers=2" in args_of(recorder, "crier")
    assert {"--history-uri=s3://logs/tide/history.json", "--status-path=s3://logs/tide/status"} <= set(
        args_of(recorder, "tide")
    )
    assert "--status-path=s3://logs/status-reconciler/status" in args_of(recorder, "status-reconciler")


def test_a_bucket_of_google_is_named_and_reached_as_such(run):
    recorder = make(run, storage=Storage(kind="gcs", bucket="logs"))
    assert "--gcs-credentials-file=/etc/storage/service-account.json" in args_of(recorder, "deck")
    assert "--history-uri=gs://logs/tide/history.json" in args_of(recorder, "tide")


def test_without_storage_nothing_speaks_of_it(run):
    deployments = str(make(run).of("Deployment"))
    for word in ("storage", "spyglass", "history", "status-path", "credentials"):
        assert word not in deployments, word


def test_other_credentials_replace_the_pods_that_read_them_once_at_their_start(run):
    annotations = {
        key.split("/")[1]: reveal(inputs)["spec"]["template"]["metadata"].get("annotations")
        for key, inputs in make(run, storage=STORAGE).of("Deployment").items()
    }
    key = "prow-stack/storage-credentials"
    found = {name: found[key] for name, found in annotations.items() if found and key in found}
    assert found == {"deck": "read", "crier": "write", "tide": "state", "status-reconciler": "state"}


def test_crier_stores_the_pods_of_jobs_and_what_runs_after_it_releases_them(run):
    recorder = make(run, storage=STORAGE, kubeconfig="kubeconfig")
    assert {"--kubernetes-blob-storage-workers=2", "--kubeconfig=/etc/kubeconfig/config"} <= set(
        args_of(recorder, "crier")
    )
    pod = pods(recorder)["crier"]
    (sidecar,) = pod["initContainers"]
    assert sidecar["restartPolicy"] == "Always"  # Kubernetes stops it after the other container
    assert sidecar["image"] == "python:3"
    assert sidecar["command"] == ["python", "-u", "-c", read_script("release_pods")]
    assert sidecar["args"] == ["test-pods"]
    assert sidecar["securityContext"] == pod["containers"][0]["securityContext"]
    rules = reveal(recorder.of("Role")["test-pods/crier"])["rules"]
    assert [(rule["resources"], rule["verbs"]) for rule in rules] == [
        (["pods"], ["get", "list", "patch"]),
        (["events"], ["list"]),
    ]
    assert [name for name, pod in pods(recorder).items() if "initContainers" in pod] == ["crier"]


def test_without_storage_crier_does_not_hold_the_pods_of_jobs(run):
    recorder = make(run, kubeconfig="kubeconfig")
    pod = pods(recorder)["crier"]
    assert "initContainers" not in pod
    assert "kube" not in str(pod["containers"][0]["args"])
    assert "test-pods/crier" not in recorder.of("Role")


def test_secrets_are_files_that_only_the_group_reads(run):
    for pod in pods(make(run, slack="slack-token", kubeconfig="kubeconfig")).values():
        for volume in pod["volumes"]:
            if "secret" in volume:
                assert volume["secret"]["defaultMode"] == 0o440
        assert all("env" not in container for container in pod["containers"])


def test_those_that_clone_repositories_can_write_where_prow_clones_to(run):
    writers = {
        name
        for name, pod in pods(make(run)).items()
        if any(mount["mountPath"] == "/var/tmp" for mount in pod["containers"][0]["volumeMounts"])
    }
    assert writers == {"hook", "deck", "tide"}


def test_one_pod_has_no_disruption_budget_which_would_only_keep_nodes_from_being_drained(run):
    recorder = make(run)
    assert {d["spec"]["replicas"] for d in map(reveal, recorder.of("Deployment").values())} == {1}
    assert recorder.of("PodDisruptionBudget") == {}
    assert not any("topologySpreadConstraints" in pod for pod in pods(recorder).values())


def test_several_pods_are_those_of_hook_and_deck_apart_from_each_other_and_drained_one_at_a_time(run):
    recorder = make(run, replicas=3)
    found = {key.split("/")[1]: reveal(inputs) for key, inputs in recorder.of("Deployment").items()}
    assert {name for name, made in found.items() if made["spec"]["replicas"] == 3} == {"hook", "deck"}
    assert {made["spec"]["replicas"] for name, made in found.items() if name not in ("hook", "deck")} == {1}
    budgets = {key.split("/")[1]: reveal(made) for key, made in recorder.of("PodDisruptionBudget").items()}
    assert set(budgets) == {"hook", "deck"}
    for name, budget in budgets.items():
        assert budget["spec"] == {"maxUnavailable": 1, "selector": {"matchLabels": {"app": name}}}
        (spread,) = found[name]["spec"]["template"]["spec"]["topologySpreadConstraints"]
        assert spread["whenUnsatisfiable"] == "ScheduleAnyway"
        assert spread["labelSelector"] == budget["spec"]["selector"]


@pytest.mark.parametrize(
    ("mib", "others", "deck"),
    [
        (0, "512Mi", "512Mi"),
        (0.6, "512Mi", "512Mi"),
        (1.7, "512Mi", "2Gi"),
        (4.24, "1Gi", "4Gi"),
        (10, "2Gi", "8Gi"),
    ],
)
def test_memory_limits_follow_the_size_of_the_configuration(run, mib, others, deck):
    found = {
        name: pod["containers"][0]["resources"]["limits"]["memory"]
        for name, pod in pods(make(run, config_size=int(mib * 2**20))).items()
    }
    assert found.pop("deck") == deck
    assert found.pop("ghproxy") == "512Mi"  # reads none
    assert found.pop("hook") == found.pop("tide") == {"512Mi": "1Gi"}.get(others, others)  # these clone, too
    assert set(found.values()) == {others}


def test_one_more_job_changes_no_limit(run):
    before = [CATALOG["deck"].render_memory_limit(size) for size in range(0, 20 * 2**20, 100_000)]
    assert len(set(before)) == 6
