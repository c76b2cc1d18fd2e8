"""Prow's configuration in the cluster: the user's files, completed with what only the stack knows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components.config_updater import ANNOTATION, FORM_ANNOTATION
from components.judgement import PATHS, Judgement, JudgementArgs
from components.objects import make_labels
from prowconfig.checkconfig import Checkconfig, translate
from prowconfig.files import ProwFiles
from prowconfig.problem import Problem, ProwFilesError
from prowconfig.render import ConfigMapContent, JobLogs, render_config, shard_files
from prowconfig.updater import read_jobs_map


class ConfigurationError(pulumi.RunError):
    """Files that Prow would not take, shown without a traceback; the text lists every problem, one a line."""

    problems: tuple[Problem, ...]

    def __init__(self, refused: ProwFilesError):
        self.problems = refused.problems
        super().__init__(str(refused))


@dataclass(frozen=True, kw_only=True)
class ConfigurationArgs:
    """What the configuration is made of."""

    files: ProwFiles
    """The checked files of `prow/`."""
    namespace: pulumi.Input[str]
    """Namespace of Prow's components."""
    job_namespace: pulumi.Input[str]
    """Namespace of the jobs' pods."""
    prowjob_namespace: pulumi.Input[str]
    """Namespace of the ProwJobs."""
    deck_url: pulumi.Input[str]
    """URL of deck, with a trailing slash."""
    github_link_url: pulumi.Input[str] = "https://github.com"
    """Where GitHub's pages are, for links in comments."""
    job_logs: pulumi.Input[JobLogs] | None = None
    """What config.yaml has of stored logs; None: no log is stored."""
    slack_reporter_configs: pulumi.Input[Mapping[str, Any]] | None = None
    """What crier tells Slack of; None: it does not know Slack."""
    has_login: bool = False
    """Whether people log in to deck, which then has a page of their pull requests."""
    config_updater: str | None = None
    """Repository, `owner/name`, from which Prow's plugin config-updater writes `plugins` and `job-config`."""
    checkconfig_image: pulumi.Input[str] | None = None
    """Image of the checkconfig that judges the files before Prow reads them; None: none does on the cluster."""


def _annotate_followed(args: ConfigurationArgs) -> dict[str, str] | None:
    """Annotations of the ConfigMaps that config-updater writes; None: it writes none."""
    if not args.config_updater:
        return None
    form = read_jobs_map(args.files.plugins).form
    return {ANNOTATION: args.config_updater} | ({FORM_ANNOTATION: form} if form else {})


