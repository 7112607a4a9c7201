"""The recipes in docs/how-to/clients name the versions that are tested, no others."""

import json
import re

import pytest
from harness.process import ROOT

RECIPES = ROOT / "docs" / "how-to" / "clients"


def pinned():
    """Every client's version as the tests install it."""
    e2e = ROOT / "e2e"
    versions = {}
    for manifest in [e2e / "node" / "package.json", *e2e.glob("agents/packages/*/package.json")]:
        versions.update(json.loads(manifest.read_text())["dependencies"])
    for requirements in (e2e / "requirements.txt", e2e / "agents" / "packages" / "aider.txt"):
        lines = [line.split("==") for line in requirements.read_text().splitlines() if "==" in line]
        versions.update({f"{name} (Python)": version for name, version in lines})
    return versions


PAGES = {
    "claude-code": ["@anthropic-ai/claude-code"],
    "codex": ["@openai/codex"],
    "opencode": ["opencode-ai"],
    "gemini-cli": ["@google/gemini-cli"],
    "cline": ["cline"],
    "aider": ["aider-chat (Python)"],
    "python-sdks": ["anthropic (Python)", "openai (Python)"],
    "node-sdks": ["@anthropic-ai/sdk", "openai"],
    "vercel-ai-sdk": ["ai", "@ai-sdk/anthropic", "@ai-sdk/openai", "@ai-sdk/openai-compatible"],
    "langchain": ["langchain (Python)", "langchain-anthropic (Python)", "langchain-openai (Python)"],
}


@pytest.mark.parametrize("page", sorted(path.stem for path in RECIPES.glob("*.md")))
def test_a_recipe_names_the_versions_that_are_tested(page):
    text = (RECIPES / f"{page}.md").read_text()
    tested = re.search(r"^Tested: (.*?)\n\n", text, re.MULTILINE | re.DOTALL)
    if page in PAGES:
        said = re.findall(r"\d+\.\d+\.\d+", tested.group(1))
        assert said == [pinned()[name] for name in PAGES[page]]
    # LiteLLM comes with aider, which pins it.
    elif page != "litellm":
        assert tested is None


def test_the_overview_names_every_recipe():
    overview = (RECIPES / "README.md").read_text()
    for path in RECIPES.glob("*.md"):
        assert path.stem == "README" or f"({path.name})" in overview, path.name
    said = set(re.findall(r"\d+\.\d+\.\d+", overview.partition("**What was tested.**")[0]))
    # 127.0.0.1 looks like one; LiteLLM's comes with aider.
    assert said - {"127.0.0", "1.81.10"} <= set(pinned().values())
