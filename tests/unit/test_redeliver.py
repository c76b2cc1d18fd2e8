"""The program that has missed deliveries sent again, against the GitHub stand-in."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from github.PullRequest import PullRequest

from components.scripts import redeliver
from testbed.github.client import Person
from tests import served
from tests.testbed.github_standin.helpers import Receiver, Standin, listening, running, wait_for

SEED = {
    "users": {
        "alice": {"site_admin": True, "token": "generate", "scopes": ["repo", "admin:repo_hook"]},
        "weak": {"token": "generate", "scopes": ["repo:status"]},
    },
    "organizations": {"acme": {"members": {"alice": "admin", "weak": "admin"}}},
    "repositories": {f"acme/r{number}": {"files": {"README.md": "# One\n"}} for number in range(26)},
}
NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standin]:
    folder = tmp_path_factory.mktemp("github")
    (folder / "seed.yaml").write_text(yaml.safe_dump(SEED))
    with running(folder / "state", folder / "seed.yaml") as server:
        yield server


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with listening() as state:
        yield state


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(redeliver, "BETWEEN_SECONDS", 0.01)
    monkeypatch.setattr(redeliver, "HOOK_SECONDS", 1.0)


@dataclass
class Webhook:
    """A webhook of a repository of its own, and what a run for it prints."""

    alice: Person
    repo: str
    id: int
    receiver: Receiver
    capture: pytest.CaptureFixture[str]
    url: str
    hook: str

    def comment(self, number: int = 1) -> None:
        """Some events, and wait until GitHub has tried to deliver them."""
        before, repository = len(self.log()), self.alice.repository(self.repo)
        for index in range(number):
            repository.create_issue(f"issue {index}")
        wait_for("deliveries", lambda: len(self.log()) == before + number)

    def log(self) -> list:
        return self.alice.deliveries(self.repo, self.id)

    def run(self, *more: str, token: str = "") -> tuple[int, str]:
        """One run: its exit code and what it prints."""
        github = redeliver.GitHub(token or self.alice.token)
        code = redeliver.run(github, self.hook, [self.url, *more])
        return code, self.capture.readouterr().out


_repositories = iter(SEED["repositories"])


@pytest.fixture
def hook() -> Iterator[str]:
    """The address of a hook that answers."""

    class Handler(served.Handler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

    with served.serving(served.Server(Handler)) as server:
        yield f"{server.url}/"


@pytest.fixture
def webhook(standin: Standin, receiver: Receiver, hook: str, capsys) -> Webhook:
    alice, repo = standin.person("alice"), next(_repositories)
    config = {"url": receiver.url, "content_type": "json", "secret": "s3cret"}
    made = alice.repository(repo).create_hook("web", config, ["issues"], active=True)
    receiver.wait("ping")
    receiver.got.clear()
    return Webhook(alice, repo, made.id, receiver, capsys, made.url, hook)


def test_what_failed_is_sent_again_in_order_with_the_same_guid_and_nothing_else_is(webhook):
    webhook.comment()
    webhook.receiver.status = 500
    webhook.comment(3)
    missed = [delivery.guid for delivery in reversed(webhook.log()) if delivery.status_code == 500]
    webhook.receiver.status = 200
    webhook.receiver.got.clear()
    code, said = webhook.run()
    assert code == 0
    assert [got.headers["X-GitHub-Delivery"] for got in webhook.receiver.got] == missed
    assert said.endswith("1 webhooks: 3 asked for, 3 arrived, 0 left for the next run\n")


def test_a_second_run_asks_for_nothing_again(webhook):
    webhook.receiver.status = 500
    webhook.comment(2)
    webhook.receiver.status = 200
    webhook.run()
    before = len(webhook.log())
    assert webhook.run() == (0, "1 webhooks: 0 asked for, 0 arrived, 0 left for the next run\n")
    assert len(webhook.log()) == before


def test_what_failed_again_is_not_asked_for_again_at_once(webhook):
    webhook.receiver.status = 500
    webhook.comment()
    code, said = webhook.run()
    assert code == 0
    assert "issues.opened: 500" in said
    assert "1 asked for, 0 arrived" in said
    assert "0 asked for" in webhook.run()[1]


def test_what_was_not_delivered_because_hook_was_gone_arrives(webhook, receiver):
    repository = webhook.alice.repository(webhook.repo)
    hook = repository.get_hook(webhook.id)
    config = {"url": "http://127.0.0.1:9/hook", "content_type": "json", "secret": "s3cret"}
    hook.edit("web", config, events=["issues"])
    webhook.comment()
    assert webhook.log()[0].status_code == 502
    hook.edit("web", config | {"url": receiver.url}, events=["issues"])
    assert "1 asked for, 1 arrived" in webhook.run()[1]
    assert receiver.names() == ["issues.opened"]


def test_nothing_is_asked_for_while_hook_does_not_answer(webhook, monkeypatch):
    monkeypatch.setattr(redeliver, "HOOK_SECONDS", 0.1)
    webhook.receiver.status = 500
    webhook.comment()
    before = len(webhook.log())
    webhook.hook = "http://127.0.0.1:9/"
    code, said = webhook.run()
    assert code == 0
    assert said == "hook does not answer at http://127.0.0.1:9/: nothing is asked for before it does\n"
    assert len(webhook.log()) == before


def test_a_run_asks_for_no_more_than_its_bound_the_oldest_first(webhook, monkeypatch):
    monkeypatch.setattr(redeliver, "MOST", 2)
    webhook.receiver.status = 500
    webhook.comment(5)
    webhook.receiver.status = 200
    webhook.receiver.got.clear()
    assert "2 asked for, 2 arrived, 3 left" in webhook.run()[1]
    titles = [got.json["issue"]["title"] for got in webhook.receiver.got]
    assert titles == ["issue 0", "issue 1"]
    assert "2 asked for, 2 arrived, 1 left" in webhook.run()[1]
    assert "1 asked for, 1 arrived, 0 left" in webhook.run()[1]


def test_a_log_of_more_than_one_page_is_read_to_its_end(webhook, monkeypatch):
    monkeypatch.setattr(redeliver, "PAGE", 2)
    webhook.receiver.status = 500
    webhook.comment(1)
    webhook.receiver.status = 200
    webhook.comment(4)
    assert "1 asked for, 1 arrived" in webhook.run()[1]


def plan(standin: Standin, **fault) -> None:
    assert standin.request("POST", "/_standin/faults", "alice", json=fault).status_code == 200


def test_at_the_rate_limit_the_run_stops_says_so_and_the_next_one_goes_on(webhook, standin):
    webhook.receiver.status = 500
    webhook.comment(3)
    webhook.receiver.status = 200
    plan(standin, path=".*/attempts", rate_limit="secondary", retry_after=60)
    code, said = webhook.run()
    assert code == 0
    assert "GitHub's rate limit is reached, for 60 s" in said
    assert "0 asked for, 0 arrived, 3 left for the next run" in said
    plan(standin, path=".*/deliveries", rate_limit="primary", retry_after=60)
    code, said = webhook.run()
    assert code == 0
    assert "GitHub's rate limit is reached, until" in said
    assert said.endswith("the next run goes on\n")
    assert "3 asked for, 3 arrived" in webhook.run()[1]


@pytest.mark.parametrize("fault", [{"status": 503}, {"drop": True}])
def test_when_github_is_down_the_run_says_so_and_the_next_one_goes_on(webhook, standin, fault):
    webhook.receiver.status = 500
    webhook.comment()
    webhook.receiver.status = 200
    plan(standin, path=".*/deliveries", **fault)
    code, said = webhook.run()
    assert code == 0
    assert "GitHub has trouble" in said or "GitHub does not answer" in said
    assert "1 asked for, 1 arrived" in webhook.run()[1]


def test_an_unknown_token_is_named_with_its_setting(webhook):
    code, said = webhook.run(token="ghp_unknown")
    assert code == 1
    assert "GitHub does not know the token (setting redeliveryToken)" in said
    assert "ghp_unknown" not in said


def test_a_token_without_the_right_is_told_what_it_needs(webhook, standin):
    code, said = webhook.run(token=standin.person("weak").token)
    assert code == 1
    assert "needs the scope admin:repo_hook" in said


def test_a_webhook_that_is_gone_does_not_keep_the_others_from_their_deliveries(webhook):
    webhook.receiver.status = 500
    webhook.comment()
    webhook.receiver.status = 200
    gone = webhook.url.rsplit("/", 1)[0] + "/999999"
    code, said = webhook.run(gone)
    assert code == 1
    assert "999999" in said
    assert "1 asked for, 1 arrived" in said


def attempt(
    id: int, *, guid: str = "g", hours: float = 1, first: bool = True, arrived: bool = False, event="push"
):
    at = NOW - timedelta(hours=hours)
    return redeliver.Attempt(
        id=id, guid=guid, at=at, first=first, arrived=arrived, event=event, what="push: 502 x"
    )


@pytest.mark.parametrize(
    ("log", "due"),
    [
        ([attempt(1)], True),
        ([attempt(1), attempt(2, first=False, arrived=True)], False),
        ([attempt(1, hours=71.9)], True),
        ([attempt(1, hours=72.1)], False),
        # The first attempt has left the log: its redeliveries are not a new event.
        ([attempt(2, first=False)], False),
        ([attempt(1), attempt(2, hours=0.1, first=False)], False),
        ([attempt(1), attempt(2, hours=0.2, first=False)], True),
        ([attempt(1), attempt(2, hours=0.5, first=False), attempt(3, hours=0.3, first=False)], False),
        ([attempt(1), attempt(2, hours=0.5, first=False), attempt(3, hours=0.4, first=False)], True),
    ],
)
def test_an_event_is_due_when_it_never_arrived_and_its_last_attempt_is_long_enough_ago(log, due):
    assert bool(redeliver.find_missed("https://x", log, NOW)) is due


def test_the_pauses_between_attempts_are_bounded():
    hours = [redeliver.compute_pause(attempts) / timedelta(hours=1) for attempts in range(1, 12)]
    assert hours == sorted(hours)
    assert hours[0] == 0
    assert hours[-1] == 6


def test_the_program_takes_the_token_from_a_file(webhook, tmp_path, capsys):
    (tmp_path / "token").write_text(webhook.alice.token + "\n")
    assert redeliver.main([str(tmp_path / "token"), webhook.hook, webhook.url]) == 0
    assert "0 asked for" in capsys.readouterr().out
    assert json.dumps(webhook.alice.token) not in capsys.readouterr().out


DECK = "http://deck.example/"


@pytest.fixture
def jobs(monkeypatch) -> list[dict]:
    """The cluster's ProwJobs."""
    found: list[dict] = []
    monkeypatch.setattr(redeliver, "list_prow_jobs", lambda namespace: iter(found))
    return found


