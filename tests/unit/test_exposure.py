"""What leads from hosts' names to hook and deck."""

import pulumi
import pytest

from components.addresses import Addresses, Origin
from components.catalog import CATALOG
from components.exposure import Exposure, ExposureArgs
from components.services import Services, ServicesArgs

from .mocked import known, reveal

DECK, HOOK = "https://prow.example", "https://hooks.example/hook"


def make(run, hook_url=HOOK, deck_url=DECK, tls_secret="prow-cert", **changes):
    addresses = Addresses(deck_url=deck_url, tls_secret=tls_secret, **changes)
    args = ExposureArgs(addresses=addresses, hook_url=hook_url, namespace="prow")
    return run(lambda: Exposure("exposure", args))


def make_services(run, hook_url=None, **changes):
    made = []
    args = ServicesArgs(
        namespace="prow",
        components=tuple(CATALOG.values()),
        node_address="192.0.2.7",
        addresses=Addresses(**changes),
        hook_url=hook_url,
    )
    return run(lambda: made.append(Services("services", args))), made[0]


def test_an_ingress_leads_to_deck_and_of_hook_to_its_one_path(run):
    ingress = reveal(make(run, kind="ingress", ingress_class="nginx").of("Ingress")["prow/prow"])
    assert ingress["spec"] == {
        "ingressClassName": "nginx",
        "rules": [
            {
                "host": "prow.example",
                "http": {
                    "paths": [
                        {
                            "path": "/",
                            "pathType": "Prefix",
                            "backend": {"service": {"name": "deck", "port": {"number": 80}}},
                        }
                    ]
                },
            },
            {
                "host": "hooks.example",
                "http": {
                    "paths": [
                        {
                            "path": "/hook",
                            "pathType": "Exact",
                            "backend": {"service": {"name": "hook", "port": {"number": 8888}}},
                        }
                    ]
                },
            },
        ],
        "tls": [{"hosts": ["prow.example", "hooks.example"], "secretName": "prow-cert"}],
    }


def test_a_body_may_have_githubs_largest_size_unless_the_user_says_otherwise(run):
    prefix = "nginx.ingress.kubernetes.io/proxy"
    ingress = reveal(make(run, kind="ingress").of("Ingress")["prow/prow"])
    limit = {f"{prefix}-body-size": "25m", f"{prefix}-request-buffering": "on"}
    assert ingress["metadata"]["annotations"] == limit


def test_the_users_annotations_go_before_the_stacks(run):
    own = {"nginx.ingress.kubernetes.io/proxy-body-size": "30m", "pulumi.com/skipAwait": "true"}
    ingress = reveal(make(run, kind="ingress", annotations=own).of("Ingress")["prow/prow"])
    assert own.items() <= ingress["metadata"]["annotations"].items()


def test_one_host_has_both_paths_in_one_rule(run):
    ingress = reveal(make(run, f"{DECK}/hook", kind="ingress").of("Ingress")["prow/prow"])
    (rule,) = ingress["spec"]["rules"]
    assert [path["path"] for path in rule["http"]["paths"]] == ["/", "/hook"]
    assert ingress["spec"]["tls"] == [{"hosts": ["prow.example"], "secretName": "prow-cert"}]


def test_cert_manager_is_asked_for_a_certificate_and_fills_the_secret(run):
    made = make(run, kind="ingress", tls_secret=None, cert_manager_issuer="letsencrypt")
    ingress = reveal(made.of("Ingress")["prow/prow"])
    assert ingress["metadata"]["annotations"]["cert-manager.io/cluster-issuer"] == "letsencrypt"
    assert ingress["spec"]["tls"][0]["secretName"] == "prow-tls"


def test_without_a_certificate_tls_ends_elsewhere(run):
    ingress = reveal(make(run, kind="ingress", tls_secret=None).of("Ingress")["prow/prow"])
    assert "tls" not in ingress["spec"]


