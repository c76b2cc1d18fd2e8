"""The table of settings: each field of a group is one setting, with its name, type, default and description.

Pulumi.yaml's `config:` and docs/reference/settings.md are written from it (`make settings`). A new setting is one field
here; `__main__.py` hands it to the component that uses it. What holds between settings is in `rules.py`.

A group may extend a component's argument class; `__main__.py` then passes it as it is.
"""

# ruff: noqa: RUF009 - `setting` makes a dataclasses.field

from dataclasses import Field, dataclass, field, fields, replace
from functools import cache
from typing import Any, get_type_hints

import pulumi

from components import (
    addresses,
    catalog,
    external_plugins,
    flows,
    ghproxy,
    github_account,
    images,
    jobs,
    login,
    private_deck,
    slack,
    storage,
)
from components.catalog import CATALOG, Outside
from components.relay_catalog import RELAYS
from components.repository import Repository
from prowconfig.checkconfig import PLACES
from prowconfig.release import DEFAULT_IMAGE_TAG
from settings import checks
from settings.external_plugins import EXTERNAL_PLUGINS
from settings.folder import Folder
from settings.kubeconfig import BUILD_CLUSTERS, Kubeconfig
from settings.parsers import (
    EVENT,
    IMAGE,
    JOB_NAMESPACE,
    NAMESPACE,
    ORGANIZATION,
    PRIVATE_KEY,
    REPOSITORY,
    SERVICE_ACCOUNT,
    STORAGE_KEY,
    SWITCH,
    TOKEN,
    URL,
    WEBHOOK_NUMBER,
    ListOf,
    MapOf,
    Parser,
    Quantities,
    choice,
    number,
    path_text,
    text,
)
from settings.structured import ANNOTATIONS, KEY, OBJECT_NAME, ByName, PlainText, SecretText


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting."""

    name: str
    """Its name in the stack's file, without `prow:`."""
    parser: Parser[Any]
    """Its type."""
    default: Any
    """Its value where the stack has none. "" is None for the program; a default that is not empty must not be emptied."""
    description: str
    """Its meaning."""

    @property
    def is_secret(self) -> bool:
        """Whether it must be stored encrypted."""
        return bool(self.parser.schema.get("secret"))

    @property
    def fix(self) -> str:
        """The command that sets it to what is right."""
        return self.parser.fix(self.name)


def setting(name: str, parser: Parser[Any], default: Any, description: str) -> Any:
    """A field of a group that is a setting."""
    return field(
        metadata={"setting": Setting(name=name, parser=parser, default=default, description=description)}
    )


@dataclass(frozen=True, kw_only=True)
class Webhooks:
    """Repositories and webhooks."""

    repositories: tuple[str, ...] = setting(
        "repositories",
        ListOf(item=REPOSITORY),
        [],
        "GitHub repositories, as owner/name, that get the webhook and whose jobs run here. Required, unless organizations has one.",
    )
    organizations: tuple[str, ...] = setting(
        "organizations",
        ListOf(item=ORGANIZATION),
        [],
        "GitHub organisations that get a webhook, which calls for all of their repositories; their repositories get no webhook of their own.",
    )
    events: dict[str, tuple[str, ...]] = setting(
        "webhookEvents",
        MapOf(value=ListOf(item=EVENT, not_empty=True), example="<event>"),
        {},
        "Lists of events by repository or organisation, in place of all events.",
    )
    imports: dict[str, int] = setting(
        "importWebhooks",
        MapOf(value=WEBHOOK_NUMBER, example="<number>"),
        {},
        "Numbers of webhooks that are on GitHub already, by repository or organisation. The stack takes them over.",
    )
    secret_generation: int = setting(
        "webhookSecretGeneration",
        number(1, 10**9 - 1),
        1,
        "Raise it by one for a new webhook secret. hook gets it first and GitHub next; no delivery is refused.",
    )


