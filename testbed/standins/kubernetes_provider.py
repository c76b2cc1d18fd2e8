"""Stand-in for pulumi-resource-kubernetes 4.34: objects of any kind on a real API server.

Rules of pulumi/pulumi-kubernetes: provider/pkg/provider/provider.go ("provider.go"),
provider/pkg/await/await.go ("await.go") and provider/pkg/metadata ("naming.go", "overrides.go"); creation by
POST is as of its pull request 4278.

Not known: Patch resources, Helm, Kustomize, ConfigFile and ConfigGroup, client-side apply, rendering to YAML.
"""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

import yaml
from google.protobuf import empty_pb2
from pulumi.runtime.proto import engine_pb2
from pulumi.runtime.proto import provider_pb2 as pb

from . import kubernetes_await as awaiting
from .kubernetes_api import (
    Api,
    ApiError,
    NoMatchError,
    Object,
    UnreachableError,
    active_context,
    load_kubeconfig,
    parse_kubeconfig,
)
from .kubernetes_await import AwaitError, annotation
from .kubernetes_diff import changes, force_new, normalize, parse_path, prune
from .plugin import (
    DELETE,
    UNKNOWN,
    InitError,
    Provider,
    ProviderError,
    Secret,
    decode,
    encode,
    has_unknown,
    main,
    mark_secrets,
    reveal,
    secret_values,
    to_replacing,
)

CREATE_RETRIES = 5  # await.go Creation: after 1, 2, 4, 8 and 16 seconds
CONFLICT_HELP = (
    "Server-Side Apply field conflict detected. See https://www.pulumi.com/registry/packages/kubernetes/"
    "how-to-guides/managing-resources-with-server-side-apply/#handle-field-conflicts-on-existing-resources "
    "for troubleshooting help."
)
INPUTS, VERSION, MANAGER = "__inputs", "__initialApiVersion", "__fieldManager"  # provider.go checkpointObject
AUTONAMED = "pulumi.com/autonamed"

# Keys that no language's property can have (provider.go underscoreToDashMap).
DASHED = {
    f"x_kubernetes_{name}": f"x-kubernetes-{name.replace('_', '-')}"
    for name in (
        "embedded_resource",
        "int_or_string",
        "list_map_keys",
        "list_type",
        "map_type",
        "preserve_unknown_fields",
        "validations",
    )
}
UNDERSCORED = {dashed: key for key, dashed in DASHED.items()}

# Managers of changes that the provider takes over (await.go fixCSAFieldManagers): prefixes, by operation.
_TAKEN_OVER = {
    "Apply": ("kubectl",),
    "Update": ("kubectl", "before-first-apply", "pulumi-kubernetes", "pulumi-resource-kubernetes"),
}


def rename(value: Any, names: Mapping[str, str]) -> Any:
    """The value with the keys of `names` renamed at every depth."""
    if isinstance(value, dict):
        return {names.get(k, k): rename(v, names) for k, v in value.items()}
    if isinstance(value, Secret):
        return Secret(rename(value.value, names))
    return [rename(v, names) for v in value] if isinstance(value, list) else value


def annotate_secrets(outputs: Any, inputs: Any) -> Any:
    """`mark_secrets`; all that a Secret holds is secret, too (provider.go annotateSecrets)."""
    if isinstance(outputs, dict) and outputs.get("kind") == "Secret":
        return {
            k: v if k not in ("data", "stringData") or isinstance(v, Secret) else Secret(v)
            for k, v in outputs.items()
        }
    if isinstance(outputs, dict) and isinstance(inputs, dict):
        marked = {k: annotate_secrets(v, inputs.get(k)) for k, v in outputs.items()}
        return mark_secrets(marked, inputs)
    if isinstance(outputs, dict):
        return {k: annotate_secrets(v, None) for k, v in outputs.items()}
    return mark_secrets(outputs, inputs) if inputs is not None else outputs


def object_of(inputs: Mapping[str, Any]) -> Object:
    """The Kubernetes object of the program's properties: no secret marks, keys as Kubernetes has them."""
    return rename(reveal(dict(inputs)), DASHED)


