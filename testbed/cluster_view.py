"""What is on a cluster, as the tests and the demo look at it."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from kubernetes import client, config
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.resource import ResourceList

T = TypeVar("T")


class View:
    """Reads (and for tests of drift, changes) the objects of a cluster."""

    def __init__(self, kubeconfig: Path, context: str):
        self.api = config.new_client_from_config(str(kubeconfig), context)
        self.core = client.CoreV1Api(self.api)
        self.apps = client.AppsV1Api(self.api)
        self.batch = client.BatchV1Api(self.api)
        self.rbac = client.RbacAuthorizationV1Api(self.api)
        self.custom = client.CustomObjectsApi(self.api)

    def prowjobs(self, namespace: str = "prow", **fields: Any) -> list[dict[str, Any]]:
        """ProwJobs, oldest first, whose `spec` has these values."""
        found: Any = self.custom.list_namespaced_custom_object("prow.k8s.io", "v1", namespace, "prowjobs")
        jobs = [
            job
            for job in found["items"]
            if all(job["spec"].get(key) == value for key, value in fields.items())
        ]
        return sorted(jobs, key=lambda job: job["metadata"]["creationTimestamp"])

    def namespaces(self) -> set[str]:
        """Names of all namespaces."""
        listed: Any = self.core.list_namespace()
        return {item.metadata.name for item in listed.items}

    def labelled(self, selector: str) -> list[str]:
        """`Kind namespace/name` of every object of any type that has these labels."""
        found = []
        for resource in make_dynamic_client(self.api).resources.search():
            # `search` also finds the list types, which are no resources of their own.
            if isinstance(resource, ResourceList) or "/" in resource.name or "list" not in resource.verbs:
                continue
            for item in resource.get(label_selector=selector).items:
                found.append(f"{resource.kind} {item.metadata.namespace or ''}/{item.metadata.name}")
        return sorted(set(found))


def make_dynamic_client(api: client.ApiClient) -> DynamicClient:
    """A client for objects of any type, which asks the API server for its types.

    By itself it keeps them in a file for temporary files, by the server's address, which another cluster had before.
    """
    return DynamicClient(api, cache_file=f"{os.devnull}/none")  # can neither be read nor written


def wait_for(what: str, get: Callable[[], T | None], seconds: float = 60, every: float = 0.5) -> T:
    """The first value of `get` that is true.

    :param seconds: how long to wait on an idle machine. On a busy one the wait is as many times longer as processes want each
        processor.
    :raises TimeoutError: naming `what`.
    """
    start = time.monotonic()
    while True:
        if value := get():
            return value
        waited = time.monotonic() - start
        if waited > seconds * measure_load():
            raise TimeoutError(f"after {waited:.0f} s there was no {what}")
        time.sleep(every)


def measure_load() -> float:
    """How many processes wanted each processor in the last minute: from 1, and 5 at most."""
    return min(max(os.getloadavg()[0] / (os.cpu_count() or 1), 1.0), 5.0)
