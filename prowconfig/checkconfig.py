"""Prow's own checkconfig: finding it, running it, and saying its words in terms of the user's files.

The same translation serves a run on this machine and the log of a Job on the cluster:

    paths = Paths(config="/etc/config/config.yaml", plugins="/etc/plugins/plugins.yaml", jobs="/etc/job-config")
    args = make_arguments(paths)                     # of the container, whose entry point is checkconfig
    problems = translate(log, files, paths)     # of whatever its pod has logged, or of its end
"""

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Protocol

from prowconfig.problem import Problem

EXCLUDED_WARNINGS = (
    "non-decorated-jobs",  # a job needs no decoration here
    "unknown-fields",  # prowconfig tells them, with file and line
    "missing-trigger",
    "mismatched-tide",  # prowconfig tells of labels that nobody sets; the rest is a matter of taste
    "mismatched-tide-lenient",
    "needs-ok-to-test",
    "long-job-names",
    "validate-cluster-field",  # would read the bucket of plank.build_cluster_status_file
)
"""Warnings of checkconfig that are not asked for. Every release takes any name here."""

TIMEOUT = 60.0
"""Seconds that a run may take. checkconfig takes about two for 4,000 jobs."""

PLACES = CLUSTER, EVERYWHERE, NONE = "cluster", "everywhere", "none"
"""Where a configuration is judged: on the cluster before Prow reads it; also in previews, by a container engine of this
machine; nowhere. A checkconfig on the path judges in any case."""

_TEMPORARY = "checkconfig-"


@dataclass(frozen=True, kw_only=True)
class Paths:
    """Where checkconfig finds the files; by default, as Prow's components have them in the cluster."""

    config: str = "/etc/config/config.yaml"
    plugins: str = "/etc/plugins/plugins.yaml"
    jobs: str = "/etc/job-config"
    """Directory of the job files, under their keys in the ConfigMap."""


MOUNTED = Paths()


class Sources(Protocol):
    """The user's files, as the place where a message of checkconfig leads."""

    @property
    def folder(self) -> str:
        """The user's folder, relative to the project, such as `prow`."""

    @property
    def sources(self) -> Mapping[str, str]:
        """For each key of a job file in the ConfigMap, the user's file."""

    @property
    def plugin_names(self) -> Sequence[str]:
        """Names of the plugins of the release that is deployed."""

    def locate(self, message: str, file: str | None) -> tuple[str, int | None] | None:
        """File and line that a message is about; None when it cannot be found.

        :param file: the file, where the message names it.
        """


def make_arguments(paths: Paths = MOUNTED) -> tuple[str, ...]:
    """Arguments of checkconfig; the same on the cluster and on this machine."""
    return (
        f"--config-path={paths.config}",
        f"--plugin-config={paths.plugins}",
        f"--job-config-path={paths.jobs}",
        *(f"--exclude-warning={name}" for name in EXCLUDED_WARNINGS),
    )


def translate(text: str, files: Sources | None = None, paths: Paths = MOUNTED) -> list[Problem]:
    """What checkconfig said, with the user's file and line where they can be found.

    :param text: its log, or the end of it: a first line that is cut is understood, lines that are not of its log are
        skipped.
    :param files: the files that it judged, from `prowconfig.load`; None: only the kind of file is named.
    :param paths: where it had them.
    """
    found = [
        _make_problem(message, warning, files, paths)
        for line in text.splitlines()
        for verdict, warning in _read_verdicts(line)
        for message in _split_errors(verdict)
    ]
    return list(dict.fromkeys(found))


