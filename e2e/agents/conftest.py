"""`cargo xtask agents`: the published coding agents, unmodified, through the real binary.

It prepares what this folder needs and says where it is: `AGENTS_HOME` is a folder with one folder for each
family of agents. `AGENTS_ONLY` names the agents or families to run, separated by commas.
`--report FILE` writes the results as JSON.
"""

import json
import os
import time
from pathlib import Path

import pytest
from agents import workplace
from agents.fleet import FLEET, Agent


def pytest_addoption(parser):
    parser.addoption("--report", type=Path, default=None, help="write the results here, as JSON")


def pytest_configure(config):
    config.addinivalue_line("markers", "needs(ability): only for agents that have it")


def pytest_generate_tests(metafunc):
    """Each case with each agent it is meant for."""
    if "agent" not in metafunc.fixturenames:
        return
    wanted = set(filter(None, os.environ.get("AGENTS_ONLY", "").split(",")))
    needs = [mark.args[0] for mark in metafunc.definition.iter_markers("needs")]
    agents = [
        agent
        for agent in FLEET
        if (not wanted or {agent.name, agent.family} & wanted) and set(needs) <= agent.abilities
    ]
    metafunc.parametrize("agent", agents, ids=lambda agent: agent.name, scope="module")


def pytest_collection_modifyitems(items):
    """A case for which no agent is wanted is not reported at all."""

    def unwanted(item):
        parameters = getattr(item, "callspec", None) and item.callspec.params
        return "agent" in (parameters or {}) and not isinstance(parameters["agent"], Agent)

    items[:] = [item for item in items if not unwanted(item)]


@pytest.fixture
def scene(agent, fresh_provider, tmp_path):
    """The agent in an empty home and an empty project, with a door and a provider of its own."""
    with workplace.Scene(agent, fresh_provider, tmp_path) as scene:
        yield scene


RESULTS = []


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when != "call" and not (report.when == "setup" and not report.passed):
        return
    agent = getattr(item, "callspec", None) and item.callspec.params.get("agent")
    if not isinstance(agent, Agent):
        return
    RESULTS.append(
        {
            "agent": agent.name,
            "version": agent.version,
            "case": item.originalname.removeprefix("test_"),
            "outcome": report.outcome,
            "seconds": round(call.stop - call.start, 2),
            "why": str(call.excinfo.value).splitlines()[0][:300] if call.excinfo else "",
        }
    )


def pytest_terminal_summary(terminalreporter, config):
    if not RESULTS:
        return
    terminalreporter.section("agents")
    widths = {key: max(len(str(row[key])) for row in RESULTS) for key in ("agent", "version", "case")}
    for row in RESULTS:
        terminalreporter.write_line(
            f"{row['agent']:<{widths['agent']}}  {row['version']:<{widths['version']}}  "
            f"{row['case']:<{widths['case']}}  {row['outcome']:<7} {row['seconds']:6.1f} s  {row['why']}"
        )
    report = config.getoption("--report")
    if report:
        made = {"made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "results": RESULTS}
        report.write_text(json.dumps(made, indent=2) + "\n")
