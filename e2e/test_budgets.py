"""Budgets of keys and their agents: what the SDK is told, and that a `kill -9` gives nobody a second one."""

import json

import pytest
from harness import wire
from test_egress import client, door, key, site  # noqa: F401 (fixtures)
from sphyr_sdk.errors import SphyrRateLimitError


def asked(door, credential, agent, url):
    """What a request by the key's credential gets."""
    body = json.dumps({"url": url}).encode()
    headers = [("authorization", f"Bearer {credential}"), ("doorward-agent", agent)]
    with wire.Exchange(door.address, wire.request(door.address, "/v1/net", body, headers=headers)) as exchange:
        answer = exchange.read()
    return answer


@pytest.mark.parametrize("unit,most", [("calls", "2"), ("bytes", "300"), ("money", "1")])
def test_a_budget_counts_on_over_a_kill_9(door, site, unit, most):  # noqa: F811
    key_id, credential = key(
        door, "--set", "credit_price=0.5", "--set", f"budget_agent_{unit}_per_hour={most}"
    )
    door.command("agents", "issue", key_id, "a")
    door.command("agents", "issue", key_id, "b")
    url = f"{site.url}/{'x' * 60}"
    for _ in range(2):
        assert asked(door, credential, "a", url).status == 200
    door.kill_9()
    door.start()
    refused = asked(door, credential, "a", url)
    told = json.loads(refused.body)
    assert (refused.status, told["code"]) == (429, "HOURLY_BUDGET_EXCEEDED"), told
    wait = told["retry_after_ms"]
    assert 3_500_000 < wait <= 3_672_000
    assert refused.header("retry-after") == str(-(-wait // 1000))
    assert asked(door, credential, "b", url).status == 200, "another agent has its own"
    assert len(site.asked) == 3


def test_the_sdk_is_told_how_long_to_wait(door, site):  # noqa: F811
    _, credential = key(door, "--set", "budget_key_calls_per_hour=1")
    plain = client(door, credential)
    assert plain.sphyr_net(f"{site.url}/a")["outcome"] == "ALLOWED"
    with pytest.raises(SphyrRateLimitError) as raised:
        plain.sphyr_net(f"{site.url}/b")
    assert raised.value.code == "HOURLY_BUDGET_EXCEEDED"
    assert 3_500_000 < raised.value.retry_after_ms <= 3_672_000
