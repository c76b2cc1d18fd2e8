import pulumi

from components.catalog import CATALOG
from components.services import Services, ServicesArgs

from .mocked import known, reveal


def make(run, address="192.0.2.7"):
    made = []
    args = ServicesArgs(namespace="prow", components=tuple(CATALOG.values()), node_address=address)
    return run(lambda: made.append(Services("services", args))), made[0]


def test_hook_and_deck_have_node_ports_and_the_others_do_not(run):
    recorder, _ = make(run)
    shape = {
        key: (spec["type"], spec["ports"][0]["port"], spec["ports"][0]["targetPort"])
        for key, spec in ((key, reveal(inputs)["spec"]) for key, inputs in recorder.of("Service").items())
    }
    assert shape == {
        "prow/hook": ("NodePort", 8888, 8888),
        "prow/deck": ("NodePort", 80, 8080),
        "prow/tide": ("ClusterIP", 80, 8888),
        "prow/ghproxy": ("ClusterIP", 80, 8888),
    }


def test_addresses_come_from_the_services_outputs(run):
    _, services = make(run)
    assert known(services.deck_url) == "http://192.0.2.7:30080/"
    assert known(services.hook_url) == "http://192.0.2.7:30080/hook"


def test_an_ipv6_address_is_bracketed(run):
    _, services = make(run, "2001:db8::7")
    assert known(services.deck_url) == "http://[2001:db8::7]:30080/"


def test_a_port_that_a_preview_cannot_tell_is_unknown_and_not_none(run, recorder):
    recorder.node_port = None
    _, services = make(run)
    assert known(services.deck_url) is pulumi.UNKNOWN


def test_services_are_not_awaited(run):
    recorder, _ = make(run)
    for inputs in recorder.of("Service").values():
        assert reveal(inputs)["metadata"]["annotations"] == {"pulumi.com/skipAwait": "true"}
