"""Small inputs, each with the answer that the default release gives: one more beside those of `examples`.

What the testbed's older checkconfig answers otherwise, and why, is written beside the input.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tests.unit.prowconfig.examples import STORAGE, A, C, P, jobs, periodic, pod, presubmit

TAKEN, REFUSED = "taken", "refused"
NEWER = "only newer releases refuse it"
OLDER = "only older releases refuse it"
STACK = "the stack refuses it, Prow does not"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Files, and the answer to them."""

    name: str
    files: Mapping[str, str]
    answer: str
    where: str | None = None
    """File and line that the first error names."""
    otherwise: str | None = None
    """Why the testbed's checkconfig alone gives the other answer."""

    def __str__(self) -> str:
        return self.name


def refused(
    name: str, files: Mapping[str, str], where: str | None = None, *, otherwise: str | None = None
) -> Kind:
    return Kind(name=name, files=files, answer=REFUSED, where=where, otherwise=otherwise)


def taken(name: str, files: Mapping[str, str], *, otherwise: str | None = None) -> Kind:
    return Kind(name=name, files=files, answer=TAKEN, otherwise=otherwise)


def config(text: str) -> dict[str, str]:
    return {"config.yaml": text}


def plugins(text: str) -> dict[str, str]:
    return {"plugins.yaml": text}


CONTAINER = "spec: {containers: [{image: busybox, command: [date]}]"
ON = "plugins:\n  me/app: {plugins: [trigger]}\n"
TOLERATION = "{key: spot, operator: Exists, effect: NoSchedule}"

