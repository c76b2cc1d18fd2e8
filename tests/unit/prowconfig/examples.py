"""Files of prow/ for tests: sound ones, and for each rule some that break it."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

REPOSITORIES = ("me/app", "me/lib")

CONFIG = "log_level: info\n"
PLUGINS = "plugins:\n  me/app:\n    plugins: [trigger]\n"
POD = "spec: {containers: [{image: busybox, command: [date]}]}"
STORAGE = """\
plank:
  default_decoration_configs:
    "*":
      gcs_configuration: {bucket: "s3://logs", path_strategy: explicit}
      utility_images: {clonerefs: c, initupload: i, entrypoint: e, sidecar: s}
"""


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """A folder `prow` with the files, and with sound ones in place of those that are missing."""
    top = folder / "prow"
    (top / "jobs").mkdir(parents=True)
    for name, text in {"config.yaml": CONFIG, "plugins.yaml": PLUGINS, **files}.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return top


def jobs(text: str) -> dict[str, str]:
    return {"jobs/a.yaml": textwrap.dedent(text)}


def presubmit(*fields: str, pod: str = POD) -> dict[str, str]:
    """A job file with one presubmit `a`; its fields begin at line 4, its pod comes last."""
    lines = ["presubmits:", "  me/app:", "  - name: a", *fields, pod]
    return {
        "jobs/a.yaml": "\n    ".join(lines)
        .replace("\n      me/app", "\n  me/app")
        .replace("\n      - n", "\n  - n")
    }


def periodic(*fields: str) -> dict[str, str]:
    return {"jobs/a.yaml": "\n  ".join(["periodics:", "- name: a", *fields, POD]).replace("\n  - n", "\n- n")}


def pod(*lines: str) -> str:
    """A pod of a presubmit whose container's fields begin at line 6."""
    return "\n      ".join(["spec:", "containers:", "- image: busybox", *(f"  {line}" for line in lines)])


@dataclass(frozen=True, kw_only=True)
class Broken:
    """Files that break a rule, where that must be said and with what words."""

    rule: str
    files: Mapping[str, str]
    where: str
    words: tuple[str, ...] = ()
    level: str = "error"
    """What the package says without checkconfig: error, warning or nothing."""
    by_prow: bool = True
    """checkconfig refuses them as well (else the rule is Kubernetes', YAML's or the stack's)."""

    def __str__(self) -> str:
        return self.rule


def broken(rule: str, files: Mapping[str, str], where: str, *words: str) -> Broken:
    """Refused by the package and by checkconfig."""
    return Broken(rule=rule, files=files, where=where, words=words)


def own(rule: str, files: Mapping[str, str], where: str, *words: str) -> Broken:
    """Refused by the package alone."""
    return Broken(rule=rule, files=files, where=where, words=words, by_prow=False)


def doubtful(rule: str, files: Mapping[str, str], where: str, *words: str, by_prow: bool = False) -> Broken:
    """A warning of the package."""
    return Broken(rule=rule, files=files, where=where, words=words, level="warning", by_prow=by_prow)


def judged(rule: str, files: Mapping[str, str], where: str) -> Broken:
    """Refused by checkconfig alone, whose words lead to that place."""
    return Broken(rule=rule, files=files, where=where, level="nothing")


A = "prow/jobs/a.yaml"
C = "prow/config.yaml"
P = "prow/plugins.yaml"

