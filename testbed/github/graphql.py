"""GraphQL, by graphql-core, on the part of GitHub's schema that Prow queries (schema.graphql)."""

from base64 import b64decode, b64encode
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from graphql import GraphQLError, build_schema, graphql_sync

from .git import CommitInfo
from .model import Account, Issue, Repository
from .payloads import Json, combined_state
from .search import find, review_decision
from .service import GitHub, Refusal

SCHEMA = build_schema((Path(__file__).parent / "schema.graphql").read_text())
_MERGEABLE = {True: "MERGEABLE", False: "CONFLICTING", None: "UNKNOWN"}


def execute(github: GitHub, reader: Account, content: Any, *, limit: int, used: int, reset: int) -> Json:
    """The answer to one request body; errors are in it, as with GitHub, and its HTTP status is 200."""
    query, variables = content.get("query"), content.get("variables")
    if not isinstance(query, str):
        return {"errors": [{"message": "A query attribute must be specified and must be a string."}]}
    reset_at = datetime.fromtimestamp(reset, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    root = _Root(github, reader)
    root_value = {
        "rateLimit": {"cost": 1, "limit": limit, "remaining": max(limit - used, 0), "resetAt": reset_at},
        "viewer": root.account(reader),
        "user": root.user,
        "search": root.search,
    }
    result = graphql_sync(SCHEMA, query, root_value, variable_values=variables)
    answer: Json = {"data": result.data}
    if result.errors:
        answer["errors"] = [error.formatted for error in result.errors]
    return answer


class _Root:
    """Resolvers. Fields that cost something are functions, which graphql-core calls when they are asked for."""

    def __init__(self, github: GitHub, reader: Account) -> None:
        self.github = github
        self.reader = reader

    def account(self, account: Account) -> Json:
        url = f"{self.github.shapes.base}/{account.login}"
        return {
            "__typename": account.type,
            "login": account.login,
            "name": account.name,
            "url": url,
            "status": None,
        }

    def user(self, _: Any, login: str) -> Json:
        account = self.github.account(login)
        if account is None or account.type != "User":
            raise GraphQLError(f"Could not resolve to a User with the login of '{login}'.")
        return self.account(account)

    def search(self, _: Any, query: str, type: str, first: int = 0, after: str | None = None) -> Json:
        if not 1 <= first <= 100:
            raise GraphQLError("`first` must be between 1 and 100.")
        start = int(b64decode(after).decode().removeprefix("cursor:")) if after else 0
        try:
            found = find(self.github, query, self.reader)
        except Refusal as refusal:
            raise GraphQLError(refusal.message) from None
        page = found[start : start + first]
        end = start + len(page)
        return {
            "issueCount": len(found),
            "nodes": [self.issue(issue) for issue in page],
            "pageInfo": {
                "hasNextPage": end < len(found),
                "endCursor": b64encode(f"cursor:{end}".encode()).decode() if page else None,
            },
        }

    def issue(self, issue: Issue) -> Json:
        repo, shapes = issue.repository, self.github.shapes
        kind = "pull" if issue.is_pull else "issues"
        shape: Json = {
            "__typename": "PullRequest" if issue.is_pull else "Issue",
            "id": str(issue.id),
            "number": issue.number,
            "title": issue.title,
            "body": issue.body or "",
            "url": f"{shapes.base}/{repo.full_name}/{kind}/{issue.number}",
            "author": self.account(issue.author),
            "repository": {
                "name": repo.name,
                "nameWithOwner": repo.full_name,
                "owner": self.account(repo.owner),
                "isArchived": repo.archived,
                "isPrivate": repo.private,
            },
            "labels": lambda _, first=100: {"nodes": shapes.labels(issue)[:first]},
            "createdAt": issue.created_at,
            "updatedAt": issue.updated_at,
        }
        if issue.is_pull:
            shape |= {
                "baseRef": {"name": issue.base_ref, "prefix": "refs/heads/"},
                "baseRefName": issue.base_ref,
                "headRefName": issue.head_ref,
                "headRefOid": issue.head_sha,
                "isDraft": issue.draft,
                "merged": issue.merged_at is not None,
                "mergeable": _MERGEABLE[issue.mergeable],
                "mergeStateStatus": lambda _: shapes.mergeable_state(issue).upper(),
                "canBeRebased": bool(issue.mergeable),
                "reviewDecision": lambda _: review_decision(self.github, issue),
                "milestone": None,
                "commits": lambda _, last=100: self.commits(issue, last),
            }
        return shape

    def commits(self, pull: Issue, last: int) -> Json:
        found = self.github.shapes.pull_commits(pull)
        nodes = [{"commit": self.commit(pull.repository, commit)} for commit in found[-last:]]
        return {"totalCount": len(found), "nodes": nodes}

    def commit(self, repo: Repository, commit: CommitInfo) -> Json:
        latest = self.github.shapes.latest_statuses(repo, commit.sha)
        contexts = [
            {
                "__typename": "StatusContext",
                "context": status.context,
                "description": status.description,
                "state": status.state.upper(),
                "targetUrl": status.target_url,
            }
            for status in latest
        ]
        state = combined_state(latest).upper()
        rollup = {"contexts": lambda _, last=100: {"nodes": contexts[-last:]}, "state": state}
        return {
            "oid": commit.sha,
            "message": commit.message,
            # null where there is none, as on GitHub
            "status": {"contexts": contexts, "state": state} if contexts else None,
            "statusCheckRollup": rollup if contexts else None,
        }
