//! Pages of codes promise only what comes: a code that nothing here says has a page that says so.

use crate::source::{files, rust};

/// What stands in the page of such a code.
const NEVER: &str = "Doorward never says so itself";

/// What is wrong with the page of `name`, if the shipped code is this.
fn finding(name: &str, page: &str, code: &str) -> Option<String> {
    let rule = format!("egress.{}", name.to_lowercase().replace('_', "-"));
    let constant = format!("code::{name}");
    let word = |at: usize, length: usize| {
        !code[at + length..].starts_with(|c: char| c.is_alphanumeric() || c == '_')
    };
    let said = code.match_indices(&constant).any(|(at, found)| word(at, found.len()))
        || code.contains(&format!("{rule}\""))
        || code.contains(&format!("\"budget.{name}\""));
    match (said, page.contains(NEVER)) {
        (true, true) => Some(format!("{name}: something says it, and its page says that nothing does")),
        (false, false) => Some(format!("{name}: nothing says it, and its page does not say so")),
        _ => None,
    }
}

#[test]
fn pages_of_codes_that_never_come_say_so() {
    let shipped = ["crates/core/src", "crates/gateway/src"].iter().flat_map(|folder| rust(folder));
    let code: String = shipped
        .filter(|file| !file.is_test() && !file.path.ends_with("sphyr/code.rs"))
        // Rules are texts: only what tests say is left out.
        .map(|file| file.text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned())
        .collect();
    let pages = files("docs/errors");
    let findings: Vec<String> = pages
        .iter()
        .filter_map(|page| {
            let name = page.path.strip_prefix("docs/errors/")?.strip_suffix(".md")?;
            finding(name, &page.text, &code)
        })
        .collect();
    assert!(pages.len() > 30 && findings.is_empty(), "{findings:?}");
}

#[test]
fn a_page_that_promises_is_found() {
    let says = "Denial::new(code::FETCH_ERROR, m)";
    assert_eq!(finding("FETCH_ERROR", "It broke off.", says), None);
    assert!(finding("FETCH_ERROR", "Doorward never says so itself.", says).is_some());
    assert!(finding("FETCH", "It broke off.", says).is_some());
    assert_eq!(finding("FETCH", "Doorward never says so itself.", says), None);
    assert_eq!(finding("NO_CREDITS", "There are none.", "rule: \"budget.NO_CREDITS\""), None);
    assert_eq!(finding("HTTPS_REQUIRED", "It is not https.", "rule: \"egress.https-required\""), None);
}
