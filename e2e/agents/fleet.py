"""The agents, each as its recipe in docs/how-to/clients says, and nothing more."""

import json
from functools import cached_property

from .workplace import installed

# Clients want a key; the provider of these tests looks at none.
KEY = "dummy-client-key"


class Agent:
    """What the tests ask of an agent. Each has `task(scene, words)`, the command line that gives it a task, and
    if it resumes, `next_task(scene, words)`, the one that gives the same session another.
    """

    name = family = package = ""
    # What the upstream speaks.
    protocol = "openai"
    door_arguments = ()
    # What it can do: `calls` tools, `several` of them in one turn, has a tool that `edits` files, `resumes` a
    # session without a terminal, makes edits in `text`.
    abilities = frozenset({"calls", "several", "edits", "resumes"})

    # Whether it says which session a request belongs to.
    names_sessions = True

    def env(self, scene):
        """Its own environment variables."""
        return {}

    def settle(self, scene):
        """Writes its settings into its home."""


class Node(Agent):
    """An agent that npm installs."""

    @cached_property
    def version(self):
        try:
            manifest = installed(self.family, "node_modules", *self.package.split("/"), "package.json")
        except (RuntimeError, FileNotFoundError):
            return "?"
        return json.loads(manifest.read_text())["version"]

    def program(self, name):
        """The path of its program."""
        return installed(self.family, "node_modules", ".bin", name)


