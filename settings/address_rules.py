"""What must hold between the settings of addresses, of the login to deck, and others."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pulumi

from components.addresses import GATEWAY, HOOK_PATH, INGRESS, LOAD_BALANCER, NODE_PORT, Origin
from settings import checks
from settings.checked import Checked, Problem
from settings.groups import TABLE
from settings.parsers import remove_command

KINDS = {
    "ingressClass": (INGRESS,),
    "gatewayClass": (GATEWAY,),
    "gateway": (GATEWAY,),
    "tlsSecret": (INGRESS, GATEWAY),
    "certManagerIssuer": (INGRESS, GATEWAY),
    "exposeAnnotations": (LOAD_BALANCER, INGRESS, GATEWAY),
    "deckNodePort": (NODE_PORT,),
    "hookNodePort": (NODE_PORT,),
}
"""With which values of `expose` a setting has an effect."""


def check_expose(checked: Checked) -> Iterator[Problem]:
    """What is set has an effect, and a Gateway is there or is made."""
    addresses = checked.settings.addresses
    if not checked.are_right("expose"):
        return
    for name, kinds in KINDS.items():
        if checked.settings.get_value(name) and addresses.kind not in kinds:
            fix = f"pulumi config set expose {kinds[-1]}  (or: pulumi config rm {name})"
            yield name, f"has no effect with expose {addresses.kind}", fix
    if addresses.kind == GATEWAY and checked.are_right("gateway", "gatewayClass"):
        if addresses.gateway is None and addresses.gateway_class is None:
            fix = f"{TABLE['gatewayClass'].fix}  (or, for a Gateway that is there: {TABLE['gateway'].fix})"
            yield "gatewayClass", "is not set: with expose gateway the stack makes a Gateway of it", fix
        if addresses.gateway is not None and addresses.gateway_class is not None:
            fix = "pulumi config rm gateway  (or: pulumi config rm gatewayClass)"
            yield "gateway", "is set, and gatewayClass as well; the routes belong to one Gateway", fix
    if addresses.deck_node_port and addresses.deck_node_port == addresses.hook_node_port:
        yield "hookNodePort", "is deckNodePort too", TABLE["hookNodePort"].fix


def check_hosts(checked: Checked) -> Iterator[Problem]:
    """An Ingress and a Gateway have hosts, and lead to the path at which hook reads webhooks."""
    addresses, webhook_url = checked.settings.addresses, checked.settings.relay.webhook_url
    if not addresses.is_routed or not checked.are_right("expose", "deckUrl", "webhookUrl"):
        return
    if addresses.deck_url is None:
        reason = f"is not set: with expose {addresses.kind} it has the host at which deck answers"
        yield "deckUrl", reason, TABLE["deckUrl"].fix
    for name, url in (("deckUrl", addresses.deck_url), ("webhookUrl", webhook_url)):
        if url is not None and not _is_name(Origin.parse(url).host):
            reason = (
                f"is {checked.show(name)}, whose host is no DNS name, which expose {addresses.kind} needs"
            )
            yield name, reason, TABLE[name].fix
    if webhook_url is not None and urlsplit(webhook_url).path != HOOK_PATH:
        reason = f"is {checked.show('webhookUrl')}, but expose {addresses.kind} leads to the path {HOOK_PATH} alone"
        yield "webhookUrl", reason, TABLE["webhookUrl"].fix


def _is_name(host: str) -> bool:
    """Whether Kubernetes takes it as a host of an Ingress."""
    return bool(checks.NODE_NAME.fullmatch(host)) and not host.rpartition(".")[2].isdecimal()


def check_tls(checked: Checked) -> Iterator[Problem]:
    """A certificate is there where the stack's objects end TLS, and nowhere else."""
    addresses, webhook_url = checked.settings.addresses, checked.settings.relay.webhook_url
    deck_url, hook_url = addresses.deck_url, addresses.find_hook_url(webhook_url)
    names = ("expose", "deckUrl", "webhookUrl", "gateway", "tlsSecret", "certManagerIssuer")
    if not addresses.is_routed or deck_url is None or hook_url is None or not checked.are_right(*names):
        return
    certificate = "tlsSecret" if addresses.tls_secret else "certManagerIssuer"
    if addresses.gateway is not None:
        if addresses.secret_name is not None:
            reason = (
                "is set, but the certificate belongs to the listeners of the Gateway that is there already"
            )
            yield certificate, reason, f"pulumi config rm {certificate}"
        return
    plain = [
        name for name, url in (("deckUrl", deck_url), ("webhookUrl", hook_url)) if url.startswith("http:")
    ]
    if addresses.secret_name is not None and plain == ["deckUrl", "webhookUrl"]:
        reason = f"is set, but deckUrl is {checked.show('deckUrl')}: nothing is served with the certificate"
        yield certificate, reason, TABLE["deckUrl"].fix
    if addresses.secret_name is None and addresses.kind == GATEWAY and len(plain) < 2:
        fix = f"{TABLE['tlsSecret'].fix}  (or: {TABLE['certManagerIssuer'].fix})"
        yield "tlsSecret", "is not set: a Gateway's listener for https needs a certificate", fix


def check_login(checked: Checked) -> Iterator[Problem]:
    """People log in to a deck whose address GitHub knows and that serves nothing of a job as a page of its own."""
    deck_url = checked.settings.addresses.deck_url
    if not checked.is_set("oauthClientId"):
        for name in ("oauthClientSecret", "deckRerun", "deckReaders"):
            if checked.settings.get_value(name):
                fix = f"{TABLE['oauthClientId'].fix}  (or: pulumi config rm {name})"
                yield name, "has no effect without oauthClientId: nobody can log in to deck", fix
        return
    if not checked.is_set("oauthClientSecret"):
        yield "oauthClientSecret", "is not set, but oauthClientId is", TABLE["oauthClientSecret"].fix
    if deck_url is None and checked.are_right("deckUrl"):
        reason = "is not set: with oauthClientId GitHub sends people back to it after they have logged in"
        yield "deckUrl", reason, TABLE["deckUrl"].fix
    if checked.settings.storage.kind == "none" and checked.are_right("storage"):
        reason = (
            "is 'none', so every status links to deck's page /log, on which a script in a job's output would run as whoever "
            "is logged in; with oauthClientId deck does not serve it"
        )
        yield "storage", reason, "pulumi config set storage in-cluster  (or: pulumi config rm oauthClientId)"
    if (
        deck_url is not None
        and deck_url.startswith("http:")
        and not checks.is_loopback(Origin.parse(deck_url).host)
    ):
        pulumi.log.warn(
            f"prow:deckUrl is {checked.show('deckUrl')}: people log in over http, and who sees the traffic can act as they "
            f"may on GitHub\n    fix: {TABLE['deckUrl'].fix}"
        )


def check_readers(checked: Checked) -> Iterator[Problem]:
    """oauth2-proxy can tell who may see deck, and nobody gets past it."""
    readers = checked.settings.login.readers
    people = [index for index, reader in enumerate(readers) if reader.startswith("@")]
    if people and len(people) < len(readers) and checked.are_right("deckReaders"):
        fix = remove_command(f"deckReaders[{people[0]}]")
        reason = "is a person among organisations and teams; oauth2-proxy admits the ones or the others: make a team of the people"
        yield f"deckReaders[{people[0]}]", reason, fix
    if readers and not checked.settings.network.has_policies and checked.are_right("networkPolicies"):
        pulumi.log.warn(
            "prow:networkPolicies is false: every pod of the cluster, and so every job, reads deck without the login of "
            "deckReaders\n    fix: pulumi config set networkPolicies true"
        )
