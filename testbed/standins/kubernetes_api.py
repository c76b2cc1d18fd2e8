"""Requests to a Kubernetes API server for objects of any kind, connecting as the official client does."""

import copy
import json
import os
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import urllib3
import yaml
from kubernetes import config
from kubernetes.client import ApiClient, Configuration

Object = dict[str, Any]
"""A Kubernetes object as JSON."""

CONNECT_SECONDS = 5
READ_SECONDS = 60
JSON = "application/json"
JSON_PATCH = "application/json-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"  # JSON is YAML


class ApiError(Exception):
    """The API server's refusal of a request; its text is the server's own message."""

    def __init__(self, code: int, body: bytes):
        try:
            status = json.loads(body)
        except ValueError:
            status = {}
        self.code = code
        self.reason: str = status.get("reason") or ""
        self.details: Mapping[str, Any] = status.get("details") or {}
        super().__init__(
            status.get("message") or f"the server answered {code}: {body[:200].decode(errors='replace')}"
        )

    @property
    def not_found(self) -> bool:
        """There is no such object, or its namespace is missing."""
        return self.code == 404

    @property
    def no_namespace(self) -> bool:
        """The object's namespace is missing (pulumi-kubernetes await/error.go IsNamespaceNotFoundErr)."""
        return self.code == 404 and self.details.get("kind") == "namespaces"

    @property
    def already_exists(self) -> bool:
        """An object of that name is there already."""
        return self.reason == "AlreadyExists"

    @property
    def conflict(self) -> bool:
        """Another field manager owns a field, or the object has changed meanwhile."""
        return self.reason == "Conflict"

    @property
    def forbidden(self) -> bool:
        """The user may not do that."""
        return self.code == 403


class NoMatchError(Exception):
    """The API server knows no such kind: most often its CustomResourceDefinition is not there (yet)."""

    def __init__(self, api_version: str, kind: str):
        super().__init__(f'no matches for kind "{kind}" in version "{api_version}"')


class UnreachableError(Exception):
    """The cluster cannot be spoken to at all."""


@dataclass(frozen=True)
class Kind:
    """How the API server serves one kind."""

    base: str
    plural: str
    namespaced: bool


def parse_kubeconfig(path_or_contents: str) -> dict[str, Any]:
    """The kubeconfig at a path, or in a string (pulumi-kubernetes provider/util.go parseKubeconfigString).

    Relative paths in a file are made absolute, as client-go does. Raises ValueError if it is neither.
    """
    if not path_or_contents:
        return {}
    try:
        path = Path(path_or_contents).expanduser()
        is_file = path.is_file()
    except OSError:  # "File name too long": contents
        is_file = False
    text = path.read_text() if is_file else path_or_contents
    try:
        parsed = yaml.safe_load(text)
    except yaml.YAMLError as e:
        raise ValueError(f"not YAML: {getattr(e, 'problem', '') or 'syntax error'}") from None
    if not isinstance(parsed, dict):
        raise ValueError("neither the path of a kubeconfig file nor the contents of one")
    if is_file:
        for kind, keys in (
            ("clusters", ("certificate-authority",)),
            ("users", ("client-certificate", "client-key", "tokenFile")),
        ):
            for entry in parsed.get(kind) or []:
                inner = entry.get(kind[:-1]) or {}
                for key in keys:
                    if inner.get(key):
                        inner[key] = str(path.parent / inner[key])
    return parsed


def load_kubeconfig() -> dict[str, Any]:
    """The user's kubeconfig: the files of KUBECONFIG joined, else ~/.kube/config; files that are missing are empty.

    client-go tools/clientcmd/loader.go ClientConfigLoadingRules.Load: of two entries of one name, the first counts.
    """
    merged: dict[str, Any] = {}
    paths = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    for path in filter(None, paths.split(os.pathsep)):
        if not Path(path).is_file():
            continue
        for key, value in parse_kubeconfig(path).items():
            if isinstance(value, list):
                known = {entry["name"] for entry in merged.get(key, [])}
                merged[key] = merged.get(key, []) + [entry for entry in value if entry["name"] not in known]
            elif not merged.get(key):
                merged[key] = value
    return merged


def active_context(kubeconfig: Mapping[str, Any], context: str | None) -> dict[str, Any]:
    """The chosen (else the current) context of a kubeconfig; empty if there is none of that name."""
    name = context or kubeconfig.get("current-context")
    found = (c["context"] for c in kubeconfig.get("contexts") or [] if c["name"] == name)
    return next(found, {})


