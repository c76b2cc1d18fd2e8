"""What the stand-in remembers: one SQLite table for each kind of thing that GitHub knows."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, ForeignKey, create_engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, Session, mapped_column, relationship


def now() -> str:
    """The time in GitHub's form: UTC, whole seconds. Such strings sort by time."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Base(MappedAsDataclass, DeclarativeBase, kw_only=True):
    """A stored thing. JSON columns are replaced as a whole, never changed in place."""

    # GitHub gives no id twice, not even that of a deleted thing.
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012
    type_annotation_map = {dict[str, Any]: JSON, list[str]: JSON, list[int]: JSON}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True, init=False)


class Account(Base):
    """A user, an organisation or an App's bot; all share one namespace of logins."""

    __tablename__ = "account"
    login: Mapped[str] = mapped_column(unique=True)
    type: Mapped[str] = mapped_column(default="User")  # or "Organization" or "Bot"
    name: Mapped[str | None] = mapped_column(default=None)
    site_admin: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[str] = mapped_column(default_factory=now)
    updated_at: Mapped[str] = mapped_column(default_factory=now)

    @property
    def email(self) -> str:
        """The address GitHub gives to those who keep theirs private."""
        return f"{self.id}+{self.login}@users.noreply.github.com"


class Token(Base):
    """A personal access token (classic). Only its SHA-256 is stored."""

    __tablename__ = "token"
    sha256: Mapped[str] = mapped_column(unique=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    scopes: Mapped[list[str]]
    account: Mapped[Account] = relationship(init=False)


class App(Base):
    """A GitHub App; it acts as the account `slug[bot]`. Of its keys only the public one is stored."""

    __tablename__ = "app"
    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    owner_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    public_key: Mapped[str]  # PEM
    permissions: Mapped[dict[str, Any]]  # read or write by name
    events: Mapped[list[str]] = mapped_column(default_factory=list)
    created_at: Mapped[str] = mapped_column(default_factory=now)
    owner: Mapped[Account] = relationship(init=False, foreign_keys=[owner_id])
    account: Mapped[Account] = relationship(init=False, foreign_keys=[account_id])


class Installation(Base):
    """An App in an organisation, or with a user, for all of its repositories."""

    __tablename__ = "installation"
    app_id: Mapped[int] = mapped_column(ForeignKey("app.id"))
    target_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    created_at: Mapped[str] = mapped_column(default_factory=now)
    app: Mapped[App] = relationship(init=False)
    target: Mapped[Account] = relationship(init=False)


class InstallationToken(Base):
    """A token of an installation. Only its SHA-256 is stored; `expires` is in seconds since 1970."""

    __tablename__ = "installation_token"
    sha256: Mapped[str] = mapped_column(unique=True)
    installation_id: Mapped[int] = mapped_column(ForeignKey("installation.id"))
    expires: Mapped[float]
    installation: Mapped[Installation] = relationship(init=False)


class Membership(Base):
    """A user's place in an organisation: role `admin` (owner) or `member`."""

    __tablename__ = "membership"
    organization_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    role: Mapped[str] = mapped_column(default="member")


class Team(Base):
    """A team of an organisation."""

    __tablename__ = "team"
    organization_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    slug: Mapped[str]
    name: Mapped[str]
    members: Mapped[list[int]] = mapped_column(default_factory=list)  # ids of accounts
    organization: Mapped[Account] = relationship(init=False)


class Repository(Base):
    """A repository; its git data lies in `repositories/<id>.git` of the state folder."""

    __tablename__ = "repository"
    owner_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    name: Mapped[str]
    description: Mapped[str | None] = mapped_column(default=None)
    private: Mapped[bool] = mapped_column(default=False)
    archived: Mapped[bool] = mapped_column(default=False)
    default_branch: Mapped[str] = mapped_column(default="main")
    protected_branches: Mapped[list[str]] = mapped_column(default_factory=list)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("repository.id"), default=None)  # of a fork
    allow_merge_commit: Mapped[bool] = mapped_column(default=True)
    allow_squash_merge: Mapped[bool] = mapped_column(default=True)
    allow_rebase_merge: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[str] = mapped_column(default_factory=now)
    updated_at: Mapped[str] = mapped_column(default_factory=now)
    pushed_at: Mapped[str] = mapped_column(default_factory=now)
    owner: Mapped[Account] = relationship(init=False)
    parent: Mapped["Repository | None"] = relationship(init=False, remote_side="Repository.id")

    @property
    def full_name(self) -> str:
        """`owner/name`."""
        return f"{self.owner.login}/{self.name}"