@dataclass(frozen=True, kw_only=True)
class GitHub(github_account.GitHubAccount):
    """Prow's account on GitHub."""

    bot_token: pulumi.Output[str] | None = setting(
        "botToken",
        TOKEN,
        "",
        "GitHub token of the bot account with which Prow comments and reports statuses. Required, unless a GitHub App is set.",
    )
    app_id: str | None = setting(
        "githubAppId",
        text(checks.APP_ID, "an App's id or client ID", "<id>"),
        "",
        "Id of the GitHub App that is Prow's account, in place of a bot. It must be installed where the repositories are.",
    )
    app_private_key: pulumi.Output[str] | None = setting(
        "githubAppPrivateKey", PRIVATE_KEY, "", "Private key of the GitHub App, in PEM form."
    )
    endpoint: str = setting(
        "githubEndpoint",
        path_text(checks.is_url, "an http(s) URL", github_account.GITHUB_API),
        github_account.GITHUB_API,
        "REST endpoint of GitHub for Prow. An Enterprise Server's ends in /api/v3.",
    )
    clone_with_token: bool = setting(
        "cloneWithToken",
        SWITCH,
        False,
        "Jobs' commits are cloned with the bot's token, or as the GitHub App, as private repositories need it. The token or the App's key is then in jobNamespace too.",
    )


