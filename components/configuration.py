"""Prow's configuration in the cluster: the user's files, completed with what only the stack knows."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components.config_updater import ANNOTATION
from components.objects import labels, name_of
from components.prow_files import ProwFiles, ProwFilesError, run_checkconfig, to_yaml
from components.prow_rules import over
from components.storage import JobLogs

LOG_PATH = "log?job={{.Spec.Job}}&id={{.Status.BuildID}}"
"""Deck's page with the log of a job's pod; Prow fills the template in for each job."""

VIEW_PATH = "view/"
"""Deck's page with what a decorated job has stored."""


@dataclass(frozen=True, kw_only=True)
class ConfigurationArgs:
    """What the configuration is made of."""

    files: ProwFiles
    """The checked files of `prow/`."""
    namespace: pulumi.Input[str]
    """Namespace of Prow's components and of the ProwJobs."""
    job_namespace: pulumi.Input[str]
    """Namespace of the jobs' pods."""
    deck_url: pulumi.Input[str]
    """URL of deck, with a trailing slash."""
    github_link_url: str = "https://github.com"
    """Where GitHub's pages are, for links in comments."""
    job_logs: JobLogs | None = None
    """What Prow is told of stored logs; None: no log is stored."""
    slack_reporter_configs: Mapping[str, Any] | None = None
    """What crier tells Slack of; None: it does not know Slack."""
    config_updater: str | None = None
    """Repository, `owner/name`, from which Prow's plugin config-updater writes `plugins` and `job-config`."""


class Configuration(pulumi.ComponentResource):
    """ConfigMaps `config`, `plugins` and `job-config`.

    Changed in place: Prow's components watch the mounted files, so a change reaches them without a restart.

    What config-updater writes (components/config_updater.py says what, and why not `config`) gets its first content
    here and is left alone from then on: `ignore_changes` holds for `up`, for `refresh`, and for the fields that the
    provider applies. Once it is the stack's again, the object is made anew: the API server would keep what hook has
    added, since server-side apply takes away only what the same manager applied.
    """

    config: pulumi.Output[str]
    """Name of the ConfigMap with `config.yaml`."""
    plugins: pulumi.Output[str]
    """Name of the ConfigMap with `plugins.yaml`."""
    job_config: pulumi.Output[str]
    """Name of the ConfigMap with the job files."""

    def __init__(self, name: str, args: ConfigurationArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("prow:index:Configuration", name, None, opts)

        def config_map(
            resource: str, data: Mapping[str, pulumi.Input[str]], writer: str | None = None
        ) -> pulumi.Output[str]:
            """:param writer: repository from which config-updater writes the data; None: the stack does."""
            made = kubernetes.core.v1.ConfigMap(
                f"{name}-{resource}",
                metadata=kubernetes.meta.v1.ObjectMetaArgs(
                    name=resource,
                    namespace=args.namespace,
                    labels=labels(),
                    annotations={ANNOTATION: writer} if writer else None,
                ),
                data=data,
                opts=pulumi.ResourceOptions(
                    parent=self,
                    ignore_changes=["data"] if writer else [],
                    replace_on_changes=[] if writer else [f'metadata.annotations["{ANNOTATION}"]'],
                    delete_before_replace=True,  # the new one has the same name
                ),
            )
            return name_of(made)

        config = pulumi.Output.all(args.namespace, args.job_namespace, args.deck_url).apply(
            lambda known: render_config(
                args.files.config,
                namespace=known[0],
                job_namespace=known[1],
                deck_url=known[2],
                github_link_url=args.github_link_url,
                job_logs=args.job_logs,
                slack_reporter_configs=args.slack_reporter_configs,
            )
        )
        self.config = config_map("config", {"config.yaml": config})
        self.plugins = config_map("plugins", {"plugins.yaml": args.files.plugins_text}, args.config_updater)
        self.job_config = config_map("job-config", args.files.texts, args.config_updater)
        self.register_outputs({})


def render_config(
    config: dict[str, Any],
    *,
    namespace: str,
    job_namespace: str,
    deck_url: str,
    github_link_url: str,
    job_logs: JobLogs | None = None,
    slack_reporter_configs: Mapping[str, Any] | None = None,
) -> str:
    """config.yaml as Prow gets it: the user's, with namespaces, addresses and what follows from settings filled in.

    :param deck_url: URL of deck, with a trailing slash.
    """
    filled = copy.deepcopy(config)
    filled["prowjob_namespace"] = namespace
    filled["pod_namespace"] = job_namespace
    plank = filled.setdefault("plank", {})
    # Prow puts the log's place in the bucket behind it (JobURL in pkg/pjutil): decorated jobs alone have this link.
    plank.setdefault("job_url_prefix_config", {})["*"] = deck_url + (VIEW_PATH if job_logs else "")
    plank["job_url_template"] = deck_url + LOG_PATH
    if github_link_url != "https://github.com":
        filled.setdefault("github", {}).setdefault("link_url", github_link_url)
    if job_logs:
        _decorate(plank, job_logs.decoration)
        _beneath(filled, job_logs.defaults)
    if slack_reporter_configs and not filled.get("slack_reporter_configs"):
        # Without any, crier does not start its Slack reporter but ends (cmd/crier/main.go).
        filled["slack_reporter_configs"] = copy.deepcopy(dict(slack_reporter_configs))
    return to_yaml(filled)


def _decorate(plank: dict[str, Any], decoration: Mapping[str, Any]) -> None:
    """Put the decoration below the user's own defaults; Prow takes a map or a list of those, but not both."""
    if by_repository := plank.get("default_decoration_configs"):
        by_repository["*"] = over(by_repository.get("*") or {}, decoration)
    else:
        own = plank.get("default_decoration_config_entries") or []
        plank["default_decoration_config_entries"] = [{"config": copy.deepcopy(dict(decoration))}, *own]


def _beneath(config: dict[str, Any], defaults: Mapping[str, Any]) -> None:
    """Fill in what the configuration does not have."""
    for key, value in defaults.items():
        own = config.get(key)
        if own is None or own == {}:
            config[key] = copy.deepcopy(value)
        elif isinstance(own, dict) and isinstance(value, dict):
            _beneath(own, value)


def check(
    files: ProwFiles,
    *,
    namespace: str,
    job_namespace: str,
    job_logs: JobLogs | None = None,
    slack_reporter_configs: Mapping[str, Any] | None = None,
) -> None:
    """Warn of what the files' own checks found doubtful and, where `checkconfig` is on the path, let Prow judge too.

    :raises ProwFilesError: with what checkconfig refuses.
    """
    # The addresses are not known yet; any will do, since checkconfig only reads them.
    config = render_config(
        files.config,
        namespace=namespace,
        job_namespace=job_namespace,
        deck_url="http://deck.example/",
        github_link_url="https://github.com",
        job_logs=job_logs,
        slack_reporter_configs=slack_reporter_configs,
    )
    found = run_checkconfig(config, files.plugins_text, files.texts, files)
    for problem in (*files.warnings, *(problem for problem in found if problem.warning)):
        pulumi.log.warn(str(problem))
    if refused := tuple(problem for problem in found if not problem.warning):
        raise ProwFilesError(refused)
