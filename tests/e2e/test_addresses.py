"""Deck and hook at hosts of their own, over TLS: behind an Ingress, then a Gateway, then at the node's ports again.

Traefik serves both, and the certificate is one that the test makes. Behind the Ingress people log in to deck, and then
before they see it at all.
"""

import base64
import contextlib
import html
import json
import shutil
import threading
import tomllib
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import urllib3
import yaml
from kubernetes import client
from playwright.sync_api import BrowserContext, Page, sync_playwright

from testbed import browser, cluster, images, ingress
from testbed.cli import Pulumi
from testbed.cluster_view import View, wait_for
from testbed.environment import BOT, OUTSIDER, OWNER, PUBLIC_HOSTS, REPOSITORY, Environment
from tests import signed
from tests.conftest import report
from tests.e2e.doors import (
    list_pod_doors,
    list_service_doors,
    read_open,
    render_script,
    run_pod,
    wait_for_log,
)
from tests.e2e.pods import find_component, pods, replace_pod
from tests.e2e.stacks import deployed
from tests.e2e.test_storage import finished, job_of, open_pull_request

pytestmark = pytest.mark.e2e
HOST, HOOK_HOST = PUBLIC_HOSTS
DECK, HOOK = f"https://{HOST}", f"https://{HOOK_HOST}/hook"
SECRET = "prow-cert"
INGRESS = {
    "prow:expose": "ingress",
    "prow:ingressClass": ingress.INGRESS_CLASS,
    "prow:deckUrl": DECK,
    "prow:webhookUrl": HOOK,
    "prow:tlsSecret": SECRET,
    "prow:storage": "in-cluster",
    "prow:storageSize": "0",
    "prow:deckRerun": "true",
    "prow:deckExtensions": "prow/deck",
}
READERS = ("acme/maintainers", "nobody")
LARGEST = 25 * signed.MEGABYTE
"""Bytes of GitHub's largest payload."""
MIDDLEWARE = {
    "apiVersion": "traefik.io/v1alpha1",
    "kind": "Middleware",
    "metadata": {"name": "webhook-size", "namespace": "prow"},
    "spec": {"buffering": {"maxRequestBodyBytes": LARGEST}},
}
BY_MIDDLEWARE = 'prow:exposeAnnotations["traefik.ingress.kubernetes.io/router.middlewares"]'
LOGO = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="7"/>'
GATEWAY = {"prow:expose": "gateway", "prow:gatewayClass": ingress.GATEWAY_CLASS, "prow:ingressClass": ""}
LOAD_BALANCER = {
    "prow:expose": "loadBalancer",
    **dict.fromkeys(("prow:gatewayClass", "prow:deckUrl", "prow:webhookUrl", "prow:tlsSecret"), ""),
    "prow:oauthClientId": "",
    "prow:deckRerun": "false",
    "prow:deckExtensions": "",
}
NODE_PORT = {"prow:expose": "nodePort", "prow:deckNodePort": "30081"}


@contextlib.contextmanager
def doing(work: Callable[[], bool]) -> Generator[None]:
    """Try this every half second, in a thread, until it is done or the block ends."""
    done = threading.Event()

    def run() -> None:
        while not done.wait(0.5):
            if work():
                return

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextlib.contextmanager
def certificate(environment: Environment, view: View) -> Generator[None]:
    """Put a certificate into Prow's namespace as soon as that is there, as cert-manager would."""
    crt, key = cluster.certificate(environment.cluster, HOST, HOOK_HOST)
    data = {
        name: base64.b64encode(path.read_bytes()).decode()
        for name, path in (("tls.crt", crt), ("tls.key", key))
    }
    secret = client.V1Secret(metadata=client.V1ObjectMeta(name=SECRET), type="kubernetes.io/tls", data=data)

    def work() -> bool:
        if "prow" not in view.namespaces():
            return False
        view.core.create_namespaced_secret("prow", secret)
        return True

    with doing(work):
        yield