def qualified(obj: Object) -> str:
    """NAMESPACE/NAME, or NAME: the resource's id (util.go fqObjName)."""
    meta = obj["metadata"]
    return f"{meta['namespace']}/{meta['name']}" if meta.get("namespace") else meta["name"]


def checkpoint(live: Object, inputs: Mapping[str, Any], manager: str, api_version: str) -> dict[str, Any]:
    """The outputs: the live object, and what the next operation must know (provider.go checkpointObject)."""
    return annotate_secrets(rename(live, UNDERSCORED), inputs) | {
        INPUTS: annotate_secrets(rename(reveal(dict(inputs)), UNDERSCORED), inputs),
        VERSION: api_version,
        MANAGER: manager,
    }


def take_over(live: Object, manager: str) -> list[Object] | None:
    """managedFields with Pulumi's and kubectl's own entries given to this manager; None if there is none.

    await/fluxssa/patch.go PatchReplaceFieldsManagers: so that what a POST or `kubectl edit` wrote is no
    conflict.
    """
    entries, mine, edited = [], None, False
    for entry in live["metadata"].get("managedFields") or []:
        if entry["manager"] == manager and entry["operation"] == "Apply":
            mine = dict(entry)
    for entry in live["metadata"].get("managedFields") or []:
        if entry["manager"] == manager and entry["operation"] == "Apply":
            continue
        prefixes = _TAKEN_OVER.get(entry["operation"], ())
        if entry.get("subresource") or not entry["manager"].startswith(prefixes):
            entries.append(entry)
        elif mine is None:
            mine, edited = entry | {"manager": manager, "operation": "Apply"}, True
        else:
            mine["fieldsV1"], edited = _union(mine.get("fieldsV1") or {}, entry.get("fieldsV1") or {}), True
    return [*entries, mine] if edited and mine else None


def _union(one: Object, other: Object) -> Object:
    return one | {k: _union(one.get(k) or {}, v) for k, v in other.items()}


def _manages(live: Object, path: tuple, who: Callable[[str], bool]) -> bool:
    """Whether a manager that satisfies `who` owns the field at the path or anything in it."""
    for entry in live["metadata"].get("managedFields") or []:
        fields: Any = entry.get("fieldsV1") or {}
        for step in path:
            fields = fields.get(f"f:{step}") if isinstance(fields, dict) else None
        if fields is not None and who(entry["manager"]):
            return True
    return False