@dataclass(frozen=True, kw_only=True)
class Relay:
    """How GitHub reaches hook."""

    kind: str = setting(
        "relay",
        choice(*RELAYS),
        "none",
        "How GitHub reaches hook. `none`, GitHub calls it itself. `gosmee` or `ultrahook`, a pod fetches the webhooks from a server that GitHub can call.",
    )
    webhook_url: str | None = setting(
        "webhookUrl",
        text(
            checks.is_hook_url,
            "an http(s) URL that ends in /hook, where hook reads webhooks",
            "https://<host>/hook",
        ),
        "",
        "Public URL under which GitHub reaches hook, for the relay `none`. Default, http://<node>:<NodePort of hook>/hook.",
    )
    image: str | None = setting(
        "relayImage",
        IMAGE,
        "",
        "Image of the relay's pod. Default, upstream's; ultrahook has none (relay/ultrahook/Dockerfile makes one).",
    )
    gosmee_server: str | None = setting(
        "gosmeeServer",
        path_text(
            checks.is_gosmee,
            "the http(s) URL of a gosmee server, which smee.io is not",
            "https://hook.pipelinesascode.com",
        ),
        "https://hook.pipelinesascode.com",
        "Server of the relay gosmee. The stack takes a random secret channel of it. Whoever runs it can read the payloads.",
    )
    ultrahook_account: str | None = setting(
        "ultrahookAccount",
        text(checks.ULTRAHOOK, "the name of an UltraHook account", "<account>"),
        "",
        "Account of the relay ultrahook. GitHub calls https://<ultrahookName>.<ultrahookAccount>.ultrahook.com.",
    )
    ultrahook_name: str | None = setting(
        "ultrahookName",
        text(checks.ULTRAHOOK, "a word of lower-case letters, digits and single `-`", "<name>"),
        "",
        "Name within the UltraHook account.",
    )
    ultrahook_api_key: pulumi.Output[str] | None = setting(
        "ultrahookApiKey", TOKEN, "", "API key of the UltraHook account, for the relay's pod."
    )

    @property
    def values(self) -> dict[str, pulumi.Input[str]]:
        """What relays may name in their texts, by the setting's name; a setting without a value is missing."""
        values = {
            "gosmeeServer": self.gosmee_server,
            "ultrahookAccount": self.ultrahook_account,
            "ultrahookName": self.ultrahook_name,
            "ultrahookApiKey": self.ultrahook_api_key,
        }
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Addresses(addresses.Addresses):
    """Addresses of deck and hook."""

    kind: str = setting(
        "expose",
        choice(*addresses.KINDS),
        addresses.NODE_PORT,
        "How deck and hook are reached from outside of the cluster. `nodePort`, at ports of the node. `loadBalancer`, each at a load balancer of the cloud. `ingress` or `gateway` (Gateway API), at the hosts of deckUrl and webhookUrl.",
    )
    deck_url: str | None = setting(
        "deckUrl",
        path_text(checks.is_origin, "an http(s) URL without a path", "https://<host>"),
        "",
        "URL under which people reach deck. The links in statuses and comments begin with it. Required with `ingress`, `gateway` and a login. Default, the NodePort or the load balancer.",
    )
    ingress_class: str | None = setting(
        "ingressClass",
        text(checks.NODE_NAME, "the name of an IngressClass", "nginx"),
        "",
        "IngressClass, with `ingress`. Default, the cluster's default class.",
    )
    gateway_class: str | None = setting(
        "gatewayClass",
        text(checks.NODE_NAME, "the name of a GatewayClass", "<class>"),
        "",
        "GatewayClass of a Gateway that the stack makes, with `gateway`.",
    )
    gateway: str | None = setting(
        "gateway",
        text(checks.NAMESPACED_NAME, "namespace/name", "<namespace>/<name>"),
        "",
        "Gateway that is there already, as namespace/name, with `gateway`. Its listeners and its TLS are not the stack's.",
    )
    annotations: dict[str, str] = setting(
        "exposeAnnotations",
        MapOf(
            value=text(str.isprintable, "a text of one line", "<value>"),
            key="<prefix>/<name>",
            names=checks.ANNOTATION,
            expected="the name of an annotation",
            example="<value>",
        ),
        {},
        "Annotations of the load balancers' Services, of the Ingress, or of Gateway and HTTPRoutes, as your controller reads them.",
    )
    tls_secret: str | None = setting(
        "tlsSecret",
        text(checks.NODE_NAME, "the name of a Secret", "prow-tls"),
        "",
        "Secret of type kubernetes.io/tls in Prow's namespace with the certificate for the hosts. Default, with certManagerIssuer `prow-tls`, else none: TLS ends elsewhere.",
    )
    cert_manager_issuer: str | None = setting(
        "certManagerIssuer",
        text(checks.NODE_NAME, "the name of a ClusterIssuer", "letsencrypt"),
        "",
        "ClusterIssuer of cert-manager that makes the certificate. For an Issuer, use exposeAnnotations and tlsSecret.",
    )
    deck_node_port: int = setting(
        "deckNodePort",
        number(0, 65535),
        0,
        "NodePort of deck, from the cluster's range (30000 to 32767 by default). 0, the cluster picks one.",
    )
    hook_node_port: int = setting(
        "hookNodePort",
        number(0, 65535),
        0,
        "NodePort of hook, from the cluster's range. 0, the cluster picks one.",
    )


@dataclass(frozen=True, kw_only=True)
class Login(login.Login):
    """Login to deck."""

    client_id: str | None = setting(
        "oauthClientId",
        text(checks.OAUTH_CLIENT, "the client ID of an OAuth App", "<client ID>"),
        "",
        "Client ID of the GitHub OAuth App with which people log in to deck. Its callback URL is <deckUrl>/github-login/redirect. Needs deckUrl and storage.",
    )
    client_secret: pulumi.Output[str] | None = setting(
        "oauthClientSecret", TOKEN, "", "Client secret of the OAuth App. Required with oauthClientId."
    )
    rerun: bool = setting(
        "deckRerun",
        SWITCH,
        False,
        "Deck starts jobs again and aborts them, for people who are logged in and whom `rerun_auth_configs` of config.yaml allow it, or who may `/test` the pull request. Needs oauthClientId.",
    )
    readers: tuple[str, ...] = setting(
        "deckReaders",
        ListOf(
            item=text(checks.READER, "an organisation, organisation/team, or @user", "<organisation>/<team>")
        ),
        [],
        "Who may see deck after a login (oauth2-proxy). Either organisations and teams, as `acme` and `acme/maintainers`, or people, as `@alice`, written as in GitHub's addresses. Needs oauthClientId. Default, everybody, without a login.",
    )
    proxy_image: str = setting(
        "oauth2ProxyImage",
        IMAGE,
        private_deck.IMAGE,
        "Image of oauth2-proxy, which runs with deckReaders.",
    )