def give_addresses(environment: Environment, view: View) -> bool:
    """Do what the controller of a cloud's load balancers does: the node's address is that of each, as k3s has it."""
    listed: Any = view.core.list_namespaced_service("prow").items
    found = [one.metadata.name for one in listed if one.spec.type == "LoadBalancer"]
    status = {"status": {"loadBalancer": {"ingress": [{"ip": environment.cluster.node_ip}]}}}
    for name in found:
        view.core.patch_namespaced_service_status(name, "prow", status)
    return set(found) == {"hook", "deck"}


@pytest.fixture(scope="module")
def pulumi(environment: Environment, project: Path, view: View) -> Iterator[Pulumi]:
    """The stack, up behind an Ingress, with a login; destroyed after the module's tests."""
    if environment.cluster.external:
        pytest.skip("the controller takes ports of the testbed's own node")
    shutil.copy(Path(__file__).parent / "address_jobs.yaml", project / "prow" / "jobs")
    config = project / "prow" / "config.yaml"
    deck = {
        "rerun_auth_configs": {"*": {"github_users": [OWNER]}},
        "branding": {"logo": "/static/extensions/logo.svg", "header_color": "#013243"},
    }
    config.write_text(config.read_text() + yaml.safe_dump({"deck": deck}))
    (project / "prow" / "deck").mkdir()
    (project / "prow" / "deck" / "logo.svg").write_text(LOGO)
    cluster.load_images(environment.cluster, [images.oauth2_proxy(report)])
    made = requests.post(
        f"{environment.github}/_standin/oauth-apps",
        json={"name": "deck", "callback_url": f"{DECK}/github-login/redirect"},
        headers={"Authorization": f"Bearer {environment.person(OWNER).token}"},
        timeout=10,
    ).json()
    with (
        ingress.running(environment.cluster, view, report),
        certificate(environment, view),
        deployed(
            environment,
            project,
            INGRESS | {"prow:oauthClientId": made["client_id"]},
            {"prow:oauthClientSecret": made["client_secret"]},
        ) as stack,
    ):
        yield stack


def fetch(
    environment: Environment,
    url: str,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    **options: Any,
) -> urllib3.BaseHTTPResponse:
    """A request to one of the hosts, whose certificate must be good."""
    parts = urlsplit(url)
    authority = cluster.pki(environment.cluster) / "ca.crt"
    host = parts.hostname or ""
    with urllib3.HTTPSConnectionPool(
        environment.cluster.node_ip, 443, ca_certs=str(authority), server_hostname=host, assert_hostname=host
    ) as pool:
        path = f"{parts.path or '/'}?{parts.query}"
        return pool.request(
            method, path, headers={"Host": host, **(headers or {})}, retries=False, redirect=False, **options
        )


@pytest.fixture(scope="module")
def context(environment: Environment, pulumi: Pulumi) -> Iterator[BrowserContext]:
    """A browser in which nobody is logged in. It knows neither of the testbed's authorities; `fetch` and GitHub do."""
    hosts = dict.fromkeys(PUBLIC_HOSTS, environment.cluster.node_ip)
    with sync_playwright() as playwright, browser.chromium(playwright, hosts) as chromium:
        yield chromium.new_context(ignore_https_errors=True, viewport={"width": 1280, "height": 900})


@pytest.fixture(scope="module")
def pull(environment: Environment, pulumi: Pulumi):
    """A pull request, whose job prints a page with a script."""
    return open_pull_request(environment, {})


def sign_in(context: BrowserContext, environment: Environment, login: str, path: str) -> Page:
    """Open a page of deck as nobody, and sign in to GitHub, where it leads; the page asks next whether deck may know."""
    context.clear_cookies()
    page = context.new_page()
    page.goto(f"{DECK}{path}")
    page.get_by_label("Username").fill(login)
    page.get_by_label("Token").fill(environment.person(login).token)
    page.get_by_role("button", name="Sign in").click()
    return page


def log_in(context: BrowserContext, environment: Environment, login: str) -> Page:
    """Go to the page of one's pull requests, through GitHub's pages."""
    page = sign_in(context, environment, login, "/github-login?dest=pr")
    page.get_by_role("button", name="Authorize deck").click()
    page.wait_for_url(f"{DECK}/pr**")
    page.wait_for_load_state("networkidle")  # that page goes on to one with a query
    return page


