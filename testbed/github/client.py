"""What a person does on GitHub, for the demo and for tests: through PyGithub and git, on any server that speaks the API."""

import base64
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import github
from github.CommitStatus import CommitStatus
from github.HookDelivery import HookDeliverySummary
from github.IssueComment import IssueComment
from github.PullRequest import PullRequest
from github.Repository import Repository


@dataclass(frozen=True)
class Person:
    """One user of the server at `base` (its address, as the stand-in reports it)."""

    base: str
    login: str
    token: str

    @classmethod
    def load(cls, folder: Path, login: str) -> "Person":
        """A user of the stand-in that keeps its state in `folder` and is running."""
        tokens = json.loads((folder / "tokens.json").read_text())
        return cls((folder / "address").read_text().strip(), login, tokens[login])

    @cached_property
    def api(self) -> github.Github:
        """PyGithub as this user; it neither retries nor waits between requests."""
        return self._connect(lazy=False)

    @cached_property
    def _lazy_api(self) -> github.Github:
        """For what is asked again and again: it asks for no repository before what is in it."""
        return self._connect(lazy=True)

    def _connect(self, *, lazy: bool) -> github.Github:
        return github.Github(
            lazy=lazy,
            base_url=f"{self.base}/api/v3",
            auth=github.Auth.Token(self.token),
            retry=None,
            seconds_between_requests=None,
            seconds_between_writes=None,
        )

    def repository(self, full_name: str) -> Repository:
        """The repository `owner/name`."""
        return self.api.get_repo(full_name)

    def push(
        self,
        full_name: str,
        branch: str,
        files: Mapping[str, str | None],
        message: str,
        *,
        start: str = "main",
    ) -> str:
        """Push one commit with git and return its sha.

        `files` are texts by path, None to delete; those that start with `#!` become executable. The branch is made from
        `start` when it is not there. Raises CalledProcessError with git's words when the push is refused.
        """
        with tempfile.TemporaryDirectory() as folder:
            clone = Path(folder)
            self._git(clone, "clone", "--quiet", f"{self.base}/{full_name}.git", ".")
            there = self._git(clone, "branch", "--remotes", "--list", f"origin/{branch}")
            self._git(clone, "switch", "--quiet", "-C", branch, f"origin/{branch if there else start}")
            for path, text in files.items():
                target = clone / path
                if text is None:
                    target.unlink()
                else:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_text(text)
                    target.chmod(0o755 if text.startswith("#!") else 0o644)
            self._git(clone, "add", "--all")
            self._git(clone, "commit", "--quiet", "--allow-empty", "--message", message)
            self._git(clone, "push", "--quiet", "origin", branch)
            return self._git(clone, "rev-parse", "HEAD")

    def _git(self, clone: Path, *arguments: str) -> str:
        # The token goes by the environment, where other users of the machine do not see it.
        basic = base64.b64encode(f"{self.login}:{self.token}".encode()).decode()
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"http.{self.base}/.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: Basic {basic}",
            "GIT_AUTHOR_NAME": self.login,
            "GIT_COMMITTER_NAME": self.login,
            "GIT_AUTHOR_EMAIL": f"0+{self.login}@users.noreply.github.com",
            "GIT_COMMITTER_EMAIL": f"0+{self.login}@users.noreply.github.com",
        }
        done = subprocess.run(
            ["git", *arguments], cwd=clone, env=environment, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def open_pull_request(
        self,
        full_name: str,
        *,
        branch: str,
        files: Mapping[str, str | None],
        title: str,
        body: str = "",
        base: str = "main",
        draft: bool = False,
    ) -> PullRequest:
        """Push `files` as one commit on a new branch and open a pull request of it.

        Who may not push to the repository does it from a fork, as on GitHub.
        """
        repo = self.repository(full_name)
        source = repo if repo.permissions.push else repo.create_fork()
        self.push(source.full_name, branch, files, title, start=base)
        head = branch if source.full_name == full_name else f"{source.owner.login}:{branch}"
        return repo.create_pull(base=base, head=head, title=title, body=body, draft=draft)

    def push_to_pull_request(
        self, full_name: str, number: int, files: Mapping[str, str | None], message: str
    ) -> str:
        """Push one more commit to a pull request's branch and return its sha."""
        head = self.repository(full_name).get_pull(number).head
        return self.push(head.repo.full_name, head.ref, files, message)

    def comment(self, full_name: str, number: int, body: str) -> IssueComment:
        """Comment on an issue or a pull request."""
        return self.repository(full_name).get_issue(number).create_comment(body)

    def comments(self, full_name: str, number: int) -> list[IssueComment]:
        """The comments on an issue or a pull request, oldest first."""
        return list(self.repository(full_name).get_issue(number).get_comments())

    def statuses(self, full_name: str, sha: str) -> dict[str, CommitStatus]:
        """The newest status of each context of a commit."""
        commit = self._lazy_api.get_repo(full_name).get_commit(sha)
        return {status.context: status for status in commit.get_combined_status().statuses}

    def deliveries(self, full_name: str, hook_id: int) -> list[HookDeliverySummary]:
        """The delivery log of a webhook, newest first."""
        return list(self._lazy_api.get_repo(full_name).get_hook_deliveries(hook_id))

    def merge(self, full_name: str, number: int, method: str = "merge") -> str:
        """Merge a pull request with merge, squash or rebase; the sha that the base branch then has."""
        return self.repository(full_name).get_pull(number).merge(merge_method=method).sha