def test_a_gateway_of_the_stacks_own_has_a_listener_for_each_address(run):
    recorder = make(run, kind="gateway", gateway_class="traefik")
    spec = reveal(recorder.of("Gateway")["prow/prow"])["spec"]
    tls = {"mode": "Terminate", "certificateRefs": [{"name": "prow-cert"}]}
    common = {"port": 443, "protocol": "HTTPS", "tls": tls}
    assert spec == {
        "gatewayClassName": "traefik",
        "listeners": [
            {"name": "https-0", "hostname": "prow.example", **common},
            {"name": "https-1", "hostname": "hooks.example", **common},
        ],
    }
    routes = {key: reveal(inputs)["spec"] for key, inputs in recorder.of("HTTPRoute").items()}
    assert routes["prow/hook"] == {
        "parentRefs": [{"name": "prow"}],
        "hostnames": ["hooks.example"],
        "rules": [
            {
                "matches": [{"path": {"type": "Exact", "value": "/hook"}}],
                "backendRefs": [{"name": "hook", "port": 8888}],
            }
        ],
    }
    assert routes["prow/deck"]["rules"][0]["backendRefs"] == [{"name": "deck", "port": 80}]


def test_one_address_over_http_is_one_listener_without_tls(run):
    url = "http://prow.example:8080"
    recorder = make(run, f"{url}/hook", kind="gateway", gateway_class="c", deck_url=url, tls_secret=None)
    assert reveal(recorder.of("Gateway")["prow/prow"])["spec"]["listeners"] == [
        {"name": "http-0", "hostname": "prow.example", "port": 8080, "protocol": "HTTP"}
    ]


def test_routes_join_a_gateway_that_is_there(run):
    recorder = make(run, kind="gateway", gateway="infra/shared", tls_secret=None)
    assert not recorder.of("Gateway")
    for inputs in recorder.of("HTTPRoute").values():
        assert reveal(inputs)["spec"]["parentRefs"] == [{"name": "shared", "namespace": "infra"}]


@pytest.mark.parametrize("kind", ["nodePort", "loadBalancer"])
def test_the_other_kinds_make_nothing(run, kind):
    recorder = make(run, kind=kind)
    assert [resource.type for resource in recorder.resources] == ["prow:index:Exposure"]


def test_an_origin_knows_its_schemes_port():
    assert Origin.parse("https://prow.example") == Origin(scheme="https", host="prow.example", port=443)
    assert Origin.parse("http://prow.example:8080/hook").port == 8080


@pytest.mark.parametrize("kind", ["ingress", "gateway"])
def test_behind_an_ingress_or_a_gateway_no_service_has_a_node_port(run, kind):
    recorder, services = make_services(run, HOOK, kind=kind, deck_url=DECK)
    assert {reveal(inputs)["spec"]["type"] for inputs in recorder.of("Service").values()} == {"ClusterIP"}
    assert known(services.deck_url) == f"{DECK}/"
    assert known(services.hook_url) == HOOK


def test_node_ports_can_be_fixed(run):
    recorder, _ = make_services(run, deck_node_port=30800, hook_node_port=30888)
    ports = {key: reveal(inputs)["spec"]["ports"][0] for key, inputs in recorder.of("Service").items()}
    assert (ports["prow/deck"]["nodePort"], ports["prow/hook"]["nodePort"]) == (30800, 30888)
    assert "nodePort" not in ports["prow/tide"]


def test_decks_url_goes_before_its_node_port(run):
    _, services = make_services(run, deck_url="http://localhost:8080")
    assert known(services.deck_url) == "http://localhost:8080/"
    assert known(services.hook_url) == "http://192.0.2.7:30080/hook"


def test_load_balancers_are_awaited_and_their_addresses_taken(run, recorder, monkeypatch):
    made = recorder.new_resource

    def answer(args):
        name, outputs = made(args)
        if args.typ == "kubernetes:core/v1:Service" and outputs["spec"]["type"] == "LoadBalancer":
            outputs["status"] = {"loadBalancer": {"ingress": [{"ip": "203.0.113.9"}]}}
        return name, outputs

    monkeypatch.setattr(recorder, "new_resource", answer)
    _, services = make_services(run, kind="loadBalancer", annotations={"a.example/scheme": "internal"})
    found = reveal(recorder.of("Service")["prow/deck"])
    assert found["spec"]["type"] == "LoadBalancer"
    assert found["metadata"]["annotations"] == {
        "pulumi.com/waitFor": "jsonpath={.status.loadBalancer.ingress[0]}",
        "a.example/scheme": "internal",
    }
    assert reveal(recorder.of("Service")["prow/tide"])["spec"]["type"] == "ClusterIP"
    assert known(services.deck_url) == "http://203.0.113.9/"
    assert known(services.hook_url) == "http://203.0.113.9:8888/hook"


def test_a_load_balancer_that_a_preview_does_not_know_is_unknown(run):
    _, services = make_services(run, kind="loadBalancer")
    assert known(services.deck_url) is pulumi.UNKNOWN
