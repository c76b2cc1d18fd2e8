"""Any text at all as a setting gives Settings or a list of problems, within a second, and shows no secret."""

import json
import time
from typing import Any

import pytest

from components.catalog import CATALOG
from settings import SettingsError, load
from settings.groups import TABLE
from settings.kubeconfig import find_problems

from ..configured import KUBECONFIG, read_errors

SECRET = "token-nobody-may-see"
DIGITS = "9" * 5000
DEEP = "[" * 100_000
MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 60))
ALIASES = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(9)
)
TEXTS = (
    "",
    " ",
    "\n",
    "\x00",
    "\ud800",
    "é",
    "٣",  # ARABIC-INDIC DIGIT THREE
    "аcme/оne",  # noqa: RUF001 - Cyrillic letters
    "-",
    "*",
    "a" * 100_000,
    "a-" * 50_000,
    "a." * 50_000,
    "a/" * 50_000,
    "-----BEGIN PRIVATE KEY-----\n" * 5_000,
    DIGITS,
    f"[{DIGITS}]",
    f'{{"acme/one": {DIGITS}}}',
    DEEP,
    "{" + '"a":{' * 50_000,
    "null",
    "NaN",
    "[null]",
    "[[]]",
    "[{}]",
    '[1, "a", "A", true]',
    '{"": {}, "a\\nb": null, "\\ud800": [1]}',
    '{"acme/one": [null, {}, ["x"]]}',
    json.dumps([f"bad {n}" for n in range(20_000)]),
    "http://[::1",
    "http://a:99999/",
    "http://x:0",
    "https://user:password@host/hook",
    "http://[fe80::1%eth0]/",
    MERGES,
    ALIASES,
    "!!int x",
    "!!python/object:os.system {}",
    "contexts: [5]",
    "contexts: {a: b}",
    "? [a]\n: b",
)


@pytest.mark.parametrize("name", TABLE)
def test_any_text_is_taken_or_refused_in_words(configure, name):
    for text in TEXTS:
        config = configure(**{name: text})
        start = time.process_time()
        message = "fix: "
        try:
            load(config)
        except SettingsError as error:
            message = str(error)
        assert time.process_time() - start < 1, text[:80]
        assert message.replace("\n", "").isprintable(), text[:80]
        assert len(message) < 20_000, text[:80]
        assert "fix: " in message, text[:80]


@pytest.mark.parametrize("name", [name for name, entry in TABLE.items() if entry.is_secret])
@pytest.mark.parametrize(
    "form", ["{}", "a {}", "!!int {}", "{{{}", "contexts: [{}]", "[{}: :", '{{"type": "{}"}}']
)
def test_a_secret_is_in_no_message(configure, name, form):
    text = form.format(SECRET)
    more: dict[str, Any] = {"githubAppId": "4711"} if name == "githubAppPrivateKey" else {}
    for plain in ((), (name,)):
        said = ""
        try:
            load(configure(plain=plain, **{name: text}, **more))
        except SettingsError as error:
            said = str(error)
        assert SECRET not in said


def test_a_setting_that_is_stored_as_a_secret_without_need_is_not_shown(configure):
    hidden = configure(hidden=("imageTag", "repositories"), imageTag=f"{SECRET}!", repositories=[SECRET])
    text = read_errors(hidden)
    assert "prow:imageTag has a value that is not right" in text
    assert "prow:repositories has a value that is not right" in text
    assert SECRET not in text


def test_a_rule_does_not_show_a_hidden_value_either(configure):
    text = read_errors(configure(hidden=("namespace",), namespace=SECRET, jobNamespace=SECRET))
    assert "prow:jobNamespace is a secret as well as namespace" in text
    assert SECRET not in text
    hidden = configure(hidden=("jobNamespace",), jobNamespace=SECRET, prowJobNamespace="other")
    text = read_errors(hidden)
    assert "prow:prowJobNamespace is 'other', neither namespace ('prow') nor jobNamespace (a secret)" in text
    assert SECRET not in text


def test_the_password_of_a_url_is_not_shown(configure):
    text = read_errors(configure(storageEndpoint=f"https://me:{SECRET}@s3.example"))
    assert "prow:storageEndpoint is 'https://…@s3.example', not an http(s) URL" in text
    assert SECRET not in text


def test_of_many_problems_of_one_setting_the_first_are_shown(configure):
    text = read_errors(configure(repositories=[f"bad {n}" for n in range(500)]))
    assert text.startswith("500 settings to fix")
    assert text.count("fix: ") == 10
    assert "and 490 more" in text


