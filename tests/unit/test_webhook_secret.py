import pulumi
import pytest

from components.webhook_secret import GENERATION, WebhookSecret, WebhookSecretArgs, refuse_generation_jump

from .mocked import known, marked_secret


def make(run, generation: int):
    made = []
    args = WebhookSecretArgs(generation=generation)
    return run(lambda: made.append(WebhookSecret("webhook-secret", args))), made[0]


def test_the_secret_is_forty_hex_digits_and_marked_secret(run):
    recorder, secret = make(run, 1)
    assert known(secret.hmac) == "0f" * 20
    assert marked_secret(secret.hmac)
    (resource,) = recorder.of("RandomPassword").values()
    assert resource["length"] == 40
    assert set(resource["overrideSpecial"]) == set("abcdef")
    assert (resource["lower"], resource["upper"]) == (False, False)


def test_the_first_generation_has_no_older_one(run):
    recorder, secret = make(run, 1)
    assert list(secret.hmacs) == [1]
    assert set(recorder.of("RandomPassword")) == {"webhook-secret-1"}


def test_raising_the_generation_by_one_keeps_the_resource_with_the_value_that_github_has(run):
    recorder, secret = make(run, 3)
    assert list(secret.hmacs) == [3, 2]
    assert secret.hmac is secret.hmacs[3]
    assert set(recorder.of("RandomPassword")) == {"webhook-secret-3", "webhook-secret-2"}


def change(old: int | None, new: int) -> None:
    def inputs(generation: int | None):
        annotations = {} if generation is None else {"annotations": {GENERATION: str(generation)}}
        return {"metadata": {"name": "hmac-token", **annotations}}

    refuse_generation_jump(
        pulumi.ResourceHookArgs(
            urn="", id="", name="", type="", old_inputs=inputs(old), new_inputs=inputs(new)
        )
    )


@pytest.mark.parametrize(("old", "new"), [(2, 2), (2, 3), (None, 5)])
def test_a_generation_may_stay_or_rise_by_one(old, new):
    change(old, new)


@pytest.mark.parametrize(("old", "new", "allowed"), [(2, 4, 3), (2, 1, 2), (1, 9, 2)])
def test_any_other_change_of_the_generation_is_refused_with_the_command_that_mends_it(old, new, allowed):
    with pytest.raises(RuntimeError) as caught:
        change(old, new)
    assert f"prow:webhookSecretGeneration is {new}, but hook and GitHub are at {old}" in str(caught.value)
    assert str(caught.value).endswith(f"pulumi config set webhookSecretGeneration {allowed}")
