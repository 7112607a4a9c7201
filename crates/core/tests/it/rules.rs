//! The shipped rules: the list, every example, every near miss; and what a rule file may not say.

use std::sync::Arc;

use doorward_core::action::alone;
use doorward_core::detect::rules::{RuleSet, shipped};
use doorward_core::engine::Surroundings;
use doorward_core::engine::examples::mistaken;
use doorward_core::syntax::{Diagnostic, Source};
use doorward_core::{Engine, Facts, Verdict};

fn engine() -> Engine {
    Engine::shipped(Surroundings::default()).unwrap_or_else(|faults| panic!("{}", told(&faults)))
}

fn told(faults: &[Diagnostic]) -> String {
    let text =
        |origin: &str| shipped().iter().find(|source| source.name == origin).map_or("", |source| source.text);
    faults
        .iter()
        .map(|fault| {
            let (line, column) = fault.position(text(&fault.origin).as_bytes());
            format!("{}:{line}:{column}: {} ({})\n", fault.origin, fault.message, fault.advice)
        })
        .collect()
}

/// What other firewalls for agents have rules for; here each has one that decides something.
#[test]
fn every_kind_of_attack_that_is_known_has_rules() {
    const KINDS: [&str; 29] = [
        "anti-forensics",
        "browser-token",
        "client-config-poison",
        "clipboard",
        "container-breakout",
        "credential-read",
        "crypto-wallet",
        "download-exec",
        "dropper",
        "env-leak",
        "evasion-edr",
        "exfil-channel",
        "git-attack",
        "history-read",
        "indirect-injection",
        "keyring",
        "locale",
        "lolbin",
        "memory-dump",
        "metadata-ssrf",
        "network-rewrite",
        "obfuscation",
        "package-manager-redirect",
        "persistence",
        "privesc-recon",
        "reverse-shell",
        "supply-chain",
        "vm-fingerprint",
        "wifi",
    ];
    let rules = RuleSet::shipped().unwrap();
    for kind in KINDS {
        let own = rules.rules().iter().filter(|rule| rule.category == kind);
        assert!(own.map(|rule| rule.severity).max().is_some_and(|most| most >= 30), "{kind}");
    }
    // Windows keeps keys and passwords in ways of its own.
    let of_windows = rules.rules().iter().any(|rule| rule.id == "win.credential-hive" && rule.severity >= 60);
    assert!(of_windows);
}

/// The list of shipped files is the folder. `DOORWARD_REGENERATE=1` writes it.
#[test]
fn the_list_of_shipped_rules_is_the_folder() {
    let crate_root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = crate_root.join("../../rules");
    let files = |folder: &std::path::Path, within: &str| -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".yaml")).map(|name| format!("{within}{name}")).collect()
    };
    let mut names = files(&folder, "");
    names.extend(files(&folder.join("injection"), "injection/"));
    names.sort();
    let list = crate_root.join("src/detect/rules/shipped.rs");
    let current = std::fs::read_to_string(&list).unwrap();
    let (head, _) = current.split_once("    &[").unwrap();
    let mut wanted = format!("{head}    &[\n");
    for name in &names {
        wanted.push_str(&format!(
            "        Source {{ name: \"rules/{name}\", text: include_str!(\"../../../../../rules/{name}\") }},\n"
        ));
    }
    wanted.push_str("    ]\n}\n");
    if std::env::var_os("DOORWARD_REGENERATE").is_some() {
        std::fs::write(list, wanted).unwrap();
    } else {
        assert_eq!(current, wanted, "run with DOORWARD_REGENERATE=1");
    }
}

#[test]
fn every_example_matches_its_rule_and_no_near_miss_does() {
    let rules = RuleSet::compile(shipped()).unwrap_or_else(|faults| panic!("{}", told(&faults)));
    let wrong = mistaken(&Arc::new(rules), |_| true);
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), told(&wrong));
}

/// In the shipped files they are compiled when they are first tried; a file that differs in a byte is not taken for one.
#[test]
fn every_regular_expression_compiles_and_none_matches_nothing() {
    let texts: Vec<String> = shipped().iter().map(|source| format!("{}\n", source.text)).collect();
    let sources: Vec<Source<'_>> =
        shipped().iter().zip(&texts).map(|(source, text)| Source { name: source.name, text }).collect();
    RuleSet::compile(&sources).unwrap_or_else(|faults| panic!("{}", told(&faults)));
    let broken = texts.iter().map(|text| text.replace("regex: '", "regex: '(")).collect::<Vec<_>>();
    let sources: Vec<Source<'_>> =
        shipped().iter().zip(&broken).map(|(source, text)| Source { name: source.name, text }).collect();
    assert!(RuleSet::compile(&sources).unwrap_err().len() > 50);
}

