"""git over HTTP, by git's own `git http-backend` (https://git-scm.com/docs/git-http-backend)."""

import asyncio
import logging
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from aiohttp import web

from . import protection
from .model import Account, Repository
from .service import GitHub, at_least

log = logging.getLogger(__name__)

# Pushes tell what they moved by a hook of git's own, so that pushes at the same time are not mixed up.
_POST_RECEIVE = '#!/bin/sh\ncat >"$STANDIN_PUSHED"\n'
# In GitHub's words for a protected branch (GH006).
_PRE_RECEIVE = """#!/bin/sh
zero=0000000000000000000000000000000000000000
while read -r old new ref; do
    while IFS='|' read -r name deletion force closed passed; do
        [ "$name" = "$ref" ] || continue
        why=
        if [ "$new" = $zero ]; then
            why=$deletion
        elif [ "$old" != $zero ] && ! git merge-base --is-ancestor "$old" "$new"; then
            why=$force
        elif [ -n "$closed" ]; then
            case " $passed " in *" $new "*) ;; *) why=$closed ;; esac
        fi
        if [ -n "$why" ]; then
            echo "error: GH006: Protected branch update failed for $ref." >&2
            echo "error: $why" >&2
            exit 1
        fi
    done <"$STANDIN_RULES"
done
"""
_SETTINGS = {
    "safe.directory": "*",
    "http.receivepack": "true",
    # GitHub lets one fetch any commit by its sha, and partial clones.
    "uploadpack.allowAnySHA1InWant": "true",
    "uploadpack.allowFilter": "true",
    "receive.hideRefs": "refs/pull/",
    "transfer.hideRefs": "refs/standin/",
}


def install_hooks(folder: Path) -> Path:
    """Write the hooks that all repositories share; the folder for `core.hooksPath`."""
    hooks = folder / "git-hooks"
    hooks.mkdir(exist_ok=True)
    for name, text in (("pre-receive", _PRE_RECEIVE), ("post-receive", _POST_RECEIVE)):
        hook = hooks / name
        hook.write_text(text)
        hook.chmod(0o755)
    return hooks


async def serve(
    request: web.Request, github: GitHub, user: Account | None, authorised: bool
) -> web.StreamResponse:
    """Answer one request of git. `authorised` is False when a token was sent that nobody has.

    As on GitHub: everyone may clone what is public; whoever may not read a repository is asked to log in and then told
    that it is not there; a push needs push permission.
    """
    owner, name, tail = (request.match_info[key] for key in ("owner", "name", "tail"))
    repo = github.repository(owner, name.removesuffix(".git"))
    pushing = "git-receive-pack" in (tail, request.query.get("service"))
    level = "none" if repo is None else github.permission(repo, user)
    if not authorised or (user is None and (pushing or not at_least(level, "pull"))):
        return web.Response(
            status=401, text="Repository not found.\n", headers={"WWW-Authenticate": 'Basic realm="GitHub"'}
        )
    if repo is None or not at_least(level, "pull"):
        return web.Response(status=404, text="Repository not found.\n")
    if pushing and (not at_least(level, "push") or repo.archived):
        text = f"Permission to {repo.full_name}.git denied to {user.login if user else ''}.\n"
        return web.Response(status=403, text=text)
    with (
        tempfile.NamedTemporaryFile(prefix="pushed-", dir=github.folder) as pushed,
        tempfile.NamedTemporaryFile("w", prefix="rules-", dir=github.folder) as rules,
    ):
        if pushing and user is not None:
            rules.write(protection.describe_push_rules(github, repo, user))
            rules.flush()
        files = {"STANDIN_PUSHED": pushed.name, "STANDIN_RULES": rules.name}
        try:
            response = await _backend(request, github, repo, tail, user, files)
        finally:  # also when the client went away before it heard of its success
            if pushing and user is not None:
                for line in Path(pushed.name).read_text().splitlines():
                    before, after, ref = line.split(" ", 2)
                    github.ref_moved(repo, ref, before, after, user)
                github.commit()
    await response.write_eof()  # so that a push has ended only when its events are queued
    return response


async def _backend(
    request: web.Request,
    github: GitHub,
    repo: Repository,
    tail: str,
    user: Account | None,
    files: Mapping[str, str],
) -> web.StreamResponse:
    settings = _SETTINGS | {"core.hooksPath": str(github.folder / "git-hooks")}
    environment = {
        "PATH": os.environ["PATH"],
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_COUNT": str(len(settings)),
        "GIT_PROJECT_ROOT": str(github.git_path(repo).resolve().parent),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": f"/{repo.id}.git/{tail}",
        "REQUEST_METHOD": request.method,
        "QUERY_STRING": request.query_string,
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
        "REMOTE_USER": user.login if user else "",
        "REMOTE_ADDR": request.remote or "",
        **{name: str(Path(path).resolve()) for name, path in files.items()},
    }
    for number, (key, value) in enumerate(settings.items()):
        environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    process = await asyncio.create_subprocess_exec(
        "git",
        "http-backend",
        env={key: value for key, value in environment.items() if value},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    errors = asyncio.create_task(process.stderr.read())
    feeding = asyncio.create_task(_feed(request, process.stdin))
    try:
        response = web.StreamResponse()
        while line := (await process.stdout.readline()).decode().rstrip("\r\n"):
            name, _, value = line.partition(": ")
            if name == "Status":
                response.set_status(int(value.split()[0]))
            else:
                response.headers[name] = value
        await response.prepare(request)
        while chunk := await process.stdout.read(1 << 16):
            await response.write(chunk)
        await process.wait()
    finally:
        feeding.cancel()
        if process.returncode is None:  # the client went away
            process.kill()
            await process.wait()
        if text := (await errors).decode(errors="replace").strip():
            log.warning("git http-backend: %s", text)
    return response


async def _feed(request: web.Request, stdin: asyncio.StreamWriter) -> None:
    """The body as it comes, already unpacked by aiohttp; its end is the end of the input."""
    try:
        async for chunk in request.content.iter_any():
            stdin.write(chunk)
            await stdin.drain()
    except ConnectionError:
        pass  # git has read enough
    finally:
        stdin.close()