def post(environment: Environment, page: Page, path: str) -> tuple[int, str]:
    """What deck answers to a request with the session and the token of its own page."""
    headers = {
        "Cookie": "; ".join(f"{each.get('name')}={each.get('value')}" for each in page.context.cookies(DECK)),
        "Referer": page.url,
        "X-CSRF-Token": page.evaluate("csrfToken"),
    }
    answer = fetch(environment, f"{DECK}{path}", "POST", headers=headers)
    return answer.status, answer.data.decode().strip()


def hacked(page: Page) -> bool:
    """Whether the script of the job has run."""
    return any(frame.evaluate("window.hacked === 1") for frame in page.frames)


def deliveries(environment: Environment, event: str) -> list[Any]:
    owner = environment.person(OWNER)
    (hook,) = owner.repository(REPOSITORY).get_hooks()
    return [found for found in owner.deliveries(REPOSITORY, hook.id) if found.event == event]


def exposing(view: View) -> set[str]:
    """What leads to hook and deck from outside of the cluster."""
    kinds = ("Ingress", "Gateway", "HTTPRoute")
    return {entry for entry in view.labelled("app.kubernetes.io/part-of=prow") if entry.split()[0] in kinds}


def test_github_delivers_over_tls_to_hooks_host_and_the_status_links_to_decks(
    environment, pulumi, view, pull
):
    (hook,) = environment.person(OWNER).repository(REPOSITORY).get_hooks()
    assert (hook.config["url"], hook.config["insecure_ssl"]) == (HOOK, "0")
    found = finished(environment, pull, "page")
    assert found.state == "success"
    assert found.target_url.startswith(f"{DECK}/view/s3/prow-logs/pr-logs/pull/")
    assert [delivery.status_code for delivery in deliveries(environment, "pull_request")] == [200]
    assert exposing(view) == {"Ingress prow/prow"}
    services: Any = view.core.list_namespaced_service("prow").items
    assert {one.spec.type for one in services if one.metadata.name in ("hook", "deck")} == {"ClusterIP"}


def test_hooks_host_has_one_path(environment, pulumi):
    assert fetch(environment, f"https://{HOOK_HOST}/").status == 404
    assert fetch(environment, f"https://{HOOK_HOST}/plugin-help").status == 404
    assert fetch(environment, HOOK, "POST", body=b"{}").status == 400  # hook's: no event is named


def measure_growth(process: int, work: Callable[[], None]) -> int:
    """By how many bytes the memory of a process of this machine grows at most while the work is done."""

    def read_peak() -> int:
        words = Path(f"/proc/{process}/status").read_text().partition("VmHWM:")[2].split()
        return int(words[0]) * 1024

    Path(f"/proc/{process}/clear_refs").write_text("5")  # the peak begins anew: proc_pid_clear_refs(5)
    before = read_peak()
    work()
    return read_peak() - before


def send_too_much(environment: Environment) -> None:
    """Webhooks above GitHub's largest, whose size is announced or not; they are refused."""
    headers = signed.headers("unknown", b"")
    for _ in range(4):
        announced = {**headers, "Content-Length": str(LARGEST + 1)}
        assert fetch(environment, HOOK, "POST", announced, timeout=60).status == 413
        parts = (b"x" * size for size in (*[signed.MEGABYTE] * 25, 1024))
        assert fetch(environment, HOOK, "POST", headers, body=parts, timeout=60).status == 413


def send_signed(environment: Environment, view: View) -> int:
    """hook's answer to a small webhook of GitHub's."""
    found: Any = view.core.read_namespaced_secret("hmac-token", "prow")
    (secret,) = json.loads(signed.decoded(found.data["hmac"]))["*"]
    body = json.dumps({"zen": "x" * 4096}).encode()
    return fetch(
        environment, HOOK, "POST", signed.headers(secret["value"], body), body=body, timeout=60
    ).status


