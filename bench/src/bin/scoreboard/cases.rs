//! The labelled lines, and how each is judged.

use std::fs;

use anyhow::Context as _;
use serde_json::Value;

use crate::arguments::Options;

/// What a line should be taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Truth {
    /// `malicious`, `secret`: a hit is right.
    Bad,
    /// `benign`, `not_secret`: a hit is a false positive.
    Good,
    /// Counted apart: nobody could say, it is the user who speaks, or a string alone cannot tell.
    Apart(&'static str),
}

/// What counts as a hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hit {
    /// A verdict of `ask` or stronger.
    Stopped,
    /// A finding of severity 60 or more.
    Found,
}

/// One line.
#[derive(Debug)]
pub struct Case {
    /// Its file, without `.jsonl`.
    pub corpus: String,
    pub id: String,
    pub source: String,
    pub kind: String,
    pub truth: Truth,
    /// As what `doorward inspect` judges it.
    pub judged_as: &'static str,
    pub hit: Hit,
    pub text: String,
}

/// Reads all lines of the corpora, in the order of their names.
///
/// # Errors
/// A file that cannot be read, or a line that is not what the corpora hold.
pub fn read(options: &Options) -> anyhow::Result<Vec<Case>> {
    let entries = fs::read_dir(&options.corpora)
        .with_context(|| format!("cannot list {}", options.corpora.display()))?;
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "jsonl"));
    files.sort();
    let mut cases = Vec::new();
    for path in files {
        let corpus = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if !options.only.is_empty() && !options.only.iter().any(|name| corpus.starts_with(name)) {
            continue;
        }
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let place = || format!("{}:{}", path.display(), index + 1);
            let line: Value = serde_json::from_str(line).with_context(place)?;
            if options.half.is_none_or(|half| half == self::half(&line)) {
                cases.push(case(&corpus, &line).with_context(place)?);
            }
        }
    }
    Ok(cases)
}

fn case(corpus: &str, line: &Value) -> anyhow::Result<Case> {
    let text = |name: &'static str| -> anyhow::Result<String> {
        let value = line.get(name).and_then(Value::as_str);
        Ok(value.with_context(|| format!("`{name}` must be text"))?.to_owned())
    };
    let (kind, label) = (text("kind")?, text("label")?);
    let (judged_as, hit) = how(corpus, &kind);
    let meta = |name: &str| line.pointer(&format!("/meta/{name}")).is_some_and(|value| *value != false);
    let truth = match label.as_str() {
        "ambiguous" => Truth::Apart("ambiguous"),
        "malicious" | "secret" | "benign" | "not_secret"
            if meta("requires_dns") || meta("requires_redirect") =>
        {
            Truth::Apart("needs DNS or a redirect")
        }
        "malicious" if ["jailbreak", "direct_injection", "prompt_extraction"].contains(&kind.as_str()) => {
            Truth::Apart("from a user")
        }
        "malicious" | "secret" => Truth::Bad,
        "benign" | "not_secret" => Truth::Good,
        other => anyhow::bail!("`{other}` is no label"),
    };
    Ok(Case {
        corpus: corpus.to_owned(),
        id: text("id")?,
        source: text("source")?,
        kind,
        truth,
        judged_as,
        hit,
        text: text("text")?,
    })
}

/// As what a line is judged, and what is a hit.
fn how(corpus: &str, kind: &str) -> (&'static str, Hit) {
    match (corpus.split('_').next().unwrap_or_default(), kind) {
        (_, "tool_call") => ("tool_call", Hit::Stopped),
        ("commands", _) => ("command", Hit::Stopped),
        ("ssrf", _) => ("url", Hit::Stopped),
        ("secrets", _) => ("outbound", Hit::Found),
        _ => ("tool_result", Hit::Found),
    }
}

/// Which half a line belongs to: FNV-1a of its group, so that lines about one thing stay together.
fn half(line: &Value) -> u64 {
    let of = |pointer| line.pointer(pointer).and_then(Value::as_str);
    let group = of("/meta/group").or_else(|| of("/id")).unwrap_or_default();
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    let hash = group.bytes().fold(0xcbf2_9ce4_8422_2325, step);
    (hash >> 32) & 1
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_speaks_and_what_is_unclear_decides_how_a_line_counts() {
        let line = |kind: &str, label: &str, meta: Value| {
            let line =
                json!({"id": "1", "source": "s", "kind": kind, "label": label, "text": "t", "meta": meta});
            case("injection_malicious", &line).unwrap()
        };
        assert_eq!(line("indirect_injection", "malicious", json!({})).truth, Truth::Bad);
        assert_eq!(line("jailbreak", "malicious", json!({})).truth, Truth::Apart("from a user"));
        assert_eq!(line("jailbreak", "ambiguous", json!({})).truth, Truth::Apart("ambiguous"));
        assert_eq!(line("document", "benign", json!({})).truth, Truth::Good);
        let redirect = line("url", "malicious", json!({"requires_redirect": true}));
        assert_eq!(redirect.truth, Truth::Apart("needs DNS or a redirect"));
        assert!(case("x", &json!({"id": "1"})).is_err());
    }

    #[test]
    fn each_corpus_is_judged_as_what_it_is() {
        assert_eq!(how("commands_benign", "ci_script"), ("command", Hit::Stopped));
        assert_eq!(how("commands_malicious", "tool_call"), ("tool_call", Hit::Stopped));
        assert_eq!(how("secrets_negative", "lock_file"), ("outbound", Hit::Found));
        assert_eq!(how("ssrf_positive", "url"), ("url", Hit::Stopped));
        assert_eq!(how("injection_benign", "tool_result"), ("tool_result", Hit::Found));
    }

    #[test]
    fn lines_of_one_group_are_in_one_half() {
        let of = |group: &str, id: &str| half(&json!({"id": id, "meta": {"group": group}}));
        assert_eq!(of("g", "1"), of("g", "2"));
        let halves: Vec<u64> = (0..64).map(|n| of(&format!("{n}:svc/of-some-length"), "")).collect();
        assert!((16..48).contains(&halves.iter().sum::<u64>()), "{halves:?}");
    }
}