BROKEN = [
    # YAML
    broken("no YAML", jobs("periodics: [\n"), f"{A}:2", "no valid YAML"),
    broken("tab", jobs("periodics:\n\t- name: a\n"), f"{A}:2", "tab", "spaces"),
    doubtful(
        "key twice",
        {"config.yaml": "log_level: info\nsinker: {}\nlog_level: debug\n"},
        f"{C}:3",
        "log_level",
        "line 1",
    ),
    doubtful(
        "two documents", {"config.yaml": "log_level: info\n---\nsinker: {}\n"}, f"{C}:2", "second document"
    ),
    broken("no map", {"plugins.yaml": "- trigger\n"}, f"{P}:1", "must be a map"),
    broken("control character", {"config.yaml": "log_level: info\n# \x01\n"}, f"{C}:2", "control characters"),
    broken("anchor in itself", {"config.yaml": "tide: &a\n  priority: *a\n"}, f"{C}:2", "contains itself"),
    # Types
    broken(
        "number for text",
        presubmit("branches: [1.10]"),
        f"{A}:4",
        "branches",
        "must be text",
        "1.1",
        "quotes",
    ),
    broken("text for truth", presubmit('always_run: "yes"'), f"{A}:4", "true or false", '"yes"', "(a)"),
    broken("text for number", presubmit("max_concurrency: two"), f"{A}:4", "a whole number", '"two"'),
    broken(
        "map for list",
        jobs("presubmits:\n  me/app: {name: a}\n"),
        f"{A}:2",
        "presubmits → me/app",
        "a list",
        "a map",
    ),
    broken(
        "number in env",
        presubmit(pod=pod("env: [{name: V, value: 80}]")),
        f"{A}:7",
        "value must be text",
        "80",
    ),
    broken(
        "no duration", {"config.yaml": "sinker:\n  max_pod_age: 2d\n"}, f"{C}:2", "max_pod_age", "10m", '"2d"'
    ),
    broken(
        "no quantity",
        presubmit(pod=pod("resources: {limits: {cpu: 1 m}}")),
        f"{A}:7",
        "cpu",
        "256Mi",
        '"1 m"',
    ),
    broken("plugins as text", {"plugins.yaml": "plugins:\n  me/app: trigger\n"}, f"{P}:2", "a list or a map"),
    doubtful("wrong case", presubmit("Always_Run: true"), f"{A}:4", "`Always_Run`", "written `always_run`"),
    # Jobs
    judged("no name", jobs(f"periodics:\n- interval: 1h\n  {POD}\n"), f"{A}:2"),
    judged("bad name", jobs(f"periodics:\n- name: a b\n  interval: 1h\n  {POD}\n"), f"{A}:2"),
    judged("no spec", presubmit(pod=""), f"{A}:3"),
    judged("no containers", presubmit(pod="spec: {}"), f"{A}:3"),
    doubtful(
        "no image", presubmit(pod="spec: {containers: [{command: [date]}]}"), f"{A}:4", "`image` is missing"
    ),
    judged("init containers", presubmit(pod=f"{POD[:-1]}, initContainers: [{{image: x}}]}}"), f"{A}:4"),
    judged(
        "two undecorated containers", presubmit(pod="spec: {containers: [{image: x}, {image: z}]}"), f"{A}:4"
    ),
    judged("env twice", presubmit(pod=pod("env:", "- name: V", "- name: V")), f"{A}:7"),
    judged("env of Prow", presubmit(pod=pod("env:", "- name: JOB_SPEC")), f"{A}:8"),
    judged(
        "mount without volume", presubmit(pod=pod("volumeMounts:", "- {name: v, mountPath: /v}")), f"{A}:8"
    ),
    judged("volume twice", presubmit(pod=f"{POD[:-1]}, volumes: [{{name: v}}, {{name: v}}]}}"), f"{A}:4"),
    judged("volume of Prow", presubmit(pod=f"{POD[:-1]}, volumes: [{{name: logs}}]}}"), f"{A}:4"),
    judged("mount of Prow", presubmit(pod=pod("volumeMounts:", "- {name: tools, mountPath: /v}")), f"{A}:7"),
    judged("other agent", presubmit("agent: jenkins"), f"{A}:4"),
    broken("namespace", presubmit("namespace: other"), f"{A}:4", "test-pods", "prow:jobNamespace"),
    judged("below 0", presubmit("max_concurrency: -1"), f"{A}:4"),
    judged("label of Prow", presubmit("labels:", "  created-by-prow: x"), f"{A}:5"),
    judged("label name", presubmit("labels: {a b: x}"), f"{A}:4"),
    judged("label value", presubmit("labels: {a: x y}"), f"{A}:4"),
    judged("annotation name", presubmit("annotations: {a/b/c: x}"), f"{A}:4"),
    judged("no such queue", presubmit("job_queue_name: q"), f"{A}:4"),
    judged(
        "rerun by all and some",
        presubmit("rerun_auth_config: {allow_anyone: true, github_users: [me]}"),
        f"{A}:4",
    ),
    judged("always and when changed", presubmit("always_run: true", "run_if_changed: x"), f"{A}:5"),
    judged("two conditions", presubmit("run_if_changed: x", "skip_if_only_changed: z"), f"{A}:5"),
    judged("bad run_if_changed", presubmit("run_if_changed: '*.go'"), f"{A}:4"),
    judged("bad skip_if_only_changed", presubmit("skip_if_only_changed: '(docs'"), f"{A}:4"),
    judged("look-ahead", presubmit("branches: [main, '^(?!x)']"), f"{A}:4"),
    judged("bad skip_branches", presubmit("skip_branches: ['[']"), f"{A}:4"),
    judged("bad trigger", presubmit("trigger: '/test ('", "rerun_command: /test a"), f"{A}:4"),
    judged("trigger alone", presubmit("trigger: /test a"), f"{A}:5"),
    judged("rerun_command no match", presubmit("trigger: ^/go$", "rerun_command: /test a"), f"{A}:4"),
    judged("no schedule", periodic(), f"{A}:2"),
    judged("two schedules", periodic("interval: 1h", "cron: '@daily'"), f"{A}:3"),
    judged("bad interval", periodic("interval: 5 minutes"), f"{A}:3"),
    judged("cron fields", periodic("cron: 0 6 * *"), f"{A}:3"),
    judged("cron range", periodic("cron: 0 25 * * *"), f"{A}:3"),
    judged("cron name", periodic("cron: '@fortnightly'"), f"{A}:3"),
    own("cron step 0", periodic("cron: '*/0 * * * *'"), f"{A}:3", "the step 0"),  # checkconfig does not end
    broken(
        "decorated without storage",
        presubmit("decorate: true"),
        f"{A}:4",
        "default_decoration_configs",
        "pulumi config set storage",
    ),
    judged(
        "decorated without command",
        {**presubmit("decorate: true", pod=pod()), "config.yaml": STORAGE},
        f"{A}:6",
    ),
    judged(
        "bad path strategy",
        {**presubmit("decorate: true"), "config.yaml": STORAGE.replace("explicit", "flat")},
        f"{A}:3",
    ),
    judged(
        "containers without names",
        {
            **presubmit(
                "decorate: true",
                pod="spec: {containers: [{image: x, args: [x]}, {image: z, args: [z], name: sidecar}]}",
            ),
            "config.yaml": STORAGE,
        },
        f"{A}:5",
    ),
    # Jobs together
    judged(
        "job twice",
        jobs(f"presubmits:\n  me/app:\n  - name: a\n    {POD}\n  - name: a\n    {POD}\n"),
        f"{A}:5",
    ),
    judged(
        "job twice in two files",
        {
            "jobs/x/b.yaml": f"postsubmits:\n  me/app:\n  - name: a\n    branches: [main]\n    {POD}\n",
            **jobs(f"postsubmits:\n  me/app:\n  - name: a\n    {POD}\n"),
        },
        "prow/jobs/x/b.yaml:3",
    ),
    judged("periodic twice", jobs(f"periodics:\n- &a\n  name: a\n  interval: 1h\n  {POD}\n- *a\n"), f"{A}:6"),
    judged(
        "one context",
        jobs(f"presubmits:\n  me/app:\n  - name: a\n    {POD}\n  - name: b\n    context: a\n    {POD}\n"),
        f"{A}:6",
    ),
    judged("preset twice", jobs("presets:\n- labels: {x: z}\n- labels: {x: z}\n"), f"{A}:3"),
    judged(
        "preset adds what is there",
        {
            **presubmit("labels: {x: z}", pod=pod("env: [{name: V}]")),
            "jobs/b.yaml": "presets:\n- labels: {x: z}\n  env: [{name: V}]\n",
        },
        f"{A}:8",
    ),
    own(
        "same base name",
        {"jobs/x/a.yaml": "", **jobs("")},
        "prow/jobs/x/a.yaml",
        "prow/jobs/a.yaml has the same name",
    ),
    own("bad file name", {"jobs/a b.yaml": ""}, "prow/jobs/a b.yaml", "letters, digits"),
    own("not UTF-8", {"jobs/b.yaml": "", "jobs/c.yaml": "# \udce9\n"}, "prow/jobs/c.yaml:1", "UTF-8"),
    # config.yaml
    judged("log level", {"config.yaml": "log_level: inof\n"}, f"{C}:1"),
    judged(
        "job types", {"config.yaml": "github_reporter:\n  job_types_to_report:\n  - periodic\n"}, f"{C}:3"
    ),
    judged("slack channel", {"config.yaml": "slack_reporter_configs:\n  '*': {}\n"}, f"{C}:1"),
    judged("tide query for nothing", {"config.yaml": "tide:\n  queries:\n  - labels: [lgtm]\n"}, f"{C}:3"),
    judged(
        "label wanted and not",
        {"config.yaml": "tide:\n  queries:\n  - repos: [me/app]\n    labels: [x]\n    missingLabels: [x]\n"},
        f"{C}:3",
    ),
    judged(
        "query twice the same",
        {"config.yaml": "tide:\n  queries:\n  - repos:\n    - me/app\n    - me/app\n"},
        f"{C}:3",
    ),
    judged(
        "repository of a named owner",
        {"config.yaml": "tide:\n  queries:\n  - orgs: [me]\n    repos: [me/app]\n"},
        f"{C}:3",
    ),
    judged("merge method", {"config.yaml": "tide:\n  merge_method:\n    me/app: fast\n"}, f"{C}:3"),
    judged(
        "two defaults",
        {"config.yaml": f"{STORAGE}  default_decoration_config_entries: [{{repo: me}}]\n"},
        f"{C}:6",
    ),
    judged(
        "two report templates",
        {"config.yaml": "plank:\n  report_template: a\n  report_templates: {'*': b}\n"},
        f"{C}:3",
    ),
    judged(
        "lens",
        {"config.yaml": "deck:\n  spyglass:\n    lenses:\n    - required_files: ['*.xml']\n"},
        f"{C}:4",
    ),
    own(
        "prefix",
        {"config.yaml": "plank:\n  job_url_prefix_config: {'*': 'http://x/'}\n"},
        f"{C}:2",
        "left out",
        "the stack writes it",
    ),
    own("template", {"config.yaml": "plank:\n  job_url_template: x\n"}, f"{C}:2", "deck Service"),
    own(
        "namespace of jobs",
        {"config.yaml": "log_level: info\npod_namespace: ci\n"},
        f"{C}:2",
        "jobs run in test-pods",
        "pulumi config set jobNamespace ci",
    ),
    own(
        "tide's address",
        {"config.yaml": "tide:\n  target_url: http://x/tide\n"},
        f"{C}:2",
        "prow:deckUrl",
    ),
    # plugins.yaml
    doubtful(
        "unknown plugin",
        {"plugins.yaml": "plugins:\n  me/app:\n    plugins:\n    - triger\n"},
        f"{P}:4",
        "'triger'",
        "`trigger`",
        by_prow=True,
    ),
    doubtful(
        "unknown plugin, old form",
        {"plugins.yaml": "plugins:\n  me/app: [lgtm, holt]\n"},
        f"{P}:2",
        "'holt'",
        "`hold`",
        by_prow=True,
    ),
    judged(
        "plugin of owner and repository",
        {"plugins.yaml": "plugins:\n  me: [size]\n  me/app: [size]\n"},
        f"{P}:3",
    ),
    judged("two entries", {"plugins.yaml": "approve:\n- repos: [me/app]\n- repos: [me/app]\n"}, f"{P}:1"),
    judged("sizes", {"plugins.yaml": "size: {s: 10}\n"}, f"{P}:1"),
    judged("reviewers", {"plugins.yaml": "blunderbuss:\n  request_count: 0\n"}, f"{P}:2"),
    judged("blockade", {"plugins.yaml": "blockades:\n- repos: [me/app]\n  branchregexp: '('\n"}, f"{P}:3"),
    judged(
        "label rule",
        {"plugins.yaml": "require_matching_label:\n- {org: me, regexp: x, missing_label: y}\n"},
        f"{P}:1",
    ),
    # Repositories that the settings do not have
    own(
        "jobs of another",
        jobs(f"presubmits:\n  you/app:\n  - name: a\n    {POD}\n"),
        f"{A}:2",
        "you/app",
        "pulumi config set --path 'prow:repositories[2]' you/app",
    ),
    own(
        "jobs of an owner",
        jobs("postsubmits:\n  me: []\n"),
        f"{A}:2",
        "not of the form owner/name",
        "prow:repositories[2]",
    ),
    own(
        "plugins of another",
        {"plugins.yaml": "plugins:\n  me/ap: [size]\n"},
        f"{P}:2",
        "me/ap",
        "`me/app`",
        "prow:repositories[2]",
    ),
    own(
        "plugins of another owner",
        {"plugins.yaml": "plugins:\n  you: [size]\n"},
        f"{P}:2",
        "prow:repositories",
    ),
    doubtful(
        "trigger of another",
        {"plugins.yaml": "triggers:\n- repos:\n  - me\n  - you\n"},
        f"{P}:4",
        "triggers for you",
    ),
    own(
        "tide for another",
        {"config.yaml": "tide:\n  queries:\n  - repos: [you/app]\n"},
        f"{C}:3",
        "tide query 1",
        "prow:repositories[2]",
    ),
    own(
        "tide for another owner",
        {"config.yaml": "tide:\n  queries:\n  - orgs: [you]\n"},
        f"{C}:3",
        "tide query 1",
    ),
]


