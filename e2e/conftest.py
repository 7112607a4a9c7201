"""Fixtures: the scripted provider, and the real `doorward run` in front of it.

The environment is made clean before any SDK is imported: no keys, no proxies, an empty home. Nothing here
talks to anything but the loopback address.
"""

import os
import tempfile

_HOME = tempfile.mkdtemp(prefix="doorward-e2e-")
for _name in list(os.environ):
    if _name.startswith(("ANTHROPIC_", "OPENAI_", "GEMINI_", "GOOGLE_", "DOORWARD_")) and _name != "DOORWARD_BIN":
        del os.environ[_name]
    elif _name.lower() in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        del os.environ[_name]
os.environ["HOME"] = _HOME

import shutil  # noqa: E402

import pytest  # noqa: E402

from harness.door import Door  # noqa: E402
from harness.provider import Provider  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--rounds", type=int, default=200, help="rounds of the kill -9 test")
    parser.addoption("--seed", type=int, default=None, help="seed of the kill -9 test's random moments")


def pytest_sessionfinish():
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def provider():
    """One scripted provider for the whole run."""
    with Provider() as running:
        yield running


@pytest.fixture
def fresh_provider():
    """A provider of one's own, for tests that read its log."""
    with Provider() as running:
        yield running


@pytest.fixture(scope="session")
def anthropic_door(provider, tmp_path_factory):
    """The firewall in front of the provider, speaking Anthropic Messages."""
    with Door(tmp_path_factory.mktemp("anthropic"), provider.url, "anthropic") as door:
        yield door


@pytest.fixture(scope="session")
def openai_door(provider, tmp_path_factory):
    """The firewall in front of the provider, speaking OpenAI Chat Completions."""
    with Door(tmp_path_factory.mktemp("openai"), provider.url, "openai") as door:
        yield door


@pytest.fixture(scope="session")
def gemini_door(provider, tmp_path_factory):
    """The firewall in front of the provider, speaking Gemini."""
    with Door(tmp_path_factory.mktemp("gemini"), provider.url, "gemini") as door:
        yield door


@pytest.fixture(params=["anthropic", "openai"])
def protocol(request):
    """Both protocols, one after the other."""
    return request.param


@pytest.fixture
def door(protocol, request):
    """The shared door of the current protocol."""
    return request.getfixturevalue(f"{protocol}_door")


@pytest.fixture
def own_door(protocol, fresh_provider, tmp_path):
    """A door and a provider that only this test uses."""
    with Door(tmp_path, fresh_provider.url, protocol) as door:
        door.provider = fresh_provider
        yield door


@pytest.fixture
def own_responses_door(fresh_provider, tmp_path):
    """A door and a provider of one's own, speaking OpenAI's protocol."""
    with Door(tmp_path, fresh_provider.url, "openai") as door:
        door.provider = fresh_provider
        yield door
