"""What happens on GitHub: every change of state, with the webhook events that follow from it."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import delete, func, or_, select

from . import apps
from .git import ZERO, GitRepository, NotMergeable, Person
from .model import (
    Account,
    Collaborator,
    Comment,
    Delivery,
    FormerName,
    Hook,
    Issue,
    IssueEvent,
    Label,
    Membership,
    Repository,
    Review,
    Status,
    Team,
    Token,
    now,
    open_session,
)
from .payloads import Json, Shapes, dumps

# Permissions on a repository, weakest first.
LEVELS = ("none", "pull", "triage", "push", "maintain", "admin")
# What a classic token's scope includes, see
# https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps
_IMPLIED = {
    "repo": ("repo:status", "public_repo", "repo_deployment", "repo:invite"),
    "admin:repo_hook": ("write:repo_hook", "read:repo_hook"),
    "write:repo_hook": ("read:repo_hook",),
    "admin:org": ("write:org", "read:org"),
    "write:org": ("read:org",),
    "user": ("read:user", "user:email", "user:follow"),
}


def at_least(level: str, wanted: str) -> bool:
    """Whether a permission includes another."""
    return LEVELS.index(level) >= LEVELS.index(wanted)


def token_hash(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Refusal(Exception):  # noqa: N818
    """GitHub refuses to do something. `errors` are the entries of a 422's `errors`."""

    status: int
    message: str
    errors: tuple[Json | str, ...] = ()


def invalid(resource: str, message: str = "", *, field: str = "", code: str = "custom") -> Refusal:
    """A 422 Validation Failed with one error."""
    error = {"resource": resource, "code": code}
    if field:
        error["field"] = field
    if message:
        error["message"] = message
    return Refusal(status=422, message="Validation Failed", errors=(error,))


def implied(scopes: Iterable[str]) -> frozenset[str]:
    """Scopes with those that they include."""
    return frozenset(scope for granted in scopes for scope in (granted, *_IMPLIED.get(granted, ())))