KINDS = [
    # config.yaml
    refused("a report template", config("plank:\n  report_templates:\n    '*': '{{.Foo'\n"), f"{C}:2"),
    refused(
        "a title's template", config("tide:\n  merge_commit_template:\n    me/app:\n      title: '{{ .Foo'\n")
    ),
    refused(
        "a template of an unknown field",
        config(
            "slack_reporter_configs:\n  '*':\n    channel: ci\n    report_template: '{{.Spec.Nothing}}'\n"
        ),
    ),
    refused("a size below 0", config("deck:\n  spyglass:\n    size_limit: -1\n"), f"{C}:3"),
    refused(
        "reruns by anyone and by an organisation",
        config("deck:\n  rerun_auth_configs:\n    '*': {allow_anyone: true, github_orgs: [a]}\n"),
    ),
    refused("a link that is no URL", config("github:\n  link_url: 'http://a b'\n"), f"{C}:2"),
    refused("two templates", config("plank:\n  report_template: a\n  report_templates: {'*': b}\n")),
    refused("a log level", config("log_level: inof\n"), f"{C}:1"),
    refused(
        "a policy for blocked merges",
        config("tide:\n  github_merge_blocks_policy:\n    me: blocker\n"),
        f"{C}:3",
        otherwise=NEWER,
    ),
    taken(
        "policies for blocked merges",
        config("tide:\n  github_merge_blocks_policy: {me: block, '*': ignore}\n"),
    ),
    taken("plank without anything", config("plank:\n")),
    taken("sections without anything", config("plank:\ntide:\ndeck: {}\ngithub:\nsinker: null\n")),
    taken("500 nested lists", config(f"nothing: {'[' * 500}{']' * 500}\n")),
    taken("a number of 5,000 digits that nobody reads", config(f"nothing: {'1' * 5000}\n")),
    taken("a key written twice", config("log_level: info\nlog_level: debug\n")),
    taken("two documents", config("log_level: info\n---\nlog_level: [\n")),
    taken("a byte-order mark", config("\ufefflog_level: info\n")),
    taken("merge keys", config("a: &a {log_level: info}\n<<: *a\n")),
    taken("an empty file", config("")),
    refused("a key with a false tag", config("!!int x: 1\n"), f"{C}:1"),
    refused("a key that is null", config("~: 1\n"), f"{C}:1"),
    refused("a key that is a list", config("? [a]\n: 1\n"), f"{C}:1"),
    refused("an unknown alias", config("tide: *a\n"), f"{C}:1"),
    refused("merging a text", config("<<: text\n"), f"{C}:1"),
    refused(
        "aliases of aliases",
        config(
            "a0: &a0 [x]\n"
            + "".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(8))
        ),
    ),
    refused(
        "merges of merges",
        config(
            "a0: &a0 {x: 1}\n" + "".join(f"a{n + 1}: &a{n + 1} {{<<: [*a{n}, *a{n}]}}\n" for n in range(24))
        ),
    ),
    refused("100,000 nested lists", config(f"nothing: {'[' * 100_000}\n"), f"{C}:1"),
    refused("an infinite number", config("deck: {spyglass: {size_limit: .inf}}\n"), f"{C}:1"),
    taken("a whole number written as a fraction", config("sinker: {}\nplank: {max_goroutines: 1e1}\n")),
    refused("a duration", config("sinker:\n  resync_period: 5 minutes\n"), f"{C}:2"),
    refused("a duration that is too long", config("sinker:\n  resync_period: 9999999h\n"), f"{C}:2"),
    # Jobs
    refused("an unknown time zone", periodic("cron: 'TZ=Nowhere/Bad 0 0 * * *'"), f"{A}:3"),
    refused("a long interval", periodic("interval: 9999999h"), f"{A}:3"),
    refused("too many repetitions", presubmit("run_if_changed: 'a{1001}'"), f"{A}:4"),
    refused("a flag that Go has not", presubmit("run_if_changed: '(?x)a b'"), f"{A}:4"),
    refused("an unknown class", presubmit("run_if_changed: '[[:foo:]]'"), f"{A}:4"),
    refused("a number of more than 64 bits", presubmit("max_concurrency: 9300000000000000000"), f"{A}:4"),
    refused(
        "a variable of Prow",
        presubmit(pod=pod("env:", "- name: SRC_BASE", "  value: x")),
        f"{A}:8",
        otherwise=NEWER,
    ),
    refused(
        "a preset's variable of Prow",
        {
            **presubmit("labels: {x: z}"),
            "jobs/b.yaml": "presets:\n- labels: {x: z}\n  env: [{name: SRC_HOST, value: x}]\n",
        },
        f"{A}:4",
        otherwise=NEWER,
    ),
    taken(
        "the variable in a periodic",
        {
            "jobs/a.yaml": f"periodics:\n- name: a\n  interval: 1h\n  {CONTAINER[:-2]}, env: [{{name: SRC_BASE, value: x}}]}}]}}\n"
        },
    ),
    refused(
        "a retry without interval",
        periodic("cron: '@daily'", "retry: {attempts: 2}"),
        f"{A}:4",
        otherwise=NEWER,
    ),
    refused(
        "a retry with no duration",
        periodic("cron: '@daily'", "retry:", "  attempts: 2", "  interval: soon"),
        f"{A}:6",
        otherwise=NEWER,
    ),
    taken("a retry", periodic("cron: '@daily'", "retry: {attempts: 2, interval: 10m}")),
    refused(
        "a toleration of the preset's",
        {
            **presubmit("labels: {x: z}", pod=f"{CONTAINER}, tolerations: [{TOLERATION}]}}"),
            "jobs/b.yaml": f"presets:\n- labels: {{x: z}}\n  tolerations: [{TOLERATION}]\n",
        },
        f"{A}:4",
        otherwise=NEWER,
    ),
    taken(
        "another toleration than the preset's",
        {
            **presubmit("labels: {x: z}", pod=f"{CONTAINER}, tolerations: [{{key: other}}]}}"),
            "jobs/b.yaml": f"presets:\n- labels: {{x: z}}\n  tolerations: [{TOLERATION}]\n",
        },
    ),
    taken(
        "a sidecar",
        presubmit(pod=f"{CONTAINER}, initContainers: [{{name: s, image: x, restartPolicy: Always}}]}}"),
        otherwise=OLDER,
    ),
    taken("a time zone", periodic("cron: 'CRON_TZ=UTC 0 0 * * *'"), otherwise=OLDER),
    taken(
        "a regular expression that Python would take years for",
        presubmit("trigger: '(a+)+$'", "rerun_command: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
    ),
    refused(
        "the same, not matched",
        presubmit("trigger: '^(a+)+$'", "rerun_command: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"),
        f"{A}:5",
    ),
    taken("a name in another case", presubmit(pod=pod("env:", "- NAME: V", "  value: x"))),
    taken("Go's regular expressions", presubmit("run_if_changed: '[[:alpha:]]\\Qa+b\\E'")),
    refused("a number for text", presubmit("labels: {a: 1}"), f"{A}:4"),
    refused("an empty repository's list of a map", jobs("presubmits:\n  me/app: {}\n"), f"{A}:2"),
    taken("nothing for a repository", jobs("presubmits:\n  me/app:\n")),
    taken(
        "several containers",
        {
            **presubmit(
                "decorate: true",
                pod="spec: {containers: [{name: a, image: x, command: [x]}, {name: b, image: x, command: [x]}]}",
            ),
            **config(STORAGE),
        },
    ),
    # plugins.yaml
    refused("triggers of nothing", plugins("triggers:\n- repos: ['*', {}]\n"), f"{P}:2"),
    refused(
        "a wait for no expression",
        plugins("blunderbuss:\n  wait_for_status:\n    description: '('\n"),
        f"{P}:3",
        otherwise=NEWER,
    ),
    refused(
        "an unknown check of messages",
        plugins("invalid_commit_msg:\n- repos: [me/app]\n  checks:\n  - name: spelling\n"),
        f"{P}:4",
        otherwise=NEWER,
    ),
    refused(
        "a repository of two entries",
        plugins("invalid_commit_msg:\n- repos: [me/app]\n- repos:\n  - me/app\n"),
        f"{P}:4",
        otherwise=NEWER,
    ),
    taken(
        "checks of messages",
        plugins("invalid_commit_msg:\n- {repos: [me/app], checks: [{name: fixupPrefix, disabled: true}]}\n"),
    ),
    refused(
        "a plugin's old name",
        plugins("plugins:\n  me/app: [trigger, transfer-issue]\n"),
        f"{P}:2",
        otherwise=NEWER,
    ),
    taken(
        "a plugin's new name", plugins("plugins:\n  me/app: [trigger, issue-management]\n"), otherwise=OLDER
    ),
    refused(
        "both names of a ConfigMap",
        plugins("config_updater:\n  maps:\n    a.yaml: {name: a, partitioned_names: [b, c]}\n"),
    ),
    taken(
        "a plugin that the owner has for others",
        plugins(
            "plugins:\n  me: {plugins: [trigger], excluded_repos: [app]}\n  me/app: {plugins: [trigger]}\n"
        ),
        otherwise=OLDER,
    ),
    refused("a plugin of both", plugins("plugins:\n  me: [size]\n  me/app: [size]\n"), f"{P}:3"),
]