def test_a_webhook_above_githubs_largest_does_not_reach_hook(environment, pulumi, view):
    _, hook = find_component(view, "hook")
    assert measure_growth(hook, lambda: send_too_much(environment)) < LARGEST / 2
    assert send_signed(environment, view) == 200

    # What does reach hook is read before its signature is looked at.
    def send_largest() -> None:
        body = b"x" * LARGEST
        answer = fetch(environment, HOOK, "POST", signed.headers("unknown", body), body=body, timeout=60)
        assert answer.status == 403

    assert measure_growth(hook, send_largest) > LARGEST / 2


def test_tides_status_links_to_the_page_of_the_authors_pull_requests(environment, pulumi, pull):
    def link():
        return environment.person(OWNER).statuses(REPOSITORY, pull.head.sha).get("tide")

    assert wait_for("tide's status", link, 150).target_url.startswith(f"{DECK}/pr?query=")


def test_whoever_logs_in_sees_their_pull_requests_and_runs_a_job_again(
    environment, pulumi, view, context, pull
):
    finished(environment, pull, "page")
    page = log_in(context, environment, OWNER)
    page.get_by_text(f"#{pull.number}").first.wait_for()
    before = len(view.prowjobs(job="page"))
    page.goto(f"{DECK}/?job=page")
    row = page.locator("#builds tr", has_text=f"#{pull.number}").first
    # deck lists the ProwJobs every 30 s (pkg/deck/jobs, period)
    wait_for("row of the job", lambda: (page.reload(), page.wait_for_timeout(2000), row.count())[2], 60)
    row.get_by_title("Show instructions for rerunning").click()
    page.locator("#rerun").get_by_role("button", name="Rerun").click()
    wait_for("the job's second run", lambda: len(view.prowjobs(job="page")) > before, 30)
    page.close()


def test_whoever_may_not_runs_nothing_again_and_aborts_nothing(environment, pulumi, view, context, pull):
    finished(environment, pull, "page")
    pull.create_issue_comment("/test waits")
    name = wait_for("job to abort", lambda: view.prowjobs(job="waits"), 60)[0]["metadata"]["name"]
    page = log_in(context, environment, OUTSIDER)
    count = len(view.prowjobs())
    assert (
        post(environment, page, f"/rerun?prowjob={name}")[1] == "You don't have permission to rerun that job."
    )
    status, text = post(environment, page, f"/abort?prowjob={name}")
    assert (status, text) == (401, "You don't have permission to abort this job.")
    assert len(view.prowjobs()) == count
    page.close()
    allowed = log_in(context, environment, OWNER)
    assert post(environment, allowed, f"/abort?prowjob={name}") == (200, "Job successfully aborted.")
    wait_for("end of the job", lambda: view.prowjobs(job="waits")[0]["status"]["state"] == "aborted", 30)
    allowed.close()


def test_a_request_without_decks_own_token_does_nothing(environment, pulumi, view, context, pull):
    finished(environment, pull, "page")
    name = job_of_page(view)
    page = log_in(context, environment, OWNER)
    forged = page.evaluate(
        "async path => (await fetch(path, {method: 'post'})).status", f"/rerun?prowjob={name}"
    )
    assert forged == 403
    assert fetch(environment, f"{DECK}/rerun?prowjob={name}", "POST").status == 403
    page.close()


def job_of_page(view: View) -> str:
    return view.prowjobs(job="page")[0]["metadata"]["name"]


def test_a_script_in_a_jobs_output_runs_on_no_page_of_decks(environment, pulumi, view, context, pull):
    link = finished(environment, pull, "page").target_url
    page = context.new_page()
    page.goto(link)
    frame = page.frame_locator("iframe[src*='/spyglass/lens/buildlog/']")
    frame.get_by_text("window.hacked = 1").first.wait_for()
    assert not hacked(page)
    raw = frame.get_by_role("link", name="Raw build-log.txt").get_attribute("href")
    assert raw is not None
    page.goto(raw)
    # The store sends a file as it is, from an address of its own, where nobody is logged in.
    assert urlsplit(page.url).hostname not in (HOST, HOOK_HOST)
    assert page.evaluate("document.cookie") == ""
    # Deck may not even read it: whoever is logged in opens links of others.
    job = view.prowjobs(job="page")[0]
    answer = fetch(environment, f"{DECK}/log?job=page&id={job['status']['build_id']}")
    assert (answer.status, b"hacked" in answer.data) == (404, False)
    page.close()