class Configuration(pulumi.ComponentResource):
    """ConfigMaps `config`, `plugins` and `job-config`, which come after the Judgement of their content.

    Job files that are too large together for a ConfigMap are compressed in it; Prow reads either. Beyond that they are in
    several, `job-config-1-of-2` and so on, which pods mount as one directory. For config-updater plugins.yaml says both.

    Changed in place: Prow's components watch the mounted files, so a change reaches them without a restart.

    What config-updater writes (components/config_updater.py says what, and why not `config`) gets its first content
    here and is left alone from then on: `ignore_changes` holds for `up`, for `refresh`, and for the fields that the
    provider applies. Where the writer changes, the object is made anew with the files of the checkout. When
    config-updater gets it, nothing else would bring these files in: `ignore_changes` takes the old inputs for an update,
    but not for a replacement (continueStepsFromDiff in pkg/resource/deploy/step_generator.go of pulumi/pulumi). When the
    stack gets it back, the API server would keep what hook has added, since server-side apply takes away only what the
    same manager applied.

    So it is, too, where plugins.yaml spreads the job files over another number of ConfigMaps, or compresses them now: the
    plugin writes changed files alone, and would leave the others where and as they were. Another number has other names,
    so running pods keep the whole old set until they are replaced: no job is missing, and none is there twice.

    The names are texts, not outputs of the ConfigMaps: whoever mounts them depends on this component (`depends_on`). By
    an output a Deployment's `spec` would be unknown while a ConfigMap is made anew, and Pulumi would delete and make
    every Deployment anew, too (calculateDependentReplacements in the same file).
    """

    config = "config"
    """Name of the ConfigMap with `config.yaml`."""
    plugins = "plugins"
    """Name of the ConfigMap with `plugins.yaml`."""
    job_config = "job-config"
    """Name of the ConfigMap with the job files, or the beginning of the names where there are several."""
    job_configs: tuple[str, ...]
    """Names of the ConfigMaps with the job files."""
    candidates: Sequence[pulumi.Resource]
    """What is judged before; none where nobody judges."""

    def __init__(self, name: str, args: ConfigurationArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("prow:index:Configuration", name, None, opts)

        config = pulumi.Output.all(
            prowjob_namespace=args.prowjob_namespace,
            job_namespace=args.job_namespace,
            deck_url=args.deck_url,
            github_link_url=args.github_link_url,
            job_logs=args.job_logs,
            slack_reporter_configs=args.slack_reporter_configs,
        ).apply(lambda known: self._render(args, known))
        jobs = self._make_job_files(args)
        self.job_configs = tuple(jobs)
        files: dict[str, dict[str, pulumi.Input[str]]] = {
            self.config: {"config.yaml": config},
            self.plugins: {"plugins.yaml": args.files.plugins_text},
            **{resource: {**content.data} for resource, content in jobs.items()},
        }
        binary = {resource: content.binary_data for resource, content in jobs.items() if content.binary_data}
        judgement = self._judge(f"{name}-judgement", args, files, binary)
        self.candidates = judgement.candidates if judgement else ()

        def make_config_map(resource: str, annotations: dict[str, str] | None = None) -> None:
            """:param annotations: those of what config-updater writes; None: the stack does."""
            kubernetes.core.v1.ConfigMap(
                f"{name}-{resource}",
                metadata=kubernetes.meta.v1.ObjectMetaArgs(
                    name=resource,
                    namespace=args.namespace,
                    labels=make_labels(),
                    annotations=annotations,
                ),
                data=files[resource],
                binary_data=binary.get(resource),
                opts=pulumi.ResourceOptions(
                    parent=self,
                    depends_on=[judgement] if judgement else [],
                    ignore_changes=["data", "binaryData"] if annotations else [],
                    replace_on_changes=[
                        f'metadata.annotations["{key}"]' for key in (ANNOTATION, FORM_ANNOTATION)
                    ],
                    delete_before_replace=True,  # the new one has the same name
                ),
            )

        make_config_map(self.config)
        for resource in (self.plugins, *self.job_configs):
            make_config_map(resource, _annotate_followed(args))
        self.register_outputs({})

    @staticmethod
    def _render(args: ConfigurationArgs, known: Mapping[str, Any]) -> str:
        buckets = bool(args.files.buckets)
        return render_config(args.files.config, has_login=args.has_login, has_buckets=buckets, **known)

    def _make_job_files(self, args: ConfigurationArgs) -> Mapping[str, ConfigMapContent]:
        """The content of the ConfigMaps with the job files, by name."""
        texts = args.files.texts
        if args.config_updater:
            return read_jobs_map(args.files.plugins).split(texts)
        shards = shard_files(texts, self.job_config)
        if shards is None:
            raise ValueError("the job files are too large, which `prowconfig.load` refuses")
        return shards

    def _judge(
        self,
        name: str,
        args: ConfigurationArgs,
        files: Mapping[str, Mapping[str, pulumi.Input[str]]],
        binary: Mapping[str, Mapping[str, str]],
    ) -> Judgement | None:
        """What the ConfigMaps come after."""
        if args.checkconfig_image is None:
            return None
        judge = JudgementArgs(
            namespace=args.namespace,
            files=files,
            binary=binary,
            jobs=self.job_configs,
            image=args.checkconfig_image,
            config_size=args.files.size,
            translate=lambda log: translate(log, args.files, PATHS),
        )
        return Judgement(name, judge, pulumi.ResourceOptions(parent=self))


def check_files(
    files: ProwFiles,
    *,
    prowjob_namespace: str,
    job_namespace: str,
    checkconfig: Checkconfig | None,
    job_logs: JobLogs | None = None,
    slack_reporter_configs: Mapping[str, Any] | None = None,
) -> None:
    """Warn of what the files' own checks found doubtful and let Prow's checkconfig judge, where this machine has it.

    :raises ConfigurationError: with what checkconfig refuses.
    """
    found: list[Problem] = []
    if checkconfig is not None:
        # The addresses are not known yet; any will do, since checkconfig only reads them.
        config = render_config(
            files.config,
            prowjob_namespace=prowjob_namespace,
            job_namespace=job_namespace,
            deck_url="http://deck.example/",
            github_link_url="https://github.com",
            job_logs=job_logs,
            slack_reporter_configs=slack_reporter_configs,
        )
        found = checkconfig.run(config, files.plugins_text, files.texts, files)
    for problem in (*files.warnings, *(problem for problem in found if problem.warning)):
        pulumi.log.warn(str(problem))
    if refused := tuple(problem for problem in found if not problem.warning):
        raise ConfigurationError(ProwFilesError(refused))
