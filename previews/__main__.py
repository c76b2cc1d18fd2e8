"""The command line: `python -m previews preview|up|drift`."""

import argparse
import contextlib
import dataclasses
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import yaml

from previews import __doc__ as description
from previews import changes, comment, github, masks, reach
from previews.cli import CliError, Run, Stack
from previews.comment import About

DRIFTED = 2
"""Exit code of `drift` where something was changed by hand; 1 is for a failure."""


def parse_arguments() -> argparse.Namespace:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m previews",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=("preview", "up", "drift"))
    parser.add_argument(
        "--project", type=Path, default=Path(), help="folder of Pulumi.yaml (default: this one)"
    )
    parser.add_argument("--stack", default="", help="default: PULUMI_STACK, or the stack that is selected")
    parser.add_argument("--config-file", type=Path, help="the stack's settings (default: Pulumi.STACK.yaml)")
    parser.add_argument(
        "--policy-pack",
        type=Path,
        help="default: the project's policies/, where it is; an empty string for none",
    )
    parser.add_argument(
        "--pull-request",
        metavar="OWNER/NAME#NUMBER",
        help="where the comment goes (default: the pull request that GitHub Actions or Prow runs this for)",
    )
    parser.add_argument(
        "--token-file",
        type=Path,
        help="file with the token that comments (default: the variable COMMENT_TOKEN)",
    )
    parser.add_argument(
        "--author", default="", help="login under which the token comments, if it cannot be asked for"
    )
    parser.add_argument(
        "--github-api",
        default=os.environ.get("GITHUB_API_URL") or github.API,
        help="GitHub's REST API (default: GITHUB_API_URL, or %(default)s)",
    )
    return parser.parse_args()


def main() -> int:
    """Run the command; its exit code."""
    options = parse_arguments()
    token = (
        options.token_file.read_text(encoding="utf-8").strip()
        if options.token_file
        else os.environ.get("COMMENT_TOKEN", "")
    )
    pull = github.parse_pull_request(options.pull_request) if options.pull_request else github.current()
    if options.command != "preview":
        pull = None
    hub = github.GitHub(token, options.github_api, author=options.author) if pull and token else None
    if pull and hub and hub.is_fork(pull):
        # The program is code of the pull request, and it runs with the stack's secrets.
        print(f"{pull.repository}#{pull.number} comes from a fork: it is not previewed", file=sys.stderr)
        return 1
    default = options.project / "policies"
    policies = (
        options.policy_pack if options.policy_pack is not None else default if default.is_dir() else None
    )
    stack = Stack(
        options.project,
        options.stack,
        config_file=options.config_file,
        policies=policies if policies and str(policies) != "." else None,
    )
    with tempfile.TemporaryDirectory(prefix="previews-") as folder:
        code, about, text = run(options.command, stack, Path(folder), pull.commit if pull else "")
    text = masks.masked(text, secrets(stack, token))
    print(text.partition("\n")[2].strip())
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        with open(summary, "a", encoding="utf-8") as file:
            file.write(text + "\n")
    if pull and hub:
        print(f"\n{hub.keep_comment(pull, comment.marker(about), text)}", file=sys.stderr)
    elif pull:
        print("\nno token to comment with: set COMMENT_TOKEN or --token-file", file=sys.stderr)
    return code


def run(command: str, stack: Stack, folder: Path, commit: str) -> tuple[int, About, str]:
    """Run one command: exit code, what was looked at, and the text about it."""
    project = yaml.safe_load((stack.project / "Pulumi.yaml").read_text(encoding="utf-8"))["name"]
    why = ""
    try:
        name = stack.name
        away = reach.unreachable(stack.setting("context")) if command != "up" else ""
        if away and command == "drift":
            raise CliError(f"the cluster cannot be asked ({away}), so nobody can tell what was changed on it")
        if away:
            why = away
            stack.without_cluster(folder)
        done = {"preview": stack.preview, "up": stack.up, "drift": stack.drift}[command]()
    except CliError as error:
        name = stack.name_if_known
        done = Run(code=1, output=f"error: {str(error).removeprefix('error: ')}", events=[])
    outcome = changes.read(done.events, drift=command == "drift")
    code = int(done.code != 0)  # the CLI's own codes differ between its versions
    if code and not outcome.errors and not any(violation.mandatory for violation in outcome.violations):
        outcome = dataclasses.replace(outcome, errors=done.errors)
    about = About(
        project=project,
        stack=name,
        what=command,
        commit=commit,
        log=log_url(),
        from_state=why,
        failed=bool(code),
    )
    text = comment.render(about, outcome)
    if command == "drift" and not code and outcome.changes:
        code = DRIFTED
    if command == "up" and not code:
        again = stack.preview("--expect-no-changes")
        if again.code:
            code = 1
            left = dataclasses.replace(changes.read(again.events), errors=again.errors)
            text += "\n\n" + comment.render(dataclasses.replace(about, what="left"), left)
    return code, about, text


def secrets(stack: Stack, token: str) -> Iterable[str]:
    """Every secret that the text must not hold."""
    found = [*masks.of_environment(), token]
    # With a wrong passphrase, or no backend, nothing was decrypted either.
    with contextlib.suppress(CliError):
        found += [*masks.of_settings(stack.settings), *masks.of_state(stack.resources)]
    return found


def log_url(environment: dict[str, str] | os._Environ[str] = os.environ) -> str:
    """Where the log of this run is, from the environment variables."""
    if environment.get("GITHUB_ACTIONS") == "true":
        server, repository = (
            environment.get("GITHUB_SERVER_URL", ""),
            environment.get("GITHUB_REPOSITORY", ""),
        )
        return f"{server}/{repository}/actions/runs/{environment.get('GITHUB_RUN_ID', '')}"
    return ""


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (github.GitHubError, CliError, ValueError, OSError) as error:
        sys.exit(f"error: {error}")