class BranchProtection(Base):
    """What a protected branch demands, in the words of the API."""

    __tablename__ = "branch_protection"
    repository_id: Mapped[int] = mapped_column(ForeignKey("repository.id"))
    branch: Mapped[str]
    rule: Mapped[dict[str, Any]]


class FormerName(Base):
    """A name that a repository had, in lower case: requests for it are redirected until another takes the name."""

    __tablename__ = "former_name"
    full_name: Mapped[str] = mapped_column(unique=True)
    repository_id: Mapped[int] = mapped_column(ForeignKey("repository.id"))


class Collaborator(Base):
    """A permission of one user on one repository: pull, triage, push, maintain or admin."""

    __tablename__ = "collaborator"
    repository_id: Mapped[int] = mapped_column(ForeignKey("repository.id"))
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    permission: Mapped[str]


class Label(Base):
    """A label of a repository. Names are compared without case."""

    __tablename__ = "label"
    repository_id: Mapped[int] = mapped_column(ForeignKey("repository.id"))
    name: Mapped[str]
    color: Mapped[str] = mapped_column(default="ededed")
    description: Mapped[str | None] = mapped_column(default=None)


class Issue(Base):
    """An issue, or a pull request when `head_sha` is set (GitHub numbers both in one row)."""

    __tablename__ = "issue"
    repository_id: Mapped[int] = mapped_column(ForeignKey("repository.id"))
    number: Mapped[int]
    title: Mapped[str]
    body: Mapped[str | None]
    author_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    state: Mapped[str] = mapped_column(default="open")
    state_reason: Mapped[str | None] = mapped_column(default=None)
    label_ids: Mapped[list[int]] = mapped_column(default_factory=list)
    assignee_ids: Mapped[list[int]] = mapped_column(default_factory=list)
    created_at: Mapped[str] = mapped_column(default_factory=now)
    updated_at: Mapped[str] = mapped_column(default_factory=now)
    closed_at: Mapped[str | None] = mapped_column(default=None)
    closed_by_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"), default=None)
    # Only for a pull request:
    base_ref: Mapped[str | None] = mapped_column(default=None)
    base_sha: Mapped[str | None] = mapped_column(default=None)
    head_repository_id: Mapped[int | None] = mapped_column(ForeignKey("repository.id"), default=None)
    head_ref: Mapped[str | None] = mapped_column(default=None)
    head_sha: Mapped[str | None] = mapped_column(default=None)
    draft: Mapped[bool] = mapped_column(default=False)
    maintainer_can_modify: Mapped[bool] = mapped_column(default=False)
    reviewer_ids: Mapped[list[int]] = mapped_column(default_factory=list)
    mergeable: Mapped[bool | None] = mapped_column(default=None)
    merge_commit_sha: Mapped[str | None] = mapped_column(default=None)
    merged_at: Mapped[str | None] = mapped_column(default=None)
    merged_by_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"), default=None)
    repository: Mapped[Repository] = relationship(init=False, foreign_keys=[repository_id])
    head_repository: Mapped[Repository | None] = relationship(init=False, foreign_keys=[head_repository_id])
    author: Mapped[Account] = relationship(init=False, foreign_keys=[author_id])
    closed_by: Mapped[Account | None] = relationship(init=False, foreign_keys=[closed_by_id])
    merged_by: Mapped[Account | None] = relationship(init=False, foreign_keys=[merged_by_id])

    @property
    def is_pull(self) -> bool:
        """Whether this is a pull request."""
        return self.head_sha is not None

    @property
    def head_label(self) -> str:
        """`owner:branch` of a pull request's head."""
        return f"{(self.head_repository or self.repository).owner.login}:{self.head_ref}"