@pytest.mark.parametrize("name", ["acme/..", "acme/.", "acme/one.git", "аcme/one", "acme/" + "x" * 101])  # noqa: RUF001
def test_a_name_that_github_has_not_is_refused(configure, name):
    assert "prow:repositories[0] is " in read_errors(configure(repositories=[name]))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("githubAppId", "٤٧١١"),
        ("scriptImage", "python:٣"),
        ("scriptImage", "registry.example:99999/python:3"),
        ("scriptImage", "registry.example:0/python:3"),
        ("scriptImage", "Registry/Python:3"),
        ("scriptImage", "python@sha256:1234"),
        ("imageRegistry", "registry.example:65536/prow"),
        ("imageRegistry", "https://registry.example"),
        ("storageEndpoint", "http://s3.example:65536"),
        ("storageEndpoint", "http://s3.example:0"),
        ("storageEndpoint", "http://999.999.999.999"),
        ("storageBucket", "192.168.1.1"),
        ("storageBucket", "a..b"),
        ("nodeAddress", "999.999.999.999"),
        ("nodeAddress", "1.2.3"),
        ("nodeAddress", "fe80::1%eth0"),
        ("nodeAddress", "a..b"),
        ("node", "a..b"),
        ("replicas", "٣"),
        ("replicas", "03"),
        ("replicas", "11"),
        ("webhookUrl", "https://prow.example"),
        ("webhookUrl", "https://prow.example/"),
        ("webhookUrl", "https://prow.example/webhook"),
        ("webhookUrl", "https://prow.example/hook?x=1"),
    ],
)
def test_what_only_looks_right_is_refused(configure, name, value):
    assert f"prow:{name} is {value!r}, not " in read_errors(configure(**{name: value}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scriptImage", f"registry.example:5000/a-b/c__d/python:3.13-alpine@sha256:{'0' * 64}"),
        ("scriptImage", "[2001:db8::7]:5000/python:3"),
        ("scriptImage", "localhost:5000/python:3"),
        ("imageRegistry", "localhost:5000"),
        ("imageRegistry", "registry.example/"),
        ("nodeAddress", "2001:db8::7"),
        ("nodeAddress", "node.example"),
        ("webhookUrl", "https://prow.example/ci/hook"),
        ("webhookUrl", "http://[2001:db8::7]:8888/hook"),
        ("redeliverySchedule", "0,30 8-18/2 1-15 JAN-jun mon-FRI"),
        ("redeliverySchedule", "*/5 * ? * *"),
        ("repositories", ["me_corp/.github", "a/..a"]),
    ],
)
def test_what_only_looks_wrong_is_taken(configure, name, value):
    load(configure(**{name: value}))


@pytest.mark.parametrize(
    "schedule",
    [
        "99 99 99 99 99",
        "*/0 * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 7",
        "30-10 * * * *",
        "5- * * * *",
        ", * * * *",
        "* * * * noday",
        "TZ=UTC * * * * *",
        "@hourly",
    ],
)
def test_a_schedule_that_the_api_server_would_refuse_is_refused(configure, schedule):
    assert "prow:redeliverySchedule is " in read_errors(configure(redeliverySchedule=schedule))


def test_a_number_of_a_webhook_that_no_machine_reads_is_refused(configure):
    text = read_errors(configure(importWebhooks=f'{{"acme/one": {DIGITS}}}'))
    assert 'prow:importWebhooks["acme/one"] is ' in text
    assert "not a webhook's number" in text


@pytest.mark.parametrize(
    "server",
    [
        "https://localhost:6443",
        "https://localhost.:6443",
        "https://a.localhost",
        "https://0.0.0.0",
        "https://127.1:6443",
        "https://2130706433",
        "https://0x7f.0.0.1",
        "https://[::1]",
        "https://[::]:6443",
        "https://[::ffff:127.0.0.1]:6443",
    ],
)
def test_a_build_cluster_on_loopback_is_refused_in_any_form(server):
    (reason,) = find_problems(KUBECONFIG.replace("https://10.0.0.1", server))
    assert "a server on loopback" in reason


@pytest.mark.parametrize(
    ("kubeconfig", "words"),
    [
        (KUBECONFIG.replace("contexts: [", "contexts: [5, "), "has contexts[0] without a name"),
        (
            KUBECONFIG.replace("contexts: [", "contexts: [{name: x}, "),
            "has a context 'x' that names no cluster",
        ),
        (KUBECONFIG.replace("users: [", "users: [{name: 5}, "), "has users[0] without a name"),
        (KUBECONFIG.replace("{token: known}", "known"), "has users[0] whose `user` is no map"),
        (MERGES + KUBECONFIG, "has aliases or tags"),
        (ALIASES + KUBECONFIG, "has aliases or tags"),
        (KUBECONFIG.replace("token: known", f"token: !!int {SECRET}"), "has aliases or tags"),
        (KUBECONFIG.replace("token: known", f"token: {DIGITS}"), "numbers or dates that nobody reads"),
        (KUBECONFIG.replace("token: known", "token: 2020-13-45"), "numbers or dates that nobody reads"),
        (f"contexts: {DEEP}", "levels deep"),
        ("contexts: [{name: x, context: {cluster: [c], user: {}}}]", "names no cluster"),
    ],
)
def test_a_kubeconfig_that_breaks_readers_is_refused(kubeconfig, words):
    reasons = find_problems(kubeconfig)
    assert any(words in reason for reason in reasons), reasons
    assert SECRET not in str(reasons)


def test_the_components_that_there_are_may_be_named_in_any_order(configure):
    assert set(load(configure(components=sorted(CATALOG))).prow.components) == set(CATALOG)
