"""What Kubernetes' Pod Security Standard `baseline` refuses in the pod of a job, as Kubernetes 1.36 has it.

The API server refuses such a pod, and Prow ends the job with an error. Source: the checks of level baseline in
k8s.io/pod-security-admission/policy.
"""

from collections.abc import Mapping
from typing import Any

from prowconfig.problem import Path
from prowconfig.scope import Findings
from prowconfig.values import as_list, as_map, as_text, get_in

_CAPABILITIES = frozenset(
    [
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ]
)
_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    }
)
_SELINUX_TYPES = ("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


def find_more_than_baseline(spec: Mapping[str, Any], annotations: Mapping[str, Any]) -> Findings:
    """The fields that `baseline` refuses: their path from the job, and what they are.

    :param spec: the pod of a job.
    :param annotations: the job's, which its pod gets.
    """
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(field) is True:
            yield ("spec", field), f"{field}: true"
    for at, volume in enumerate(as_list(spec.get("volumes"))):
        if get_in(volume, "hostPath") is not None:
            yield ("spec", "volumes", at), "a hostPath volume"
    yield from _check_annotations(annotations)
    yield from _check_context(("spec", "securityContext"), as_map(spec.get("securityContext")))
    for index, sysctl in enumerate(as_list(get_in(spec, "securityContext", "sysctls"))):
        name = as_text(get_in(sysctl, "name"))
        if name not in _SYSCTLS:
            yield ("spec", "securityContext", "sysctls", index), f"the sysctl {name}"
    for kind in ("containers", "initContainers", "ephemeralContainers"):
        for at, container in enumerate(as_list(spec.get(kind))):
            path: Path = ("spec", kind, at)
            yield from _check_container(
                path, as_map(container), in_user_namespace=spec.get("hostUsers") is False
            )


def _check_annotations(annotations: Mapping[str, Any]) -> Findings:
    for key, value in annotations.items():
        text = as_text(value)
        if key.startswith(_APPARMOR) and text not in ("", "runtime/default") and text[:10] != "localhost/":
            yield ("annotations", key), f"the AppArmor profile {text}"


def _check_container(path: Path, container: Mapping[str, Any], *, in_user_namespace: bool) -> Findings:
    context, here = as_map(container.get("securityContext")), (*path, "securityContext")
    if context.get("privileged") is True:
        yield (*here, "privileged"), "privileged: true"
    if not in_user_namespace and (mount := as_text(context.get("procMount"))) not in ("", "Default"):
        yield (*here, "procMount"), f"procMount: {mount}"
    for name in as_list(get_in(context, "capabilities", "add")):
        if as_text(name) not in _CAPABILITIES:
            yield (*here, "capabilities", "add"), f"the capability {as_text(name)}"
    yield from _check_context(here, context)
    for at, port in enumerate(as_list(container.get("ports"))):
        if get_in(port, "hostPort"):
            yield (*path, "ports", at), "a hostPort"
    yield from _check_handlers(path, container)


def _check_handlers(path: Path, container: Mapping[str, Any]) -> Findings:
    """Probes and lifecycle hooks that call another host."""
    handlers = {probe: container.get(probe) for probe in _PROBES}
    handlers |= {
        f"lifecycle.{hook}": get_in(container, "lifecycle", hook) for hook in ("postStart", "preStop")
    }
    for name, handler in handlers.items():
        if any(get_in(handler, way, "host") for way in ("httpGet", "tcpSocket")):
            yield (*path, *name.split(".")), f"a host in {name}"


def _check_context(path: Path, context: Mapping[str, Any]) -> Findings:
    """What the security contexts of pods and of containers have in common."""
    for field in ("seccompProfile", "appArmorProfile"):
        if get_in(context, field, "type") == "Unconfined":
            yield (*path, field), f"{field} Unconfined"
    if get_in(context, "windowsOptions", "hostProcess") is True:
        yield (*path, "windowsOptions"), "hostProcess: true"
    options = as_map(context.get("seLinuxOptions"))
    if options.get("user") or options.get("role") or as_text(options.get("type")) not in _SELINUX_TYPES:
        yield (*path, "seLinuxOptions"), "seLinuxOptions of the node's"
