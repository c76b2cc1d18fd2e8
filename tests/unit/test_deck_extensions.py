"""Files of the user's own among those that deck serves."""

import base64

from components.deck_extensions import DeckExtensions, DeckExtensionsArgs, split_files
from components.github_account import GitHubAccount
from components.images import Images
from components.private_deck import PRIVATE_DECK
from components.workload import Workloads, WorkloadsArgs

from .mocked import known, reveal

PNG = b"\x89PNG\r\n\x1a\n"


def test_texts_are_texts_and_others_base64():
    data, binary = split_files({"style.css": b"body {}", "logo.png": PNG})
    assert data == {"style.css": "body {}", "script.js": ""}
    assert {name: base64.b64decode(text) for name, text in binary.items()} == {"logo.png": PNG}


def test_what_every_page_loads_is_there_once_and_may_be_in_any_encoding():
    assert split_files({}) == ({"style.css": "", "script.js": ""}, {})
    data, binary = split_files({"script.js": b"\xff", "favicon.ico": b"\0\0"})
    assert (set(data), set(binary)) == ({"style.css"}, {"script.js", "favicon.ico"})


def test_the_config_map_is_mounted_where_decks_image_has_its_own(run):
    made = []

    def program() -> None:
        args = DeckExtensionsArgs(files={"logo.png": PNG}, namespace="prow")
        made.append(DeckExtensions("extensions", args))
        Workloads(
            "prow",
            WorkloadsArgs(
                components=(PRIVATE_DECK,),
                namespace="prow",
                job_namespace="test-pods",
                images=Images(registry="registry.example/prow", tag="v1", script="python:3"),
                github=GitHubAccount(bot_token="ghp_1"),
                volumes={"extensions": made[0].config_map},
            ),
        )

    recorder = run(program)
    assert known(made[0].config_map) == "deck-extensions"
    assert set(recorder.of("ConfigMap")) == {"prow/deck-extensions"}
    pod = reveal(recorder.of("Deployment")["prow/deck"])["spec"]["template"]["spec"]
    assert {"name": "extensions", "configMap": {"name": "deck-extensions"}} in pod["volumes"]
    mount = {"name": "extensions", "mountPath": "/var/run/ko/static/extensions", "readOnly": True}
    assert mount in pod["containers"][0]["volumeMounts"]
