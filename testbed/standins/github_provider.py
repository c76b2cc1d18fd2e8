"""Stand-in for pulumi-resource-github: RepositoryWebhook over the GitHub REST API."""

import json
import os
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2 as pb

from .plugin import UNKNOWN, Provider, Secret, decode, diff, diff_response, encode, main, mark_secrets, reveal

WEBHOOK = "github:index/repositoryWebhook:RepositoryWebhook"


class GitHub(Provider):
    def Configure(self, request, context):
        args = reveal(decode(request.args))
        base = args.get("baseUrl") or os.environ.get("GITHUB_BASE_URL") or "https://api.github.com/"
        base = base.rstrip("/")
        # The official provider takes every host but github.com and *.ghe.com for an Enterprise Server.
        if urlsplit(base).hostname not in ("api.github.com",) and not base.endswith("/api/v3"):
            base += "/api/v3"
        self.base = base
        self.owner = args.get("owner") or os.environ.get("GITHUB_OWNER") or ""
        self.token = args.get("token") or os.environ.get("GITHUB_TOKEN") or ""
        return super().Configure(request, context)

    def call(self, method: str, path: str, body=None):
        request = urllib.request.Request(
            f"{self.base}/repos/{self.owner}/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Accept": "application/vnd.github+json",
                "User-Agent": "pulumi-github-stand-in",
                "Content-Type": "application/json",
            }
            | ({"Authorization": f"Bearer {self.token}"} if self.token else {}),
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return json.loads(response.read() or b"null")
        except urllib.error.HTTPError as e:
            if e.code == 404:
                return None
            raise ProviderError(f"{method} {request.full_url}: {e.code} {e.read()[:300]!r}") from None

    @staticmethod
    def hook(inputs: dict) -> dict:
        config = inputs.get("configuration") or {}
        body = {
            "url": config["url"],
            "content_type": config.get("contentType", "form"),
            "insecure_ssl": "1" if config.get("insecureSsl") else "0",
        }
        if config.get("secret"):
            body["secret"] = config["secret"]
        return {
            "name": "web",
            "events": inputs["events"],
            "active": inputs.get("active", True),
            "config": body,
        }

    @staticmethod
    def outputs(inputs: dict, live: dict) -> dict:
        """Live values in the shape of the inputs; the secret, which GitHub masks, is kept."""
        config, given = live["config"], reveal(inputs).get("configuration") or {}
        seen = {
            "url": config.get("url"),
            "contentType": config.get("content_type"),
            "insecureSsl": str(config.get("insecure_ssl", "0")) == "1",
        }
        if config.get("secret"):
            seen["secret"] = Secret(given.get("secret", ""))
        return mark_secrets(
            {
                "repository": reveal(inputs)["repository"],
                "events": sorted(live["events"]),
                "active": live["active"],
                "url": live["url"],
                "configuration": seen,
            },
            inputs,
        )

    def Check(self, request, context):
        if request.type != WEBHOOK:
            raise NotImplementedError(f"the github stand-in has no {request.type}")
        news = decode(request.news)
        news.setdefault("active", True)
        if isinstance(news.get("events"), list):
            news["events"] = sorted(news["events"])
        config = news.get("configuration")
        inner = config.value if isinstance(config, Secret) else config
        if isinstance(inner, dict) and isinstance(inner.get("secret"), str):
            inner["secret"] = Secret(inner["secret"])
        return pb.CheckResponse(inputs=encode(news))

    def Diff(self, request, context):
        changes = diff(reveal(decode(request.old_inputs)), reveal(decode(request.news)))
        return diff_response(changes, replaces=[p for p in changes if p == "repository"])

    def Create(self, request, context):
        inputs = decode(request.properties)
        if request.preview:
            return pb.CreateResponse(properties=encode(inputs | {"url": UNKNOWN, "etag": UNKNOWN}))
        plain = reveal(inputs)
        live = self.call("POST", f"{plain['repository']}/hooks", self.hook(plain))
        if live is None:
            raise ProviderError(f"repository {self.owner}/{plain['repository']} not found")
        return pb.CreateResponse(id=str(live["id"]), properties=encode(self.outputs(inputs, live)))

    def Read(self, request, context):
        inputs = decode(request.inputs) or decode(request.properties)
        live = self.call("GET", f"{reveal(inputs)['repository']}/hooks/{request.id}")
        if live is None:
            return pb.ReadResponse(id="")
        outputs = self.outputs(inputs, live)
        seen = {k: outputs[k] for k in inputs if k in outputs}
        given, config = reveal(inputs).get("configuration"), seen.get("configuration")
        if isinstance(given, dict) and isinstance(config, dict):
            seen["configuration"] = {k: v for k, v in config.items() if k in given}
        return pb.ReadResponse(id=request.id, properties=encode(outputs), inputs=encode(seen))

    def Update(self, request, context):
        inputs = decode(request.news)
        if request.preview:
            return pb.UpdateResponse(properties=encode(decode(request.olds) | inputs))
        plain = reveal(inputs)
        live = self.call("PATCH", f"{plain['repository']}/hooks/{request.id}", self.hook(plain))
        if live is None:
            raise ProviderError(f"hook {request.id} is gone")
        return pb.UpdateResponse(properties=encode(self.outputs(inputs, live)))

    def Delete(self, request, context):
        self.call("DELETE", f"{reveal(decode(request.properties))['repository']}/hooks/{request.id}")
        return empty_pb2.Empty()


if __name__ == "__main__":
    main(GitHub, "pulumi-github")