def test_secrets_of_the_login_are_nowhere_in_plain_text(pulumi, view):
    run = pulumi.up("--expect-no-changes")
    found: Any = view.core.read_namespaced_secret("github-oauth-config", "prow")
    secret = base64.b64decode(found.data["secret"]).decode()
    cookie: Any = view.core.read_namespaced_secret("cookie", "prow")
    key = base64.b64decode(base64.b64decode(cookie.data["secret"])).decode()
    state = str(pulumi.stack_export())
    for text in (yaml.safe_load(secret)["client_secret"], key):
        assert text not in state
        assert text not in run.output


def test_pages_have_the_logo_of_the_users_own_and_its_files_are_served(environment, pulumi, context):
    answer = fetch(environment, f"{DECK}/static/extensions/logo.svg")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/svg+xml")
    assert answer.data.decode() == LOGO
    assert fetch(environment, f"{DECK}/static/extensions/script.js").data == b""
    page = context.new_page()
    page.goto(DECK)
    assert page.locator("img.logo").evaluate("img => [img.naturalWidth, img.naturalHeight]") == [9, 7]
    header = page.locator("header.mdl-layout__header")
    assert header.evaluate("header => getComputedStyle(header).backgroundColor") == "rgb(1, 50, 67)"
    page.close()


def find_hidden_job(view: View, pull: Any) -> dict[str, Any]:
    if not view.prowjobs(job="waits"):
        pull.create_issue_comment("/test waits")
    return wait_for("hidden job", lambda: view.prowjobs(job="waits"), 60)[0]


def test_a_hidden_job_is_in_no_list_of_decks_but_whoever_knows_its_name_reads_it(
    environment, pulumi, view, pull
):
    name = find_hidden_job(view, pull)["metadata"]["name"]
    finished(environment, pull, "page")
    wait_for("job that is not hidden", lambda: b'"page"' in fetch(environment, f"{DECK}/data.js").data, 60)
    for path in ("/data.js", "/prowjobs.js"):
        assert b'"waits"' not in fetch(environment, f"{DECK}{path}").data
    assert b"job: waits" in fetch(environment, f"{DECK}/prowjob?prowjob={name}").data


def list_private_paths(environment: Environment, view: View, pull: Any) -> list[str]:
    """What deck serves of jobs, of the configuration and of GitHub."""
    job, link = view.prowjobs(job="page")[0], finished(environment, pull, "page").target_url
    stored = urlsplit(link).path
    lens = "/spyglass/lens/buildlog/rerender?req=%7B%7D"
    return [
        "/",
        "/?job=page",
        "/data.js",
        "/prowjobs.js?var=allBuilds",
        f"/prowjob?prowjob={job['metadata']['name']}",
        f"/log?job=page&id={job['status']['build_id']}",
        stored,
        lens,
        f"/job-history/{stored.removeprefix('/view/').partition('/pull/')[0]}/directory/page",
        f"/pr-history?org=acme&repo=go-with-prow&pr={pull.number}",
        "/badge.svg?jobs=*",
        "/config",
        "/plugin-config",
        "/plugin-help.js",
        "/tide.js",
        "/tide-history.js",
        "/pr-data.js",
        "/static/style.css",
        "/favicon.ico",
    ]


