"""The comment's text: what is in it, in which order, and what must never be."""

import base64
import gzip
import textwrap

import pytest
import yaml
from markdown_it import MarkdownIt

from previews import masks
from previews.changes import read
from previews.comment import LIMIT, About, marker, render
from tests.unit import preview_events as events
from tests.unit.preview_events import CONFIG_MAP, DEPLOYMENT, ROLE, WEBHOOK, named, refreshed, step

pytestmark = pytest.mark.unit
ABOUT = About(project="prow", stack="dev", commit="0123456789abcdef", log="https://ci/1")
JOB = {
    "name": "hello",
    "always_run": True,
    "spec": {"containers": [{"image": "busybox:1.36", "args": ["a\nb\nc\n"]}]},
}


def job_config(*jobs: dict, key: str = "acme/a") -> dict:
    return named("job-config", data={"hello.yaml": yaml.safe_dump({"presubmits": {key: list(jobs)}})})


def changed(old: dict, new: dict) -> dict:
    return step("update", CONFIG_MAP, "job-config", old, new)


def shown(*found: dict, about: About = ABOUT, drift: bool = False) -> str:
    return render(about, read(found, drift=drift))


def test_a_preview_tells_counts_then_resources_then_the_jobs():
    new = JOB | {
        "always_run": False,
        "spec": {"containers": [{"image": "busybox:1.37", "args": ["a\nB\nc\n"]}]},
    }
    text = shown(
        changed(job_config(JOB), job_config(new, {"name": "lint", "spec": {}})),
        step("create", ROLE, "tide", None, named("tide")),
        step(
            "replace",
            DEPLOYMENT,
            "deck",
            named("deck", spec={"image": "a:1"}),
            named("deck", spec={"image": "a:2"}),
        ),
        step("delete", DEPLOYMENT, "old", named("old")),
        step("same", DEPLOYMENT, "hook", named("hook"), named("hook")),
    )
    assert text == textwrap.dedent("""\
        <!-- stack preview: prow/dev -->

        ### Preview of stack `dev`: 1 added, 1 changed, 1 replaced, 1 deleted, 1 unchanged

        Commit 0123456789 · [log of the run](https://ci/1)

        **➕ Added (1)**

        - Role `prow/tide`

        **✏️ Changed (1)**

        - ConfigMap `prow/job-config`: `data["hello.yaml"]`

        **🔁 Replaced (1)**

        - Deployment `prow/deck`: `spec.image`

        **➖ Deleted (1)**

        - Deployment `prow/old`

        <details><summary>Deployment <code>prow/deck</code></summary>

        ```diff
        - spec.image: a:1
        + spec.image: a:2
        ```

        </details>

        #### Prow's configuration

        <details open><summary>Presubmit <b>hello</b> changes, for <code>acme/a</code> · <code>hello.yaml</code></summary>

        ```diff
        - always_run: true
        + always_run: false
          spec.containers[0].args[0]:
            a
        -   b
        +   B
            c
        - spec.containers[0].image: busybox:1.36
        + spec.containers[0].image: busybox:1.37
        ```

        </details>

        <details open><summary>Presubmit <b>lint</b> is new, for <code>acme/a</code> · <code>hello.yaml</code></summary>

        ```diff
        + name: lint
        + spec: {}
        ```

        </details>""")  # noqa: RUF001


def test_nothing_to_change_is_one_plain_line():
    text = shown(
        step("same", DEPLOYMENT, "hook", named("hook"), named("hook")),
        about=About(project="prow", stack="dev"),
    )
    assert text.splitlines()[2:] == ["### No change: stack `dev` stays as it is (1 unchanged)"]


def test_a_preview_without_the_cluster_says_so():
    text = shown(about=About(project="prow", stack="dev", from_state="10.0.0.1:6443: timed out"))
    assert "The cluster could not be asked (10.0.0.1:6443: timed out)" in text
    assert "last state" in text


def test_a_failure_shows_the_error_and_nothing_that_was_found_before_it():
    text = shown(
        events.diagnostic("error", "2 settings to fix:\n  - prow:namespace is 'X'"),
        changed(job_config(JOB), job_config()),
        about=About(project="prow", stack="dev", failed=True),
    )
    assert "### ❌ The preview of stack `dev` failed" in text
    assert "```\n2 settings to fix:\n  - prow:namespace is 'X'\n```" in text
    assert "hello" not in text


def test_a_broken_rule_is_named_with_its_resource_and_the_changes_stay():
    urn = f"urn:pulumi:dev::prow::{DEPLOYMENT}::prow-components-hook-deployment"
    text = shown(
        events.policy("allowed-image", "image <b>x</b> is from nowhere", urn),
        changed(job_config(JOB), job_config()),
        about=About(project="prow", stack="dev", failed=True),
    )
    assert (
        "- **allowed-image** · `prow-components-hook-deployment`: image &lt;b&gt;x&lt;/b&gt; is from nowhere"
        in text
    )
    assert "<b>hello</b> goes" in text


