"""An external plugin of one's own: it answers a comment `/greet` with a greeting and the number of ProwJobs.

hook posts events to `/`, signed as GitHub signed them, and asks `/help` for what deck shows of the plugin. It takes the flags that Prow's own external plugins take, reads its
greeting from a secret of its own, and counts ProwJobs with the right that its RBAC rules give it.
"""

import argparse
import hashlib
import hmac
import json
import ssl
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def parse_flags() -> argparse.Namespace:
    """The flags; one that is not known ends the program, as Go's flags do."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--hmac-secret-file", type=Path, required=True)
    parser.add_argument("--github-token-path", type=Path, required=True)
    parser.add_argument("--github-endpoint", action="append", required=True)
    parser.add_argument("--github-graphql-endpoint")
    parser.add_argument("--github-host")
    parser.add_argument("--greeting-file", type=Path, required=True)
    return parser.parse_args()


FLAGS = parse_flags()


def is_signed(body: bytes, signature: str) -> bool:
    """Whether one of the webhook's secrets signed the body."""
    tokens = json.loads(FLAGS.hmac_secret_file.read_text())["*"]
    return any(
        hmac.compare_digest(
            f"sha256={hmac.new(token['value'].encode(), body, hashlib.sha256).hexdigest()}", signature
        )
        for token in tokens
    )


def count_prowjobs() -> int:
    """The ProwJobs of Prow's namespace, as its account may list them."""
    namespace = (ACCOUNT / "namespace").read_text()
    request = urllib.request.Request(
        f"https://kubernetes.default.svc/apis/prow.k8s.io/v1/namespaces/{namespace}/prowjobs",
        headers={"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}"},
    )
    context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    with urllib.request.urlopen(request, context=context, timeout=10) as answer:
        return len(json.load(answer)["items"])


def answer(event: dict[str, Any]) -> None:
    """Answer the comment on GitHub, as Prow's account."""
    text = f"{FLAGS.greeting_file.read_text().strip()}, {event['sender']['login']}: {count_prowjobs()} jobs"
    issue = f"/repos/{event['repository']['full_name']}/issues/{event['issue']['number']}"
    request = urllib.request.Request(
        f"{FLAGS.github_endpoint[-1]}{issue}/comments",
        data=json.dumps({"body": text}).encode(),
        headers={"Authorization": f"Bearer {FLAGS.github_token_path.read_text().strip()}"},
    )
    urllib.request.urlopen(request, timeout=10).close()


class Plugin(BaseHTTPRequestHandler):
    """Takes events."""

    def do_POST(self) -> None:
        """One event of hook, or its question for help."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/help":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"Description": "Greets people."}).encode())
            return
        signed = is_signed(body, self.headers.get("X-Hub-Signature-256", ""))
        print(
            self.headers["X-GitHub-Event"],
            self.headers["User-Agent"],
            "signed" if signed else "refused",
            flush=True,
        )
        self.send_response(200 if signed else 403)
        self.end_headers()
        event = json.loads(body) if signed else {}
        if event.get("action") == "created" and event.get("comment", {}).get("body", "").startswith("/greet"):
            answer(event)


class Health(BaseHTTPRequestHandler):
    """As Prow's own plugins serve it."""

    def do_GET(self) -> None:
        """Alive and ready."""
        self.send_response(200 if self.path in ("/healthz", "/healthz/ready") else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


if __name__ == "__main__":
    threading.Thread(
        target=ThreadingHTTPServer(("", 8081), Health).serve_forever, name="health", daemon=True
    ).start()
    ThreadingHTTPServer(("", 8888), Plugin).serve_forever()
