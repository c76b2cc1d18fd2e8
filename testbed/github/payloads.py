"""The JSON forms of things, as GitHub's REST API answers them and as its webhooks send them.

The forms follow https://docs.github.com/rest and the schemas of github.com/octokit/webhooks. URLs are those of a GitHub
Enterprise Server: pages at `<base>/owner/name`, the API at `<base>/api/v3`.
"""

import json
from base64 import b64encode
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from .git import ZERO, CommitInfo, FileChange, GitRepository, Person
from .model import (
    Account,
    BranchProtection,
    Collaborator,
    Comment,
    Delivery,
    Hook,
    Issue,
    IssueEvent,
    Label,
    Membership,
    Repository,
    Review,
    Status,
)

Json = dict[str, Any]

MASKED = "********"  # what GitHub answers instead of a hook's secret

_REPOSITORY_LINKS = {
    "forks_url": "/forks",
    "keys_url": "/keys{/key_id}",
    "collaborators_url": "/collaborators{/collaborator}",
    "teams_url": "/teams",
    "hooks_url": "/hooks",
    "issue_events_url": "/issues/events{/number}",
    "events_url": "/events",
    "assignees_url": "/assignees{/user}",
    "branches_url": "/branches{/branch}",
    "tags_url": "/tags",
    "blobs_url": "/git/blobs{/sha}",
    "git_tags_url": "/git/tags{/sha}",
    "git_refs_url": "/git/refs{/sha}",
    "trees_url": "/git/trees{/sha}",
    "statuses_url": "/statuses/{sha}",
    "languages_url": "/languages",
    "stargazers_url": "/stargazers",
    "contributors_url": "/contributors",
    "subscribers_url": "/subscribers",
    "subscription_url": "/subscription",
    "commits_url": "/commits{/sha}",
    "git_commits_url": "/git/commits{/sha}",
    "comments_url": "/comments{/number}",
    "issue_comment_url": "/issues/comments{/number}",
    "contents_url": "/contents/{+path}",
    "compare_url": "/compare/{base}...{head}",
    "merges_url": "/merges",
    "archive_url": "/{archive_format}{/ref}",
    "downloads_url": "/downloads",
    "issues_url": "/issues{/number}",
    "pulls_url": "/pulls{/number}",
    "milestones_url": "/milestones{/number}",
    "notifications_url": "/notifications{?since,all,participating}",
    "labels_url": "/labels{/name}",
    "releases_url": "/releases{/id}",
    "deployments_url": "/deployments",
}
_USER_LINKS = {
    "followers_url": "/followers",
    "following_url": "/following{/other_user}",
    "gists_url": "/gists{/gist_id}",
    "starred_url": "/starred{/owner}{/repo}",
    "subscriptions_url": "/subscriptions",
    "organizations_url": "/orgs",
    "repos_url": "/repos",
    "events_url": "/events{/privacy}",
    "received_events_url": "/received_events",
}
_REACTIONS = ("+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes")


def dumps(value: Any) -> str:
    """JSON text as GitHub sends it: compact and in plain UTF-8."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def combined_state(latest: list[Status]) -> str:
    """GitHub's rule for the combined status: failure beats pending beats success; no status is pending."""
    states = {status.state for status in latest}
    if states & {"failure", "error"}:
        return "failure"
    return "pending" if not states or "pending" in states else "success"


class _Stored(Protocol):
    id: int


def _node(thing: _Stored, kind: str = "") -> str:
    return b64encode(f"{len(kind):03}:{kind or type(thing).__name__}{thing.id}".encode()).decode()