class GitHub:
    """The whole state.

    Everything runs in one thread and no method awaits, so a request is done before the next one starts. A request ends
    with commit or rollback.
    """

    def __init__(self, folder: Path, base: str) -> None:
        self.folder = folder
        self.session = open_session(folder / "github.sqlite")
        self.shapes = Shapes(self.session, base, self.git)
        self.send: Callable[[Delivery], None] = lambda delivery: None  # set by the deliverer
        self._outbox: list[Delivery] = []
        (folder / "repositories").mkdir(exist_ok=True)

    # --- finding ----------------------------------------------------------------------------------------------

    def git(self, repo: Repository) -> GitRepository:
        """The git data of a repository."""
        return GitRepository(self.git_path(repo))

    def git_path(self, repo: Repository) -> Path:
        """Where the bare repository lies."""
        return self.folder / "repositories" / f"{repo.id}.git"

    def account(self, login: str) -> Account | None:
        """The user or organisation with this login, without regard to case."""
        return self.session.scalar(select(Account).where(func.lower(Account.login) == login.lower()))

    def repository(self, owner: str, name: str) -> Repository | None:
        """The repository `owner/name`, without regard to case."""
        query = select(Repository).join(Account, Repository.owner_id == Account.id)
        return self.session.scalar(
            query.where(
                func.lower(Account.login) == owner.lower(), func.lower(Repository.name) == name.lower()
            )
        )

    def moved(self, owner: str, name: str) -> Repository | None:
        """The repository that was called `owner/name` once."""
        former = self.session.scalar(
            select(FormerName).where(FormerName.full_name == f"{owner}/{name}".lower())
        )
        return None if former is None else self.session.get(Repository, former.repository_id)

    def rename(self, repo: Repository, name: str, actor: Account) -> None:
        """Give a repository another name within its owner. Requests for the old one are redirected from then on.

        https://docs.github.com/en/repositories/creating-and-managing-repositories/renaming-a-repository
        """
        taken = self.repository(repo.owner.login, name)
        if taken is not None and taken is not repo:
            raise invalid("Repository", "name already exists on this account", field="name")
        before, old = repo.name, repo.full_name
        repo.name = name
        for text in (old, repo.full_name):
            self.session.execute(delete(FormerName).where(FormerName.full_name == text.lower()))
        self.save(FormerName(full_name=old.lower(), repository_id=repo.id))
        changes = {"repository": {"name": {"from": before}}}
        self.emit("repository", repo, {"action": "renamed", "changes": changes}, actor)

    def repositories(self, owner: Account) -> list[Repository]:
        """All repositories of a user or an organisation."""
        return list(self.session.scalars(select(Repository).where(Repository.owner_id == owner.id)))

    def issue(self, repo: Repository, number: int) -> Issue | None:
        """The issue or pull request with this number."""
        return self.session.scalar(
            select(Issue).where(Issue.repository_id == repo.id, Issue.number == number)
        )

    def open_pulls(self, *conditions: Any) -> list[Issue]:
        """Open pull requests that meet the conditions."""
        query = select(Issue).where(Issue.head_sha.is_not(None), Issue.state == "open", *conditions)
        return list(self.session.scalars(query.order_by(Issue.id)))

    def label(self, repo: Repository, name: str) -> Label | None:
        """A label by its name, without regard to case."""
        return self.session.scalar(
            select(Label).where(Label.repository_id == repo.id, func.lower(Label.name) == name.lower())
        )

    def login_of(self, token: str) -> tuple[Account, list[str]] | None:
        """Whose token it is, and its scopes. None for an unknown token."""
        found = self.session.scalar(select(Token).where(Token.sha256 == token_hash(token)))
        return None if found is None else (found.account, found.scopes)

    def role(self, organization: Account, account: Account | None) -> str | None:
        """A user's role in an organisation: admin, member or None."""
        if account is None:
            return None
        query = select(Membership.role)
        return self.session.scalar(
            query.where(Membership.organization_id == organization.id, Membership.account_id == account.id)
        )

    def sees_members(self, organization: Account, account: Account | None) -> bool:
        """Whether the private members of an organisation show: to members, and to Apps that may read them."""
        if account is None or account.type != "Bot":
            return self.role(organization, account) is not None
        installation = apps.installed(self.session, account, organization.id)
        return installation is not None and "members" in installation.app.permissions

    def members(self, organization: Account) -> list[Account]:
        """The members of an organisation, its owners included."""
        query = select(Account).join(Membership, Membership.account_id == Account.id)
        return list(self.session.scalars(query.where(Membership.organization_id == organization.id)))

    def organizations_of(self, account: Account) -> list[Account]:
        """The organisations that a user is a member of."""
        query = select(Account).join(Membership, Membership.organization_id == Account.id)
        return list(self.session.scalars(query.where(Membership.account_id == account.id)))

    def teams_of(self, account: Account) -> list[Team]:
        """The teams that a user is in."""
        return [team for team in self.session.scalars(select(Team)) if account.id in team.members]

    def access(self, repo: Repository, account: Account | None) -> str:
        """The permission that a user has, by itself or as a member: what makes a collaborator.

        Members of an organisation may read all its repositories (GitHub's default), its owners administer them.
        """
        if account is None:
            return "none"
        if account.type == "Bot":
            installation = apps.installed(self.session, account, repo.owner_id)
            return apps.level(installation.app) if installation else "none"
        role = self.role(repo.owner, account)
        if account.id == repo.owner_id or role == "admin":
            return "admin"
        granted = self.session.scalar(
            select(Collaborator.permission).where(
                Collaborator.repository_id == repo.id, Collaborator.account_id == account.id
            )
        )
        return granted or ("pull" if role else "none")

    def permission(self, repo: Repository, account: Account | None) -> str:
        """What a user, or anyone (None), may do: like `access`, and everyone may read what is public."""
        level = self.access(repo, account)
        return "pull" if level == "none" and not repo.private else level

    def collaborators(self, repo: Repository) -> list[Account]:
        """Everyone with access to a repository."""
        granted = select(Collaborator.account_id).where(Collaborator.repository_id == repo.id)
        members = select(Membership.account_id).where(Membership.organization_id == repo.owner_id)
        query = select(Account).where(
            or_(Account.id.in_(granted), Account.id.in_(members), Account.id == repo.owner_id),
            Account.type == "User",
        )
        return list(self.session.scalars(query.order_by(Account.id)))

    def hooks(self, repo: Repository) -> list[Hook]:
        """The hooks that hear of a repository: its own and its organisation's."""
        query = select(Hook).where(or_(Hook.repository_id == repo.id, Hook.organization_id == repo.owner_id))
        return list(self.session.scalars(query.order_by(Hook.id)))

    # --- events -----------------------------------------------------------------------------------------------

    def emit(
        self, event: str, repo: Repository, payload: Json, actor: Account, only: Hook | None = None
    ) -> None:
        """Queue an event for every active hook that subscribed to it, or for `only` that hook."""
        body = {"repository": self.shapes.repository(repo)} | payload
        hooks = [only] if only else [h for h in self.hooks(repo) if h.active and {event, "*"} & set(h.events)]
        if repo.owner.type == "Organization":
            body["organization"] = self.shapes.organization(repo.owner)
        body["sender"] = self.shapes.user(actor)
        guid = str(uuid4())
        for hook in hooks:
            self.deliver(hook, event, body, guid, repo)

    def deliver(self, hook: Hook, event: str, body: Json, guid: str, repo: Repository | None) -> Delivery:
        """Queue one delivery."""
        delivery = Delivery(
            hook_id=hook.id,
            guid=guid,
            url=hook.config["url"],
            event=event,
            action=body.get("action"),
            payload=dumps(body),
            repository_id=None if repo is None else repo.id,
        )
        self.queue(delivery)
        return delivery

    def queue(self, delivery: Delivery) -> None:
        """Store a delivery, to be sent when the change that it tells of is stored too."""
        self.save(delivery)
        self._outbox.append(delivery)

    def commit(self) -> None:
        """Store what was changed, and start to send its deliveries."""
        self.session.commit()
        for delivery in self._outbox:
            self.send(delivery)
        self._outbox.clear()

    def rollback(self) -> None:
        """Forget what was changed since the last commit; git refs that were moved stay moved."""
        self.session.rollback()
        self._outbox.clear()

    def save(self, thing: Any) -> None:
        """Store a new thing, which gets its id."""
        self.session.add(thing)
        self.session.flush()

    def _touch(self, issue: Issue) -> None:
        issue.updated_at = now()
        self.session.flush()

    def _emit_issue(self, issue: Issue, action: str, actor: Account, **more: Any) -> None:
        """An `issues` or a `pull_request` event."""
        if issue.is_pull:
            body = {"action": action, "number": issue.number, "pull_request": self.shapes.pull(issue), **more}
            self.emit("pull_request", issue.repository, body, actor)
        else:
            self.emit(
                "issues",
                issue.repository,
                {"action": action, "issue": self.shapes.issue(issue), **more},
                actor,
            )

    def _record(
        self, issue: Issue, event: str, actor: Account, commit: str | None = None, **details: Any
    ) -> None:
        """An entry of an issue's history."""
        self.save(
            IssueEvent(issue_id=issue.id, actor_id=actor.id, event=event, details=details, commit_id=commit)
        )

    # --- accounts and repositories ----------------------------------------------------------------------------

    def create_repository(self, owner: Account, name: str, **settings: Any) -> Repository:
        """An empty repository. `settings` are columns of Repository."""
        repo = Repository(owner_id=owner.id, name=name, **settings)
        self.save(repo)
        GitRepository.create(self.git_path(repo), repo.default_branch)
        return repo

    def set_private(self, repo: Repository, private: bool, actor: Account) -> None:
        """Show a repository to its collaborators alone, or to everybody."""
        if private != repo.private:
            repo.private = private
            self.emit("repository", repo, {"action": "privatized" if private else "publicized"}, actor)

    def fork(self, source: Repository, owner: Account) -> Repository:
        """The user's fork of a repository; the one there is already when there is one."""
        query = select(Repository).where(Repository.owner_id == owner.id, Repository.parent_id == source.id)
        existing = self.session.scalar(query)
        if existing is not None:
            return existing
        name = source.name
        while self.repository(owner.login, name) is not None:
            name += "-1"  # as GitHub names a fork when the name is taken
        fork = Repository(
            owner_id=owner.id,
            name=name,
            parent_id=source.id,
            default_branch=source.default_branch,
            private=source.private,
        )
        self.save(fork)
        GitRepository.fork(self.git(source), self.git_path(fork))
        return fork

    def person(self, account: Account) -> Person:
        """A user as the author of a commit, now."""
        return Person(name=account.name or account.login, email=account.email, date=now())

    # --- git --------------------------------------------------------------------------------------------------

    def move_ref(self, repo: Repository, ref: str, sha: str | None, actor: Account) -> None:
        """Change a ref through the API, with all that follows."""
        git = self.git(repo)
        before = git.ref(ref)
        git.set_ref(ref, sha)
        self.ref_moved(repo, ref, before or ZERO, sha or ZERO, actor)

    def ref_moved(self, repo: Repository, ref: str, before: str, after: str, actor: Account) -> None:
        """A branch or tag was made, moved or deleted: events, and pull requests follow."""
        branch = ref.removeprefix("refs/heads/")
        if branch == ref and not ref.startswith("refs/tags/"):
            return
        repo.pushed_at = now()
        kind = {"ref": branch.removeprefix("refs/tags/"), "ref_type": "tag" if branch == ref else "branch"}
        if before == ZERO:
            extra = {
                "master_branch": repo.default_branch,
                "description": repo.description,
                "pusher_type": "user",
            }
            self.emit("create", repo, kind | extra, actor)
        self.emit("push", repo, self.shapes.push(repo, ref, before, after, actor), actor)
        if after == ZERO:
            self.emit("delete", repo, kind | {"pusher_type": "user"}, actor)
        if branch == ref:
            return
        for pull in self.open_pulls(Issue.head_repository_id == repo.id, Issue.head_ref == branch):
            self._head_moved(pull, after, actor)
        for pull in self.open_pulls(Issue.repository_id == repo.id, Issue.base_ref == branch):
            if after == ZERO:
                self.set_state(pull, "closed", actor)
            elif self.git(repo).contains(after, str(pull.head_sha)):
                self._mark_merged(
                    pull, before, after, actor
                )  # GitHub notices when a push merged a pull request
            else:
                self._test_merge(pull)

    def _head_moved(self, pull: Issue, after: str, actor: Account) -> None:
        if after == ZERO:
            self.set_state(pull, "closed", actor)
            return
        before = pull.head_sha
        pull.head_sha = after
        self._update_head(pull)
        self._touch(pull)
        self._emit_issue(pull, "synchronize", actor, before=before, after=after)

    def _update_head(self, pull: Issue) -> None:
        """Bring refs/pull/N/head and the test merge up to date with the head commit."""
        git = self.git(pull.repository)
        assert pull.head_repository is not None
        assert pull.head_sha is not None
        git.fetch(self.git(pull.head_repository), pull.head_sha, f"refs/pull/{pull.number}/head")
        pull.base_sha = git.ref(f"refs/heads/{pull.base_ref}")
        self._test_merge(pull)

    def _test_merge(self, pull: Issue) -> None:
        """What GitHub does in the background: try the merge, and keep its commit as refs/pull/N/merge."""
        git = self.git(pull.repository)
        base, head = git.ref(f"refs/heads/{pull.base_ref}"), str(pull.head_sha)
        assert base is not None
        ref = f"refs/pull/{pull.number}/merge"
        try:
            tree = git.merged_tree(base, head)
        except NotMergeable:
            pull.mergeable, pull.merge_commit_sha = False, None
            if git.ref(ref):
                git.set_ref(ref, None)
            return
        person = self.person(pull.author)
        pull.merge_commit_sha = git.create_commit(
            tree=tree,
            parents=[base, head],
            message=f"Merge {head} into {base}",
            author=person,
            committer=person,
        )
        git.set_ref(ref, pull.merge_commit_sha)
        pull.mergeable = True

    # --- issues and pull requests -----------------------------------------------------------------------------

    def _next_number(self, repo: Repository) -> int:
        query = select(func.max(Issue.number)).where(Issue.repository_id == repo.id)
        return (self.session.scalar(query) or 0) + 1

    def open_issue(self, repo: Repository, author: Account, title: str, body: str | None) -> Issue:
        """A new issue."""
        number = self._next_number(repo)
        issue = Issue(repository_id=repo.id, number=number, title=title, body=body, author_id=author.id)
        self.save(issue)
        self._emit_issue(issue, "opened", author)
        return issue

    def open_pull(self, repo: Repository, author: Account, *, head: str, base: str, **fields: Any) -> Issue:
        """A new pull request from `head` (`branch` or `owner:branch`) into the branch `base`.

        `fields` are title, body, draft, maintainer_can_modify. Refusals as
        https://docs.github.com/en/rest/pulls/pulls#create-a-pull-request answers them.
        """
        owner, _, head_ref = head.rpartition(":")
        source = self._head_repository(repo, owner)
        head_sha = None if source is None else self.git(source).ref(f"refs/heads/{head_ref}")
        base_sha = self.git(repo).ref(f"refs/heads/{base}")
        if source is None or head_sha is None:
            raise invalid("PullRequest", field="head", code="invalid")
        if base_sha is None:
            raise invalid("PullRequest", field="base", code="invalid")
        if not at_least(self.permission(source, author), "push") and not at_least(
            self.permission(repo, author), "push"
        ):
            raise invalid("PullRequest", "must be a collaborator")
        same = (Issue.repository_id == repo.id, Issue.base_ref == base)
        if self.open_pulls(*same, Issue.head_repository_id == source.id, Issue.head_ref == head_ref):
            raise invalid(
                "PullRequest", f"A pull request already exists for {source.owner.login}:{head_ref}."
            )
        git = self.git(repo)
        number = self._next_number(repo)
        git.fetch(self.git(source), head_sha, f"refs/pull/{number}/head")
        if git.contains(base_sha, head_sha):
            git.set_ref(f"refs/pull/{number}/head", None)
            raise invalid("PullRequest", f"No commits between {base} and {head}")
        pull = Issue(
            repository_id=repo.id,
            number=number,
            author_id=author.id,
            base_ref=base,
            base_sha=base_sha,
            head_repository_id=source.id,
            head_ref=head_ref,
            head_sha=head_sha,
            **fields,
        )
        self.save(pull)
        self._test_merge(pull)
        self._emit_issue(pull, "opened", author)
        return pull

    def _head_repository(self, repo: Repository, owner: str) -> Repository | None:
        """The repository of a head `owner:branch`: this one, or the fork that the owner has of it."""
        account = self.account(owner) if owner else repo.owner
        if account is None or account.id == repo.owner_id:
            return repo if account else None
        query = select(Repository).where(Repository.owner_id == account.id, Repository.parent_id == repo.id)
        return self.session.scalar(query)

    def edit(
        self, issue: Issue, actor: Account, *, title: str | None, body: str | None, base: str | None
    ) -> None:
        """Change the title, the text or the base branch; None leaves as it is."""
        changes: Json = {}
        for field, value in (("title", title), ("body", body)):
            old = getattr(issue, field)
            if value is not None and value != old:
                changes[field] = {"from": old or ""}
                setattr(issue, field, value)
        if "title" in changes:
            self._record(issue, "renamed", actor, rename={"from": changes["title"]["from"], "to": title})
        if base is not None and base != issue.base_ref:
            if self.git(issue.repository).ref(f"refs/heads/{base}") is None:
                raise invalid("PullRequest", field="base", code="invalid")
            changes["base"] = {"ref": {"from": issue.base_ref}, "sha": {"from": issue.base_sha}}
            issue.base_ref = base
            self._update_head(issue)
        if changes:
            self._touch(issue)
            self._emit_issue(issue, "edited", actor, changes=changes)

    def set_state(self, issue: Issue, state: str, actor: Account, reason: str | None = None) -> None:
        """Close or reopen."""
        if state == issue.state:
            return
        if issue.is_pull and state == "open":
            self._check_reopen(issue)
        issue.state = state
        closed = state == "closed"
        issue.closed_at, issue.closed_by_id = (now(), actor.id) if closed else (None, None)
        if not issue.is_pull:
            issue.state_reason = (reason or "completed") if closed else "reopened"
        self._touch(issue)
        self.session.refresh(issue)
        self._record(issue, "closed" if closed else "reopened", actor)
        self._emit_issue(issue, "closed" if closed else "reopened", actor)

    def _check_reopen(self, pull: Issue) -> None:
        """GitHub's words, which Prow looks for (pkg/github/types.go, stateCannotBeChangedMessagePrefix)."""
        reason = ""
        source = pull.head_repository
        head = self.git(source).ref(f"refs/heads/{pull.head_ref}") if source else None
        if pull.merged_at:
            reason = "The pull request cannot be reopened."
        elif head is None:
            reason = f"The {pull.head_ref} branch has been deleted."
        elif head != pull.head_sha:
            reason = f"The {pull.head_ref} branch was force-pushed or recreated."
        if reason:
            raise invalid("PullRequest", f"state cannot be changed. {reason}", field="state")

    def add_labels(self, issue: Issue, names: list[str], actor: Account) -> None:
        """Add labels; those that the repository lacks are made, as GitHub does."""
        for name in names:
            label = self.label(issue.repository, name)
            if label is None:
                label = Label(repository_id=issue.repository_id, name=name)
                self.save(label)
                self._emit_label("created", label, issue.repository, actor)
            if label.id not in issue.label_ids:
                issue.label_ids = [*issue.label_ids, label.id]
                self._labeled("labeled", issue, label, actor)

    def remove_label(self, issue: Issue, label: Label, actor: Account) -> None:
        """Take a label off an issue or pull request that has it."""
        issue.label_ids = [label_id for label_id in issue.label_ids if label_id != label.id]
        self._labeled("unlabeled", issue, label, actor)

    def _labeled(self, action: str, issue: Issue, label: Label, actor: Account) -> None:
        self._touch(issue)
        self._record(issue, action, actor, label={"name": label.name, "color": label.color})
        self._emit_issue(issue, action, actor, label=self.shapes.label(label, issue.repository))

    def _emit_label(self, action: str, label: Label, repo: Repository, actor: Account) -> None:
        self.emit("label", repo, {"action": action, "label": self.shapes.label(label, repo)}, actor)

    def create_label(
        self, repo: Repository, actor: Account, name: str, color: str, description: str | None
    ) -> Label:
        """A new label of a repository."""
        if self.label(repo, name) is not None:
            raise invalid("Label", field="name", code="already_exists")
        label = Label(repository_id=repo.id, name=name, color=color, description=description)
        self.save(label)
        self._emit_label("created", label, repo, actor)
        return label

    def delete_label(self, repo: Repository, label: Label, actor: Account) -> None:
        """Remove a label from a repository and from all its issues."""
        for issue in self.session.scalars(select(Issue).where(Issue.repository_id == repo.id)):
            if label.id in issue.label_ids:
                self.remove_label(issue, label, actor)
        self._emit_label("deleted", label, repo, actor)
        self.session.delete(label)

    def assign(self, issue: Issue, logins: list[str], actor: Account, *, remove: bool = False) -> None:
        """Assign or unassign; those who may not be assigned are passed over in silence, as on GitHub."""
        for login in logins:
            account = self.account(login)
            if account is None or (account.id in issue.assignee_ids) != remove:
                continue
            if remove:
                issue.assignee_ids = [
                    account_id for account_id in issue.assignee_ids if account_id != account.id
                ]
            elif self.access(issue.repository, account) == "none" and account.id != issue.author_id:
                continue
            else:
                issue.assignee_ids = [*issue.assignee_ids, account.id]
            self._touch(issue)
            action, shape = "unassigned" if remove else "assigned", self.shapes.user(account)
            self._record(issue, action, actor, assignee=shape, assigner=self.shapes.user(actor))
            self._emit_issue(issue, action, actor, assignee=shape)

    def request_review(self, pull: Issue, logins: list[str], actor: Account) -> None:
        """Ask for reviews: all of them or, when one may not be asked, none."""
        accounts = []
        for login in logins:
            account = self.account(login)
            if account is not None and account.id == pull.author_id:
                raise Refusal(status=422, message="Review cannot be requested from pull request author.")
            if account is None or self.access(pull.repository, account) == "none":
                raise Refusal(
                    status=422,
                    message="Reviews may only be requested from collaborators. One or more of the users or teams you "
                    f"specified is not a collaborator of the {pull.repository.full_name} repository.",
                )
            accounts.append(account)
        for account in accounts:
            if account.id not in pull.reviewer_ids:
                pull.reviewer_ids = [*pull.reviewer_ids, account.id]
                self._reviewer_changed(pull, "review_requested", account, actor)

    def unrequest_review(self, pull: Issue, logins: list[str], actor: Account) -> None:
        """Take requests for a review back; those that there are not are passed over."""
        for login in logins:
            account = self.account(login)
            if account is not None and account.id in pull.reviewer_ids:
                pull.reviewer_ids = [
                    account_id for account_id in pull.reviewer_ids if account_id != account.id
                ]
                self._reviewer_changed(pull, "review_request_removed", account, actor)

    def _reviewer_changed(self, pull: Issue, action: str, reviewer: Account, actor: Account) -> None:
        self._touch(pull)
        shape = self.shapes.user(reviewer)
        self._record(pull, action, actor, requested_reviewer=shape, review_requester=self.shapes.user(actor))
        self._emit_issue(pull, action, actor, requested_reviewer=shape)

    def comment(self, issue: Issue, author: Account, body: str) -> Comment:
        """A new comment."""
        comment = Comment(issue_id=issue.id, author_id=author.id, body=body)
        self.save(comment)
        self._touch(issue)
        self._emit_comment("created", comment, author)
        return comment

    def edit_comment(self, comment: Comment, body: str, actor: Account) -> None:
        """Change a comment's text."""
        changes = {"body": {"from": comment.body}}
        comment.body, comment.updated_at = body, now()
        self._emit_comment("edited", comment, actor, changes=changes)

    def delete_comment(self, comment: Comment, actor: Account) -> None:
        """Remove a comment."""
        self._emit_comment("deleted", comment, actor)
        self.session.delete(comment)

    def _emit_comment(self, action: str, comment: Comment, actor: Account, **more: Any) -> None:
        issue = comment.issue
        body = {
            "action": action,
            "issue": self.shapes.issue(issue),
            "comment": self.shapes.comment(comment),
            **more,
        }
        self.emit("issue_comment", issue.repository, body, actor)

    def review(self, pull: Issue, author: Account, state: str, body: str, commit: str | None) -> Review:
        """A submitted review."""
        commit_id = commit or str(pull.head_sha)
        review = Review(issue_id=pull.id, author_id=author.id, state=state, body=body, commit_id=commit_id)
        self.save(review)
        pull.reviewer_ids = [account_id for account_id in pull.reviewer_ids if account_id != author.id]
        self._touch(pull)
        shape = {
            "review": self.shapes.review(review, webhook=True),
            "pull_request": self.shapes.pull(pull, full=False),
        }
        self.emit("pull_request_review", pull.repository, {"action": "submitted", **shape}, author)
        return review

    def set_status(self, repo: Repository, creator: Account, sha: str, **fields: Any) -> Status:
        """A new status of a commit. `fields` are state, context, description, target_url."""
        status = Status(repository_id=repo.id, sha=sha, creator_id=creator.id, **fields)
        self.save(status)
        git = self.git(repo)
        branches = [
            self.shapes.branch(repo, name.removeprefix("refs/heads/"), tip)
            for name, tip in git.refs("refs/heads/").items()
            if git.contains(tip, sha)
        ]
        body = {
            "id": status.id,
            "sha": sha,
            "name": repo.full_name,
            "avatar_url": None,
            "target_url": status.target_url,
            "context": status.context,
            "description": status.description,
            "state": status.state,
            "commit": self.shapes.commit(repo, git.commit(sha)),
            "branches": branches[:10],
            "created_at": status.created_at,
            "updated_at": status.created_at,
        }
        self.emit("status", repo, body, creator)
        return status

    def merge(
        self, pull: Issue, actor: Account, *, method: str, title: str | None, message: str | None
    ) -> str:
        """Merge a pull request with merge, squash or rebase; the new tip of the base branch.

        Refusals as https://docs.github.com/en/rest/pulls/pulls#merge-a-pull-request has them (405); Prow's client tells
        them apart by their words.
        """
        repo, git = pull.repository, self.git(pull.repository)
        if not getattr(repo, f"allow_{'merge_commit' if method == 'merge' else method + '_merge'}"):
            what = {
                "merge": "Merge commits are",
                "squash": "Squash merges are",
                "rebase": "Rebase merges are",
            }[method]
            raise Refusal(status=405, message=f"{what} not allowed on this repository.")
        if pull.draft:
            raise Refusal(status=405, message="Pull Request is still a draft")
        if pull.state != "open" or not pull.mergeable:
            raise Refusal(status=405, message="Pull Request is not mergeable")
        base, head = git.ref(f"refs/heads/{pull.base_ref}"), str(pull.head_sha)
        assert base is not None
        web_flow = Person(name="GitHub", email="noreply@github.com", date=now())
        if method == "rebase":
            try:
                after = git.rebased(base, head, web_flow)
            except NotMergeable:
                raise Refusal(status=405, message="This branch can't be rebased") from None
        else:
            subject, text, author, parents = self._merge_message(pull, method, actor)
            lines = [title or subject, text if message is None else message]
            after = git.create_commit(
                tree=git.merged_tree(base, head),
                parents=[base, *parents],
                message="\n\n".join(line for line in lines if line),
                author=author,
                committer=web_flow,
            )
        git.set_ref(f"refs/heads/{pull.base_ref}", after)
        self._mark_merged(pull, base, after, actor)
        self.ref_moved(repo, f"refs/heads/{pull.base_ref}", base, after, actor)
        return after

    def _merge_message(self, pull: Issue, method: str, actor: Account) -> tuple[str, str, Person, list[str]]:
        if method == "merge":
            source = pull.head_label.replace(":", "/", 1)
            subject = f"Merge pull request #{pull.number} from {source}"
            return subject, pull.title, self.person(actor), [str(pull.head_sha)]
        commits = self.shapes.pull_commits(pull)
        text = "" if len(commits) == 1 else "\n\n".join(f"* {commit.message.strip()}" for commit in commits)
        return f"{pull.title} (#{pull.number})", text, self.person(pull.author), []

    def _mark_merged(self, pull: Issue, base: str, commit: str, actor: Account) -> None:
        """`base` is the tip of the base branch before the merge, from which the pull request's changes still count."""
        pull.state, pull.base_sha, pull.merge_commit_sha = "closed", base, commit
        pull.merged_at = pull.closed_at = now()
        pull.merged_by_id = pull.closed_by_id = actor.id
        self._touch(pull)
        self.session.refresh(pull)
        self._record(pull, "merged", actor, commit=commit)
        self._record(pull, "closed", actor)
        self._emit_issue(pull, "closed", actor)

    def delete_hook(self, hook: Hook) -> None:
        """Remove a hook with its delivery log."""
        self.session.execute(delete(Delivery).where(Delivery.hook_id == hook.id))
        self.session.delete(hook)