@dataclass(frozen=True, kw_only=True)
class Checkconfig:
    """A checkconfig that can be run on this machine."""

    command: tuple[str, ...]
    """The program; for an image, the container engine with `run` and its options."""
    image: str | None = None
    """The image, where a container engine runs it."""

    def run(
        self,
        config_yaml: str,
        plugins_yaml: str,
        jobs: Mapping[str, str],
        files: Sources | None = None,
        *,
        timeout: float = TIMEOUT,
    ) -> list[Problem]:
        """Judge the texts that the ConfigMaps will hold.

        :param jobs: text of each job file by its key.
        :param files: the user's files, to say where the problems are.
        :param timeout: seconds.
        """
        folder = files.folder if files else "prow"
        with tempfile.TemporaryDirectory(prefix=_TEMPORARY) as temporary:
            top = FilePath(temporary)
            (top / "jobs").mkdir()
            texts = {"config.yaml": config_yaml, "plugins.yaml": plugins_yaml}
            for name, text in (texts | {f"jobs/{key}": text for key, text in jobs.items()}).items():
                (top / name).write_text(text, encoding="utf-8")
            base = "/prow" if self.image else temporary
            paths = Paths(config=f"{base}/config.yaml", plugins=f"{base}/plugins.yaml", jobs=f"{base}/jobs")
            try:
                done = subprocess.run(
                    [*self._make_command(temporary, base), *make_arguments(paths)],
                    capture_output=True,
                    timeout=timeout,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                reason = f"{self} did not end within {timeout:g} s; Prow may not either"
                return [Problem(file=folder, reason=reason, warning=True)]
            except OSError as error:
                reason = f"{self} could not judge it: {error}"
                return [Problem(file=folder, reason=reason, warning=True)]
        said = done.stderr.decode(errors="replace")
        found = [_excuse_other_release(problem, files) for problem in translate(said, files, paths)]
        if done.returncode and not found:
            last = "\n".join(said.splitlines()[-3:])
            # A container engine ends with 125 to 127 when it could not start the program.
            unasked = self.image is not None and done.returncode in (125, 126, 127)
            reason = f"{self} ended with {done.returncode}: {last}"
            found.append(Problem(file=folder, reason=reason, warning=unasked))
        return found

    def _make_command(self, temporary: str, base: str) -> tuple[str, ...]:
        if self.image is None:
            return self.command
        # mkdtemp lets nobody but its owner in; the image's user may be another.
        FilePath(temporary).chmod(0o755)
        mount = f"type=bind,source={temporary},target={base},readonly"
        isolated = ("run", "--rm", "--network=none", "--read-only", "--cap-drop=ALL")
        return (*self.command, *isolated, f"--mount={mount}", self.image)

    def __str__(self) -> str:
        return self.image or self.command[0]


def find_program(image: str | None = None) -> Checkconfig | None:
    """The checkconfig of this machine: a program on the path, else the image where docker or podman is installed.

    :param image: `<registry>/checkconfig:<tag>` where a container engine may run it; None: only the path counts.
    """
    if program := shutil.which("checkconfig"):
        return Checkconfig(command=(program,))
    if image:
        for engine in ("docker", "podman"):
            if program := shutil.which(engine):
                return Checkconfig(command=(program,), image=image)
    return None


def describe_install(image_tag: str) -> str:
    """The command that installs the checkconfig of a release.

    :param image_tag: such as v20260819-7593870dc, whose second part is the commit.
    """
    tag = re.fullmatch(r"v[0-9]{8}-([0-9a-f]{7,40})", image_tag)
    return f"go install sigs.k8s.io/prow/cmd/checkconfig@{tag[1] if tag else 'main'}"


# ------------------------------------------------------------------------------------------- its words

# An entry of the log has its fields in alphabetical order; the end of a log may begin within one.
_CUT = re.compile(r'^(?P<error>.*?)","(?:file|func)":".*"level":"fatal"')
_PREFIX = re.compile(
    r"^(?:(?:error loading prow config|error loading Prow plugin config|validating (?:plugin )?config): )+",
    re.IGNORECASE,
)
# The beginnings of single errors in a list, which k8s.io/apimachinery/pkg/util/errors writes as `[a, b]`.
_NEXT = re.compile(
    r", (?=(?:invalid (?:presubmit|postsubmit|periodic) job|duplicated |jobs \S+ and \S+ report|could not set regex"
    r"|cron, interval|at least one of cron|invalid cron string|cannot parse duration|invalid job )"
    r"|name of (?:Presubmit|Postsubmit|Periodic) job|the following |Periodic job )"
)


def _read_verdicts(line: str) -> Iterator[tuple[str, bool]]:
    """The text in a line of the log that judges the files, and whether it is a warning."""
    start = line.find('{"component"')
    try:
        entry, _ = json.JSONDecoder().raw_decode(line[start:] if start >= 0 else line)
    except ValueError:
        if cut := _CUT.match(line):
            yield f"… {_unescape(cut['error'])}", False
        return
    if not isinstance(entry, dict):
        return
    if entry.get("level") == "fatal":
        yield str(entry.get("error") or entry.get("msg")), False
    elif entry.get("level") == "warning" and str(entry.get("func", "")).endswith("reportWarning"):
        yield str(entry.get("msg")), True


def _unescape(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"'))
    except ValueError:
        return text


def _split_errors(text: str) -> list[str]:
    """The errors of a list one by one, without the words that lead to them."""
    text = _PREFIX.sub("", text.partition("\ngoroutine ")[0].strip())
    parts = _NEXT.split(text)
    if len(parts) > 1 or re.fullmatch(
        r"\[(?:invalid|duplicated|name of|the following) .*\]", text, re.DOTALL
    ):
        parts = [*parts[:-1], parts[-1].removesuffix("]")]
        parts[0] = parts[0].replace("[", "", 1) if parts[0].startswith("[") else parts[0]
    return parts


def _excuse_other_release(problem: Problem, files: Sources | None) -> Problem:
    """A checkconfig of another release than the deployed one refuses plugins that the latter has."""
    unknown = re.findall(r"unknown plugin: ([^\s,\]]+)", problem.reason)
    if not unknown or files is None or not set(unknown) <= set(files.plugin_names):
        return problem
    reason = f"{problem.reason}; Prow of the image tag knows it, so this checkconfig is of another release"
    return replace(problem, reason=f"{reason} and has judged nothing else", warning=True)


def _make_problem(text: str, warning: bool, files: Sources | None, paths: Paths) -> Problem:
    folder = files.folder if files else "prow"
    names = {paths.config: f"{folder}/config.yaml", paths.plugins: f"{folder}/plugins.yaml"}
    keys = files.sources if files else {}
    names |= {f"{paths.jobs}/{key}": name for key, name in keys.items()}
    names |= {f"{paths.jobs}/": f"{folder}/jobs/"}
    named: str | None = None
    for path, name in sorted(names.items(), key=lambda item: -len(item[0])):
        if path in text:
            named = named or (name if not name.endswith("/") else None)
            text = text.replace(path, name)
    line: int | None = None
    if files and (place := files.locate(text, named)):
        named, line = place
    if named is None:
        named = f"{folder}/{'plugins' if 'plugin' in text else 'config'}.yaml"
    return Problem(file=named, line=line, reason=f"checkconfig: {text}", warning=warning)