class Comment(Base):
    """A comment on an issue or a pull request."""

    __tablename__ = "comment"
    issue_id: Mapped[int] = mapped_column(ForeignKey("issue.id"))
    author_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    body: Mapped[str]
    created_at: Mapped[str] = mapped_column(default_factory=now)
    updated_at: Mapped[str] = mapped_column(default_factory=now)
    issue: Mapped[Issue] = relationship(init=False)
    author: Mapped[Account] = relationship(init=False)


class Review(Base):
    """A submitted review: state APPROVED, CHANGES_REQUESTED or COMMENTED."""

    __tablename__ = "review"
    issue_id: Mapped[int] = mapped_column(ForeignKey("issue.id"))
    author_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    body: Mapped[str]
    state: Mapped[str]
    commit_id: Mapped[str]
    submitted_at: Mapped[str] = mapped_column(default_factory=now)
    issue: Mapped[Issue] = relationship(init=False)
    author: Mapped[Account] = relationship(init=False)


class IssueEvent(Base):
    """One entry of an issue's history, as `GET /repos/{owner}/{repo}/issues/{number}/events` lists it."""

    __tablename__ = "issue_event"
    issue_id: Mapped[int] = mapped_column(ForeignKey("issue.id"))
    actor_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    event: Mapped[str]
    details: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)
    commit_id: Mapped[str | None] = mapped_column(default=None)
    created_at: Mapped[str] = mapped_column(default_factory=now)
    actor: Mapped[Account] = relationship(init=False)


class Status(Base):
    """One commit status. The newest of each context counts."""

    __tablename__ = "status"
    repository_id: Mapped[int] = mapped_column(ForeignKey("repository.id"))
    sha: Mapped[str] = mapped_column(index=True)
    state: Mapped[str]
    context: Mapped[str]
    creator_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    description: Mapped[str | None] = mapped_column(default=None)
    target_url: Mapped[str | None] = mapped_column(default=None)
    created_at: Mapped[str] = mapped_column(default_factory=now)
    creator: Mapped[Account] = relationship(init=False)


class Hook(Base):
    """A webhook of a repository or of an organisation (one of the two ids is set)."""

    __tablename__ = "hook"
    config: Mapped[dict[str, Any]]  # url, content_type, insecure_ssl, and secret when there is one
    events: Mapped[list[str]]
    repository_id: Mapped[int | None] = mapped_column(ForeignKey("repository.id"), default=None)
    organization_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"), default=None)
    active: Mapped[bool] = mapped_column(default=True)
    last_response: Mapped[dict[str, Any]] = mapped_column(
        default_factory=lambda: {"code": None, "status": "unused", "message": None}
    )
    created_at: Mapped[str] = mapped_column(default_factory=now)
    updated_at: Mapped[str] = mapped_column(default_factory=now)
    repository: Mapped[Repository | None] = relationship(init=False)
    organization: Mapped[Account | None] = relationship(init=False)


class Delivery(Base):
    """One attempt to deliver one event to one hook. `status_code` is None until it was tried."""

    __tablename__ = "delivery"
    hook_id: Mapped[int] = mapped_column(ForeignKey("hook.id", ondelete="CASCADE"), index=True)
    guid: Mapped[str]
    url: Mapped[str]
    event: Mapped[str]
    payload: Mapped[str]  # the JSON text as it was signed
    action: Mapped[str | None] = mapped_column(default=None)
    repository_id: Mapped[int | None] = mapped_column(default=None)
    redelivery: Mapped[bool] = mapped_column(default=False)
    delivered_at: Mapped[str] = mapped_column(default_factory=now)
    duration: Mapped[float] = mapped_column(default=0.0)  # seconds
    status: Mapped[str | None] = mapped_column(default=None)
    status_code: Mapped[int | None] = mapped_column(default=None)
    request_headers: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)
    response_headers: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)
    response_body: Mapped[str] = mapped_column(default="")


def open_session(path: Path) -> Session:
    """The one session on the state file at `path`, which is made when it is not there."""
    engine = create_engine(f"sqlite:///{path}")

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")

    Base.metadata.create_all(engine)
    return Session(engine, expire_on_commit=False)