def test_drift_is_told_in_the_same_form():
    shape = named("deck", rules=[{"verbs": ["get"]}])
    text = shown(
        refreshed("update", ROLE, "deck", shape, shape, named("deck", rules=[{"verbs": ["delete"]}])),
        refreshed(
            "update", WEBHOOK, "webhook-acme/a", {"events": ["*"]}, {"events": ["*"]}, {"events": ["push"]}
        ),
        about=About(project="prow", stack="dev", what="drift"),
        drift=True,
    )
    assert "### Drift in stack `dev`: 2 changed by hand, 0 unchanged" in text
    assert "- Role `prow/deck`: `rules[0].verbs`" in text
    assert "- events: ['*']\n+ events: [push]" in text
    assert "pulumi up --refresh" in text


def test_a_secret_that_changes_is_told_without_its_value():
    data = named("github-token", data=events.SECRET)
    text = shown(step("update", "kubernetes:core/v1:Secret", "t", data, data, detailed={"data.token": {}}))
    assert "! data.token: a secret changes" in text


def test_values_known_later_are_said_to_be():
    old, new = (
        named("config", data={"config.yaml": "a: 1\n"}),
        named("config", data={"config.yaml": events.UNKNOWN}),
    )
    assert "+   (known once it is applied)" in shown(changed(old, new))


def test_no_text_of_a_pull_request_ends_its_block_or_calls_anybody():
    evil = "```\n</details>\n@acme/everyone <script>alert(1)</script>"
    job = JOB | {"name": "x`</summary>@bob", "description": evil}
    html = MarkdownIt("commonmark", {"html": True}).render(shown(changed(job_config(), job_config(job))))
    assert html.count("</details>") == 1
    assert "<script>" not in html
    assert "@bob" not in html.replace("@\u2060bob", "").split("<pre>")[0]


def test_a_comment_fits_whatever_changes_and_says_what_is_left_out():
    jobs = [{"name": f"job-{n}", "spec": {"containers": [{"args": ["x" * 300]}]}} for n in range(400)]
    steps = [step("create", ROLE, f"r{n}", None, named(f"r{n}" + "y" * 60)) for n in range(300)]
    text = shown(changed(job_config(), job_config(*jobs)), *steps)
    assert len(text) <= LIMIT
    assert text.startswith(marker(ABOUT))
    assert "301 unchanged" not in text
    assert "### Preview of stack `dev`: 300 added, 1 changed" in text
    assert "parts left out: a comment holds 65536 characters" in text
    assert text.count("<details") == text.count("</details>")


def test_one_long_difference_is_cut_at_a_line():
    old, new = (
        named("config", data={"a.yaml": "k: a\n"}),
        named("config", data={"a.yaml": "k: |\n" + "  line\n" * 9000}),
    )
    text = shown(changed(old, new))
    assert len(text) < 20_000
    assert "characters more, left out here" in text


def test_known_secrets_are_taken_out_in_every_form():
    token = "ghp_" + "aB3/" * 9
    text = f"a {token} b Z2hwX2FCMy9hQjMvYUIzL2FCMy9hQjMvYUIzL2FCMy9hQjMvYUIzLw== c ghp_{'aB3%2F' * 9}"
    assert masks.masked(text, [token]) == "a [secret] b [secret] c [secret]"


def test_a_line_of_a_long_secret_is_taken_out_too():
    kubeconfig = "users:\n- user:\n    token: 0123456789abcdef0123\n"
    assert masks.masked("it said 0123456789abcdef0123", [kubeconfig]) == "it said [secret]"


def test_secrets_of_settings_and_state_are_found():
    wrapped = {
        "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
        "plaintext": '{"token":"one"}',
    }
    assert list(masks.of_state([{"outputs": {"data": wrapped, "name": "x"}}])) == ["one"]
    settings = {"a": {"value": "two", "secret": True}, "b": {"value": "open", "secret": False}}
    assert list(masks.of_settings(settings)) == ["two"]


def test_files_that_are_compressed_in_their_config_map_are_read_as_others():
    def packed(*jobs: dict) -> dict:
        plain = job_config(*jobs)
        files = {
            key: base64.b64encode(gzip.compress(text.encode())).decode()
            for key, text in plain["data"].items()
        }
        return named("job-config", data={}, binaryData=files)

    new = JOB | {"always_run": False}
    text = shown(changed(packed(JOB), packed(new)))
    assert text.replace("binaryData[", "data[") == shown(changed(job_config(JOB), job_config(new)))
    assert "Presubmit <b>hello</b> changes" in shown(changed(job_config(JOB), packed(new)))
