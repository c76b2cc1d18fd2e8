"""The git side of a repository: branches, commits, diffs and merges, in bare repositories through libgit2."""

import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pygit2
from pygit2.enums import DiffFind, FileMode, ObjectType, SortMode

ZERO = "0" * 40
# The state folder may belong to another user than the one that runs the stand-in.
pygit2.settings.owner_validation = False


class NotMergeable(Exception):  # noqa: N818
    """Two commits cannot be merged without a person's help."""


@dataclass(frozen=True, kw_only=True)
class Person:
    """An author or committer; `date` in ISO 8601."""

    name: str
    email: str
    date: str


@dataclass(frozen=True, kw_only=True)
class FileChange:
    """What a commit or a pull request does to one file. `patch` starts at the first hunk, as GitHub's does."""

    path: str
    previous_path: str | None
    status: str  # added, removed, modified, renamed
    sha: str
    additions: int
    deletions: int
    patch: str


@dataclass(frozen=True, kw_only=True)
class CommitInfo:
    """A commit's own data."""

    sha: str
    message: str
    tree: str
    parents: tuple[str, ...]
    author: Person
    committer: Person


def _person(signature: pygit2.Signature) -> Person:
    zone = timezone(timedelta(minutes=signature.offset))
    date = datetime.fromtimestamp(signature.time, zone).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Person(name=signature.name, email=signature.email, date=date)


_STATUS = {"A": "added", "D": "removed", "M": "modified", "R": "renamed", "T": "modified", "C": "added"}