@dataclass(frozen=True, kw_only=True)
class Redelivery:
    """Missed deliveries."""

    enabled: bool = setting(
        "redeliverMissed",
        SWITCH,
        False,
        "Have GitHub send again, for up to three days, what it could not deliver, and what hook took but started no job for. Needs redeliveryToken.",
    )
    token: pulumi.Output[str] | None = setting(
        "redeliveryToken",
        TOKEN,
        "",
        "GitHub token with admin:repo_hook (admin:org_hook for organisations) for redeliverMissed. It is kept in the cluster.",
    )
    schedule: str = setting(
        "redeliverySchedule",
        text(checks.is_schedule, "five fields of cron", "'*/10 * * * *'"),
        "*/10 * * * *",
        "When redeliverMissed looks for missed deliveries, in cron's form.",
    )


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The cluster."""

    context: str = setting(
        "context",
        text(str.isprintable, "a context of your kubeconfig", "prow-cluster"),
        "prow-cluster",
        "Context of the kubeconfig (KUBECONFIG or ~/.kube/config) of the cluster that runs Prow.",
    )
    node: str | None = setting(
        "node",
        text(checks.NODE_NAME, "a node's name", "<name>"),
        "",
        "Name of the node whose InternalIP is the address of NodePorts. Default, the context's name, as minikube has it.",
    )
    node_address: str | None = setting(
        "nodeAddress",
        text(checks.is_host, "an IP address or a DNS name", "192.168.49.2"),
        "",
        "Address of the NodePorts, in place of the InternalIP read from the cluster. With it a preview needs no cluster.",
    )
    build_clusters: Kubeconfig | None = setting(
        "buildClusterKubeconfig",
        BUILD_CLUSTERS,
        "",
        "Content of a kubeconfig whose contexts are build clusters for jobs with `cluster:`.",
    )


@dataclass(frozen=True, kw_only=True)
class Prow:
    """Prow's components."""

    namespace: str = setting(
        "namespace", NAMESPACE, "prow", "Namespace of Prow's own components. The stack creates it."
    )
    job_namespace: str = setting(
        "jobNamespace",
        JOB_NAMESPACE,
        "test-pods",
        "Namespace in which the jobs' pods run. The stack creates it.",
    )
    prowjob_namespace: str | None = setting(
        "prowJobNamespace",
        JOB_NAMESPACE,
        "",
        "Which of these two namespaces has the ProwJobs: Prow's `prowjob_namespace`. Change it while no job runs. Default, `namespace`.",
    )
    components: tuple[str, ...] = setting(
        "components",
        ListOf(item=choice(*CATALOG), options=tuple(CATALOG)),
        list(CATALOG),
        "Prow components to run. hook, deck, crier and prow-controller-manager are always needed.",
    )
    replicas: int = setting(
        "replicas",
        number(1, 10),
        1,
        "Pods of each component that may run more than once (hook, deck). With two or more, a node that is drained interrupts neither webhooks nor pages.",
    )
    deck_extensions: dict[str, bytes] | None = setting(
        "deckExtensions",
        Folder(example="prow/deck"),
        "",
        "Folder of this project with files that deck serves at /static/extensions, such as a logo, `style.css` and `script.js`, which every page loads. Default, none.",
    )
    check_configuration: str = setting(
        "checkConfiguration",
        choice(*PLACES),
        "cluster",
        "Where Prow's own checkconfig judges prow/. `cluster`, in a Job, before running Prow is changed. `everywhere`, in previews too, with docker or podman. `none`, only one on the path does, for an imageRegistry without the image checkconfig.",
    )
    config_updater: bool = setting(
        "configUpdater",
        SWITCH,
        False,
        "Let pull requests that are merged in configRepository change running Prow's jobs and plugins (Prow's plugin config-updater).",
    )
    branch_protection: bool = setting(
        "branchProtection",
        SWITCH,
        False,
        "Apply config.yaml's `branch-protection` to GitHub (Prow's branchprotector). The bot or the App must be an admin of the repositories.",
    )
    branch_protection_schedule: str = setting(
        "branchProtectionSchedule",
        text(checks.is_schedule, "five fields of cron", "'54 * * * *'"),
        catalog.BRANCHPROTECTOR.schedule,
        "When branchProtection is applied, in cron's form.",
    )
    config_repository: str | None = setting(
        "configRepository",
        REPOSITORY,
        "",
        "Repository, as owner/name, that has this project's prow/ folder, for configUpdater. Default, the only one of repositories.",
    )

    @property
    def prowjobs_beside_jobs(self) -> bool:
        """Whether ProwJobs are in the jobs' namespace; False: in that of Prow's components."""
        return self.prowjob_namespace == self.job_namespace


