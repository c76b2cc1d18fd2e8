"""What the policy of the jobs' namespace adds to pods; the API server's answer is in tests/e2e/test_plugins.py."""

import pytest

from components.job_sandbox import JobSandbox, JobSandboxArgs
from components.jobs import Jobs
from components.namespaces import Namespaces, NamespacesArgs

from .mocked import reveal


def expressions(recorder):
    (policy,) = recorder.of("MutatingAdmissionPolicy").values()
    return [entry["jsonPatch"]["expression"] for entry in reveal(policy)["spec"]["mutations"]]


@pytest.mark.parametrize(
    ("jobs", "added"),
    [
        (Jobs(runtime_class="gvisor"), ['path: "/spec/runtimeClassName", value: "gvisor"']),
        (Jobs(user_namespaces=True), ['path: "/spec/hostUsers", value: false']),
        (Jobs(runtime_class="kata", user_namespaces=True), ['value: "kata"', 'path: "/spec/hostUsers"']),
    ],
)
def test_each_setting_adds_its_field_alone(run, jobs, added):
    recorder = run(lambda: JobSandbox("sandbox", JobSandboxArgs(job_namespace="jobs", jobs=jobs)))
    found = expressions(recorder)
    assert len(found) == len(added)
    assert all(text in expression for text, expression in zip(added, found, strict=True))


def test_it_is_for_new_pods_of_the_jobs_namespace_and_refuses_what_it_cannot_change(run):
    args = NamespacesArgs(job_namespace="jobs", jobs=Jobs(runtime_class="gvisor"))
    recorder = run(lambda: Namespaces("namespaces", args))
    policy = reveal(recorder.of("MutatingAdmissionPolicy")["prow-jobs-jobs"])["spec"]
    assert policy["matchConstraints"] == {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "jobs"}},
        "resourceRules": [
            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
        ],
    }
    assert policy["failurePolicy"] == "Fail"
    binding = reveal(recorder.of("MutatingAdmissionPolicyBinding")["prow-jobs-jobs"])["spec"]
    assert binding == {"policyName": "prow-jobs-jobs"}


def test_without_the_settings_there_is_no_policy(run):
    recorder = run(lambda: Namespaces("namespaces", NamespacesArgs()))
    assert recorder.of("MutatingAdmissionPolicy") == {}
