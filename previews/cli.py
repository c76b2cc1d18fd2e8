"""Runs the Pulumi CLI for one stack and gives back what the engine said."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from previews.changes import without_traceback


class CliError(Exception):
    """The CLI is missing or refused; the text is its own."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One operation of the CLI."""

    code: int
    output: str
    """stdout and stderr, as a person would see them."""
    events: list[dict[str, Any]]

    @property
    def errors(self) -> tuple[str, ...]:
        """What the CLI itself complains of, for a failure before the engine began."""
        text = without_traceback(self.output)
        lines = text.splitlines()
        for index, line in enumerate(lines):
            if line.startswith("error: "):
                return ("\n".join(lines[index:]).strip(),)
        return ("\n".join(lines[-10:]).strip(),) if lines else (f"pulumi exited with {self.code}",)


class Stack:
    """A stack as the CLI knows it. Backend, passphrase and plugins are the environment's."""

    def __init__(
        self, project: Path, name: str = "", *, config_file: Path | None = None, policies: Path | None = None
    ):
        """
        :param project: folder of Pulumi.yaml.
        :param name: default, PULUMI_STACK or the stack that is selected.
        :param config_file: the stack's settings; default, `Pulumi.NAME.yaml` beside Pulumi.yaml.
        :param policies: folder of a policy pack that preview and up run.
        """
        self.project = project
        self._name = name
        self._policies = policies
        self._config_file = config_file
        self._environment: dict[str, str] = {}

    @cached_property
    def name(self) -> str:
        """The stack's name."""
        return self.name_if_known or self._text("stack", "--show-name").strip()

    @property
    def name_if_known(self) -> str:
        """The stack's name as far as it is set; the CLI is not asked."""
        return self._name or os.environ.get("PULUMI_STACK", "")

    @property
    def config_file(self) -> Path:
        """The file with the stack's settings."""
        return self._config_file or self.project / f"Pulumi.{self.name.rpartition('/')[2]}.yaml"

    @cached_property
    def settings(self) -> dict[str, dict[str, Any]]:
        """Every setting by its full name, secrets in plain text."""
        return json.loads(self._text("config", "--json", "--show-secrets", *self._where))

    @cached_property
    def resources(self) -> list[dict[str, Any]]:
        """The state's resources, secrets in plain text."""
        state = json.loads(self._text("stack", "export", "--show-secrets", "--stack", self.name))
        return (state.get("deployment") or {}).get("resources") or []

    def setting(self, key: str) -> str:
        """A plain setting of the project `prow`; "" where it is not set."""
        return str((self.settings.get(f"prow:{key}") or {}).get("value") or "")

    def without_cluster(self, folder: Path) -> None:
        """Have the operations to come do without the cluster: with the address of the state, and no kubeconfig.

        With an unreachable cluster the provider previews from the state, but it cannot read the node; and what a
        kubeconfig names it would try for minutes.

        :param folder: for the changed copy of the settings; it must outlive this object.
        """
        if not self.setting("nodeAddress"):
            outputs = (r.get("outputs") or {} for r in self.resources if r["type"] == "prow:index:Cluster")
            address = next((found["nodeAddress"] for found in outputs if found.get("nodeAddress")), None)
            if address:
                copy = folder / self.config_file.name
                shutil.copy(self.config_file, copy)
                self._config_file = copy
                self._text("config", "set", "--plaintext", "prow:nodeAddress", address, *self._where)
        self._environment["KUBECONFIG"] = str(folder / "no-kubeconfig")

    def preview(self, *args: str) -> Run:
        """What `up` would do."""
        return self._operate("preview", *self._pack, *args)

    def up(self) -> Run:
        """Do it."""
        return self._operate("up", "--yes", "--skip-preview", *self._pack)

    def drift(self) -> Run:
        """What is there but is not as the state has it; changes nothing."""
        return self._operate("refresh", "--preview-only")

    @property
    def _where(self) -> Sequence[str]:
        return ("--stack", self.name, "--config-file", str(self.config_file.absolute()))

    @property
    def _pack(self) -> Sequence[str]:
        return ("--policy-pack", str(self._policies.absolute())) if self._policies else ()

    def _operate(self, *args: str) -> Run:
        with tempfile.TemporaryDirectory(prefix="previews-") as folder:
            log = Path(folder) / "events.json"
            # The automation API's own way to the events; the flag is hidden without the variable.
            argv = [*args, "--event-log", str(log), "--suppress-outputs", *self._where]
            done = self._run(argv, {"PULUMI_DEBUG_COMMANDS": "true"}, shown=True)
            lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        events = [json.loads(line) for line in lines if line.strip()]
        return Run(code=done.returncode, output=done.stdout, events=events)

    def _text(self, *args: str) -> str:
        done = self._run(args, {}, shown=False)
        if done.returncode:
            raise CliError(without_traceback(done.stderr.strip()) or f"pulumi {args[0]} failed")
        return done.stdout

    def _run(
        self, args: Sequence[str], environment: dict[str, str], *, shown: bool
    ) -> subprocess.CompletedProcess[str]:
        """Run the CLI; `shown`: its output is joined, and passed on as it comes."""
        program = shutil.which("pulumi")
        if program is None:
            raise CliError("the Pulumi CLI is not on the path: https://www.pulumi.com/docs/install/")
        argv = [program, *args, "--non-interactive", "--color", "never"]
        env = os.environ | {"PULUMI_SKIP_UPDATE_CHECK": "true"} | self._environment | environment
        env.pop("COMMENT_TOKEN", None)  # ours; the program under preview has no use for it
        if not shown:
            return subprocess.run(
                argv, cwd=self.project, env=env, capture_output=True, text=True, check=False
            )
        lines: list[str] = []
        with subprocess.Popen(
            argv, cwd=self.project, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as child:
            assert child.stdout is not None
            try:
                for line in child.stdout:
                    lines.append(line)
                    print(line, end="", file=sys.stderr, flush=True)
            except BaseException:
                child.send_signal(signal.SIGINT)  # let it end what it has begun
                raise
        return subprocess.CompletedProcess(argv, child.returncode, "".join(lines), "")