@dataclass(frozen=True, kw_only=True)
class ExternalPlugins:
    """External plugins."""

    plugins: dict[str, external_plugins.ExternalPlugin] = setting(
        "externalPlugins",
        EXTERNAL_PLUGINS,
        {},
        "External plugins to run, by name. needs-rebase, cherrypicker and refresh are Prow's own and need no field; any other needs `image`. docs/how-to/use-external-plugins.md has the fields.",
    )


@dataclass(frozen=True, kw_only=True)
class GHProxy(ghproxy.GHProxy):
    """ghproxy."""

    cache_size: int = setting(
        "ghproxyCacheSize", number(1, 10**4), 1, "GB that ghproxy keeps of GitHub's answers, for each token."
    )
    volume_size: str | None = setting(
        "ghproxyVolumeSize",
        text(checks.QUANTITY, "a size such as 10Gi", "10Gi"),
        "",
        "Size of a volume for ghproxy's cache, of the cluster's default storage class. Default, none, the cache goes with its pod.",
    )
    throttling: dict[str, int] = setting(
        "ghproxyThrottling",
        ByName(name=choice(*ghproxy.THROTTLING), value=number(0, 10**6)),
        {},
        "Time between two requests of an organisation to GitHub, by ghproxy's flags, such as `throttling-time-ms` with `get-throttling-time-ms`. Default, none.",
    )


