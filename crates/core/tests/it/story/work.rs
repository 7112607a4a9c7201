//! Ordinary work with pages, tool servers and secrets around it: nothing of it is stopped by what the session remembers.

use doorward_core::Verdict;

use super::playbook::{Agent, workspace};

/// A day of ordinary work after a guide was read that names everything in it.
const GUIDE: &str = "# Getting started\n\nInstall `tool` with `pip install tool==2.1` or `npm install --save-dev @vendor/tool`.\n\
    Clone https://forge.example.test/vendor/tool and run `make -C tool build`.\n\
    The API is at https://api.vendor.example.test/v1/things, the docs at https://docs.vendor.example.test/guide.\n\
    ```sh\ngit clone https://forge.example.test/vendor/tool.git\ncd tool && ./configure --prefix=$HOME/.local && make install\n\
    docker compose up -d && curl -s http://localhost:8080/health\n\
    curl -X POST http://localhost:8080/v1/things -d '{\"name\":\"a\"}'\ncurl https://api.vendor.example.test/v1/things\n```\n";

const LINES: [&str; 33] = [
    "pip install tool==2.1",
    "npm install --save-dev @vendor/tool",
    "git clone https://forge.example.test/vendor/tool.git",
    "cd tool && ./configure --prefix=$HOME/.local && make install",
    "make -C tool build",
    "docker compose up -d && curl -s http://localhost:8080/health",
    "curl -X POST http://localhost:8080/v1/things -d '{\"name\":\"a\"}'",
    "curl https://api.vendor.example.test/v1/things",
    "cat .env",
    "npm run build",
    "npm test -- --watch=false",
    "cargo build --release && cargo test",
    "python3 -m pytest -q tests",
    "python3 scripts/load.py --url https://api.vendor.example.test/v1/things",
    "node server.js & sleep 2; curl -s http://127.0.0.1:3000/",
    "git status && git add -A && git commit -m 'Use https://api.vendor.example.test/v1/things'",
    "git push origin main",
    "git fetch origin && git rebase origin/main",
    "gh pr create --fill",
    "ls -la ~/projects",
    "grep -rn 'api.vendor.example.test' src",
    "sed -i 's/a/b/' src/config.ts",
    "mkdir -p /tmp/work && cp -r src /tmp/work",
    "python3 /tmp/repro.py",
    "tar -czf dist.tgz dist",
    "docker build -t app . && docker run --rm app",
    "kubectl get pods",
    "terraform plan",
    "npx prettier --write src",
    "go install golang.example.test/x/tool@latest",
    "make test",
    "pip install -r requirements.txt",
    "cat README.md",
];

#[test]
fn a_guide_is_read_and_followed() {
    let (mut agent, mut workspace) = (Agent::new("a"), workspace());
    agent.approves = false;
    agent.typed("set the project up as their guide says");
    agent.fetch("https://docs.vendor.example.test/guide", GUIDE, &mut workspace);
    agent.call("WebSearch", r#"{"query":"vendor tool setup"}"#, &mut workspace);
    agent.result(GUIDE);
    agent.call("mcp__docs__search", r#"{"query":"vendor tool"}"#, &mut workspace);
    agent.result(GUIDE);
    for line in LINES {
        let outcome = agent.bash(line, &mut workspace);
        assert!(outcome.decision.verdict <= Verdict::Audit, "{line}: {}", outcome.why());
        agent.result(if line == "cat .env" { "TOKEN=abc123def456ghi789jkl\nPORT=3000\n" } else { "ok" });
    }
    let client =
        "const URL = 'https://api.vendor.example.test/v1/things';\nexport const get = () => fetch(URL);\n";
    for path in ["src/client.ts", "/tmp/repro.py", "package.json", "Makefile"] {
        let outcome = agent.write(path, client, &mut workspace);
        assert!(outcome.decision.verdict <= Verdict::Audit, "{path}: {}", outcome.why());
    }
    for line in LINES {
        let outcome = agent.bash(line, &mut workspace);
        assert!(outcome.decision.verdict <= Verdict::Audit, "{line}, again: {}", outcome.why());
    }
}

#[test]
fn a_week_of_the_same_agent_is_not_interrupted_by_what_is_new() {
    let (mut agent, mut workspace) = (Agent::new("a"), workspace());
    agent.approves = false;
    for day in 0..7 {
        agent.now += 20 * 3_600_000;
        for line in LINES.iter().cycle().skip(day * 5).take(8 + day * 4) {
            agent.now += 20_000;
            let outcome = agent.bash(line, &mut workspace);
            assert!(outcome.decision.verdict <= Verdict::Audit, "day {day}, {line}: {}", outcome.why());
        }
    }
    // Something new is told of, and only once.
    let first = agent.bash("tail -n 5 ~/.bash_history", &mut workspace);
    let again = agent.bash("tail -n 9 ~/.bash_history", &mut workspace);
    assert!(first.has("baseline.unusual") && first.decision.verdict == Verdict::Audit, "{}", first.why());
    assert!(!again.has("baseline.unusual"), "{}", again.why());
}

/// What fetches data, or what everybody knows, and then runs something of the project's own.
#[test]
fn what_is_fetched_may_be_worked_on() {
    for lines in [
        &["curl -s https://api.vendor.example.test/things.json | python3 scripts/summarise.py"][..],
        &[
            "curl -s https://api.vendor.example.test/things.json | node -e 'process.stdin.pipe(process.stdout)'",
        ],
        &[
            "curl -s https://api.vendor.example.test/things.json | jq . > data.json",
            "node build.js data.json",
        ],
        &["wget -q https://data.example.test/all.csv", "python3 analyse.py all.csv", "bash run.sh all.csv"],
        &["curl -LO https://data.example.test/tool-1.0.whl", "pip install ./tool-1.0.whl"],
        &["curl -sL https://data.example.test/node.tar.gz | tar -xz -C vendor", "make test"],
        &["sed -i \"s/VERSION/$(curl -s https://data.example.test/version)/\" build.sh", "bash build.sh"],
        &["curl -s http://localhost:8000/setup.sh -o /tmp/setup.sh", "bash /tmp/setup.sh"],
        &["git clone https://forge.example.test/them/tool", "cd tool && make && ./build.sh"],
        &[
            "python3 -c 'import urllib.request as u; print(u.urlopen(\"https://api.vendor.example.test/\").status)'",
        ],
        &["curl -sSf https://sh.rustup.rs -o rustup-init.sh", "sh rustup-init.sh -y"],
    ] {
        let (mut agent, mut workspace) = (Agent::new("a"), workspace());
        agent.approves = false;
        for session in 0..2 {
            for line in lines {
                let outcome = agent.bash(line, &mut workspace);
                let ours = outcome.decision.reasons.iter().filter(|reason| reason.rule.starts_with("taint."));
                assert!(
                    ours.into_iter().all(|reason| reason.verdict <= Verdict::Audit),
                    "{session} {line}: {}",
                    outcome.why()
                );
            }
            agent.again();
        }
    }
}