def test_with_readers_deck_answers_nobody_who_is_not_logged_in(environment, pulumi, view, pull):
    paths = list_private_paths(environment, view, pull)
    pulumi.config_set_all({f"prow:deckReaders[{index}]": reader for index, reader in enumerate(READERS)})
    # In the same update, Traefik's own class in place of ingress-nginx's, with the limit that its users make.
    view.custom.create_namespaced_custom_object("traefik.io", "v1alpha1", "prow", "middlewares", MIDDLEWARE)
    pulumi.config_set_all(
        {"prow:ingressClass": ingress.OWN_CLASS, BY_MIDDLEWARE: "prow-webhook-size@kubernetescrd"}
    )
    pulumi.up()
    for path in paths:
        answer = fetch(environment, f"{DECK}{path}")
        assert answer.status == 302, path
        asked = urlsplit(answer.headers["Location"])
        assert (asked.netloc, asked.path) == (urlsplit(environment.github).netloc, "/login/oauth/authorize")
        shown = html.unescape(answer.data.decode()).replace(answer.headers["Location"], "")
        assert shown in ("", '<a href="">Found</a>.\n\n'), path
    forged = {"X-Forwarded-User": OWNER, "X-Forwarded-Email": "a@b.example", "Authorization": "Basic YTpi"}
    assert fetch(environment, f"{DECK}/config", headers=forged).status == 302
    assert fetch(environment, f"{DECK}/config", headers={"Accept": "application/json"}).status == 401
    assert fetch(environment, f"{DECK}/config", headers={"Cookie": "_oauth2_proxy=x|1|y"}).status == 302
    assert fetch(environment, f"{DECK}/rerun?prowjob=x", "POST").status == 302
    assert pulumi.up("--expect-no-changes")


def test_traefiks_middleware_keeps_a_large_webhook_from_hook_as_well(environment, pulumi, view):
    _, hook = find_component(view, "hook")
    assert measure_growth(hook, lambda: send_too_much(environment)) < LARGEST / 2
    assert send_signed(environment, view) == 200


def test_no_pod_gets_around_the_login(environment, pulumi, view):
    doors = [
        door
        for door in (
            *list_pod_doors(view, "prow"),
            *list_service_doors(view, "prow", environment.cluster.node_ip),
        )
        if "deck" in door.name or "oauth2-proxy" in door.name
    ]
    assert {"service deck", "service deck-internal", "deck:8080"} <= {door.name for door in doors}
    with run_pod(view, "visitor", render_script(doors)):
        log = wait_for_log(view, "visitor", "tried all")
    assert read_open(log) == {"DNS", "service deck"}


def enter(context: BrowserContext, environment: Environment, login: str, path: str) -> tuple[Page, int]:
    """Open a page of deck, log in to GitHub as it asks, and the status of where GitHub sends people back to."""
    page = sign_in(context, environment, login, path)
    with page.expect_response(lambda answer: "/github-login/redirect/oauth2/callback" in answer.url) as back:
        page.get_by_role("button", name="Authorize deck").click()
    page.wait_for_load_state("networkidle")
    return page, back.value.status


def test_whoever_is_in_the_team_sees_deck_with_its_hidden_jobs_and_runs_a_job_again(
    environment, pulumi, view, context, pull
):
    link = finished(environment, pull, "page").target_url
    page, status = enter(context, environment, OWNER, urlsplit(link).path)
    assert (status, page.url) == (302, link)
    frame = page.frame_locator("iframe[src*='/spyglass/lens/buildlog/']")
    frame.get_by_text("window.hacked = 1").first.wait_for()
    raw = frame.get_by_role("link", name="Raw build-log.txt").get_attribute("href")
    assert raw is not None
    assert requests.get(raw, timeout=10).status_code == 200
    assert requests.get(raw.partition("?")[0], timeout=10).status_code == 403  # the link is signed
    find_hidden_job(view, pull)
    read = "async path => (await fetch(path)).text()"
    wait_for("hidden job", lambda: '"waits"' in page.evaluate(read, "/data.js"), 60)
    # deck's own login, behind the other.
    page.goto(f"{DECK}/github-login?dest=pr")
    page.get_by_role("button", name="Authorize deck").click()
    page.wait_for_url(f"{DECK}/pr**")
    page.wait_for_load_state("networkidle")
    before = len(view.prowjobs(job="page"))
    assert post(environment, page, f"/rerun?prowjob={job_of_page(view)}")[0] == 200
    wait_for("another run of the job", lambda: len(view.prowjobs(job="page")) > before, 30)
    page.close()