@dataclass(frozen=True, kw_only=True)
class Jobs(jobs.Jobs):
    """Pods of jobs."""

    pod_security: str = setting(
        "jobPodSecurity",
        choice(*jobs.POD_SECURITY),
        "baseline",
        "Kubernetes' Pod Security Standard that the jobs' pods must satisfy. `restricted` allows less. `privileged` allows everything, which rootless image builds need (unconfined seccomp); a job can then read every secret on its node.",
    )
    limits: dict[str, str] = setting(
        "jobLimits",
        Quantities(
            names=checks.LIMITS,
            expected="default, defaultRequest, min or max with .cpu, .memory or .ephemeral-storage",
            example=("default.memory", "2Gi"),
        ),
        {},
        "Limits and requests of each container of a job (a LimitRange), such as `default.memory`, `defaultRequest.cpu` and `max.memory`. Default, none.",
    )
    runtime_class: str | None = setting(
        "jobRuntimeClass",
        text(checks.NODE_NAME, "a RuntimeClass's name", "gvisor"),
        "",
        "RuntimeClass of the jobs' pods that name none, such as a sandbox. It needs Kubernetes 1.36 or later. Default, the cluster's.",
    )
    user_namespaces: bool = setting(
        "jobUserNamespaces",
        SWITCH,
        False,
        "Give the jobs' pods a user namespace (`hostUsers: false`), in which their root is nobody on the node. Pods that name the field, or use the node's network or processes, stay as they are. It needs Kubernetes 1.36, containerd 2 and Linux 6.3 or later.",
    )
    quota: dict[str, str] = setting(
        "jobQuota",
        Quantities(
            names=checks.QUOTA,
            expected="pods, or requests or limits with .cpu, .memory or .ephemeral-storage",
            example=("pods", "50"),
        ),
        {},
        "What all jobs together may take (a ResourceQuota), such as `pods` and `requests.memory`. A job beyond it ends with an error; `plank.max_concurrency` lets it wait. Default, no quota.",
    )

    secrets: dict[str, dict[str, pulumi.Output[str]]] | None = setting(
        "jobSecrets",
        ByName(name=OBJECT_NAME, value=ByName(name=KEY, value=SecretText())),
        "",
        "Secrets for jobs, in jobNamespace, as texts by key by name. Every job can mount each of them.",
    )
    config_maps: dict[str, dict[str, str]] = setting(
        "jobConfigMaps",
        ByName(name=OBJECT_NAME, value=ByName(name=KEY, value=PlainText())),
        {},
        "ConfigMaps for jobs, in jobNamespace, as texts by key by name.",
    )
    service_accounts: dict[str, dict[str, str]] = setting(
        "jobServiceAccounts",
        ByName(name=OBJECT_NAME, value=ANNOTATIONS),
        {},
        "ServiceAccounts for jobs, in jobNamespace, as annotations by name, such as the identity of a cloud. They have no right on the cluster.",
    )
    existing_objects: tuple[str, ...] = setting(
        "existingJobObjects",
        ListOf(
            item=text(
                checks.JOB_OBJECT, "Secret/<name>, ConfigMap/<name> or ServiceAccount/<name>", "Secret/<name>"
            )
        ),
        [],
        "Secrets, ConfigMaps and ServiceAccounts of jobNamespace that something else makes. Jobs that name one that is neither here nor of the stack's get a warning.",
    )


@dataclass(frozen=True, kw_only=True)
class Network(flows.NetworkOptions):
    """Network of the pods."""

    has_policies: bool = setting(
        "networkPolicies",
        SWITCH,
        True,
        "NetworkPolicies deny everything that Prow does not use, so a job reaches no component, no other job, not the API server, the node or the cloud's metadata. A network that does not enforce them ignores them.",
    )
    job_egress: str = setting(
        "jobEgress",
        choice(*flows.JOB_EGRESS),
        flows.INTERNET,
        "What jobs reach beside DNS, the log storage and GitHub. `internet`, public addresses. `none`, only jobEgressCidrs; jobs then clone and upload only if GitHub's addresses and the storage's are there, or in the cluster.",
    )
    job_cidrs: tuple[str, ...] = setting(
        "jobEgressCidrs",
        ListOf(item=text(checks.is_cidr, "a CIDR such as 10.20.0.0/16", "10.20.0.0/16")),
        [],
        "Further addresses that jobs reach, such as those of a registry, a mirror or a GitHub Enterprise Server in a private network.",
    )


@dataclass(frozen=True, kw_only=True)
class Images(images.Images):
    """Images."""

    registry: str = setting(
        "imageRegistry",
        path_text(
            checks.is_image_path, "an image repository's path", "us-docker.pkg.dev/k8s-infra-prow/images"
        ),
        "us-docker.pkg.dev/k8s-infra-prow/images",
        "Where the images of Prow's components come from.",
    )
    tag: str = setting(
        "imageTag",
        text(checks.IMAGE_TAG, "an image tag", DEFAULT_IMAGE_TAG),
        DEFAULT_IMAGE_TAG,
        "Release of Prow (v20240802-66b115076 or later), the same for every component.",
    )
    script: str = setting(
        "scriptImage",
        text(checks.is_image, "an image's name with a tag", "docker.io/library/python:3.13-alpine"),
        "docker.io/library/python:3.13-alpine",
        "Image with Python 3.11 or later, in which the stack's own scripts run.",
    )


