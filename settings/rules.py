"""What must hold between settings. Each rule looks at settings that are right by themselves."""

from collections.abc import Callable, Iterator

import pulumi

from components import github_account
from components.catalog import REQUIRED
from components.storage import UPLOADER
from prowconfig.release import UNKNOWN_DATE, parse_release
from settings.address_rules import check_expose, check_hosts, check_login, check_readers, check_tls
from settings.checked import Checked, Problem
from settings.checks import count_bytes
from settings.groups import TABLE
from settings.parsers import name_entry, remove_command, set_command
from settings.plugin_rules import check_external_plugins
from settings.relay_rules import check_redelivery, check_relay
from settings.storage_rules import check_identities, check_state_bucket, check_storage, check_storage_keys

Rule = Callable[[Checked], Iterator[Problem]]
OLDEST_RELEASE = "2024-08-02"
"""Day of v20240802-66b115076, the first for which the catalog's flags hold."""


def check_targets(checked: Checked) -> Iterator[Problem]:
    """There is a repository or an organisation, and entries by target are for one of those."""
    webhooks = checked.settings.webhooks
    if not checked.are_right("repositories", "organizations"):
        return
    if not checked.settings.targets:
        fix = set_command("repositories[0]", "<owner>/<name>")
        yield "repositories", "is empty: name at least one repository", fix
        return
    for name, entries in (("webhookEvents", webhooks.events), ("importWebhooks", webhooks.imports)):
        for target in sorted(entries.keys() - set(checked.settings.targets)):
            at = name_entry(name, target)
            yield at, "is for what neither repositories nor organizations has", remove_command(at)


def check_account(checked: Checked) -> Iterator[Problem]:
    """Prow is a bot with a token, or an App with its id and its key."""
    names = ("githubAppId", "githubAppPrivateKey", "botToken")
    has_id, has_key, has_token = map(checked.is_set, names)
    if (has_id or has_key) and has_token:
        fix = "pulumi config rm botToken  (or: pulumi config rm githubAppId; pulumi config rm githubAppPrivateKey)"
        yield "botToken", "is set, and a GitHub App as well; Prow is one of them", fix
    if has_id and not has_key:
        yield "githubAppPrivateKey", "is not set, but githubAppId is", TABLE["githubAppPrivateKey"].fix
    if has_key and not has_id:
        yield "githubAppId", "is not set, but githubAppPrivateKey is", TABLE["githubAppId"].fix
    if not (has_id or has_key or has_token):
        yield "botToken", "is not set: the GitHub token with which Prow reports", TABLE["botToken"].fix


def check_context(checked: Checked) -> Iterator[Problem]:
    """The user's kubeconfig has the context."""
    cluster = checked.settings.cluster
    if checked.contexts is None or cluster.context in checked.contexts or not checked.are_right("context"):
        return
    known = ", ".join(sorted(checked.contexts)) or "none"
    reason = f"is {checked.show('context')}, which your kubeconfig does not have; it has: {known}"
    if pulumi.runtime.is_dry_run() and cluster.node_address:
        # As in CI: with the address known, a preview needs nothing of the cluster.
        pulumi.log.warn(f"prow:context {reason}. Previewed from the stack's state alone.")
        return
    fix = "make minikube  (or: pulumi config set context <name>, or export KUBECONFIG=<file>)"
    yield "context", reason, fix


def check_namespaces(checked: Checked) -> Iterator[Problem]:
    """Jobs run code of pull requests: next to Prow's secrets they could mount them. ProwJobs are beside either."""
    prow, name = checked.settings.prow, "prowJobNamespace"
    if not checked.are_right("namespace", "jobNamespace"):
        return
    if prow.namespace == prow.job_namespace:
        fix = TABLE["jobNamespace"].fix
        if prow.namespace == TABLE["jobNamespace"].default:  # which that command would set
            fix = set_command("jobNamespace", "prow-jobs")
        reason = (
            f"is {checked.show('namespace')} as well as namespace, where a job, and so the author of a pull request, could "
            "mount the bot's token and the webhook secret, and where its pod could pass for one of Prow's before the "
            "NetworkPolicies; to have ProwJobs and jobs in one namespace, set prowJobNamespace to jobNamespace, and namespace "
            "to another one"
        )
        yield "jobNamespace", reason, fix
    elif prow.prowjob_namespace not in (None, prow.namespace, prow.job_namespace) and checked.are_right(name):
        reason = (
            f"is {checked.show(name)}, neither namespace ({checked.show('namespace')}) nor jobNamespace "
            f"({checked.show('jobNamespace')}): the stack has no third one"
        )
        fix = set_command(name, "<jobNamespace>" if "jobNamespace" in checked.hidden else prow.job_namespace)
        yield name, reason, f"{fix}  (or, for namespace: pulumi config rm {name})"


def check_job_security(checked: Checked) -> Iterator[Problem]:
    """Prow's own containers in the pods of jobs are taken, and have what a quota counts."""
    jobs, name = checked.settings.jobs, "jobPodSecurity"
    if jobs.pod_security == "restricted" and checked.settings.storage.kind != "none":
        reason = (
            "is 'restricted', which the containers that Prow adds to the pods of jobs do not satisfy; with storage it adds "
            "them to every job"
        )
        yield name, reason, "pulumi config set jobPodSecurity baseline  (or: pulumi config set storage none)"
    defaults = {"limits": ("default", "max"), "requests": ("defaultRequest", "default", "max")}
    for entry in jobs.quota if checked.are_right("jobQuota", "jobLimits") else ():
        verb, _, resource = entry.partition(".")
        if resource and not any(f"{kind}.{resource}" in jobs.limits for kind in defaults[verb]):
            wanted = f"{defaults[verb][0]}.{resource}"
            reason = f"needs {wanted} in jobLimits: a pod without it is refused, and Prow's own containers set none"
            yield (
                name_entry("jobQuota", entry),
                reason,
                set_command(name_entry("jobLimits", wanted), "<amount>"),
            )