class Shapes:
    """Turns stored things into JSON. `base` is the server's address without a slash at its end."""

    def __init__(self, session: Session, base: str, git: Callable[[Repository], GitRepository]) -> None:
        self.session = session
        self.base = base
        self.api = f"{base}/api/v3"
        self.git = git

    # --- accounts ---------------------------------------------------------------------------------------------

    def user(self, account: Account) -> Json:
        """The short form of a user, which accompanies whatever the user made."""
        url = f"{self.api}/users/{account.login}"
        return {
            "login": account.login,
            "id": account.id,
            "node_id": _node(account),
            "avatar_url": f"{self.base}/{account.login}.png",
            "gravatar_id": "",
            "url": url,
            "html_url": f"{self.base}/{account.login}",
            **{key: url + tail for key, tail in _USER_LINKS.items()},
            "type": account.type,
            "site_admin": account.site_admin,
        }

    def _user_or_none(self, account: Account | None) -> Json | None:
        return None if account is None else self.user(account)

    def _users(self, ids: list[int]) -> list[Json]:
        found = (self.session.get(Account, account_id) for account_id in ids)
        return [self.user(account) for account in found if account is not None]

    def profile(self, account: Account) -> Json:
        """The long form of a user, as `GET /user` and `GET /users/{login}` answer it."""
        repositories = self.session.scalar(
            select(func.count()).select_from(Repository).where(Repository.owner_id == account.id)
        )
        return self.user(account) | {
            "name": account.name,
            "company": None,
            "blog": "",
            "location": None,
            "email": account.email,
            "hireable": None,
            "bio": None,
            "twitter_username": None,
            "public_repos": repositories,
            "public_gists": 0,
            "followers": 0,
            "following": 0,
            "created_at": account.created_at,
            "updated_at": account.updated_at,
        }

    def organization(self, account: Account) -> Json:
        """The short form of an organisation, which accompanies its webhooks."""
        url = f"{self.api}/orgs/{account.login}"
        return {
            "login": account.login,
            "id": account.id,
            "node_id": _node(account),
            "url": url,
            "repos_url": f"{url}/repos",
            "events_url": f"{url}/events",
            "hooks_url": f"{url}/hooks",
            "issues_url": f"{url}/issues",
            "members_url": f"{url}/members{{/member}}",
            "public_members_url": f"{url}/public_members{{/member}}",
            "avatar_url": f"{self.base}/{account.login}.png",
            "description": None,
        }

    # --- repositories -----------------------------------------------------------------------------------------

    def repository(self, repo: Repository, permission: Json | None = None) -> Json:
        """A repository, as it appears in lists and webhooks. `permission` is the reader's, where it is shown."""
        url = f"{self.api}/repos/{repo.full_name}"
        html = f"{self.base}/{repo.full_name}"
        issues = select(func.count()).where(Issue.repository_id == repo.id, Issue.state == "open")
        forks = select(func.count()).where(Repository.parent_id == repo.id)
        open_issues = self.session.scalar(issues.select_from(Issue))
        fork_count = self.session.scalar(forks.select_from(Repository))
        shape = {
            "id": repo.id,
            "node_id": _node(repo),
            "name": repo.name,
            "full_name": repo.full_name,
            "private": repo.private,
            "owner": self.user(repo.owner),
            "html_url": html,
            "description": repo.description,
            "fork": repo.parent_id is not None,
            "url": url,
            **{key: url + tail for key, tail in _REPOSITORY_LINKS.items()},
            "created_at": repo.created_at,
            "updated_at": repo.updated_at,
            "pushed_at": repo.pushed_at,
            "git_url": f"git://{html.partition('://')[2]}.git",
            "ssh_url": f"git@{html.partition('://')[2]}.git",
            "clone_url": f"{html}.git",
            "svn_url": html,
            "homepage": None,
            "size": 0,
            "stargazers_count": 0,
            "watchers_count": 0,
            "language": None,
            "has_issues": True,
            "has_projects": True,
            "has_downloads": True,
            "has_wiki": True,
            "has_pages": False,
            "has_discussions": False,
            "forks_count": fork_count,
            "mirror_url": None,
            "archived": repo.archived,
            "disabled": False,
            "open_issues_count": open_issues,
            "license": None,
            "allow_forking": True,
            "is_template": False,
            "web_commit_signoff_required": False,
            "topics": [],
            "custom_properties": {},
            "visibility": "private" if repo.private else "public",
            "forks": fork_count,
            "open_issues": open_issues,
            "watchers": 0,
            "default_branch": repo.default_branch,
        }
        return shape if permission is None else shape | {"permissions": permission}

    def _merge_settings(self, repo: Repository) -> Json:
        return {
            "allow_squash_merge": repo.allow_squash_merge,
            "allow_merge_commit": repo.allow_merge_commit,
            "allow_rebase_merge": repo.allow_rebase_merge,
            "allow_auto_merge": False,
            "delete_branch_on_merge": False,
            "allow_update_branch": False,
        }

    def full_repository(self, repo: Repository, permission: Json | None) -> Json:
        """A repository, as `GET /repos/{owner}/{repo}` answers it."""
        shape = self.repository(repo, permission) | self._merge_settings(repo)
        if repo.owner.type == "Organization":
            shape["organization"] = self.user(repo.owner)
        if repo.parent is not None:
            shape["parent"] = shape["source"] = self.repository(repo.parent)
        return shape | {"network_count": shape["forks_count"], "subscribers_count": 0}

    def _pushed_repository(self, repo: Repository) -> Json:
        """A repository in a push event, which differs from all others (see the examples of octokit/webhooks)."""
        shape = self.repository(repo)
        shape["owner"] |= {"name": repo.owner.login, "email": repo.owner.email}
        for key in ("created_at", "pushed_at"):
            shape[key] = int(datetime.fromisoformat(shape[key]).timestamp())
        shape |= {"url": shape["html_url"], "stargazers": 0, "master_branch": repo.default_branch}
        if repo.owner.type == "Organization":
            shape["organization"] = repo.owner.login
        return shape

    def ref(self, repo: Repository, name: str, sha: str) -> Json:
        """A git ref, as the git database endpoints answer it."""
        url = f"{self.api}/repos/{repo.full_name}/git"
        return {
            "ref": name,
            "node_id": b64encode(f"Ref{repo.id}:{name}".encode()).decode(),
            "url": f"{url}/{name}",
            "object": {"sha": sha, "type": "commit", "url": f"{url}/commits/{sha}"},
        }

    def branch(self, repo: Repository, name: str, sha: str) -> Json:
        """A branch, as lists have it."""
        return {
            "name": name,
            "commit": {"sha": sha, "url": f"{self.api}/repos/{repo.full_name}/commits/{sha}"},
            "protected": name in repo.protected_branches,
        }

    # --- commits ----------------------------------------------------------------------------------------------

    def _account_of(self, person: Person) -> Account | None:
        """Whose commit it is: GitHub goes by the address."""
        login = person.email.partition("@")[0].partition("+")[2]
        if not person.email.endswith("@users.noreply.github.com") or not login:
            return None
        return self.session.scalar(select(Account).where(func.lower(Account.login) == login.lower()))

    def commit(self, repo: Repository, commit: CommitInfo, *, files: bool = False) -> Json:
        """A commit; with `files` what it changed, as `GET /repos/{owner}/{repo}/commits/{ref}` answers."""
        url = f"{self.api}/repos/{repo.full_name}"
        html = f"{self.base}/{repo.full_name}/commit"
        shape = {
            "sha": commit.sha,
            "node_id": b64encode(f"Commit{repo.id}:{commit.sha}".encode()).decode(),
            "commit": {
                "author": vars(commit.author),
                "committer": vars(commit.committer),
                "message": commit.message,
                "tree": {"sha": commit.tree, "url": f"{url}/git/trees/{commit.tree}"},
                "url": f"{url}/git/commits/{commit.sha}",
                "comment_count": 0,
                "verification": {"verified": False, "reason": "unsigned", "signature": None, "payload": None},
            },
            "url": f"{url}/commits/{commit.sha}",
            "html_url": f"{html}/{commit.sha}",
            "comments_url": f"{url}/commits/{commit.sha}/comments",
            "author": self._user_or_none(self._account_of(commit.author)),
            "committer": self._user_or_none(self._account_of(commit.committer)),
            "parents": [
                {"sha": parent, "url": f"{url}/commits/{parent}", "html_url": f"{html}/{parent}"}
                for parent in commit.parents
            ],
        }
        if files:
            changes = self.git(repo).changes(commit.parents[0] if commit.parents else None, commit.sha)
            added, deleted = (
                sum(change.additions for change in changes),
                sum(change.deletions for change in changes),
            )
            shape["stats"] = {"total": added + deleted, "additions": added, "deletions": deleted}
            shape["files"] = [self.file(repo, commit.sha, change) for change in changes]
        return shape

    def file(self, repo: Repository, sha: str, change: FileChange) -> Json:
        """What a commit or pull request with head `sha` does to one file."""
        html = f"{self.base}/{repo.full_name}"
        shape = {
            "sha": change.sha,
            "filename": change.path,
            "status": change.status,
            "additions": change.additions,
            "deletions": change.deletions,
            "changes": change.additions + change.deletions,
            "blob_url": f"{html}/blob/{sha}/{change.path}",
            "raw_url": f"{html}/raw/{sha}/{change.path}",
            "contents_url": f"{self.api}/repos/{repo.full_name}/contents/{change.path}?ref={sha}",
        }
        if change.patch:
            shape["patch"] = change.patch
        if change.previous_path:
            shape["previous_filename"] = change.previous_path
        return shape

    def latest_statuses(self, repo: Repository, sha: str) -> list[Status]:
        """The newest status of each context of a commit."""
        found: dict[str, Status] = {}
        query = select(Status).where(Status.repository_id == repo.id, Status.sha == sha).order_by(Status.id)
        for status in self.session.scalars(query):
            found[status.context] = status
        return list(found.values())

    def status(self, repo: Repository, status: Status) -> Json:
        """One status."""
        return {
            "url": f"{self.api}/repos/{repo.full_name}/statuses/{status.sha}",
            "avatar_url": f"{self.base}/{status.creator.login}.png",
            "id": status.id,
            "node_id": _node(status),
            "state": status.state,
            "description": status.description,
            "target_url": status.target_url,
            "context": status.context,
            "created_at": status.created_at,
            "updated_at": status.created_at,
            "creator": self.user(status.creator),
        }

    # --- issues and pull requests -----------------------------------------------------------------------------

    def label(self, label: Label, repo: Repository) -> Json:
        """One label."""
        return {
            "id": label.id,
            "node_id": _node(label),
            "url": f"{self.api}/repos/{repo.full_name}/labels/{label.name}",
            "name": label.name,
            "description": label.description,
            "color": label.color,
            "default": False,
        }

    def labels(self, issue: Issue) -> list[Json]:
        """The labels of an issue or a pull request."""
        found = (self.session.get(Label, label_id) for label_id in issue.label_ids)
        return [self.label(label, issue.repository) for label in found if label is not None]

    def association(self, account: Account, repo: Repository) -> str:
        """How an author relates to a repository."""
        if account.id == repo.owner_id:
            return "OWNER"
        for kind, row, owner in (
            ("MEMBER", Membership, Membership.organization_id == repo.owner_id),
            ("COLLABORATOR", Collaborator, Collaborator.repository_id == repo.id),
        ):
            if self.session.scalar(select(row).where(owner, row.account_id == account.id)):
                return kind
        merged = select(Issue).where(
            Issue.repository_id == repo.id, Issue.author_id == account.id, Issue.merged_at.is_not(None)
        )
        return "CONTRIBUTOR" if self.session.scalars(merged).first() else "NONE"

    def _comment_count(self, issue: Issue) -> int:
        query = select(func.count()).select_from(Comment).where(Comment.issue_id == issue.id)
        return self.session.scalar(query) or 0

    def issue(self, issue: Issue) -> Json:
        """An issue; for a pull request the view of it as an issue."""
        repo = issue.repository
        url = f"{self.api}/repos/{repo.full_name}/issues/{issue.number}"
        html = f"{self.base}/{repo.full_name}/{'pull' if issue.is_pull else 'issues'}/{issue.number}"
        assignees = self._users(issue.assignee_ids)
        shape = {
            "url": url,
            "repository_url": f"{self.api}/repos/{repo.full_name}",
            "labels_url": f"{url}/labels{{/name}}",
            "comments_url": f"{url}/comments",
            "events_url": f"{url}/events",
            "html_url": html,
            "id": issue.id,
            "node_id": _node(issue),
            "number": issue.number,
            "title": issue.title,
            "user": self.user(issue.author),
            "labels": self.labels(issue),
            "state": issue.state,
            "locked": False,
            "assignee": assignees[0] if assignees else None,
            "assignees": assignees,
            "milestone": None,
            "comments": self._comment_count(issue),
            "created_at": issue.created_at,
            "updated_at": issue.updated_at,
            "closed_at": issue.closed_at,
            "author_association": self.association(issue.author, repo),
            "active_lock_reason": None,
            "body": issue.body,
            "reactions": self._reactions(url),
            "timeline_url": f"{url}/timeline",
            "performed_via_github_app": None,
            "state_reason": issue.state_reason,
        }
        if issue.is_pull:
            shape["draft"] = issue.draft
            shape["pull_request"] = {
                "url": f"{self.api}/repos/{repo.full_name}/pulls/{issue.number}",
                "html_url": html,
                "diff_url": f"{html}.diff",
                "patch_url": f"{html}.patch",
                "merged_at": issue.merged_at,
            }
        return shape

    def _reactions(self, url: str) -> Json:
        return {"url": f"{url}/reactions", "total_count": 0, **dict.fromkeys(_REACTIONS, 0)}

    def comment(self, comment: Comment) -> Json:
        """A comment on an issue or a pull request."""
        issue = comment.issue
        url = f"{self.api}/repos/{issue.repository.full_name}/issues"
        kind = "pull" if issue.is_pull else "issues"
        return {
            "url": f"{url}/comments/{comment.id}",
            "html_url": f"{self.base}/{issue.repository.full_name}/{kind}/{issue.number}#issuecomment-{comment.id}",
            "issue_url": f"{url}/{issue.number}",
            "id": comment.id,
            "node_id": _node(comment),
            "user": self.user(comment.author),
            "created_at": comment.created_at,
            "updated_at": comment.updated_at,
            "author_association": self.association(comment.author, issue.repository),
            "body": comment.body,
            "reactions": self._reactions(f"{url}/comments/{comment.id}"),
            "performed_via_github_app": None,
        }

    def review(self, review: Review, *, webhook: bool = False) -> Json:
        """A review. Webhooks write its state in small letters, the REST API in capitals."""
        pull = review.issue
        html = f"{self.base}/{pull.repository.full_name}/pull/{pull.number}"
        html_review = f"{html}#pullrequestreview-{review.id}"
        url = f"{self.api}/repos/{pull.repository.full_name}/pulls/{pull.number}"
        return {
            "id": review.id,
            "node_id": _node(review),
            "user": self.user(review.author),
            "body": review.body,
            "commit_id": review.commit_id,
            "submitted_at": review.submitted_at,
            "state": review.state.lower() if webhook else review.state,
            "html_url": html_review,
            "pull_request_url": url,
            "author_association": self.association(review.author, pull.repository),
            "_links": {"html": {"href": html_review}, "pull_request": {"href": url}},
        }

    def issue_event(self, event: IssueEvent, issue: Issue) -> Json:
        """One entry of an issue's history."""
        return {
            "id": event.id,
            "node_id": _node(event),
            "url": f"{self.api}/repos/{issue.repository.full_name}/issues/events/{event.id}",
            "actor": self.user(event.actor),
            "event": event.event,
            "commit_id": event.commit_id,
            "commit_url": None,
            "created_at": event.created_at,
            **event.details,
        }

    def pull_changes(self, pull: Issue) -> list[FileChange]:
        """What a pull request changes, from where it left its base branch."""
        git = self.git(pull.repository)
        base = self.pull_base(pull)
        return git.changes(git.merge_base(base, str(pull.head_sha)), str(pull.head_sha))

    def pull_commits(self, pull: Issue) -> list[CommitInfo]:
        """The commits of a pull request, oldest first."""
        history = self.git(pull.repository).history(str(pull.head_sha), without=self.pull_base(pull))
        return list(reversed(list(history)))

    def pull_base(self, pull: Issue) -> str:
        """The commit to compare with: the base branch as it was when the pull request ended, or as it is now."""
        tip = None if pull.merged_at else self.git(pull.repository).ref(f"refs/heads/{pull.base_ref}")
        return tip or str(pull.base_sha)

    def mergeable_state(self, pull: Issue) -> str:
        """GitHub's summary of whether a pull request can be merged."""
        if pull.state == "closed" or pull.mergeable is None:
            return "unknown"
        if not pull.mergeable:
            return "dirty"
        if pull.draft:
            return "draft"
        latest = self.latest_statuses(pull.repository, str(pull.head_sha))
        passed = {status.context for status in latest if status.state == "success"}
        if not self._required_contexts(pull) <= passed:
            return "blocked"
        return "unstable" if latest and combined_state(latest) != "success" else "clean"

    def _required_contexts(self, pull: Issue) -> set[str]:
        """Statuses that the protection of the base branch demands."""
        query = select(BranchProtection.rule).where(
            BranchProtection.repository_id == pull.repository_id, BranchProtection.branch == pull.base_ref
        )
        rule = self.session.scalar(query) or {}
        return set((rule.get("required_status_checks") or {}).get("contexts") or ())

    def pull(self, pull: Issue, *, full: bool = True) -> Json:
        """A pull request; `full` adds what lists leave out."""
        repo = pull.repository
        url = f"{self.api}/repos/{repo.full_name}/pulls/{pull.number}"
        issue_url = f"{self.api}/repos/{repo.full_name}/issues/{pull.number}"
        statuses_url = f"{self.api}/repos/{repo.full_name}/statuses/{pull.head_sha}"
        html = f"{self.base}/{repo.full_name}/pull/{pull.number}"
        assignees = self._users(pull.assignee_ids)
        links = {
            "self": url,
            "html": html,
            "issue": issue_url,
            "comments": f"{issue_url}/comments",
            "review_comments": f"{url}/comments",
            "review_comment": f"{self.api}/repos/{repo.full_name}/pulls/comments{{/number}}",
            "commits": f"{url}/commits",
            "statuses": statuses_url,
        }
        shape = {
            "url": url,
            "id": pull.id,
            "node_id": _node(pull, "PullRequest"),
            "html_url": html,
            "diff_url": f"{html}.diff",
            "patch_url": f"{html}.patch",
            "issue_url": issue_url,
            "number": pull.number,
            "state": pull.state,
            "locked": False,
            "title": pull.title,
            "user": self.user(pull.author),
            "body": pull.body,
            "created_at": pull.created_at,
            "updated_at": pull.updated_at,
            "closed_at": pull.closed_at,
            "merged_at": pull.merged_at,
            "merge_commit_sha": pull.merge_commit_sha,
            "assignee": assignees[0] if assignees else None,
            "assignees": assignees,
            "requested_reviewers": self._users(pull.reviewer_ids),
            "requested_teams": [],
            "labels": self.labels(pull),
            "milestone": None,
            "draft": pull.draft,
            "commits_url": links["commits"],
            "review_comments_url": links["review_comments"],
            "review_comment_url": links["review_comment"],
            "comments_url": links["comments"],
            "statuses_url": statuses_url,
            "head": self._side(pull.head_repository, str(pull.head_ref), str(pull.head_sha)),
            "base": self._side(repo, str(pull.base_ref), str(pull.base_sha)),
            "_links": {name: {"href": link} for name, link in links.items()},
            "author_association": self.association(pull.author, repo),
            "auto_merge": None,
            "active_lock_reason": None,
        }
        if full:
            changes = self.pull_changes(pull)
            shape |= {
                "merged": pull.merged_at is not None,
                "mergeable": pull.mergeable,
                "rebaseable": pull.mergeable,
                "mergeable_state": self.mergeable_state(pull),
                "merged_by": self._user_or_none(pull.merged_by),
                "comments": self._comment_count(pull),
                "review_comments": 0,
                "maintainer_can_modify": pull.maintainer_can_modify,
                "commits": len(self.pull_commits(pull)),
                "additions": sum(change.additions for change in changes),
                "deletions": sum(change.deletions for change in changes),
                "changed_files": len(changes),
            }
        return shape

    def _side(self, repo: Repository | None, ref: str, sha: str) -> Json:
        """The head or base of a pull request; `repo` is None when a fork was deleted."""
        shape: Json = {"label": ref, "ref": ref, "sha": sha, "user": None, "repo": None}
        if repo is not None:
            shape["label"] = f"{repo.owner.login}:{ref}"
            shape["user"] = self.user(repo.owner)
            shape["repo"] = self.repository(repo) | self._merge_settings(repo)
        return shape

    # --- webhooks ---------------------------------------------------------------------------------------------

    def hook(self, hook: Hook) -> Json:
        """A webhook; its secret is masked as GitHub masks it."""
        config = dict(hook.config)
        if config.get("secret"):
            config["secret"] = MASKED
        if hook.repository is not None:
            url = f"{self.api}/repos/{hook.repository.full_name}/hooks/{hook.id}"
            kind: Json = {
                "type": "Repository",
                "test_url": f"{url}/test",
                "last_response": hook.last_response,
            }
        else:
            assert hook.organization is not None
            url = f"{self.api}/orgs/{hook.organization.login}/hooks/{hook.id}"
            kind = {"type": "Organization"}
        return {
            "id": hook.id,
            "name": "web",
            "active": hook.active,
            "events": hook.events,
            "config": config,
            "updated_at": hook.updated_at,
            "created_at": hook.created_at,
            "url": url,
            "ping_url": f"{url}/pings",
            "deliveries_url": f"{url}/deliveries",
            **kind,
        }

    def delivery(self, delivery: Delivery, *, full: bool = False) -> Json:
        """An entry of the delivery log; `full` adds the request and the answer."""
        shape = {
            "id": delivery.id,
            "guid": delivery.guid,
            "delivered_at": delivery.delivered_at,
            "redelivery": delivery.redelivery,
            "duration": round(delivery.duration, 2),
            "status": delivery.status,
            "status_code": delivery.status_code,
            "event": delivery.event,
            "action": delivery.action,
            "installation_id": None,
            "repository_id": delivery.repository_id,
            "throttled_at": None,
        }
        if full:
            shape["url"] = delivery.url
            shape["request"] = {"headers": delivery.request_headers, "payload": json.loads(delivery.payload)}
            shape["response"] = {"headers": delivery.response_headers, "payload": delivery.response_body}
        return shape

    def push(self, repo: Repository, ref: str, before: str, after: str, pusher: Account) -> Json:
        """The body of a push event, without its sender."""
        git = self.git(repo)
        short = ref.removeprefix("refs/heads/").removeprefix("refs/tags/")
        html = f"{self.base}/{repo.full_name}"
        created, deleted = before == ZERO, after == ZERO
        commits: list[CommitInfo] = []
        if not deleted and ref.startswith("refs/heads/"):
            # A new branch lists what the default branch lacks, a moved one what its old tip lacks.
            known = None if short == repo.default_branch else git.ref(f"refs/heads/{repo.default_branch}")
            commits = list(reversed(list(git.history(after, without=known if created else before))))
        span = f"{before[:12]}...{after[:12]}"
        return {
            "ref": ref,
            "before": before,
            "after": after,
            "created": created,
            "deleted": deleted,
            "forced": not created and not deleted and not git.contains(after, before),
            "base_ref": None,
            "compare": f"{html}/compare/{short if created else span}",
            "commits": [self._pushed_commit(repo, commit) for commit in commits],
            "head_commit": None if deleted else self._pushed_commit(repo, git.commit(after)),
            "repository": self._pushed_repository(repo),
            "pusher": {"name": pusher.login, "email": pusher.email},
        }

    def _pushed_commit(self, repo: Repository, commit: CommitInfo) -> Json:
        changes = self.git(repo).changes(commit.parents[0] if commit.parents else None, commit.sha)
        people = {}
        for role, person in (("author", commit.author), ("committer", commit.committer)):
            account = self._account_of(person)
            people[role] = {"name": person.name, "email": person.email}
            if account is not None:
                people[role]["username"] = account.login
        return {
            "id": commit.sha,
            "tree_id": commit.tree,
            "distinct": True,
            "message": commit.message,
            "timestamp": commit.committer.date,
            "url": f"{self.base}/{repo.full_name}/commit/{commit.sha}",
            **people,
            "added": [change.path for change in changes if change.status == "added"],
            "removed": [change.path for change in changes if change.status == "removed"],
            "modified": [change.path for change in changes if change.status not in ("added", "removed")],
        }