@dataclass(frozen=True, kw_only=True)
class Storage(storage.Storage):
    """Logs and artifacts of jobs."""

    kind: str = setting(
        "storage",
        choice(*storage.KINDS),
        "none",
        "Where jobs' logs and artifacts are kept. `none`, `in-cluster` (a store of the stack's own), `s3` or `gcs`.",
    )
    bucket: str = setting(
        "storageBucket",
        text(checks.is_bucket, "a bucket's name", "prow-logs"),
        "prow-logs",
        "Bucket for logs and artifacts. With `s3` and `gcs` it exists already.",
    )
    endpoint: str | None = setting(
        "storageEndpoint", URL, "", "URL of the S3 server, with `s3`. Default, AWS."
    )
    region: str = setting(
        "storageRegion",
        text(checks.DNS_LABEL, "a region's name", "us-east-1"),
        "us-east-1",
        "Region of the bucket, with `s3`.",
    )
    access_key: pulumi.Output[str] | None = setting(
        "storageAccessKey", TOKEN, "", "Access key to the bucket. Required with `s3` and keys."
    )
    secret_key: pulumi.Output[str] | None = setting(
        "storageSecretKey",
        TOKEN,
        "",
        "Secret key that belongs to storageAccessKey. Required with `s3` and keys.",
    )
    service_account: pulumi.Output[str] | None = setting(
        "storageServiceAccount",
        SERVICE_ACCOUNT,
        "",
        "JSON key of a Google service account that may write to the bucket. Required with `gcs` and keys.",
    )
    credentials: str = setting(
        "storageCredentials",
        choice(*storage.CREDENTIALS),
        "keys",
        "How Prow and the jobs reach the bucket of `s3` or `gcs`. `keys`, with those of the settings. `identities`, as what the cloud takes their ServiceAccounts for (IRSA, EKS Pod Identity, GKE's workload identity).",
    )
    identities: dict[str, str] = setting(
        "storageIdentities",
        ByName(
            name=choice(*(access.value for access in storage.Access)),
            value=text(
                checks.is_identity,
                "the ARN of an IAM role or the address of a Google service account",
                "arn:aws:iam::<account>:role/<name>",
            ),
        ),
        {},
        "With `identities`, IAM roles or Google service accounts by use: `upload` (pods of jobs), `read` (deck), `write` (crier), `state` (tide, status-reconciler). Default, none, the cloud knows the ServiceAccounts by name.",
    )
    upload_key: storage.Key | None = setting(
        "storageUploadKey",
        STORAGE_KEY,
        "",
        "Key with which the pods of jobs upload, which every job can read. It should only add objects. With `s3`, <access key>:<secret key>; with `gcs`, the JSON key of a service account. Default, the key above, with a warning.",
    )
    read_key: storage.Key | None = setting(
        "storageReadKey",
        STORAGE_KEY,
        "",
        "Key with which deck reads and lists, in the same form. Default, the key above.",
    )
    state_key: storage.Key | None = setting(
        "storageStateKey",
        STORAGE_KEY,
        "",
        "Key of tide and status-reconciler for storageStateBucket, in the same form. Default, the key above.",
    )
    state_bucket: str | None = setting(
        "storageStateBucket",
        text(checks.is_bucket, "a bucket's name", "prow-state"),
        "",
        "Bucket for what tide and status-reconciler remember. With `s3` and `gcs` it exists already. Default, storageBucket; with `in-cluster`, storageBucket with `-state` behind it.",
    )
    size: str = setting(
        "storageSize",
        text(checks.QUANTITY, "a size such as 10Gi, or 0", "10Gi"),
        "10Gi",
        "Size of the in-cluster store's volume, of the cluster's default storage class. 0, no volume, the logs go with its pod.",
    )


