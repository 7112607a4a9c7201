//! What developers type all day: none of it may be stopped.

use doorward_core::Verdict;
use doorward_core::action::alone;
use doorward_core::{Engine, Facts, engine::Surroundings};

fn stopped(engine: &Engine, lines: &[(Option<&str>, &str)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (shell, line) in lines {
        let action = alone::read("command", line, *shell).unwrap();
        let decision = engine.decide(&action, &Facts::default());
        if decision.verdict >= Verdict::Ask {
            let rules: Vec<&str> = decision.reasons.iter().map(|reason| reason.rule.as_str()).collect();
            wrong.push(format!("{line}\n    {} {rules:?}", decision.verdict.as_str()));
        }
    }
    wrong
}

#[test]
fn ordinary_lines_pass() {
    let engine = Engine::shipped(Surroundings::default()).unwrap();
    let lines =
        include_str!("ordinary.txt").lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let lines: Vec<(Option<&str>, &str)> = lines
        .map(|line| match line.split_once("> ") {
            Some((shell @ ("cmd" | "powershell"), line)) => (Some(shell), line),
            _ => (None, line),
        })
        .collect();
    assert!(lines.len() >= 150, "{}", lines.len());
    let wrong = stopped(&engine, &lines);
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), lines.len(), wrong.join("\n"));
}