#[test]
fn an_example_that_its_rule_misses_and_a_near_miss_that_it_hits_are_told() {
    let text = "rules:
  - id: own.misses
    category: own
    severity: 80
    description: d
    advice: a
    attack: [T1059]
    when: { text: { in: [command], literals: [frobnicate] } }
    examples:
      - command: frobnicate all
      - command: frobnicat all
    near_misses:
      - command: ls
      - command: frobnicate none
";
    let mine = Source { name: "mine.yaml", text };
    let rules = RuleSet::compile(&[shipped(), &[mine]].concat()).unwrap();
    let wrong = mistaken(&Arc::new(rules), |origin| origin == "mine.yaml");
    let lines: Vec<_> =
        wrong.iter().map(|fault| (fault.position(text.as_bytes()).0, &*fault.message)).collect();
    assert_eq!(
        lines,
        [(11, "`own.misses` does not match this example"), (14, "`own.misses` matches this near miss")]
    );
    assert!(wrong.iter().all(|fault| fault.origin == "mine.yaml" && !fault.advice.is_empty()));
}

#[test]
fn there_are_rules_and_each_says_what_to_do() {
    let engine = engine();
    let rules = engine.rules().rules();
    assert!(rules.len() >= 60, "{}", rules.len());
    for rule in rules {
        assert!(!rule.attack.is_empty() && !rule.advice.is_empty() && rule.severity >= 30, "{}", rule.id);
        assert!(!rule.description.ends_with('.'), "{}", rule.id);
    }
}

/// Ordinary coding work is at most noted.
#[test]
fn ordinary_work_is_never_interrupted() {
    let engine = engine();
    let mut stopped = Vec::new();
    for line in ORDINARY.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let action = alone::read("command", line, None).unwrap();
        let decision = engine.decide(&action, &Facts::default());
        if decision.verdict > Verdict::Audit {
            stopped.push(format!("{line}\n    {:?}", decision.decisive().map(|reason| &reason.rule)));
        }
    }
    assert!(stopped.is_empty(), "{}", stopped.join("\n"));
}

const ORDINARY: &str = r#"
    cat .env
    npm install && npm run build
    npm ci
    pip install -r requirements.txt
    git push origin feature/login
    git commit -m "Remove the curl | sh install hint"
    git config --global user.email dev@example.test
    curl -fsSLO https://github.com/example/tool/releases/download/v1/tool.tar.gz
    curl -s https://api.github.com/repos/example/tool | jq .tag_name
    curl -X POST -H "Content-Type: application/json" -d '{"a":1}' http://localhost:3000/api/items
    docker build -t app . && docker run --rm -p 8080:80 app
    docker compose up -d
    ssh deploy@staging.example.test "systemctl status app"
    scp dist/app.tar.gz deploy@staging.example.test:/srv/app/
    rsync -av --delete dist/ deploy@staging.example.test:/srv/app/
    cargo test --workspace
    cargo run --release -- --help
    python3 -m venv .venv && . .venv/bin/activate && pip install -e .
    python -c "import sys; print(sys.version)"
    find . -name '*.pyc' -delete
    rm -rf node_modules dist target/debug
    rm -rf /tmp/build-1234
    chmod +x scripts/deploy.sh && ./scripts/deploy.sh
    grep -rn "TODO" src | head
    sed -i 's/foo/bar/g' src/lib.rs
    tar xzf release.tar.gz -C /tmp/out
    export NODE_ENV=production; node server.js
    kill %1
    kill 4242
    pkill -f "node server.js"
    ls -la ~
    du -sh ~/.cache
    make -j8 && sudo make install
    brew install ripgrep
    apt-get update && apt-get install -y jq
    gh pr create --fill
    git log --oneline | head -20
    echo "export PATH=$PATH:~/bin"
    psql "$DATABASE_URL" -c 'select 1'
    kubectl get pods -n app
    terraform plan
    aws s3 ls
    openssl rand -base64 32
    base64 -d cert.b64 > cert.der
    ps aux | grep node
    lsof -i :3000
    history | tail
    crontab -l
    wget https://example.test/data.csv
    for f in *.txt; do wc -l "$f"; done
    printf '%s\n' a b c | sort -u