SOUND = {
    "config.yaml": f"""\
log_level: debug
decorate_all_jobs: false
{STORAGE}  job_queue_capacities: {{big: 2}}
tide:
  sync_period: 2m
  merge_method: {{me/app: squash, me: {{lib: {{'release-.*': rebase}}}}}}
  queries:
  - {{repos: [me/app], labels: [lgtm], missingLabels: [do-not-merge/hold, do-not-merge/work-in-progress]}}
slack_reporter_configs: {{'*': {{channel: ci}}}}
deck: {{spyglass: {{lenses: [{{lens: {{name: junit}}, required_files: ['.*/junit.*\\.xml']}}]}}}}
""",
    "plugins.yaml": """\
plugins:
  me: {plugins: [trigger, lgtm], excluded_repos: [lib]}
  me/app: {plugins: [hold, label, size, wip]}
external_plugins: {me/app: [{name: needs-it, events: [push]}]}
triggers: [{repos: [me], only_org_members: false}]
label: {restricted_labels: {'*': [{label: tide/merge-blocker, allowed_users: [me]}]}}
size: {s: 1, m: 2, l: 3, xl: 4, xxl: 5}
""",
    "jobs/all.yaml": f"""\
presets:
- labels: {{preset-v: "true"}}
  env: [{{name: WHERE, value: /v}}]
  volumes: [{{name: v, emptyDir: {{}}}}]
  volumeMounts: [{{name: v, mountPath: /v}}]
presubmits:
  me/app:
  - name: one
    always_run: true
    branches: [main]
    {POD}
  - name: one
    branches: ['release-.*']
    run_if_changed: '^(cmd|pkg)/.*\\.go$'
    {POD}
  - name: decorated
    decorate: true
    labels: {{preset-v: "true"}}
    job_queue_name: big
    skip_if_only_changed: '\\.md$'
    trigger: '(?mi)^/(?:test|run)\\s+(?P<what>decorated|all)'
    rerun_command: /test decorated
    spec:
      containers:
      - {{name: a, image: x, command: [sh], ports: [{{containerPort: 80}}]}}
      - {{name: b, image: x, args: [sh], resources: {{requests: {{cpu: 1, memory: 1.5Gi}}}}}}
postsubmits:
  me/app:
  - name: one
    skip_branches: ['^dev/']
    max_concurrency: 1
    reporter_config: {{slack: {{channel: ci}}}}
    {POD}
periodics:
- {{name: a, cron: '*/5 0-6 1,15 jan-mar mon', {POD}}}
- {{name: b, cron: '@every 1h30m', {POD}}}
- {{name: c, minimum_interval: 1.5h, extra_refs: [{{org: you, repo: app, base_ref: main}}], {POD}}}
""",
    "jobs/deep/er/empty.yml": "# nothing yet\n",
}


def many_jobs(count: int) -> dict[str, str]:
    job = """\
  - name: job-{n}
    run_if_changed: '^src/{n}/'
    labels: {{a: b}}
    branches: [main, 'release-.*']
    spec:
      containers:
      - image: busybox
        command: [sh, -c]
        args: ['echo {n}']
        env: [{{name: X, value: "1"}}]
        resources: {{requests: {{cpu: 10m, memory: 16Mi}}}}
        volumeMounts: [{{name: v, mountPath: /v}}]
      volumes: [{{name: v, emptyDir: {{}}}}]
"""
    return {
        "jobs/many.yaml": "presubmits:\n  '*':\n" + "".join(job.format(n=n) for n in range(count)),
        "plugins.yaml": "plugins:\n  '*': [trigger]\n",
    }