class GitRepository:
    """One bare repository on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._repo = pygit2.Repository(str(path))

    @classmethod
    def create(cls, path: Path, default_branch: str) -> "GitRepository":
        """A new empty bare repository."""
        pygit2.init_repository(str(path), bare=True, initial_head=default_branch)
        return cls(path)

    @classmethod
    def fork(cls, source: "GitRepository", path: Path) -> "GitRepository":
        """A copy with the branches and tags of `source`, but not its pull requests."""
        shutil.copytree(source.path, path)
        copy = cls(path)
        for name in copy.refs("refs/pull/"):
            copy.set_ref(name, None)
        return copy

    # --- refs -------------------------------------------------------------------------------------------------

    def refs(self, prefix: str = "refs/") -> dict[str, str]:
        """Names (sorted) and commits of the refs that start with `prefix`."""
        found = {}
        for name in sorted(self._repo.references):
            if name.startswith(prefix):
                found[name] = str(self._repo.references[name].resolve().target)
        return found

    def ref(self, name: str) -> str | None:
        """The commit that the full ref `name` points at."""
        found = self._repo.references.get(name)
        return None if found is None else str(found.resolve().target)

    def set_ref(self, name: str, sha: str | None) -> None:
        """Point the full ref `name` at `sha`, or delete it."""
        if sha is None:
            self._repo.references.delete(name)
        else:
            self._repo.references.create(name, sha, force=True)

    def resolve(self, revision: str) -> str | None:
        """The full sha of the commit that a sha, a branch, a tag or a full ref stands for."""
        for name in (revision, f"refs/{revision}", f"refs/heads/{revision}", f"refs/tags/{revision}"):
            if name.startswith("refs/") and name in self._repo.references:
                return str(self._repo.references[name].peel(ObjectType.COMMIT).id)
        if re.fullmatch("[0-9a-f]{7,40}", revision):
            found = self._repo.get(revision)
            return str(found.id) if isinstance(found, pygit2.Commit) else None
        return None

    def fetch(self, source: "GitRepository", sha: str, ref: str) -> None:
        """Bring `sha` with its history from `source` (which may be this repository) and point `ref` at it."""
        if source.path != self.path:
            remote = self._repo.remotes.create_anonymous(str(source.path))
            # libgit2 fetches refs, not loose commits: every branch is offered, none is kept but the wanted commit.
            remote.fetch(["+refs/heads/*:refs/standin/incoming/*"])
            for name in self.refs("refs/standin/incoming/"):
                self.set_ref(name, None)
        self.set_ref(ref, sha)

    # --- reading ----------------------------------------------------------------------------------------------

    def commit(self, sha: str) -> CommitInfo:
        """The data of the commit `sha` (a full sha)."""
        found = self._repo[sha]
        assert isinstance(found, pygit2.Commit)
        return CommitInfo(
            sha=str(found.id),
            message=found.message,
            tree=str(found.tree_id),
            parents=tuple(str(parent) for parent in found.parent_ids),
            author=_person(found.author),
            committer=_person(found.committer),
        )

    def history(
        self, head: str, *, without: str | None = None, path: str | None = None
    ) -> Iterable[CommitInfo]:
        """Commits from `head` back, newest first; not those of `without`; only those that change `path`."""
        walker = self._repo.walk(head, SortMode.TOPOLOGICAL | SortMode.TIME)
        if without is not None:
            walker.hide(without)
        for commit in walker:
            if path is None or self._changes(commit, path):
                yield self.commit(str(commit.id))

    def _changes(self, commit: pygit2.Commit, path: str) -> bool:
        def entry(tree: pygit2.Tree) -> str | None:
            return str(tree[path].id) if path in tree else None

        own = entry(commit.tree)
        return (
            all(entry(parent.tree) != own for parent in commit.parents) if commit.parents else own is not None
        )

    def merge_base(self, one: str, two: str) -> str | None:
        """The best common ancestor."""
        found = self._repo.merge_base(one, two)
        return None if found is None else str(found)

    def contains(self, head: str, commit: str) -> bool:
        """Whether `commit` is `head` or one of its ancestors."""
        return head == commit or self._repo.descendant_of(head, commit)

    def _diff(self, old: str | None, new: str) -> pygit2.Diff:
        tree = self._repo[new].peel(pygit2.Tree)
        if old is None:
            return tree.diff_to_tree(swap=True)
        diff = self._repo[old].peel(pygit2.Tree).diff_to_tree(tree)
        diff.find_similar(DiffFind.FIND_RENAMES)
        return diff

    def diff(self, old: str | None, new: str) -> str:
        """The unified diff from commit `old` (None: from nothing) to commit `new`."""
        return self._diff(old, new).patch or ""

    def changes(self, old: str | None, new: str) -> list[FileChange]:
        """What changed in each file from commit `old` (None: from nothing) to commit `new`."""
        found = []
        for patch in self._diff(old, new):
            if patch is None:
                continue  # a file that did not change
            delta = patch.delta
            _, additions, deletions = patch.line_stats
            status = _STATUS[delta.status_char()]
            blob = delta.old_file if status == "removed" else delta.new_file
            text = (patch.text or "") if patch.hunks else ""
            start = text.find("\n@@ ") + 1
            found.append(
                FileChange(
                    path=blob.path,
                    previous_path=delta.old_file.path if status == "renamed" else None,
                    status=status,
                    sha=str(blob.id),
                    additions=additions,
                    deletions=deletions,
                    patch=text[start:].removesuffix("\n") if text else "",
                )
            )
        return found

    def entry(self, sha: str, path: str) -> pygit2.Blob | pygit2.Tree | None:
        """The file or folder at `path` ("" is the root) in commit `sha`."""
        tree = self._repo[sha].peel(pygit2.Tree)
        path = path.strip("/")
        if not path:
            return tree
        if path not in tree:
            return None
        found = tree[path]
        return found if isinstance(found, (pygit2.Blob, pygit2.Tree)) else None

    # --- writing ----------------------------------------------------------------------------------------------

    def _signature(self, person: Person) -> pygit2.Signature:
        time = int(datetime.fromisoformat(person.date).timestamp())
        return pygit2.Signature(person.name, person.email, time, 0)

    def create_commit(
        self, *, tree: str, parents: Iterable[str], message: str, author: Person, committer: Person
    ) -> str:
        """Store a commit; no ref is changed."""
        ids = [pygit2.Oid(hex=parent) for parent in parents]
        return str(
            self._repo.create_commit(
                None, self._signature(author), self._signature(committer), message, pygit2.Oid(hex=tree), ids
            )
        )

    def tree_of(self, files: Mapping[str, str]) -> str:
        """Store a tree of text files; those that start with `#!` are executable."""
        index = pygit2.Index()
        for path, text in files.items():
            mode = FileMode.BLOB_EXECUTABLE if text.startswith("#!") else FileMode.BLOB
            index.add(pygit2.IndexEntry(path, self._repo.create_blob(text.encode()), mode))
        return str(index.write_tree(self._repo))

    def merged_tree(self, base: str, head: str) -> str:
        """Store the tree of a merge of two commits. Raises NotMergeable upon a conflict."""
        index = self._repo.merge_commits(base, head)
        if index.conflicts is not None:
            raise NotMergeable
        return str(index.write_tree(self._repo))

    def rebased(self, base: str, head: str, committer: Person) -> str:
        """Store the commits of `head` that `base` lacks anew on top of `base`. Raises NotMergeable upon a conflict."""
        tip = base
        for commit in reversed(list(self.history(head, without=base))):
            if len(commit.parents) != 1:
                raise NotMergeable  # GitHub rebases no merge commits either
            ours, parent = self.commit(tip), self.commit(commit.parents[0])
            index = self._repo.merge_trees(parent.tree, ours.tree, commit.tree)
            if index.conflicts is not None:
                raise NotMergeable
            tip = self.create_commit(
                tree=str(index.write_tree(self._repo)),
                parents=[tip],
                message=commit.message,
                author=commit.author,
                committer=committer,
            )
        return tip
