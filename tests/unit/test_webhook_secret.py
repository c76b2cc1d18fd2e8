from components.webhook_secret import WebhookSecret, WebhookSecretArgs

from .conftest import known, marked_secret


def test_the_secret_is_forty_hex_digits_and_marked_secret(run):
    made = []
    recorder = run(lambda: made.append(WebhookSecret("webhook-secret", WebhookSecretArgs())))
    assert known(made[0].hmac) == "0f" * 20
    assert marked_secret(made[0].hmac)
    (resource,) = recorder.of("RandomPassword").values()
    digits = {key: resource[key] for key in ("length", "lower", "upper", "numeric", "special")}
    assert digits == {"length": 40, "lower": False, "upper": False, "numeric": True, "special": True}
    assert resource["overrideSpecial"] == "abcdef"


def test_another_generation_is_another_secret(run):
    recorder = run(
        lambda: [
            WebhookSecret(f"g{generation}", WebhookSecretArgs(generation=generation)) for generation in (1, 2)
        ]
    )
    first, second = recorder.of("RandomPassword").values()
    assert first["keepers"] != second["keepers"]
