from components.webhook_secret import WebhookSecret, WebhookSecretArgs

from .conftest import known, marked_secret


def test_the_secret_is_forty_hex_digits_and_marked_secret(run):
    made = []
    recorder = run(lambda: made.append(WebhookSecret("webhook-secret", WebhookSecretArgs())))
    assert known(made[0].hmac) == "0f" * 20
    assert marked_secret(made[0].hmac)
    (resource,) = recorder.of("RandomBytes").values()
    assert resource["length"] == 20


def test_another_generation_is_another_secret(run):
    recorder = run(
        lambda: [
            WebhookSecret(f"g{generation}", WebhookSecretArgs(generation=generation)) for generation in (1, 2)
        ]
    )
    first, second = recorder.of("RandomBytes").values()
    assert first["keepers"] != second["keepers"]
