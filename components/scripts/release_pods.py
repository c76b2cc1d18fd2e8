"""Take crier's finalizer off the pods of jobs once crier has ended.

    python release_pods.py NAMESPACE

crier puts it on the pod of each job that runs, and takes it off when it has stored podinfo.json (addFinalizer and
removeFinalizer in pkg/crier/reporters/gcs/kubernetes/reporter.go of kubernetes-sigs/prow). Without crier nobody would: the pod,
and so its namespace, would never be gone. This runs beside crier as a sidecar, which Kubernetes stops after crier: it waits
for that, then takes the finalizer off all pods of the namespace that Prow has made.

A crier that starts again does without it: it stores podinfo.json as long as the pod is there, which sinker deletes hours later.

Exits with 1 if a finalizer may be left.
"""

import argparse
import json
import signal
import ssl
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

FINALIZER = "prow.x-k8s.io/gcsk8sreporter"
"""FinalizerName in pkg/crier/reporters/gcs/kubernetes/api."""
PODS_OF_JOBS = "created-by-prow=true"
"""CreatedByProw in pkg/kube/prowjob.go, which every pod of a job has."""
API_SERVER = "https://kubernetes.default.svc"
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where Kubernetes mounts the pod's token for its API."""
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
PAGE = 500
"""Pods in one answer."""
TRY_SECONDS = 20.0
"""How long it tries; what is left of the pod's grace period is more."""
PAUSE_SECONDS = 0.5
TIMEOUT_SECONDS = 5.0


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """Makes a redirect an error: urllib would send the account's token along, wherever it leads."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> None:
        """No request."""


class Api:
    """Kubernetes' API with the pod's own token."""

    def __init__(self, server: str, account: Path):
        self._server, self._account = server, account
        authority = account / "ca.crt"
        context = ssl.create_default_context(cafile=str(authority)) if authority.exists() else None
        self._opener = urllib.request.build_opener(NoRedirects, urllib.request.HTTPSHandler(context=context))

    def call(self, method: str, path: str, accept: str, body: Any = None) -> Any:
        """The answer, from JSON.

        :raises OSError: when there is none, or an error.
        """
        token = (self._account / "token").read_text(encoding="utf-8")  # kubelet renews it
        headers = {"Authorization": f"Bearer {token}", "Accept": accept}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/merge-patch+json"
            data = json.dumps(body).encode()
        request = urllib.request.Request(f"{self._server}{path}", data, headers, method=method)
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as response:
                return json.load(response)
        except (HTTPException, ValueError) as error:
            raise OSError(f"no right answer: {error!r}") from None


def list_held_pods(api: Api, namespace: str) -> Iterator[dict[str, Any]]:
    """Metadata of the jobs' pods that have the finalizer."""
    query = {"labelSelector": PODS_OF_JOBS, "limit": str(PAGE)}
    while True:
        page = api.call(
            "GET", f"/api/v1/namespaces/{quote(namespace)}/pods?{urlencode(query)}", METADATA_ONLY
        )
        for pod in page["items"]:
            if FINALIZER in pod["metadata"].get("finalizers", ()):
                yield pod["metadata"]
        if not (rest := page["metadata"].get("continue")):
            return
        query["continue"] = rest


def release(api: Api, namespace: str, metadata: dict[str, Any]) -> None:
    """Take the finalizer off a pod, and leave others.

    :raises OSError: when the API server does not, as after a change of the pod in between (409).
    """
    others = [finalizer for finalizer in metadata["finalizers"] if finalizer != FINALIZER]
    patch = {"metadata": {"finalizers": others or None, "resourceVersion": metadata["resourceVersion"]}}
    path = f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(metadata['name'])}"
    try:
        api.call("PATCH", path, "application/json", patch)
    except urllib.error.HTTPError as error:
        if error.code != 404:  # gone by itself
            raise


def release_all(api: Api, namespace: str) -> bool:
    """Take the finalizer off all pods, again and again until none has it; False: time is up."""
    until, released = time.monotonic() + TRY_SECONDS, 0
    while True:
        held, trouble = 0, ""
        try:
            for metadata in list_held_pods(api, namespace):
                held += 1
                try:
                    release(api, namespace, metadata)
                    released += 1
                except OSError as error:
                    trouble = f"{metadata['name']}: {error}"
        except OSError as error:
            held, trouble = held + 1, str(error)
        if not held:
            print(f"released {released} pods")
            return True
        if time.monotonic() > until:
            print(f"pods may be left with {FINALIZER}: {trouble}", file=sys.stderr)
            return False
        if trouble:
            time.sleep(PAUSE_SECONDS)


def main(arguments: Sequence[str], server: str = API_SERVER, account: Path = ACCOUNT) -> int:
    """Wait for SIGTERM, then release the pods; the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("namespace")
    options = parser.parse_args(arguments)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    print("waiting for crier's end")
    stopped.wait()
    return 0 if release_all(Api(server, account), options.namespace) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
