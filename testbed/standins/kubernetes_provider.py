"""Stand-in for pulumi-resource-kubernetes: any kind, by server-side apply to a real API server."""

import base64
import hashlib
import json
import os
import tempfile
import threading
import time

import yaml
from google.protobuf import empty_pb2
from kubernetes import config
from kubernetes.client import ApiClient, Configuration
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import DynamicApiError, ResourceNotFoundError
from pulumi.runtime.proto import provider_pb2 as pb

from .plugin import (
    InitError,
    Provider,
    ProviderError,
    Secret,
    decode,
    diff,
    diff_response,
    encode,
    has_secret,
    has_unknown,
    main,
    mark_secrets,
    reveal,
)

# Changing one of these replaces the object (.metadata.name and .namespace always do).
FORCE_NEW = {
    "Deployment": ("spec.selector",),
    "DaemonSet": ("spec.selector",),
    "StatefulSet": (
        "spec.selector",
        "spec.serviceName",
        "spec.volumeClaimTemplates",
        "spec.podManagementPolicy",
    ),
    "Job": ("spec.selector", "spec.template", "spec.completions"),
    "RoleBinding": ("roleRef",),
    "ClusterRoleBinding": ("roleRef",),
    "StorageClass": ("parameters", "provisioner"),
    "PersistentVolumeClaim": (
        "spec.accessModes",
        "spec.selector",
        "spec.storageClassName",
        "spec.volumeName",
    ),
}
MANAGER, AUTONAMED = "__fieldManager", "pulumi.com/autonamed"


def condition(obj: dict, kind: str) -> dict:
    found = (c for c in obj.get("status", {}).get("conditions") or [] if c["type"] == kind)
    return next(found, {})


def annotation(obj: dict, name: str) -> str:
    return ((obj.get("metadata") or {}).get("annotations") or {}).get("pulumi.com/" + name, "")


def rename(value, old: str, new: str):
    """x-kubernetes-* keys of a CRD are x_kubernetes_* on Pulumi's side."""
    if isinstance(value, dict):
        return {
            (k.replace(old, new) if k.startswith(f"x{old}kubernetes") else k): rename(v, old, new)
            for k, v in value.items()
        }
    if isinstance(value, Secret):
        return Secret(rename(value.value, old, new))
    return [rename(v, old, new) for v in value] if isinstance(value, list) else value


def prune(live, shape):
    """The live value cut down to what the shape (the old inputs) speaks of."""
    if isinstance(live, dict) and isinstance(shape, dict):
        return {k: prune(live[k], v) for k, v in shape.items() if k in live}
    if isinstance(live, list) and isinstance(shape, list) and shape:
        return [prune(v, shape[min(i, len(shape) - 1)]) for i, v in enumerate(live)]
    return live