@dataclass
class Lost:
    """A webhook whose deliveries hook answers, and runs that look for those it has lost."""

    webhook: Webhook

    def open(self, *, draft: bool = False) -> PullRequest:
        """A pull request whose delivery was answered."""
        branch, files = f"b{time.time_ns()}", {"a.txt": "a\n"}
        pull = self.webhook.alice.open_pull_request(
            self.webhook.repo, branch=branch, files=files, title="A change", draft=draft
        )
        self.await_answer("pull_request")
        return pull

    def await_answer(self, event: str) -> str:
        """The GUID of the newest delivery of this event, once it is answered."""

        def newest():
            found = [sent for sent in self.webhook.log() if sent.event == event]
            return found[0].guid if found and found[0].status_code == 200 else None

        return wait_for(f"answer to {event}", newest)

    def run(self, **options: Any) -> list[str]:
        """The events that a run has sent again."""
        github = redeliver.GitHub(self.webhook.alice.token)
        known: dict[str, Any] = {"namespace": "prow", "deck": DECK, "settled": timedelta(0)}
        before = len(self.webhook.log())
        lost = redeliver.LostEvents(github=github, **(known | options))
        assert redeliver.run(github, self.webhook.hook, [self.webhook.url], lost) == 0
        self.said = self.webhook.capture.readouterr().out
        log = self.webhook.log()
        return [f"{sent.event}.{sent.action}" for sent in reversed(log[: len(log) - before])]