def check_components(checked: Checked) -> Iterator[Problem]:
    """The components without which no job is run and reported are there."""
    chosen = checked.settings.prow.components
    if not checked.are_right("components"):
        return
    missing = [name for name in REQUIRED if name not in chosen]
    for index, name in enumerate(missing, start=len(chosen)):  # whoever runs every command has all of them
        fix = set_command(f"components[{index}]", name)
        yield "components", f"lacks {name}, without which no job is run and reported", fix


def check_image_tag(checked: Checked) -> Iterator[Problem]:
    """The tag says which release of Prow the images are of; a warning where it does not."""
    name, tag = "imageTag", checked.settings.images.tag
    release = parse_release(tag)
    if not release.has(OLDEST_RELEASE):
        reason = f"a release before v{OLDEST_RELEASE.replace('-', '')}; Prow had other flags and files then"
        yield name, f"is {checked.show(name)}, {reason}", TABLE[name].fix
    elif release.date == UNKNOWN_DATE:
        reason = "is not of the form vYYYYMMDD-<commit>: what differs between releases cannot be checked"
        if tag == "latest" or tag.startswith("latest-"):
            reason = "names another release of Prow every day, so a pod that restarts may run another one"
        pulumi.log.warn(f"prow:{name} is {checked.show(name)}, which {reason}; fix: {TABLE[name].fix}")


def check_config_repository(checked: Checked) -> Iterator[Problem]:
    """config-updater follows a repository of the settings."""
    name, webhooks, prow = "configRepository", checked.settings.webhooks, checked.settings.prow
    if not prow.config_updater or not checked.settings.targets or not checked.are_right(name, "repositories"):
        return
    repositories, organizations = webhooks.repositories, webhooks.organizations
    written = prow.config_repository
    if written is None and (len(repositories), len(organizations)) == (1, 0):
        return
    allowed = {target.lower() for target in checked.settings.targets}
    if written is None or allowed.isdisjoint({written.lower(), written.lower().partition("/")[0]}):
        among = ", ".join([*repositories, *(f"{owner}/…" for owner in organizations)])
        reason = f"is {checked.show(name)}, which" if written else "is empty; with configUpdater on it"
        example = [*repositories, *(f"{owner}/<name>" for owner in organizations)][0]
        yield name, f"{reason} must be one of {among}", set_command(name, example)


def check_slack(checked: Checked) -> Iterator[Problem]:
    """crier knows where to report to."""
    if checked.settings.slack.token is not None and not checked.is_set("slackChannel"):
        fix = f"{TABLE['slackChannel'].fix}  (or, without Slack: pulumi config rm slackToken)"
        yield "slackChannel", "is empty: with slackToken it says where crier writes to", fix


def check_ghproxy(checked: Checked) -> Iterator[Problem]:
    """ghproxy throttles only with both of its flags, and its volume holds its cache."""
    ghproxy = checked.settings.ghproxy
    both = ("throttling-time-ms", "get-throttling-time-ms")  # cmd/ghproxy/ghproxy.go, main
    missing = [flag for flag in both if not ghproxy.throttling.get(flag)]
    if missing and any(ghproxy.throttling.values()) and checked.are_right("ghproxyThrottling"):
        reason = f"needs {missing[0]} as well: without {' and '.join(both)} ghproxy does not throttle"
        yield "ghproxyThrottling", reason, set_command(name_entry("ghproxyThrottling", missing[0]), "<ms>")
    size = ghproxy.volume_size
    right = checked.are_right("ghproxyVolumeSize", "ghproxyCacheSize")
    if right and size and count_bytes(size) < ghproxy.cache_size * 10**9:
        reason = (
            f"is {checked.show('ghproxyVolumeSize')}, less than ghproxyCacheSize, {ghproxy.cache_size} GB"
        )
        yield "ghproxyVolumeSize", reason, set_command("ghproxyVolumeSize", f"{2 * ghproxy.cache_size}Gi")


def check_job_objects(checked: Checked) -> Iterator[Problem]:
    """The objects for jobs have names of their own."""
    settings = checked.settings
    taken = {"jobServiceAccounts": {"default": "Kubernetes makes itself"}, "jobSecrets": {}}
    if settings.github.clone_with_token:
        taken["jobSecrets"][github_account.SECRET] = "cloneWithToken makes"
    if settings.storage.kind != "none":
        taken["jobSecrets"][settings.storage.secret_name] = "storage makes"
        taken["jobServiceAccounts"][UPLOADER] = "storageCredentials makes"
    for setting, names in (
        ("jobSecrets", settings.jobs.secrets or {}),
        ("jobServiceAccounts", settings.jobs.service_accounts),
    ):
        for name in names if checked.are_right(setting) else ():
            if maker := taken[setting].get(name):
                at = name_entry(setting, name)
                yield at, f"is one that {maker}", remove_command(at)


RULES: tuple[Rule, ...] = (
    check_targets,
    check_account,
    check_redelivery,
    check_context,
    check_namespaces,
    check_job_security,
    check_components,
    check_image_tag,
    check_config_repository,
    check_external_plugins,
    check_ghproxy,
    check_job_objects,
    check_relay,
    check_expose,
    check_hosts,
    check_tls,
    check_login,
    check_readers,
    check_storage,
    check_identities,
    check_storage_keys,
    check_state_bucket,
    check_slack,
)
"""Every rule, in the order in which problems are shown."""