class Kubernetes(Provider):
    def Configure(self, request, context):
        args = reveal(decode(request.args))
        self.namespace = args.get("namespace") or os.environ.get("PULUMI_K8S_NAMESPACE") or ""
        force = args.get("enablePatchForce") or os.environ.get("PULUMI_K8S_ENABLE_PATCH_FORCE")
        self.force = str(force).lower() == "true"
        self.mutable = {  # by default their data is immutable: a change replaces the object
            kind: str(
                args.get(f"enable{kind}Mutable")
                or os.environ.get(f"PULUMI_K8S_ENABLE_{kind.upper()}_MUTABLE")
            ).lower()
            == "true"
            for kind in ("ConfigMap", "Secret")
        }
        self.lock, self.client = threading.Lock(), None
        if has_unknown(args):
            return super().Configure(request, context)
        given = args.get("kubeconfig")
        settings = Configuration()
        if given and not os.path.exists(os.path.expanduser(given)):
            config.load_kube_config_from_dict(
                yaml.safe_load(given), context=args.get("context"), client_configuration=settings
            )
        else:
            config.load_kube_config(
                os.path.expanduser(given) if given else None,
                context=args.get("context"),
                client_configuration=settings,
            )
        settings.connection_pool_maxsize = 64
        # The default discovery cache is a file in /tmp shared by all processes and never outdated;
        # this one is kept in memory only (failing to write the file is silently accepted).
        with tempfile.TemporaryDirectory() as folder:
            self.client = DynamicClient(ApiClient(settings), cache_file=f"{folder}/discovery.json")
        return super().Configure(request, context)

    # -- the API server ------------------------------------------------------------------------

    def resource(self, obj: dict):
        with self.lock:
            return self.client.resources.get(api_version=obj["apiVersion"], kind=obj["kind"])

    def call(self, method: str, obj: dict, body=None, namespace=None, **params) -> dict | None:
        """One request for obj; None when there is no such object."""
        meta, resource = obj["metadata"], self.resource(obj)
        namespace = (meta.get("namespace") or self.namespace or "default") if resource.namespaced else None
        path = resource.path(name=meta["name"], namespace=namespace)
        try:
            return json.loads(self.client.request(method, path, body=body, serialize=False, **params).data)
        except (ApiException, DynamicApiError) as e:
            status = json.loads(e.body) if e.body else {}
            message = status.get("message") or str(e)
            missing = (status.get("details") or {}).get("kind")
            if e.status == 404 and missing == "namespaces" and obj["kind"] != "Namespace":
                raise NoNamespace(message) from None
            if e.status == 404:
                return None
            raise ProviderError(f"{meta['name']}: {message}") from None

    def apply(self, obj: dict, manager: str, force: bool, dry_run: bool) -> dict:
        live = self.call(
            "patch",
            obj,
            body=obj,
            content_type="application/apply-patch+yaml",
            field_manager=manager,
            force_conflicts=str(force).lower(),
            dry_run="All" if dry_run else None,
        )
        if live is None:
            raise ProviderError(f"{obj['kind']} {obj['metadata']['name']}: not found")
        return live

    def known(self, obj: dict) -> bool:
        try:
            return bool(self.client and self.resource(obj))
        except ResourceNotFoundError:
            return False

    # -- readiness -----------------------------------------------------------------------------

    def pending(self, obj: dict) -> str:
        """Why obj is not ready yet ('' once it is); raises when it never will be."""
        kind, spec, status = obj["kind"], obj.get("spec") or {}, obj.get("status") or {}
        behind = status.get("observedGeneration", 0) < obj["metadata"].get("generation", 0)
        if kind == "Deployment":
            progress = condition(obj, "Progressing")
            if not behind and progress.get("reason") == "ProgressDeadlineExceeded":
                raise ProviderError(progress["message"])
            ready = (
                progress.get("reason") == "NewReplicaSetAvailable"
                and condition(obj, "Available").get("status") == "True"
                and status.get("updatedReplicas", 0) == spec["replicas"] == status.get("replicas", 0)
            )
            return "" if ready and not behind else condition(obj, "Available").get("message", "starting")
        if kind == "StatefulSet":
            ready = status.get("readyReplicas", 0) == spec["replicas"] and status.get(
                "currentRevision"
            ) == status.get("updateRevision")
            return "" if ready and not behind else "waiting for replicas"
        if kind == "DaemonSet":
            wanted = status.get("desiredNumberScheduled")
            ready = wanted == status.get("numberAvailable", 0) == status.get("updatedNumberScheduled", 0)
            return "" if ready and not behind else "waiting for pods"
        if kind == "Job":
            if condition(obj, "Failed").get("status") == "True":
                raise ProviderError("Job failed: " + condition(obj, "Failed").get("message", ""))
            return "" if condition(obj, "Complete").get("status") == "True" else "waiting for completion"
        if kind == "Pod":
            ready = status.get("phase") == "Succeeded" or condition(obj, "Ready").get("status") == "True"
            return "" if ready else condition(obj, "Ready").get("message", "starting")
        if kind == "Service":
            if spec.get("type") == "LoadBalancer" and not status.get("loadBalancer", {}).get("ingress"):
                return "waiting for a load balancer"
            if (
                not spec.get("selector")
                or spec.get("clusterIP") == "None"
                or spec.get("type") == "ExternalName"
            ):
                return ""
            # As the official provider: endpoints must have been written, and none be unready.
            ends = self.call("get", {"apiVersion": "v1", "kind": "Endpoints", "metadata": obj["metadata"]})
            unready = any(s.get("notReadyAddresses") for s in (ends or {}).get("subsets") or [])
            return "waiting for ready endpoints" if ends is None or unready else ""
        if kind == "PersistentVolumeClaim":
            return "" if status.get("phase") == "Bound" else "waiting to be bound"
        if kind == "CustomResourceDefinition":
            return "" if condition(obj, "Established").get("status") == "True" else "establishing"
        if kind == "Ingress":
            return "" if status.get("loadBalancer", {}).get("ingress") else "waiting for an address"
        return ""

    def wait(self, urn: str, obj: dict, timeout: float, gone: bool = False) -> dict:
        """Poll until ready (or gone); raises TimeoutError with the last reason."""
        if not gone and annotation(obj, "skipAwait") == "true":
            return obj
        timeout = timeout or float(annotation(obj, "timeoutSeconds") or 600)
        end, shown, live = time.monotonic() + timeout, "", obj
        while live is not None:
            if gone:
                reason = f"waiting for {live['kind']} to be deleted"
            elif not (reason := self.pending(live)):
                if shown:
                    self.log(urn, "", ephemeral=True)  # clear the status line
                return live
            if self.cancelled.is_set() or time.monotonic() > end:
                raise TimeoutError(f"{'cancelled' if self.cancelled.is_set() else 'timed out'}: {reason}")
            if reason != shown:
                self.log(urn, reason, ephemeral=True)
                shown = reason
            time.sleep(0.25)
            live = self.call("get", obj)
            if gone and live and live["metadata"]["uid"] != obj["metadata"]["uid"]:
                return live
        if not gone:
            raise ProviderError("deleted while waiting for it")
        if shown:
            self.log(urn, "", ephemeral=True)
        return obj

    # -- Pulumi's view of an object ---------------------------------------------------------------

    @staticmethod
    def outputs(live: dict, inputs: dict, manager: str) -> dict:
        outs = mark_secrets(rename(live, "-", "_"), inputs)
        if live["kind"] == "Secret":
            for key in ("data", "stringData"):
                if key in outs and not isinstance(outs[key], Secret):
                    outs[key] = Secret(outs[key])
        return outs | {MANAGER: manager, "__initialApiVersion": live["apiVersion"]}

    @staticmethod
    def id(live: dict) -> str:
        meta = live["metadata"]
        return f"{meta['namespace']}/{meta['name']}" if meta.get("namespace") else meta["name"]

    def Check(self, request, context):
        news, olds = decode(request.news), reveal(decode(request.olds))
        if not isinstance(news.get("apiVersion"), str) or not isinstance(news.get("kind"), str):
            raise NotImplementedError(f"{request.type}: not an object with apiVersion and kind")
        if news["kind"].endswith("Patch") and not request.type.endswith(news["kind"]):
            raise NotImplementedError("Patch resources are not supported by this stand-in")
        meta = news.setdefault("metadata", {})
        if isinstance(meta, dict) and not meta.get("name"):
            old = olds.get("metadata") or {}
            if (old.get("annotations") or {}).get(AUTONAMED) == "true":
                meta["name"] = old["name"]
            elif request.HasField("autonaming") and request.autonaming.proposed_name:
                meta["name"] = request.autonaming.proposed_name
            elif request.HasField("autonaming"):
                return pb.CheckResponse(
                    inputs=encode(news),
                    failures=[pb.CheckFailure(property="metadata.name", reason="autonaming is disabled")],
                )
            else:
                seed = request.randomSeed or os.urandom(8)
                meta["name"] = f"{request.name}-{hashlib.sha256(seed).hexdigest()[:8]}"
            meta["annotations"] = (meta.get("annotations") or {}) | {AUTONAMED: "true"}
        if isinstance(meta, dict) and self.namespace and not meta.get("namespace") and self.known(news):
            if self.resource(news).namespaced:
                meta["namespace"] = self.namespace
        return pb.CheckResponse(inputs=encode(news))

    def Diff(self, request, context):
        olds, news = reveal(decode(request.old_inputs)), reveal(decode(request.news))
        changes = diff(olds, news)
        forced = (
            "apiVersion",
            "kind",
            "metadata.name",
            "metadata.namespace",
            *FORCE_NEW.get(news["kind"], ()),
        )
        if news["apiVersion"].split("/")[0] == olds.get("apiVersion", "").split("/")[0]:
            forced = forced[1:]  # v1beta1 -> v1 of one group is an update
        if news["kind"] in self.mutable and (not self.mutable[news["kind"]] or news.get("immutable")):
            forced += ("data", "stringData", "binaryData", "type")
        replaces = [p for p in changes if any(p == f or p.startswith((f + ".", f + "[")) for f in forced)]
        same = all(
            (olds.get("metadata") or {}).get(k) == (news.get("metadata") or {}).get(k)
            for k in ("name", "namespace")
        )
        autonamed = (news["metadata"].get("annotations") or {}).get(AUTONAMED) == "true"
        return diff_response(changes, replaces, bool(replaces) and same and not autonamed)

    def Create(self, request, context):
        inputs = decode(request.properties)
        obj = rename(reveal(inputs), "_", "-")
        # As the official provider: what cannot be tried on the server is previewed as its inputs.
        if request.preview and (has_unknown(obj) or not self.known(obj)):
            return pb.CreateResponse(properties=request.properties)
        seed = hashlib.sha256(request.urn.encode()).hexdigest()[:8]
        manager = annotation(obj, "patchFieldManager") or f"pulumi-kubernetes-{seed}"
        if self.call("get", obj) is not None:
            if request.preview:
                return pb.CreateResponse(properties=request.properties)
            raise ProviderError(f"{obj['kind']} {obj['metadata']['name']} already exists")
        try:
            live = self.apply(obj, manager, force=True, dry_run=request.preview)
        except NoNamespace:
            if request.preview:
                return pb.CreateResponse(properties=request.properties)
            raise
        if request.preview:
            live.pop("status", None)
            return pb.CreateResponse(properties=encode(self.outputs(live, inputs, manager)))
        try:
            live = self.wait(request.urn, live, request.timeout)
        except Exception as e:
            live = self.call("get", obj) or live
            raise InitError(
                str(e),
                id=self.id(live),
                outputs=self.outputs(live, inputs, manager),
                inputs=inputs,
                reasons=[str(e)],
            ) from None
        return pb.CreateResponse(id=self.id(live), properties=encode(self.outputs(live, inputs, manager)))

    def Read(self, request, context):
        inputs, state = decode(request.inputs), reveal(decode(request.properties))
        plain = reveal(inputs)
        namespace, _, name = request.id.rpartition("/")
        kind = plain.get("kind") or state.get("kind") or request.type.split(":")[-1]
        group_version = plain.get("apiVersion") or state.get("apiVersion") or request.type.split(":")[1]
        obj = {
            "apiVersion": group_version.removeprefix("core/"),
            "kind": kind,
            "metadata": {"name": name} | ({"namespace": namespace} if namespace else {}),
        }
        live = self.call("get", obj) if self.known(obj) else None
        if live is None:
            return pb.ReadResponse(id="")
        seen = rename(live, "-", "_")
        if plain:
            pruned = prune(seen, plain)
            if "stringData" in plain:  # the server keeps it as data
                data = seen.get("data") or {}
                pruned["stringData"] = {
                    k: base64.b64decode(data[k]).decode() for k in plain["stringData"] if k in data
                }
        else:
            pruned = {k: v for k, v in seen.items() if k != "status"}
            for key in ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"):
                pruned["metadata"].pop(key, None)
        manager = state.get(MANAGER) or "pulumi-kubernetes"
        outs = self.outputs(live, inputs, manager)
        marked = mark_secrets(pruned, inputs)
        if kind == "Secret":
            marked = {
                k: Secret(v) if k in ("data", "stringData") and not has_secret(v) else v
                for k, v in marked.items()
            }
        return pb.ReadResponse(id=request.id, properties=encode(outs), inputs=encode(marked))

    def Update(self, request, context):
        inputs, state = decode(request.news), reveal(decode(request.olds))
        obj = rename(reveal(inputs), "_", "-")
        if request.preview and (has_unknown(obj) or not self.known(obj)):
            return pb.UpdateResponse(properties=request.news)
        manager = state.get(MANAGER) or "pulumi-kubernetes"
        force = self.force or annotation(obj, "patchForce") == "true"
        live = self.apply(obj, manager, force, dry_run=request.preview)
        if not request.preview:
            try:
                live = self.wait(request.urn, live, request.timeout)
            except Exception as e:
                live = self.call("get", obj) or live
                raise InitError(
                    str(e),
                    id=request.id,
                    outputs=self.outputs(live, inputs, manager),
                    inputs=inputs,
                    reasons=[str(e)],
                ) from None
        return pb.UpdateResponse(properties=encode(self.outputs(live, inputs, manager)))

    def Delete(self, request, context):
        state = rename(reveal(decode(request.properties)), "_", "-")
        obj = {k: state[k] for k in ("apiVersion", "kind", "metadata")}
        if self.known(obj) and (live := self.call("get", obj)):
            policy = annotation(state, "deletionPropagationPolicy").capitalize() or "Foreground"
            self.call(
                "delete",
                obj,
                body={
                    "kind": "DeleteOptions",
                    "apiVersion": "v1",
                    "propagationPolicy": policy,
                    "preconditions": {"uid": live["metadata"]["uid"]},
                },
            )
            self.wait(request.urn, live, request.timeout, gone=True)
        return empty_pb2.Empty()

    def Invoke(self, request, context):
        args = reveal(decode(request.args))
        if request.tok == "kubernetes:yaml:decode":
            docs = [d for d in yaml.safe_load_all(args["text"]) if d]
            return pb.InvokeResponse(**{"return": encode({"result": docs})})
        raise NotImplementedError(request.tok)


class NoNamespace(ProviderError):
    pass


if __name__ == "__main__":
    main(Kubernetes, "pulumi-kubernetes")