class Kubernetes(Provider):
    """The provider for one cluster."""

    api: Api | None = None
    unreachable = ""
    """Why the cluster cannot be spoken to; "" when it can."""

    # -- the provider's own settings -------------------------------------------------------------------------

    def DiffConfig(self, request, context):
        """Whether changed settings mean another cluster, and with it new objects (provider.go DiffConfig)."""
        olds, news = reveal(decode(request.olds)), reveal(decode(request.news))
        changed = sorted(k for k in olds.keys() | news.keys() if olds.get(k) != news.get(k))
        if not changed:
            return pb.DiffResponse(changes=pb.DiffResponse.DIFF_NONE)
        replaces = []
        identified = "clusterIdentifier"
        if identified in olds and identified in news and identified in changed:
            replaces.append(identified)
        unknown = [k for k in ("kubeconfig", "context", "cluster") if has_unknown(news.get(k))]
        if unknown:
            changed = replaces = [*replaces, unknown[0]]
        else:
            before, after = _active_cluster(olds), _active_cluster(news)
            if before and after and before != after:
                replaces += [k for k in ("kubeconfig", "context", "cluster") if k in changed]
        if news.get(identified) and olds.get(identified) == news[identified]:
            replaces = []
        return pb.DiffResponse(changes=pb.DiffResponse.DIFF_SOME, diffs=changed, replaces=replaces)

    def Configure(self, request, context):
        """Connect; no cluster is an error only when it is needed (provider.go Configure)."""
        args = reveal(decode(request.args))
        if has_unknown(args):
            return super().Configure(request, context)

        def flag(name: str, variable: str, default: bool = False) -> bool:
            value = args.get(name, os.environ.get(variable, default))
            return str(value).lower() == "true"

        if not flag("enableServerSideApply", "PULUMI_K8S_ENABLE_SERVER_SIDE_APPLY", True):
            raise ProviderError("this stand-in knows server-side apply only: leave enableServerSideApply on")
        if args.get("renderYamlToDirectory"):
            raise ProviderError("this stand-in does not render to YAML: leave renderYamlToDirectory out")
        self.config_map_mutable = flag("enableConfigMapMutable", "PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE")
        self.secret_mutable = flag("enableSecretMutable", "PULUMI_K8S_ENABLE_SECRET_MUTABLE")
        self.patch_force = flag("enablePatchForce", "PULUMI_K8S_ENABLE_PATCH_FORCE")
        self.upsert = flag("upsertExistingObjects", "PULUMI_K8S_UPSERT_EXISTING_OBJECTS")
        self.delete_unreachable = flag("deleteUnreachable", "PULUMI_K8S_DELETE_UNREACHABLE")
        self.skip_unreachable = flag("skipUpdateUnreachable", "PULUMI_K8S_SKIP_UPDATE_UNREACHABLE")
        self.namespace = args.get("namespace") or "default"
        try:
            kubeconfig = parse_kubeconfig(args["kubeconfig"]) if args.get("kubeconfig") else load_kubeconfig()
            current = active_context(kubeconfig, args.get("context"))
            self.namespace = args.get("namespace") or current.get("namespace") or "default"
            self.api = Api(kubeconfig, args.get("context"), args.get("cluster"))
            self.api.version()
        except ValueError as e:
            self.unreachable = f"failed to parse kubeconfig data in `kubernetes:config:kubeconfig`- {e}"
        except (UnreachableError, ApiError) as e:
            self.unreachable = f"unable to load schema information from the API server: {e}"
        return super().Configure(request, context)

    def stop(self) -> None:
        """Called when the plugin ends."""
        if self.api:
            self.api.close()

    # -- helpers ---------------------------------------------------------------------------------------------

    @property
    def server(self) -> Api:
        """The API server, for an operation that needs it."""
        if self.unreachable or self.api is None:
            raise ProviderError(
                f"configured Kubernetes cluster is unreachable: {self.unreachable or 'not configured'}"
            )
        return self.api

    def _status(self, urn: str) -> Callable[[str], None]:
        return lambda message: self.log(urn, message, ephemeral=True)

    def _known(self, obj: Object) -> bool:
        """Whether the server serves the object's kind now (provider.go gvkExists)."""
        if self.unreachable or self.api is None:
            return False
        try:
            return bool(self.api.kind(obj["apiVersion"], obj["kind"]))
        except (NoMatchError, UnreachableError, ApiError):
            return False

    def _namespaced(self, obj: Object) -> bool:
        """Whether the kind's objects are in namespaces; an unknown kind's are taken to be (provider.go)."""
        if self.unreachable or self.api is None:
            return obj.get("kind") not in ("Namespace", "Node", "ClusterRole", "ClusterRoleBinding")
        try:
            return self.api.kind(obj["apiVersion"], obj["kind"]).namespaced
        except (NoMatchError, UnreachableError, ApiError):
            return True

    def _manager(self, obj: Object, state: Mapping[str, Any]) -> str:
        """The field manager: by annotation, of the state, or a new one (provider.go fieldManagerName)."""
        return (
            annotation(obj, "patchFieldManager")
            or state.get(MANAGER)
            or f"pulumi-kubernetes-{os.urandom(4).hex()}"
        )

    @staticmethod
    def _redacted(error: Exception, inputs: Any) -> str:
        """The error's text without the inputs' secrets: a server may quote what it refuses."""
        text = str(error)
        for value in sorted({v for v in secret_values(inputs) if len(v) > 3}, key=len, reverse=True):
            text = text.replace(value, "[secret]")
        return text

    def _warn(self, urn: str, warnings: list[str]) -> None:
        """Say which of the program's fields the server does not know.

        The official provider drops them silently (clients/unstructured.go Normalize); a test must not.
        """
        for warning in warnings:
            text = re.sub(r'^\d+ \S+ "(.*)"$', r"\1", warning).replace('\\"', '"')
            if text.startswith(("unknown field", "duplicate field")):
                self.log(urn, text, engine_pb2.WARNING)

    # -- Check -----------------------------------------------------------------------------------------------

    def Check(self, request, context):
        """Give the object a name and a namespace, and its normal form (provider.go Check)."""
        news, olds = decode(request.news), reveal(decode(request.olds))
        kind = request.type.rpartition(":")[2]
        if self.unreachable and self.skip_unreachable and olds:
            return pb.CheckResponse(inputs=request.olds)
        if not isinstance(news.get("apiVersion"), str) or not isinstance(news.get("kind"), str):
            raise NotImplementedError(f"{request.type} is not known to the kubernetes stand-in")
        if kind == f"{news['kind']}Patch":
            raise NotImplementedError("Patch resources are not known to the kubernetes stand-in")
        if kind.endswith("List") and kind == news["kind"]:
            raise ProviderError(
                "list resources exist for compatibility with YAML manifests and Helm charts, and cannot be created "
                "directly. Use the underlying resource type instead"
            )
        given = object_of(news)
        obj = given if has_unknown(given) else normalize(given)
        meta = obj.setdefault("metadata", {})
        failures = []
        if isinstance(meta, dict) and meta != UNKNOWN:
            meta = obj["metadata"] = dict(meta)
            failure = self._name(request, meta, olds)
            if failure:
                failures.append(pb.CheckFailure(property="metadata.name", reason=failure))
            if not meta.get("namespace") and self._namespaced(obj):
                meta["namespace"] = self.namespace
        return pb.CheckResponse(
            inputs=encode(annotate_secrets(rename(obj, UNDERSCORED), news)), failures=failures
        )

    @staticmethod
    def _name(request: pb.CheckRequest, meta: dict[str, Any], olds: dict[str, Any]) -> str:
        """Name an unnamed object (naming.go); why it cannot be named, or ""."""
        if meta.get("name"):
            return ""
        old = olds.get("metadata") or {}
        if olds:
            if (old.get("annotations") or {}).get(AUTONAMED) != "true":
                return ""
            meta["name"] = old["name"]
        else:
            if meta.get("generateName"):
                return "the `.metadata.generateName` field is not supported in Server-Side Apply mode"
            modes = pb.CheckRequest.AutonamingOptions
            if request.HasField("autonaming") and request.autonaming.mode == modes.DISABLE:
                return "autonaming is disabled, resource requires the `.metadata.name` field to be set"
            if request.HasField("autonaming"):
                meta["name"] = request.autonaming.proposed_name
            else:
                seed = request.randomSeed or os.urandom(32)
                meta["name"] = f"{request.name}-{hashlib.sha256(seed).hexdigest()[:8]}"
        if meta.get("annotations") != UNKNOWN:
            meta["annotations"] = (meta.get("annotations") or {}) | {AUTONAMED: "true"}
        return ""

    # -- Diff ------------------------------------------------------------------------------------------------

    def Diff(self, request, context):
        """Compare the live object, as last seen, with the program's (provider.go Diff)."""
        state, old_inputs = object_of(decode(request.olds)), object_of(decode(request.old_inputs))
        new = object_of(decode(request.news))
        new = new if has_unknown(new) else normalize(new)
        old_inputs = normalize(old_inputs or state.get(INPUTS) or {})
        live = {k: v for k, v in state.items() if not k.startswith("__")}
        old = prune(live, old_inputs)
        namespace = (self.namespace if self._namespaced(new) else None) or None
        for obj in (old, new):
            meta = obj.setdefault("metadata", {})
            if isinstance(meta, dict):
                meta = obj["metadata"] = {k: v for k, v in meta.items() if k != "resourceVersion"}
                if self._namespaced(new):
                    meta["namespace"] = meta.get("namespace") or namespace
                else:
                    meta.pop("namespace", None)
        if isinstance(new["metadata"], dict) and new["metadata"].get("name"):
            old["metadata"]["name"] = live["metadata"]["name"]
        forced = force_new(
            new, config_map_mutable=self.config_map_mutable, secret_mutable=self.secret_mutable
        )
        found, replaces = changes(old, new, forced, request.ignoreChanges)
        if annotation(new, "replaceUnready") == "true" and new["kind"] == "Job" and not self.unreachable:
            job = self.server.find(live)
            if job and not awaiting.is_true(job, "Complete"):
                replaces.append('metadata.annotations["pulumi.com/replaceUnready"]')
        meta, before = new["metadata"] if isinstance(new["metadata"], dict) else {}, live["metadata"]
        same_place = (meta.get("name"), meta.get("namespace") or None) == (
            before["name"],
            before.get("namespace"),
        )
        autonamed = (meta.get("annotations") or {}) != UNKNOWN and annotation(new, "autonamed") == "true"
        detail = {
            path: pb.PropertyDiff(
                kind=to_replacing(kind) if path in replaces else kind, inputDiff=kind == DELETE
            )
            for path, kind in found.items()
        }
        return pb.DiffResponse(
            changes=pb.DiffResponse.DIFF_SOME if found or replaces else pb.DiffResponse.DIFF_NONE,
            replaces=replaces,
            deleteBeforeReplace=bool(replaces) and same_place and not autonamed,
            hasDetailedDiff=True,
            detailedDiff=detail,
        )

    # -- Create ----------------------------------------------------------------------------------------------

    def Create(self, request, context):
        """Create the object and wait until it is ready (provider.go Create, await.go Creation)."""
        inputs = decode(request.properties)
        obj = object_of(inputs)
        # What cannot be tried on the server is previewed as its inputs.
        if request.preview and (has_unknown(obj) or not self._known(obj)):
            return pb.CreateResponse(properties=request.properties)
        manager = self._manager(obj, {})
        try:
            live = self._create(request.urn, obj, manager, request.preview)
        except NoMatchError as e:
            raise ProviderError(
                f'creation of resource "{request.urn}" with kind {obj["apiVersion"]}/{obj["kind"]} failed because the '
                "Kubernetes API server reported that the apiVersion for this resource does not exist. "
                f"Verify that any required CRDs have been created: {e}"
            ) from None
        except (ApiError, UnreachableError) as e:
            # An object that is there may be the one to be replaced; a namespace may be of the same preview.
            if (
                request.preview
                and isinstance(e, ApiError)
                and (e.forbidden or e.no_namespace or e.already_exists)
            ):
                return pb.CreateResponse(properties=request.properties)
            raise ProviderError(
                f'resource "{request.urn}" was not successfully created by the Kubernetes API server: '
                f"{self._redacted(e, inputs)}"
            ) from None
        if request.preview:
            live.pop("status", None)
            return pb.CreateResponse(properties=encode(checkpoint(live, inputs, manager, obj["apiVersion"])))
        if obj["kind"] == "CustomResourceDefinition":
            self.server.forget_kinds()
        try:
            live = self._ready(request, live, obj)
        except AwaitError as e:
            live = self.server.find(live) or live
            raise self._init_error(
                f'resource "{request.urn}" was successfully created, but the Kubernetes API server reported that it '
                "failed to fully initialize or become live",
                e,
                live,
                inputs,
                manager,
                obj["apiVersion"],
            ) from None
        return pb.CreateResponse(
            id=qualified(live), properties=encode(checkpoint(live, inputs, manager, obj["apiVersion"]))
        )

    def _create(self, urn: str, obj: Object, manager: str, preview: bool) -> Object:
        """POST (or apply, to take over an existing object), again while a kind or namespace is missing."""
        server, pause = self.server, 1.0
        for attempt in range(CREATE_RETRIES + 1):
            try:
                if self.upsert:
                    force = preview or self._force(obj)
                    live, warnings = server.apply(obj, manager=manager, force=force, dry_run=preview)
                else:
                    live, warnings = server.create(obj, manager=manager, dry_run=preview)
                self._warn(urn, warnings)
                return live
            except (ApiError, NoMatchError) as e:
                again = isinstance(e, NoMatchError) or (e.not_found and not (preview and e.no_namespace))
                if not again or attempt == CREATE_RETRIES or self.cancelled.wait(pause):
                    raise
                self._status(urn)(f"Retry #{attempt}; creation failed: {e}")
                server.forget_kinds()
                pause *= 2
        raise AssertionError("unreachable")

    def _force(self, obj: Object) -> bool:
        """Whether to overwrite what other managers set: by annotation, else the provider's setting."""
        wish = annotation(obj, "patchForce")
        return wish == "true" if wish else self.patch_force

    def _ready(self, request: pb.CreateRequest | pb.UpdateRequest, live: Object, obj: Object) -> Object:
        return awaiting.until_ready(
            self.server,
            live,
            obj,
            timeout=awaiting.seconds(obj, request.timeout),
            cancelled=self.cancelled.is_set,
            report=self._status(request.urn),
        )

    def _init_error(
        self, message: str, error: Exception, live: Object, inputs: dict, manager: str, api_version: str
    ) -> InitError:
        """The resource is there but not as it should be (provider.go partialError)."""
        text = f"{message}: {self._redacted(error, inputs)}"
        reasons = [self._redacted(ProviderError(r), inputs) for r in getattr(error, "reasons", [])]
        outputs = checkpoint(live, inputs, manager, api_version)
        return InitError(text, id=qualified(live), outputs=outputs, inputs=inputs, reasons=[text, *reasons])

    # -- Read ------------------------------------------------------------------------------------------------

    def Read(self, request, context):
        """The live object, for `get`, import and refresh (provider.go Read)."""
        if self.unreachable:
            return self._read_unreachable(request)
        inputs, state = decode(request.inputs), decode(request.properties)
        namespace, _, name = request.id.rpartition("/")
        old = object_of(inputs) if inputs.get("kind") else object_of(state)
        first = not old.get("kind")  # by id alone
        kind = request.type.rpartition(":")[2]
        obj = {
            "apiVersion": old.get("apiVersion") or request.type.split(":")[1].removeprefix("core/"),
            "kind": old.get("kind") or kind,
            "metadata": {"name": name} | ({"namespace": namespace} if namespace else {}),
        }
        live = self.server.find(obj)
        if live is None:
            return pb.ReadResponse(id="")
        live.setdefault("apiVersion", obj["apiVersion"])
        live.setdefault("kind", obj["kind"])
        if first:
            seen = {k: v for k, v in live.items() if k != "status"}
            seen["metadata"] = {
                k: v
                for k, v in live["metadata"].items()
                if k not in ("creationTimestamp", "generation", "managedFields", "resourceVersion", "uid")
            }
            if notes := seen["metadata"].get("annotations"):
                hidden = (
                    "deployment.kubernetes.io/revision",
                    "kubectl.kubernetes.io/last-applied-configuration",
                )
                seen["metadata"]["annotations"] = {k: v for k, v in notes.items() if k not in hidden}
        else:
            seen = prune(live, normalize(old))
        manager = self._manager(live if first else old, reveal(state))
        version = reveal(state).get(VERSION) or obj["apiVersion"]
        marked = annotate_secrets(rename(seen, UNDERSCORED), inputs)
        if not first:
            try:
                awaiting.check_read(self.server, live, old)
            except AwaitError as e:
                raise InitError(
                    str(e),
                    id=request.id,
                    outputs=checkpoint(live, marked, manager, version),
                    inputs=marked,
                    reasons=[str(e), *e.reasons],
                ) from None
        return pb.ReadResponse(
            id=request.id,
            properties=encode(checkpoint(live, marked, manager, version)),
            inputs=encode(marked),
        )

    def _read_unreachable(self, request: pb.ReadRequest) -> pb.ReadResponse:
        self.log(
            request.urn,
            f"configured Kubernetes cluster is unreachable: {self.unreachable}",
            engine_pb2.WARNING,
        )
        if self.delete_unreachable:
            return pb.ReadResponse(id="")
        if self.skip_unreachable:
            return pb.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)
        raise ProviderError(
            "failed to read resource state due to unreachable cluster. If the cluster was deleted, you can remove "
            "this resource from Pulumi state by rerunning the operation with the PULUMI_K8S_DELETE_UNREACHABLE "
            'environment variable set to "true"'
        )

    # -- Update ----------------------------------------------------------------------------------------------

    def Update(self, request, context):
        """Apply the program's object and wait until it is ready (provider.go Update, await.go Update)."""
        inputs, state = decode(request.news), object_of(decode(request.olds))
        obj = object_of(inputs)
        obj = obj if has_unknown(obj) else normalize(obj)
        if request.preview and (has_unknown(obj) or not self._known(obj)):
            return pb.UpdateResponse(properties=request.news)
        before = self._manager(object_of(decode(request.old_inputs)), state)
        manager = self._manager(obj, state | {MANAGER: state.get(MANAGER) or before})
        version = state.get(VERSION) or obj["apiVersion"]
        target = {k: state.get(k) or obj[k] for k in ("kind", "metadata")} | {"apiVersion": obj["apiVersion"]}
        server = self.server
        try:
            live = self._update(request, obj, server.get(target), manager)
            if not request.preview:
                live = self._ready(request, live, obj)
                live = server.find(live) or live
        except NoMatchError as e:
            raise ProviderError(
                f'update of resource "{request.urn}" failed because the Kubernetes API server reported that the '
                f"apiVersion for this resource does not exist. Verify that any required CRDs have been created: {e}"
            ) from None
        except (ApiError, UnreachableError, AwaitError, ProviderError) as e:
            if request.preview and isinstance(e, ApiError) and e.forbidden:
                return pb.UpdateResponse(properties=request.news)
            found = None
            with contextlib.suppress(UnreachableError, ApiError):
                found = server.find(target)
            if found is None:
                raise ProviderError(
                    f'update of resource "{request.urn}" failed: {self._redacted(e, inputs)}\n'
                    "unable to get cluster state"
                ) from None
            raise self._init_error(
                f'the Kubernetes API server reported that "{qualified(found)}" failed to fully initialize or become '
                "live",
                e,
                found,
                inputs,
                manager,
                version,
            ) from None
        if not request.preview:
            if obj["kind"] == "CustomResourceDefinition":
                server.forget_kinds()
            if before != manager:  # the manager's name has changed by annotation (ssa.Relinquish)
                bare = {k: live[k] for k in ("apiVersion", "kind")}
                bare["metadata"] = {k: v for k, v in live["metadata"].items() if k in ("name", "namespace")}
                server.apply(bare, manager=before, force=False, dry_run=False)
        return pb.UpdateResponse(properties=encode(checkpoint(live, inputs, manager, version)))

    def _update(self, request: pb.UpdateRequest, obj: Object, live: Object, manager: str) -> Object:
        """Send the update: PUT of a definition, apply of everything else (await.go updateResource)."""
        server, preview = self.server, request.preview
        if obj["kind"] == "CustomResourceDefinition":
            meta = obj["metadata"] | {"resourceVersion": live["metadata"]["resourceVersion"]}
            return server.replace(obj | {"metadata": meta}, manager=manager, dry_run=preview)
        if not preview and (fields := take_over(live, manager)) is not None:
            live = server.json_patch(
                live, [{"op": "replace", "path": "/metadata/managedFields", "value": fields}]
            )
        obj = self._keep_ignored(obj, live, manager, request.ignoreChanges)
        # A preview does not take over managers; what a POST wrote would be a conflict with ourselves.
        posted = any(
            e["operation"] == "Update"
            and e["manager"].startswith(("pulumi-kubernetes", "pulumi-resource-kubernetes"))
            for e in live["metadata"].get("managedFields") or []
        )
        force = self._force(obj) or (preview and posted)
        try:
            applied, warnings = server.apply(obj, manager=manager, force=force, dry_run=preview)
        except ApiError as e:
            if not e.conflict:
                raise
            raise ProviderError(
                f'{CONFLICT_HELP}\nThe resource managed by field manager "{manager}" had an apply conflict: {e}'
            ) from None
        self._warn(request.urn, warnings)
        return applied

    @staticmethod
    def _keep_ignored(obj: Object, live: Object, manager: str, ignored: Any) -> Object:
        """`ignore_changes`: leave out another's field, else send the live value (handleSSAIgnoreFields)."""
        obj = json.loads(json.dumps(obj))
        for path in map(parse_path, ignored):
            holder: Any = obj
            value: Any = live
            for step in path[:-1]:
                holder = holder.get(step) if isinstance(holder, dict) else None
                value = value.get(step) if isinstance(value, dict) else None
            if not isinstance(holder, dict):
                continue
            last = path[-1]
            theirs = _manages(live, path, lambda m: m != manager)
            if theirs and not _manages(live, path, lambda m: m == manager):
                holder.pop(last, None)
            elif isinstance(value, dict) and last in value:
                holder[last] = value[last]
        return obj

    # -- Delete ----------------------------------------------------------------------------------------------

    def Delete(self, request, context):
        """Delete the object and wait until it is gone (await.go Deletion)."""
        state = object_of(decode(request.properties))
        inputs = object_of(decode(request.old_inputs)) or state.get(INPUTS) or {}
        if self.unreachable:
            if self.delete_unreachable:
                return empty_pb2.Empty()
            raise ProviderError(
                "configured Kubernetes cluster is unreachable. If the cluster was deleted, you can remove this "
                "resource from Pulumi state by rerunning the operation with the PULUMI_K8S_DELETE_UNREACHABLE "
                f'environment variable set to "true": {self.unreachable}'
            )
        server = self.server
        obj = {k: state[k] for k in ("apiVersion", "kind", "metadata")}
        live = server.find(obj)
        if live is None:
            return empty_pb2.Empty()
        policy = annotation(inputs, "deletionPropagationPolicy").lower()
        policy = {"orphan": "Orphan", "background": "Background"}.get(policy, "Foreground")  # overrides.go
        try:
            server.delete(live, policy)
            awaiting.until_gone(
                server,
                live,
                inputs,
                timeout=awaiting.seconds(inputs | {"kind": "any"}, request.timeout),
                cancelled=self.cancelled.is_set,
                report=self._status(request.urn),
            )
        except ApiError as e:
            if not e.not_found:
                raise ProviderError(str(e)) from None
        except AwaitError as e:
            for reason in e.reasons:  # the engine shows no reasons of a deletion
                self.log(request.urn, reason, engine_pb2.WARNING)
            live = server.find(live) or live
            raise self._init_error(
                f'"{qualified(live)}" was not deleted',
                e,
                live,
                decode(request.old_inputs),
                state.get(MANAGER) or "",
                state.get(VERSION) or live["apiVersion"],
            ) from None
        if obj["kind"] == "CustomResourceDefinition":
            server.forget_kinds()
        return empty_pb2.Empty()

    # -- functions -------------------------------------------------------------------------------------------

    def Invoke(self, request, context):
        """`kubernetes:yaml:decode` alone."""
        args = reveal(decode(request.args))
        if request.tok == "kubernetes:yaml:decode":
            documents = [d for d in yaml.safe_load_all(args["text"]) if d]
            response = pb.InvokeResponse()
            getattr(response, "return").CopyFrom(encode({"result": documents}))
            return response
        raise NotImplementedError(f"{request.tok} is not known to the kubernetes stand-in")


def _active_cluster(settings: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The cluster that a provider's settings mean, if they say (util.go getActiveClusterFromConfig)."""
    value = settings.get("kubeconfig")
    try:
        kubeconfig = value if isinstance(value, dict) else parse_kubeconfig(value or "")
    except ValueError as e:
        raise ProviderError(f"failed to parse kubeconfig: {e}") from None
    context = active_context(kubeconfig, settings.get("context"))
    name = settings.get("cluster") or context.get("cluster")
    if not context:
        return None
    return next((c["cluster"] for c in kubeconfig.get("clusters") or [] if c["name"] == name), None)


if __name__ == "__main__":
    main(Kubernetes, "pulumi-kubernetes")
