"""Check Prow's configuration: `python -m prowconfig prow --repository owner/name`, for editors, pre-commit and presubmits."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from prowconfig import checkconfig
from prowconfig.files import ProwFiles, load
from prowconfig.problem import Problem, ProwFilesError
from prowconfig.release import DEFAULT_IMAGE_TAG, parse_release
from prowconfig.render import render_config

SOUND, REFUSED, USAGE = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Print each problem as `file:line: error|warning: reason`; 0: Prow takes the files, 1: it does not, 2: usage."""
    options = _make_parser().parse_args(arguments)
    folder = Path(options.folder)
    if not folder.is_dir():
        print(f"{options.folder}: there is no such folder", file=sys.stderr)
        return USAGE
    problems = _find_problems(folder, options)
    for problem in problems:
        kind = "warning" if problem.warning else "error"
        print(f"{problem.file}:{problem.line or 1}: {kind}: {' '.join(problem.reason.split())}")
    return SOUND if all(problem.warning for problem in problems) else REFUSED


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m prowconfig", description=__doc__)
    parser.add_argument("folder", help="folder with config.yaml, plugins.yaml and jobs/")
    parser.add_argument(
        "--repository",
        action="append",
        default=[],
        metavar="OWNER/NAME",
        type=_parse_repository,
        help="a repository of the settings (repeat it)",
    )
    parser.add_argument(
        "--organization",
        action="append",
        default=[],
        metavar="NAME",
        type=_parse_organization,
        help="an organisation of the settings (repeat it)",
    )
    parser.add_argument("--job-namespace", default="test-pods", metavar="NAME", help="default: %(default)s")
    parser.add_argument(
        "--image-tag", default=DEFAULT_IMAGE_TAG, metavar="TAG", help="Prow's release; default: %(default)s"
    )
    return parser


def _parse_repository(text: str) -> str:
    owner, slash, name = text.partition("/")
    if not (owner and slash and name) or "/" in name:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form owner/name")
    return text


def _parse_organization(text: str) -> str:
    if not text or "/" in text:
        raise argparse.ArgumentTypeError(f"{text!r} is no organisation's name")
    return text


def _find_problems(folder: Path, options: argparse.Namespace) -> list[Problem]:
    try:
        files = load(
            folder,
            options.repository,
            organizations=options.organization,
            job_namespace=options.job_namespace,
            release=parse_release(options.image_tag),
        )
    except ProwFilesError as error:
        found = [*error.problems, *error.warnings]
        return sorted(found, key=lambda problem: (problem.file, problem.line or 0))
    return [*files.warnings, *_ask_checkconfig(files, options.job_namespace)]


def _ask_checkconfig(files: ProwFiles, job_namespace: str) -> list[Problem]:
    """What a checkconfig on the path says."""
    found = checkconfig.find_program()
    if found is None:
        return []
    # Addresses are the stack's; any will do, since checkconfig only reads them.
    config = render_config(
        files.config,
        prowjob_namespace="prow",
        job_namespace=job_namespace,
        deck_url="http://deck.example/",
        github_link_url="https://github.com",
    )
    return found.run(config, files.plugins_text, files.texts, files)


if __name__ == "__main__":
    sys.exit(main())