class Codex(Node):
    """Codex CLI; its model decides which tools it has."""

    family, package = "codex", "@openai/codex"

    def __init__(self, name, model, lacks=()):
        self.name, self.model = name, model
        self.abilities = Agent.abilities - {*lacks}

    def env(self, scene):
        return {"DOORWARD_CLIENT_KEY": KEY}

    def settle(self, scene):
        folder = scene.home / ".codex"
        folder.mkdir()
        (folder / "config.toml").write_text(
            f'model = "{self.model}"\n'
            'model_provider = "doorward"\n\n'
            "[model_providers.doorward]\n"
            'name = "Doorward"\n'
            f'base_url = "{scene.door.base_url}"\n'
            'env_key = "DOORWARD_CLIENT_KEY"\n'
            'wire_api = "responses"\n'
        )

    def _exec(self, *more):
        # Its own sandbox needs kernel features that containers lack, and is not what is tested.
        return [self.program("codex"), "exec", *more, "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]

    def task(self, scene, words):
        return [*self._exec(), words]

    def next_task(self, scene, words):
        return [*self._exec("resume", "--last"), words]


class CodexBuiltIn(Codex):
    """Codex with its built-in provider at another address: it tries a WebSocket first."""

    def env(self, scene):
        return {"CODEX_API_KEY": KEY}

    def settle(self, scene):
        folder = scene.home / ".codex"
        folder.mkdir()
        (folder / "config.toml").write_text(
            f'model = "{self.model}"\nopenai_base_url = "{scene.door.base_url}"\n'
        )


class OpenCode(Node):
    """opencode, with each kind of provider that it brings."""

    family, package = "opencode", "opencode-ai"

    def __init__(self, name, protocol, provider, model, settings):
        self.name, self.protocol = name, protocol
        self.provider, self.model, self.settings = provider, model, settings

    def settle(self, scene):
        base = scene.door.base_url + ("/v1" if self.protocol == "anthropic" else "")
        options = {"baseURL": base, "apiKey": KEY}
        provider = {**self.settings, "options": options, "models": {self.model: {"name": self.model}}}
        folder = scene.home / ".config" / "opencode"
        folder.mkdir(parents=True)
        (folder / "opencode.json").write_text(json.dumps({"provider": {self.provider: provider}}))

    def task(self, scene, words):
        return [self.program("opencode"), "run", "--model", f"{self.provider}/{self.model}", words]

    def next_task(self, scene, words):
        return [*self.task(scene, words)[:-1], "--continue", words]


class ClaudeCode(Node):
    """Claude Code without a terminal. Commands and edits are allowed; it would ask otherwise."""

    name = family = "claude-code"
    package, protocol = "@anthropic-ai/claude-code", "anthropic"

    def env(self, scene):
        return {
            "ANTHROPIC_BASE_URL": scene.door.base_url,
            "ANTHROPIC_API_KEY": KEY,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        }

    def task(self, scene, words):
        return [self.program("claude"), "-p", words, "--allowedTools", "Bash,Edit,Write"]

    def next_task(self, scene, words):
        return [self.program("claude"), "--continue", *self.task(scene, words)[1:]]


class GeminiCli(Node):
    """Gemini CLI without a terminal."""

    name = family = "gemini-cli"
    package, protocol = "@google/gemini-cli", "gemini"
    names_sessions = False

    def env(self, scene):
        return {"GOOGLE_GEMINI_BASE_URL": scene.door.base_url, "GEMINI_API_KEY": KEY}

    def settle(self, scene):
        folder = scene.home / ".gemini"
        folder.mkdir()
        settings = {"security": {"auth": {"selectedType": "gemini-api-key"}}}
        (folder / "settings.json").write_text(json.dumps(settings))

    def task(self, scene, words):
        # With a model named, it does not ask a small one first which to take.
        return [self.program("gemini"), "--yolo", "--skip-trust", "--model", "gemini-2.5-pro", "--prompt", words]

    def next_task(self, scene, words):
        return [*self.task(scene, words), "--resume", "latest"]


class Cline(Node):
    """The Cline command line."""

    name = family = package = "cline"
    # It resumes in a terminal only.
    abilities = Agent.abilities - {"resumes"}
    names_sessions = False

    def settle(self, scene):
        where = ["--baseurl", scene.door.base_url, "--apikey", KEY, "--modelid", "scripted"]
        done = scene.run([self.program("cline"), "auth", "--provider", "openai-compatible", *where])
        assert done.status == 0, done

    def task(self, scene, words):
        return [self.program("cline"), "--provider", "openai-compatible", "--model", "scripted", words]


class Aider(Agent):
    """aider: no tools, edits in plain text, one request for each message."""

    family = "aider"
    abilities = frozenset({"text"})
    door_arguments = ("--text-tools", "edit_blocks")

    def __init__(self, name, protocol, model):
        self.name, self.protocol, self.model = name, protocol, model

    @cached_property
    def version(self):
        try:
            found = list(installed("aider", "lib").glob("python*/site-packages/aider_chat-*.dist-info"))
        except (RuntimeError, FileNotFoundError):
            return "?"
        return found[0].name.removeprefix("aider_chat-").removesuffix(".dist-info") if found else "?"

    def env(self, scene):
        prefix = self.protocol.upper()
        return {f"{prefix}_API_KEY": KEY, f"{prefix}_API_BASE": scene.door.base_url}

    def task(self, scene, words):
        return [
            *(installed("aider", "bin", "aider"), "--model", self.model, "--edit-format", "diff"),
            *("--no-git", "--yes-always", "--no-check-update", "--no-show-model-warnings", "--analytics-disable"),
            *("--message", words),
        ]

    def next_task(self, scene, words):
        return [*self.task(scene, words), "--restore-chat-history"]


FLEET = [
    # A model that Codex does not know: plain functions.
    Codex("codex", "gpt-scripted", lacks=["edits"]),
    # The one model it knows that still has functions, and a custom tool for patches.
    Codex("codex-patch", "gpt-5.5"),
    # Today's models: one tool that takes JavaScript; its calls come one at a time.
    Codex("codex-script", "gpt-6.1-sol", lacks=["several"]),
    CodexBuiltIn("codex-built-in", "gpt-5.5"),
    OpenCode(
        "opencode-chat",
        *("openai", "doorward", "scripted"),
        {"npm": "@ai-sdk/openai-compatible", "name": "Doorward"},
    ),
    OpenCode("opencode-responses", "openai", "openai", "gpt-scripted", {}),
    OpenCode("opencode-anthropic", "anthropic", "anthropic", "claude-scripted", {}),
    ClaudeCode(),
    GeminiCli(),
    Cline(),
    Aider("aider-chat", "openai", "openai/scripted"),
    Aider("aider-anthropic", "anthropic", "anthropic/claude-scripted"),
]