@pytest.fixture
def lost(webhook: Webhook, jobs) -> Lost:
    config = {"url": webhook.receiver.url, "content_type": "json", "secret": "s3cret"}
    hook = webhook.alice.repository(webhook.repo).get_hook(webhook.id)
    hook.edit("web", config, events=["pull_request", "issue_comment", "push", "issues"])
    return Lost(webhook)


def started(guid: str = "", job: str = "hello", **refs) -> dict:
    """A ProwJob."""
    return {"metadata": {"labels": {"event-GUID": guid}}, "spec": {"job": job, "refs": refs}}


def test_a_pull_request_that_hook_took_and_forgot_is_sent_again_once(lost):
    lost.open()
    assert lost.run(postsubmits={}) == ["pull_request.opened"]
    assert lost.said.endswith("1 asked for, 1 arrived, 0 left for the next run\n")
    assert lost.run(postsubmits={}) == []


def test_a_pull_request_with_a_job_or_a_status_of_a_job_is_not_sent_again(lost, jobs):
    pull = lost.open()
    guid = lost.await_answer("pull_request")
    owner, name = lost.webhook.repo.split("/")
    jobs.append(started(guid))
    assert lost.run(postsubmits={}) == []
    jobs[:] = [started(org=owner, repo=name, pulls=[{"number": pull.number, "sha": pull.head.sha}])]
    assert lost.run(postsubmits={}) == []
    jobs.clear()
    commit = lost.webhook.alice.repository(lost.webhook.repo).get_commit(pull.head.sha)
    commit.create_status("success", f"{DECK}view/1", "fine", "hello")
    assert lost.run(postsubmits={}) == []