@dataclass(frozen=True, kw_only=True)
class Slack(slack.Slack):
    """Slack."""

    token: pulumi.Output[str] | None = setting(
        "slackToken", TOKEN, "", "Slack token with which crier reports finished jobs."
    )
    channel: str | None = setting(
        "slackChannel",
        text(checks.is_slack_channel, "a Slack channel's name", "'#prow'"),
        "",
        "Slack channel, by name (`#prow`) or ID, that crier writes to. Required with slackToken.",
    )
    job_states: tuple[str, ...] = setting(
        "slackJobStates",
        ListOf(item=choice(*slack.STATES), options=slack.STATES),
        ["success", "failure", "error", "aborted"],
        "States of a job that crier reports to Slack. A job's own `reporter_config.slack` goes before channel and states.",
    )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of a stack, in groups. Every value has been checked; the secrets are secret outputs."""

    webhooks: Webhooks
    github: GitHub
    cluster: Cluster
    prow: Prow
    external_plugins: ExternalPlugins
    ghproxy: GHProxy
    jobs: Jobs
    network: Network
    images: Images
    addresses: Addresses
    login: Login
    relay: Relay
    redelivery: Redelivery
    storage: Storage
    slack: Slack

    def get_value(self, name: str) -> Any:
        """The value of a setting by its name."""
        for group in GROUPS:
            for field_name, entry in list_settings(GROUPS[group]).items():
                if entry.name == name:
                    return getattr(getattr(self, group), field_name)
        raise KeyError(name)

    @property
    def targets(self) -> tuple[str, ...]:
        """Repositories and organisations, as the settings write them."""
        return (*self.webhooks.repositories, *self.webhooks.organizations)

    @property
    def node(self) -> str | None:
        """Node at whose address NodePorts answer; None: nothing is reached at one, as in most clouds."""
        if self.addresses.kind != addresses.NODE_PORT and self.storage.kind != "in-cluster":
            return None
        return self.cluster.node or self.cluster.context

    @property
    def first_target(self) -> str:
        """Where a first pull request may be opened, for people."""
        first = self.targets[0]
        return first if first in self.webhooks.repositories else f"a repository of {first}"

    @property
    def job_folder(self) -> str:
        """Where jobs are written, for people."""
        return f"prow/jobs/ of {self.followed_repository}" if self.followed_repository else "prow/jobs/"

    def find_network(self, base_url: str | None) -> flows.NetworkOptions | None:
        """What the NetworkPolicies allow; None: there are none.

        :param base_url: REST endpoint of the GitHub whose webhooks these are; None: github.com's.
        """
        relay, builds = RELAYS[self.relay.kind], self.cluster.build_clusters
        groups = [flows.RELAY] if relay.client else []
        groups += [flows.REDELIVERY] if self.redelivery.enabled else []
        servers = {
            Outside.GITHUB: [base_url or github_account.GITHUB_API],
            Outside.RELAY: relay.list_servers(self.relay.values),
            Outside.BUILD_CLUSTERS: builds.servers if builds else (),
        }
        return replace(self.network, groups=groups, servers=servers) if self.network.has_policies else None

    @property
    def followed_repository(self) -> Repository | None:
        """Repository whose merges change Prow's jobs and plugins; None: only the stack does."""
        if not self.prow.config_updater:
            return None
        written = {name.lower(): name for name in self.webhooks.repositories}
        name = self.prow.config_repository or next(iter(self.webhooks.repositories), "")
        return Repository.parse(written.get(name.lower(), name))


@cache
def list_settings(group: type[Any]) -> dict[str, Setting]:
    """The settings of a group by the name of its field."""
    entries: list[Field[Any]] = [entry for entry in fields(group) if "setting" in entry.metadata]
    return {entry.name: entry.metadata["setting"] for entry in entries}


GROUPS: dict[str, type[Any]] = get_type_hints(Settings)
"""Every group by its field of Settings."""
TABLE: dict[str, Setting] = {
    entry.name: entry for group in GROUPS.values() for entry in list_settings(group).values()
}
"""Every setting by its name."""
