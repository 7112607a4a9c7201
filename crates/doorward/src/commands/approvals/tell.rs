//! Questions as a person reads them. Everything an agent said is behind a bar or cleaned: it cannot draw on the terminal,
//! nor pass for a line of ours.

use doorward_core::syntax::Node;

use crate::serve::now;
use crate::terminal::{clean, counted, print, quoted_lines};

/// What waits, what is allowed and, if `all`, what has ended.
pub fn list(overview: &Node, all: bool) {
    let asks = overview.get("approvals").map(Node::elements).unwrap_or_default();
    let waits = |ask: &&Node| ask.text("state") == Some("waiting");
    let waiting = asks.iter().filter(waits).count();
    let attended = overview.get("attended").and_then(Node::as_bool) == Some(true);
    print(&format!(
        "{} for a person{}",
        if waiting == 1 { "1 action waits".to_owned() } else { format!("{waiting} actions wait") },
        if attended {
            ""
        } else {
            "; nobody watches, so what asks is blocked at once (doorward approvals watch)"
        }
    ));
    for ask in asks.iter().filter(|ask| all || waits(ask)) {
        brief(ask);
    }
    let grants = overview.get("grants").map(Node::elements).unwrap_or_default();
    if !grants.is_empty() {
        print(&format!("\n{} allowed:", counted(grants.len(), "action")));
    }
    for grant in grants {
        let text = |key| clean(grant.text(key).unwrap_or_default());
        print(&format!(
            "{}  {}, agent {}, {}, by {}, {} more",
            text("id"),
            text("scope"),
            text("agent"),
            text("what"),
            text("by"),
            length(number(grant, "until").saturating_sub(now()))
        ));
    }
}

/// One question in some lines.
pub fn brief(ask: &Node) {
    let text = |key| clean(ask.text(key).unwrap_or_default());
    let time = match ask.text("state") {
        Some("waiting") => {
            format!("waiting, {} left", length(number(ask, "until").saturating_sub(now())))
        }
        state => clean(state.unwrap_or_default()),
    };
    print(&format!("\n{}  {time}  agent {}  {}", text("id"), text("agent"), what(ask)));
    print(&format!("  {}", text("why")));
    if let Some(request) = ask.get("request") {
        quoted_lines(&first_line(request)).iter().for_each(|line| print(line));
    }
    let (content, whole) = match ask.get("decoded") {
        Some(decoded) => {
            print("  unpacked:");
            (decoded.text("text"), decoded.get("whole"))
        }
        None => (ask.text("content"), ask.get("whole")),
    };
    for line in quoted_lines(content.unwrap_or_default()) {
        print(&line);
    }
    if whole.and_then(Node::as_bool) == Some(false) {
        print(&format!(
            "  … {} bytes; all of it: doorward approvals show {}",
            number(ask, "bytes"),
            text("id")
        ));
    }
}

fn what(ask: &Node) -> String {
    let of = |key| ask.text(key).unwrap_or_default();
    match (ask.text("tool"), ask.get("request").and_then(|request| request.text("method"))) {
        (Some(tool), _) => clean(tool),
        (None, Some(method)) => clean(&format!("{method} {}", of("upstream"))),
        (None, None) => clean(of("kind")),
    }
}

/// One question, whole.
pub fn whole(ask: &Node) {
    let text = |key| clean(ask.text(key).unwrap_or_default());
    let waiting = ask.text("state") == Some("waiting");
    let left = if waiting {
        format!(", {} left", length(number(ask, "until").saturating_sub(now())))
    } else {
        String::new()
    };
    print(&format!("\nquestion {}: {}{left}", text("id"), text("state")));
    print(&format!("agent {}, session {}", text("agent"), text("session")));
    print(&format!(
        "wants: {} ({}, proposed by {}, upstream {})",
        what(ask),
        text("kind"),
        text("source"),
        text("upstream")
    ));
    let part =
        if ask.get("whole").and_then(Node::as_bool) == Some(true) { "all of them" } else { "the beginning" };
    let bytes = number(ask, "bytes");
    match ask.get("request") {
        Some(request) => {
            head_of(request);
            print(&format!("its body, {bytes} bytes, {part}:"));
        }
        None => print(&format!("exact arguments, {bytes} bytes, {part}:")),
    }
    match ask.get("decoded") {
        // Packed, the bytes themselves say nothing to anybody.
        Some(decoded) => {
            let whole = decoded.get("whole").and_then(Node::as_bool) == Some(true);
            print(&format!(
                "  (packed; unpacked it says, {}:)",
                if whole { "all of it" } else { "the beginning" }
            ));
            quoted_lines(decoded.text("text").unwrap_or_default()).iter().for_each(|line| print(line));
        }
        None => quoted_lines(ask.text("content").unwrap_or_default()).iter().for_each(|line| print(line)),
    }
    for command in elements(ask, "commands") {
        print("the command line in it:");
        quoted_lines(command.as_str().unwrap_or_default()).iter().for_each(|line| print(line));
    }
    print("it would:");
    for effect in elements(ask, "effects") {
        let of = |key| effect.text(key).unwrap_or_default();
        let line = format!("{}  {}  {}  ({})", of("capability"), of("asset"), of("target"), of("by"));
        quoted_lines(&line).iter().for_each(|line| print(line));
    }
    let more = number(ask, "more_effects");
    if more > 0 {
        print(&format!("  and {more} things more"));
    }
    if elements(ask, "effects").is_empty() {
        print("  (nothing that is known)");
    }
    if !elements(ask, "destinations").is_empty() {
        print("it would reach:");
        for place in elements(ask, "destinations") {
            quoted_lines(place.as_str().unwrap_or_default()).iter().for_each(|line| print(line));
        }
    }
    print(&format!("looked at: {}; risk {}; because:", text("coverage"), number(ask, "risk")));
    for reason in elements(ask, "reasons") {
        let of = |key| reason.text(key).unwrap_or_default();
        let line =
            format!("{} {} ({}): {}", of("verdict"), of("rule"), number(reason, "severity"), of("message"));
        quoted_lines(&line).iter().for_each(|line| print(line));
    }
    let duties = number(ask, "duties");
    if duties > 0 {
        print(&format!("{duties} parts of it are taken out or replaced even if you say yes"));
    }
}

/// The head of a request: what is sent, where to, and under which headers.
fn head_of(request: &Node) {
    print("the request (of credentials in headers only their length):");
    quoted_lines(&first_line(request)).iter().for_each(|line| print(line));
    for line in elements(request, "headers") {
        let of = |index: usize| line.elements().get(index).and_then(Node::as_str).unwrap_or_default();
        quoted_lines(&format!("{}: {}", of(0), of(1))).iter().for_each(|line| print(line));
    }
}

fn first_line(request: &Node) -> String {
    let of = |key| request.text(key).unwrap_or_default();
    format!("{} {}", of("method"), of("url"))
}

fn elements<'a>(node: &'a Node, key: &str) -> &'a [Node] {
    node.get(key).map(Node::elements).unwrap_or_default()
}

fn number(node: &Node, key: &str) -> u64 {
    node.get(key).and_then(Node::as_u64).unwrap_or_default()
}

/// A time in words.
fn length(millis: u64) -> String {
    let seconds = millis / 1000;
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}