"#;

fn faults(text: &str) -> Vec<String> {
    let source = Source { name: "mine.yaml", text };
    let faults = RuleSet::compile(&[source]).map(|_| ()).unwrap_err();
    let place = |fault: &Diagnostic| fault.position(text.as_bytes());
    faults.iter().map(|fault| format!("{}:{}: {}", place(fault).0, place(fault).1, fault.message)).collect()
}

#[test]
fn a_rule_file_tells_all_its_faults_at_once() {
    let found = faults(
        "rules:
  - id: NoDot
    category: x
    severity: 101
    descripton: d
    advice: a
    attack: [X1]
    when: { text: { in: [comand], literals: [ab], regex: '(' } }
    examples: []
    near_misses: [{ command: a, url: b }]
",
    );
    for wanted in [
        "`id` must be like",
        "severity` must be a whole number from 1 to 100",
        "unknown key `descripton`",
        "`description` is missing",
        "not an ATT&CK technique",
        "`comand` is no value of `in`",
        "a literal needs at least 3 bytes",
        "not a regular expression",
        "needs at least one example",
        "exactly one kind",
    ] {
        assert!(found.iter().any(|fault| fault.contains(wanted)), "{wanted} in {found:#?}");
    }
}

#[test]
fn an_expression_is_named_once_for_several_rules() {
    let file = |used: &str| {
        format!(
            "expressions: {{ our-hosts: '^https://[a-z]+\\.ours\\.test/' }}
rules:
  - id: own.fetch
    category: own
    severity: 80
    description: d
    advice: a
    attack: [T1105]
    when: {{ effect: {{ capability: network:fetch, kind: url, matches: {used} }} }}
    examples: [{{ command: 'curl https://a.ours.test/x' }}]
    near_misses: [{{ command: 'curl https://a.theirs.test/x' }}]
"
        )
    };
    let text = file("$our-hosts");
    let mine = Source { name: "mine.yaml", text: &text };
    let rules =
        RuleSet::compile(&[shipped(), &[mine]].concat()).unwrap_or_else(|faults| panic!("{faults:#?}"));
    assert_eq!(mistaken(&Arc::new(rules), |origin| origin == "mine.yaml"), []);
    let found = faults(&file("$our-host"));
    assert!(found.iter().any(|fault| fault.contains("there is no expression `our-host`")), "{found:?}");
}

#[test]
fn a_regular_expression_is_bounded_and_needs_a_literal() {
    let rule = |text: &str| {
        format!(
            "rules:\n  - {{id: a.b, category: c, severity: 50, description: d, advice: a, attack: [T1059], when: {{ text: {{ in: [command], {text} }} }}, examples: [{{command: x}}], near_misses: [{{command: y}}]}}\n"
        )
    };
    assert!(faults(&rule("regex: 'abc'")).iter().any(|fault| fault.contains("needs either `literals`")));
    let huge = rule("literals: [abc], regex: '(\\w{100}){100}'");
    assert!(
        faults(&huge).iter().any(|fault| fault.contains("not a regular expression")),
        "{:?}",
        faults(&huge)
    );
    assert!(
        faults(&rule("literals: [abc], regex: 'x*'")).iter().any(|fault| fault.contains("matches nothing"))
    );
    assert!(RuleSet::compile(&[Source { name: "m", text: &rule("literals: [abc], regex: 'abc+'") }]).is_ok());
}

#[test]
fn an_id_is_used_once_over_all_files() {
    let text = "rules:\n  - {id: a.b, category: c, severity: 50, description: d, advice: a, attack: [T1059], when: {effect: {capability: signal}}, examples: [{command: x}], near_misses: [{command: y}]}\n".replace("signal}", "process:signal}");
    let one = Source { name: "one.yaml", text: &text };
    let two = Source { name: "two.yaml", text: &text };
    let found = RuleSet::compile(&[one, two]).unwrap_err();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].origin.as_str(), found[0].message.as_str()),
        ("two.yaml", "a rule `a.b` exists already")
    );
}