class Api:
    """One API server as one user of a kubeconfig."""

    def __init__(self, kubeconfig: Mapping[str, Any], context: str | None = None, cluster: str | None = None):
        """Load the connection settings; raises UnreachableError if they are unusable. Sends nothing yet."""
        kubeconfig = copy.deepcopy(dict(kubeconfig))
        if cluster:
            active_context(kubeconfig, context)["cluster"] = cluster
        settings = Configuration()
        self._keys = tempfile.TemporaryDirectory(prefix="pulumi-kubernetes-")  # of certificates given as data
        try:
            config.load_kube_config_from_dict(
                kubeconfig,
                context=context or kubeconfig.get("current-context"),
                client_configuration=settings,
                temp_file_path=self._keys.name,
            )
        except Exception as e:
            raise UnreachableError(f"unable to load the kubeconfig: {e}") from None
        settings.connection_pool_maxsize = 64
        settings.retries = urllib3.Retry(connect=1, read=0, redirect=0, status=0)  # type: ignore[assignment]
        self.client = ApiClient(settings)
        self._kinds: dict[str, dict[str, Kind]] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Remove the key files made from the kubeconfig."""
        self._keys.cleanup()

    # -- requests --------------------------------------------------------------------------------------------

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        content_type: str = JSON,
        query: Mapping[str, str] | None = None,
        read_seconds: float = READ_SECONDS,
    ) -> tuple[Any, list[str]]:
        """One request: the answer's JSON and its Warning headers. Raises ApiError and UnreachableError."""
        headers = {"Accept": JSON, "User-Agent": "pulumi-kubernetes-stand-in"}
        if body is not None:
            headers["Content-Type"] = content_type
        self.client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        url = f"{self.client.configuration.host}{path}" + (f"?{urlencode(query)}" if query else "")
        try:
            response = self.client.rest_client.pool_manager.request(
                method,
                url,
                body=None if body is None else json.dumps(body).encode(),
                headers=headers,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=read_seconds),
            )
        except urllib3.exceptions.HTTPError as e:
            reason = getattr(e, "reason", None) or e
            raise UnreachableError(f'{method} "{self.client.configuration.host}": {reason}') from None
        if response.status >= 400:
            raise ApiError(response.status, response.data)
        return json.loads(response.data or b"null"), response.headers.getlist("Warning")

    def version(self) -> str:
        """The server's version, such as "v1.36.1"."""
        return self.request("GET", "/version", read_seconds=CONNECT_SECONDS)[0]["gitVersion"]

    # -- kinds -----------------------------------------------------------------------------------------------

    def kind(self, api_version: str, kind: str) -> Kind:
        """How a kind is served; raises NoMatchError. What the server said is kept until `forget_kinds`."""
        with self._lock:
            served = self._kinds.get(api_version)
            if served is None or kind not in served:  # a new kind may have come since
                served = self._kinds[api_version] = self._discover(api_version)
        if kind not in served:
            raise NoMatchError(api_version, kind)
        return served[kind]

    def _discover(self, api_version: str) -> dict[str, Kind]:
        base = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        try:
            answer, _ = self.request("GET", base)
        except ApiError as e:
            if e.not_found:
                return {}
            raise
        return {
            r["kind"]: Kind(base=base, plural=r["name"], namespaced=r["namespaced"])
            for r in answer.get("resources") or []
            if "/" not in r["name"]
        }

    def forget_kinds(self) -> None:
        """Ask the server anew: call it when a CustomResourceDefinition has changed."""
        with self._lock:
            self._kinds.clear()

    # -- objects ---------------------------------------------------------------------------------------------

    def _path(self, obj: Object, *, collection: bool = False) -> str:
        kind, meta = self.kind(obj["apiVersion"], obj["kind"]), obj["metadata"]
        where = f"/namespaces/{quote(meta.get('namespace') or 'default')}" if kind.namespaced else ""
        name = "" if collection else f"/{quote(meta['name'])}"
        return f"{kind.base}{where}/{kind.plural}{name}"

    def get(self, obj: Object) -> Object:
        """The live object of the same kind, namespace and name."""
        return self.request("GET", self._path(obj))[0]

    def find(self, obj: Object) -> Object | None:
        """As `get`, or None if it (or its kind) is not there."""
        try:
            return self.get(obj)
        except NoMatchError:
            return None
        except ApiError as e:
            if e.not_found:
                return None
            raise

    def items(self, api_version: str, kind: str, namespace: str | None) -> list[Object]:
        """All objects of a kind in a namespace."""
        like = {"apiVersion": api_version, "kind": kind, "metadata": {"namespace": namespace}}
        answer, _ = self.request("GET", self._path(like, collection=True))
        return [{"apiVersion": api_version, "kind": kind} | item for item in answer["items"]]

    def create(self, obj: Object, *, manager: str, dry_run: bool) -> tuple[Object, list[str]]:
        """POST: the created object and the server's warnings (of unknown fields, say)."""
        query = {"fieldManager": manager} | ({"dryRun": "All"} if dry_run else {})
        return self.request("POST", self._path(obj, collection=True), obj, query=query)

    def apply(self, obj: Object, *, manager: str, force: bool, dry_run: bool) -> tuple[Object, list[str]]:
        """Server-side apply as one field manager; without `force` another's field is a conflict."""
        query = {"fieldManager": manager, "force": str(force).lower()}
        query |= {"dryRun": "All"} if dry_run else {}
        return self.request("PATCH", self._path(obj), obj, APPLY_PATCH, query)

    def replace(self, obj: Object, *, manager: str, dry_run: bool) -> Object:
        """PUT: the whole object, which must bear the resourceVersion that it replaces."""
        query = {"fieldManager": manager} | ({"dryRun": "All"} if dry_run else {})
        return self.request("PUT", self._path(obj), obj, query=query)[0]

    def json_patch(self, obj: Object, operations: list[Object]) -> Object:
        """A JSON patch (RFC 6902) of the live object."""
        return self.request("PATCH", self._path(obj), operations, JSON_PATCH)[0]

    def delete(self, obj: Object, propagation: str) -> None:
        """Begin the deletion; `propagation` is Foreground, Background or Orphan."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        self.request("DELETE", self._path(obj), options)
