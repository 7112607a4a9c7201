//! The JSON Schema of policies: what the parser knows, the schema knows, and the file in `spec` is the one of today.

use doorward_core::policy::{Policy, SHIPPED, schema};
use doorward_core::syntax::{Node, Source, json, yaml};

fn document() -> Node {
    json::parse(schema().as_bytes()).unwrap()
}

/// The keys that the parser says it knows where `policy` has the key `zz-zz`.
fn known(policy: &str) -> Vec<String> {
    let found = Policy::compile(&[Source { name: "p", text: policy }]).unwrap_err();
    let all = || found.iter().map(|fault| format!("{}: {}", fault.message, fault.advice)).collect::<Vec<_>>();
    let fault = found.iter().find(|fault| fault.message.contains("`zz-zz`"));
    let fault = fault.unwrap_or_else(|| panic!("no fault about it: {:#?}", all()));
    let keys = fault.advice.strip_prefix("known keys: ").unwrap_or_else(|| panic!("{:#?}", all()));
    let mut keys: Vec<String> = keys.split(", ").map(str::to_owned).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn properties(node: &Node) -> Vec<String> {
    let members = node.get("properties").unwrap().members();
    let mut keys: Vec<String> = members.iter().map(|member| member.key.to_string()).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn the_schema_has_the_keys_that_the_parser_has() {
    let document = document();
    let defs = document.get("$defs").unwrap();
    let rule = |verb: &str| format!("default: allow\nrules:\n- name: n\n  {verb}\n");
    assert_eq!(properties(&document), known("zz-zz: 1\ndefault: allow\nrules: []\n"), "a policy");
    for (name, text) in [
        ("rule", "default: allow\nrules:\n- { name: n, deny: {}, zz-zz: 1 }\n".to_owned()),
        ("matcher", rule("deny: { zz-zz: 1 }")),
        ("suppress", rule("suppress: { zz-zz: 1 }")),
        ("condition", rule("deny: { body: { zz-zz: 1 } }")),
        ("header", rule("deny: { headers: { zz-zz: 1 } }")),
        ("limit", rule("limit: { zz-zz: 1 }")),
        ("price", "default: allow\nrules: []\nprices:\n- { zz-zz: 1 }\n".to_owned()),
        ("test", "default: allow\nrules: []\ntests:\n- { zz-zz: 1 }\n".to_owned()),
    ] {
        assert_eq!(properties(defs.get(name).unwrap()), known(&text), "{name}");
    }
    let call = defs.get("test").unwrap().get("properties").unwrap().get("call").unwrap();
    assert_eq!(
        properties(call),
        known("default: allow\nrules: []\ntests:\n- { call: { zz-zz: 1 } }\n"),
        "call"
    );
}

/// To write it anew: `doorward policy schema > spec/policy.schema.json`.
#[test]
fn the_schema_in_spec_is_the_one_of_today() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../spec/policy.schema.json");
    assert_eq!(
        std::fs::read_to_string(file).unwrap(),
        schema(),
        "run `doorward policy schema > spec/policy.schema.json`"
    );
}

fn as_json(policy: &str) -> serde_json::Value {
    let mut out = Vec::new();
    json::write(&yaml::parse(policy.as_bytes()).unwrap(), &mut out);
    serde_json::from_slice(&out).unwrap()
}

const WHOLE: &str = r#"
version: 1
agent: ours
default: deny
mode: dry_run
profile: strict
rules:
  - { name: everything, deny: {}, reason: because }
  - name: conditions
    ask:
      tool: [Bash, "mcp__*"]
      capability: [network:post, read:file]
      asset: credential
      source: web
      tainted: true
      direction: out
      door: [model, egress]
      coverage: [partial, none]
      principal: ci
  - { name: addresses, quarantine: { host: ["*.example.com", 10.0.0.0/8] } }
  - { name: urls, redact: { url: "https://api.example.com/v1/{a,b}/**" } }
  - { name: known, suppress: { finding: cred.file-read, path: ~/fixtures/** }, reason: fixtures, expires: 2030-12-31 }
  - { name: not too many, limit: { calls_per_minute: 60, per: agent, tool: Bash } }
  - name: charges
    deny: { method: POST, url: api.example.com/v1/charges }
    body: { jsonpath: $.amount, min: 50000.5 }
  - name: by night
    deny: { headers: [{ name: x-env, exact: prod }] }
    time_outside: 08:00-18:00
    timezone: Europe/Berlin
tests:
  - { name: a, command: ls, shell: sh, expect: block, rules: [everything, default] }
  - { name: b, call: { tool: Bash, arguments: { command: ls } }, expect: block }
"#;

#[test]
fn sample_policies_are_valid_and_faulty_ones_are_not() {
    let schema: serde_json::Value = serde_json::from_str(&schema()).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let policies = [SHIPPED, WHOLE, "include: [a.yaml, b.yaml]\n"];
    for policy in policies {
        let faults: Vec<String> =
            validator.iter_errors(&as_json(policy)).map(|fault| fault.to_string()).collect();
        assert_eq!(faults, Vec::<String>::new(), "{policy}");
    }
    let whole = Policy::compile(&[Source { name: "whole", text: WHOLE }]);
    assert!(whole.is_ok(), "{:#?}", whole.err());
    // One word changed: both the parser and the schema mind it.
    for (from, to) in [
        ("default: deny", "default: maybe"),
        ("mode: dry_run", "mode: dry-run"),
        ("tool: [Bash", "tols: [Bash"),
        ("deny: {}, reason", "deny: {}, allow: {}, reason"),
        ("- { name: everything, ", "- { "),
        ("capability: [network:post", "capability: [network:push"),
        ("finding: cred.file-read, ", ""),
        ("calls_per_minute: 60", "calls_per_fortnight: 60"),
        ("calls_per_minute: 60", "calls_per_minute: 0"),
        ("calls_per_minute: 60", "calls_per_minute: 60, calls_per_hour: 70"),
        ("jsonpath: $.amount, ", ""),
        ("min: 50000.5", "min: many"),
        ("tainted: true", "tainted: perhaps"),
        ("expect: block }", "expect: blocked }"),
        ("command: ls, shell", "shell"),
    ] {
        assert!(WHOLE.contains(from), "{from}");
        let text = WHOLE.replacen(from, to, 1);
        assert!(Policy::compile(&[Source { name: "p", text: &text }]).is_err(), "the parser takes {to}");
        assert!(!validator.is_valid(&as_json(&text)), "the schema takes {to}");
    }
}