def test_a_pull_request_of_which_hook_began_only_some_jobs_is_sent_again_once(lost, jobs):
    pull = lost.open()
    guid = lost.await_answer("pull_request")
    owner, name = lost.webhook.repo.split("/")
    pulls = [{"number": pull.number, "sha": pull.head.sha}]
    jobs.append(started(guid, org=owner, repo=name, pulls=pulls))
    numbers = {lost.webhook.repo: 2}
    assert lost.run(presubmits={lost.webhook.repo: 1}, postsubmits={}) == []
    assert lost.run(presubmits=numbers, postsubmits={}) == ["pull_request.opened"]
    assert lost.run(presubmits=numbers, postsubmits={}) == []


def test_a_pull_request_with_all_jobs_of_every_event_and_more_is_not_sent_again(lost, jobs):
    lost.open()
    guid = lost.await_answer("pull_request")
    owner, name = lost.webhook.repo.split("/")
    jobs += [started(guid, job, org=owner, repo=name) for job in ("hello", "quick", "only-for-go")]
    assert lost.run(presubmits={lost.webhook.repo: 2}, postsubmits={}) == []


def test_tides_status_is_no_sign_that_prow_has_tested_the_pull_request(lost):
    pull = lost.open()
    lost.await_answer("pull_request")
    commit = lost.webhook.alice.repository(lost.webhook.repo).get_commit(pull.head.sha)
    commit.create_status("pending", target_url=f"{DECK}/tide", context="tide")
    assert lost.run(postsubmits={}) == ["pull_request.opened"]


def test_the_status_of_another_ci_is_no_sign_that_prow_has_seen_the_pull_request(lost):
    pull = lost.open()
    commit = lost.webhook.alice.repository(lost.webhook.repo).get_commit(pull.head.sha)
    commit.create_status("success", "https://other.example/1", "fine", "other")
    assert lost.run(postsubmits={}) == ["pull_request.opened"]