@pytest.mark.parametrize("login", [OUTSIDER, BOT])
def test_somebody_else_gets_403(environment, pulumi, context, login):
    page, status = enter(context, environment, login, "/data.js")
    assert status == 403
    assert "page" not in page.content()
    cookies = "; ".join(f"{each.get('name')}={each.get('value')}" for each in context.cookies(DECK))
    assert fetch(environment, f"{DECK}/data.js", headers={"Cookie": cookies}).status in (302, 403)
    page.close()


def test_what_oauth2_proxy_is_told_is_nowhere_in_plain_text(pulumi, view):
    found: Any = view.core.read_namespaced_secret("oauth2-proxy", "prow")
    told = tomllib.loads(base64.b64decode(found.data["oauth2-proxy.cfg"]).decode())
    state = str(pulumi.stack_export())
    logs = [view.core.read_namespaced_pod_log(name, "prow") for name in pods(view, "prow", "oauth2-proxy")]
    assert all(logs)
    for text in (told["client_secret"], told["cookie_secret"]):
        assert not any(text in where for where in (state, *logs))


def test_a_gateway_takes_the_ingresss_place_and_nothing_is_left_of_the_readers(environment, pulumi, view):
    pulumi.config_set_all(GATEWAY)
    for key in ("prow:deckReaders", "prow:exposeAnnotations"):
        pulumi.config_remove(key)
    pulumi.up()
    assert view.labelled("app=oauth2-proxy") == []
    names: Any = view.core.list_namespaced_service("prow").items
    assert "deck-internal" not in {one.metadata.name for one in names}
    assert exposing(view) == {"Gateway prow/prow", "HTTPRoute prow/deck", "HTTPRoute prow/hook"}
    pull = open_pull_request(environment, {})
    assert finished(environment, pull, "page").state == "success"
    assert fetch(environment, f"{DECK}/config").status == 200
    assert fetch(environment, f"https://{HOOK_HOST}/plugin-help").status == 404
    assert deliveries(environment, "pull_request")[0].status_code == 200


def replace_linking(view):
    """Start those anew that write links to deck; the others have the new configuration in a minute or two."""
    for app in ("prow-controller-manager", "crier"):
        replace_pod(view, app)


def test_load_balancers_are_awaited_and_nothing_is_left_of_the_gateway_and_of_the_login(
    environment, pulumi, view
):
    pulumi.config_set_all(LOAD_BALANCER)
    pulumi.config_remove("prow:oauthClientSecret")
    with doing(lambda: give_addresses(environment, view)):
        pulumi.up()
    assert exposing(view) == set()
    node = environment.cluster.node_ip
    assert (pulumi.output("deckUrl"), pulumi.output("hookUrl")) == (
        f"http://{node}/",
        f"http://{node}:8888/hook",
    )
    replace_linking(view)
    pull = open_pull_request(environment, {})
    assert finished(environment, pull, "page").target_url.startswith(f"http://{node}/view/")
    assert requests.get(f"http://{node}/config", timeout=10).status_code == 200
    secrets: Any = view.core.list_namespaced_secret("prow").items
    assert not {"github-oauth-config", "cookie"} & {secret.metadata.name for secret in secrets}
    maps: Any = view.core.list_namespaced_config_map("prow").items
    assert "deck-extensions" not in {one.metadata.name for one in maps}
    script = requests.get(f"http://{node}/static/extensions/script.js", timeout=10).text
    assert "custom javascript extensions" in script  # of deck's image


def test_at_a_node_port_without_a_login_the_script_runs_on_the_page_of_the_pods_log(
    environment, pulumi, view, context
):
    pulumi.config_set_all(NODE_PORT)
    pulumi.up()
    deck = pulumi.output("deckUrl")
    assert deck == f"http://{environment.cluster.node_ip}:30081/"
    replace_linking(view)
    pull = open_pull_request(environment, {})
    assert finished(environment, pull, "page").target_url.startswith(f"{deck}view/")

    # Nobody is logged in here, so deck reads pods' logs, and the script that the other pages kept from running runs.
    job = job_of(view, pull, "page")
    log = f"{deck}log?job=page&id={job['status']['build_id']}"
    wait_for("log at deck", lambda: requests.get(log, timeout=10).status_code == 200, 60)
    page = context.new_page()
    page.goto(log)
    assert hacked(page)
    page.close()
