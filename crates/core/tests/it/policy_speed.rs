//! What policies cost, measured: `cargo test --release -p doorward-core --test it policy_speed -- --ignored --nocapture`.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use doorward_core::action::Action;
use doorward_core::policy::{Given, Policy};
use doorward_core::session::Facts;
use doorward_core::syntax::{Source, yaml};

use crate::policy::{call, fetch, policy, read};

pub fn text(rules: usize) -> String {
    let mut text = String::from("version: 1\ndefault: allow\nrules:\n");
    for n in 0..rules {
        let _ = match n % 5 {
            0 => writeln!(text, "  - name: r{n}\n    deny: {{ host: h{n}.test }}"),
            1 => writeln!(text, "  - name: r{n}\n    deny: {{ tool: t{n} }}"),
            2 => writeln!(text, "  - name: r{n}\n    ask: {{ url: 'api{n}.test/v1/**' }}"),
            3 => writeln!(text, "  - name: r{n}\n    deny: {{ path: '~/p{n}/**' }}"),
            _ => writeln!(text, "  - name: r{n}\n    deny: {{ host: '*.d{n}.test', tool: [a{n}, b{n}] }}"),
        };
    }
    text
}

/// Rules of one kind, `rules` of them.
fn alike(rules: usize, matcher: impl Fn(usize) -> String) -> String {
    let mut text = String::from("version: 1\ndefault: allow\nrules:\n");
    for n in 0..rules {
        let _ = writeln!(text, "  - name: r{n}\n    deny: {{ {} }}", matcher(n));
    }
    text
}

/// The median of the time that `work` takes, each measured over `times`.
fn median(times: u32, mut work: impl FnMut()) -> Duration {
    let mut taken: Vec<Duration> = (0..31)
        .map(|_| {
            let begun = Instant::now();
            (0..times).for_each(|_| work());
            begun.elapsed() / times
        })
        .collect();
    taken.sort();
    taken[taken.len() / 2]
}

fn evaluating(policy: &Policy, action: &Action) -> Duration {
    let facts = Facts::default();
    let given = Given {
        effects: &action.effects,
        home: "/home/dev",
        findings: &[],
        facts: &facts,
        lists: &doorward_core::detect::destination::Lists::default(),
    };
    median(2000, || {
        black_box(policy.evaluate(black_box(action), &given));
    })
}

#[test]
#[ignore = "a measurement"]
fn compile_speed() {
    let kinds: [(&str, String); 6] = [
        ("of all kinds", text(5_000)),
        ("with a host", alike(5_000, |n| format!("host: api{n}.example.com"))),
        ("with a URL", alike(5_000, |n| format!("url: api{n}.example.com/v1/charges"))),
        (
            "with a body",
            alike(5_000, |n| {
                format!("url: api.example.com/v1/charges, body: {{ jsonpath: $.amount, min: {n} }}")
            }),
        ),
        (
            "with a time",
            alike(5_000, |n| {
                format!("host: api{n}.example.com, time_outside: '09:00-17:00', timezone: Europe/Berlin")
            }),
        ),
        (
            "with a header",
            alike(5_000, |n| format!("host: api{n}.example.com, headers: {{ name: x-a, exact: v{n} }}")),
        ),
    ];
    for (kind, text) in kinds {
        let source = Source { name: "p", text: &text };
        let parsing = median(1, || {
            black_box(yaml::parse(black_box(text.as_bytes())).unwrap());
        });
        let compiling = median(1, || {
            assert!(Policy::compile(black_box(&[source])).is_ok());
        });
        println!("5,000 rules {kind}: {compiling:?}, of it YAML {parsing:?}");
    }
}

#[test]
#[ignore = "a measurement"]
fn policy_speed() {
    for rules in [200, 5_000, 10_000] {
        let text = text(rules);
        let compiling = median(1, || {
            let source = Source { name: "p", text: &text };
            assert!(Policy::compile(black_box(&[source])).is_ok());
        });
        let policy = policy(&text);
        let miss = evaluating(&policy, &call("Fetch", vec![fetch("https://docs.example.test/a/b?c=d")]));
        let hit = evaluating(&policy, &call("Fetch", vec![fetch("https://h0.test/a/b")]));
        let tool = evaluating(&policy, &call("Read", vec![]));
        let path = evaluating(&policy, &call("Read", vec![read("/home/dev/src/lib.rs", true)]));
        println!(
            "{rules} rules: compile {compiling:?}, URL miss {miss:?}, host hit {hit:?}, tool miss {tool:?}, path miss {path:?}"
        );
    }
}