def test_what_starts_no_jobs_is_not_sent_again(lost):
    lost.open(draft=True)
    repository = lost.webhook.alice.repository(lost.webhook.repo)
    waiting = lost.open()
    repository.get_issue(waiting.number).add_to_labels("needs-ok-to-test")
    lost.open().edit(state="closed")
    pull = lost.open()
    lost.webhook.alice.comment(lost.webhook.repo, pull.number, "Looks good")
    repository.create_issue("no pull request").create_comment("/test all")
    wait_for("both comments", lambda: [sent.event for sent in lost.webhook.log()].count("issue_comment") == 2)
    assert lost.run(postsubmits={}) == ["pull_request.opened"]
    assert lost.run(presubmits={"other/one": 1}, postsubmits={"other": 1}) == []


def test_a_command_that_hook_took_and_forgot_is_sent_again_once(lost, jobs):
    pull = lost.open()
    jobs.append(started(lost.await_answer("pull_request")))
    lost.webhook.alice.comment(lost.webhook.repo, pull.number, "Once more:\n/retest")
    guid = lost.await_answer("issue_comment")
    assert lost.run(postsubmits={}) == ["issue_comment.created"]
    assert lost.run(postsubmits={}) == []
    assert [sent.guid for sent in lost.webhook.log() if sent.redelivery] == [guid]


def test_only_the_newest_commit_of_a_pull_request_is_sent_again(lost):
    pull = lost.open()
    files = {"b.txt": "b\n"}
    lost.webhook.alice.push_to_pull_request(lost.webhook.repo, pull.number, files, "More")
    wait_for("synchronize", lambda: lost.webhook.log()[0].action == "synchronize" or None)
    assert lost.run(postsubmits={}) == ["pull_request.synchronize"]


def test_a_push_is_sent_again_where_there_are_postsubmits(lost):
    lost.webhook.alice.push(lost.webhook.repo, "main", {"c.txt": "c\n"}, "A push")
    lost.await_answer("push")
    assert lost.run(postsubmits={}) == []
    assert lost.run(postsubmits={lost.webhook.repo: 1}) == ["push.None"]
    assert lost.run(postsubmits={"acme": 0}) == []


def test_hook_has_time_to_start_the_jobs(lost):
    lost.open()
    assert lost.run(settled=timedelta(minutes=2)) == []


def test_without_the_clusters_prowjobs_nothing_is_sent_again(lost, monkeypatch):
    def refuse(namespace):
        raise redeliver.Stop("the cluster's ProwJobs cannot be listed: 403")

    lost.open()
    monkeypatch.setattr(redeliver, "list_prow_jobs", refuse)
    assert lost.run() == []
    assert "the next run goes on" in lost.said


def test_prowjobs_are_read_page_by_page_with_the_pods_token(hook, tmp_path, monkeypatch):
    pages = {
        "limit=200": {"metadata": {"continue": "more"}, "items": [started("a")]},
        "limit=200&continue=more": {"metadata": {}, "items": [started("b")]},
    }
    asked: list[str | None] = []

    class Handler(served.Handler):
        def do_GET(self) -> None:
            asked.append(self.headers["Authorization"])
            path, _, query = self.path.partition("?")
            assert path == "/apis/prow.k8s.io/v1/namespaces/ns/prowjobs"
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(pages[query]).encode())

    (tmp_path / "token").write_text("pods-token")
    monkeypatch.setattr(redeliver, "ACCOUNT", tmp_path)
    monkeypatch.setattr(redeliver.ssl, "create_default_context", lambda cafile: None)
    with served.serving(served.Server(Handler)) as server:
        monkeypatch.setattr(redeliver, "API_SERVER", server.url)
        found = redeliver.ProwJobs(redeliver.list_prow_jobs("ns"))
    assert all(found.has_started(guid) for guid in "ab")
    assert asked == ["Bearer pods-token"] * 2
    with pytest.raises(redeliver.Stop, match="cannot be listed"):
        list(redeliver.list_prow_jobs("ns"))


def test_the_arguments_name_repositories_in_any_case():
    assert redeliver.parse_number("Acme/One=2") == ("acme/one", 2)
