//! What an HTTP request says outside of a conversation: the path and query of its URL, its headers, and a body that is no
//! conversation, be it JSON, a form, parts of one, or any text.

use std::borrow::Cow;

use memchr::memchr;

use super::decoded;
use crate::action::request::{Body, CREDENTIALS, Content, Request};
use crate::action::{Action, ActionKind, Door};
use crate::detect::runs;
use crate::syntax::{Node, json};

/// How much of a body is looked at, in bytes. What it is beyond that is a file.
const LARGEST: usize = 1 << 20;

/// How a message names the path of a URL.
pub(crate) const PATH: &str = "the path";

/// One kind of field.
pub(crate) struct Field<'a> {
    /// How a message says where it is. Never what a request calls it: a name can be the secret.
    pub(crate) place: &'static str,
    pub(crate) text: Cow<'a, str>,
    /// Whether only tokens with a mark count, and what is registered. On the way to a model the others are ids.
    pub(crate) marked_only: bool,
    /// Whether only decoys count and what is registered: a credential belongs there, those never. On the way to a model only
    /// decoys: what a client shows a provider may well be registered.
    pub(crate) known_only: bool,
}

/// What `action` says in the fields of its request.
pub(crate) fn of(action: &Action) -> Vec<Field<'_>> {
    let Some(request) = action.request.as_deref() else { return Vec::new() };
    let to_model = action.door == Door::Model;
    let field = |place, text: String| Field {
        place,
        text: Cow::Owned(text),
        marked_only: to_model,
        known_only: false,
    };
    let (path, query) = target(request.url());
    let mut fields = vec![
        field(PATH, decoded::percent(path)),
        field("the query", pairs(query, to_model)),
        field("a header", headers(request, false)),
    ];
    // Whose credential it is, only the agent says.
    if matches!(action.door, Door::Egress | Door::Model) {
        let shown = field("a header", headers(request, true));
        fields.push(Field { known_only: true, ..shown });
    }
    // A conversation is read part by part.
    if !(to_model && action.kind == ActionKind::ModelRequest) {
        fields.extend(body(request).map(|text| Field {
            place: "the body",
            text,
            marked_only: false,
            known_only: false,
        }));
    }
    fields.retain(|field| !field.text.is_empty());
    fields
}

/// Path and query of an absolute URL.
fn target(url: &str) -> (&str, &str) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = rest.find(['/', '?']).and_then(|at| rest.get(at..)).unwrap_or_default();
    path.split_once('?').unwrap_or((path, ""))
}

fn pairs(query: &str, to_model: bool) -> String {
    let mut text = String::new();
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        // Gemini's clients show their key so.
        if to_model && name == "key" {
            continue;
        }
        text.push_str(&decoded::percent(name));
        text.push('=');
        text.push_str(&decoded::percent(value));
        text.push('\n');
    }
    if query.is_empty() { String::new() } else { text }
}

/// The header lines in which a client shows who it is, or the others.
fn headers(request: &Request, shown: bool) -> String {
    let mut text = String::new();
    for header in request.headers() {
        if CREDENTIALS.iter().any(|name| header.name.eq_ignore_ascii_case(name)) != shown {
            continue;
        }
        text.push_str(&header.name);
        text.push_str(": ");
        text.push_str(&String::from_utf8_lossy(&header.value));
        text.push('\n');
    }
    text
}

/// The body as it came, and behind it what of it does not read as it stands there: what escapes and percent signs hid, and what
/// is long enough to be encoded, which quotes and brackets run together with.
fn body(request: &Request) -> Option<Cow<'_, str>> {
    let Body::Whole(bytes) = request.body() else { return None };
    let bytes = bytes.get(..LARGEST).unwrap_or(bytes);
    // Nearly every body is text, which is seen faster than what is to be replaced in it.
    let text = std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed);
    let mut said = Said { bytes, text: String::new(), name: None };
    // What is read as JSON alone is not made a tree of for this.
    if request.is_json() {
        said.strings();
    } else if let Content::Read(trees) = request.content() {
        trees.iter().for_each(|tree| said.node(tree.view().root(), true));
    }
    if said.text.is_empty() {
        return Some(text);
    }
    let mut text = text.into_owned();
    text.push_str(&said.text);
    Some(Cow::Owned(text))
}

/// How long a word is that is told apart from what stands around it, in bytes: the shortest run that may be encoded is that long.
const LONG_WORD: usize = runs::SHORTEST;

/// What a body says that it does not say as it stands.
struct Said<'a> {
    bytes: &'a [u8],
    text: String,
    /// In a text of JSON, what the next string is given for, and whether that stands there as it reads.
    name: Option<(Cow<'a, str>, bool)>,
}

impl<'a> Said<'a> {
    /// `plain`: the name before it stands in the body as it reads.
    fn node(&mut self, node: &Node, plain: bool) {
        if self.text.len() >= LARGEST {
            return;
        }
        node.elements().iter().for_each(|one| self.node(one, plain));
        for member in node.members() {
            let plain = stands(&member.key, unquoted(member.key_span.of(self.bytes)));
            let before = self.text.len();
            self.begin(&member.key);
            let begun = self.text.len();
            self.node(&member.value, plain);
            if plain && self.text.len() == begun {
                self.text.truncate(before);
            }
        }
        if let Some(value) =
            node.as_str().filter(|value| !plain || !stands(value, unquoted(node.span.of(self.bytes))))
        {
            self.value(value);
        }
    }

    /// The strings of a body that is JSON, or of one that begins like it: nothing of it goes unread that is a string to any reader.
    fn strings(&mut self) {
        let (bytes, mut at) = (self.bytes, 0);
        let mut decoded = Vec::new();
        while let Some(quote) = bytes.get(at..).and_then(|rest| memchr(b'"', rest)) {
            at += quote + 1;
            let rest = bytes.get(at..).unwrap_or_default();
            if self.text.len() >= LARGEST {
                break;
            }
            let (said, length) = if let Some(said) = json::verbatim(rest) {
                (Cow::Borrowed(said), said.len())
            } else {
                decoded.clear();
                let Some(length) = json::inside(rest, &mut decoded) else { break };
                (Cow::Owned(String::from_utf8_lossy(&decoded).into_owned()), length)
            };
            let (there, behind) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            at += length + 1;
            let next = behind.get(1..).unwrap_or_default().iter().find(|byte| !byte.is_ascii_whitespace());
            self.string(said, there, next == Some(&b':'));
        }
        if let Some((name, false)) = self.name.take() {
            self.begin(&name);
        }
    }

    /// A string of JSON that reads `said` and stands `there`; `names`: it says what the next is.
    fn string(&mut self, said: Cow<'a, str>, there: &[u8], names: bool) {
        let plain = stands(&said, there);
        if names {
            if let Some((name, false)) = self.name.replace((said, plain)) {
                self.begin(&name);
            }
            return;
        }
        let name = self.name.as_ref().is_none_or(|(_, plain)| *plain);
        if !(plain && name) {
            if let Some((name, _)) = self.name.take() {
                self.begin(&name);
            }
            self.value(&said);
        }
    }

    fn begin(&mut self, name: &str) {
        self.text.push('\n');
        self.text.push_str(name);
        self.text.push_str(": ");
    }

    fn value(&mut self, value: &str) {
        let room = LARGEST.saturating_sub(self.text.len());
        self.text.push_str(floor(value, room));
        self.text.push('\n');
    }
}

/// The longest beginning of `text` that has at most `most` bytes.
fn floor(text: &str, most: usize) -> &str {
    (0..=most.min(text.len())).rev().find_map(|at| text.get(..at)).unwrap_or_default()
}

/// Without quotes around it.
fn unquoted(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(text)
}

/// Whether `value` stands `there` as it reads, and no word of it is long.
fn stands(value: &str, there: &[u8]) -> bool {
    let mut long = runs::spans(there, LONG_WORD, |byte| !byte.is_ascii_whitespace());
    long.next().is_none() && there == value.as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::PartKind;
    use crate::action::request::Header;
    use crate::detect::Finding;
    use crate::detect::rules::RuleSet;
    use crate::detect::secrets::Secrets;
    use std::sync::Arc;

    const TOKEN: &str = "ghp_pK7mQ2vX9sL4tR8wZ1nB5cY3hJ6dF0gA2eU7";

    /// The same without its mark.
    const REST: &str = "pK7mQ2vX9sL4tR8wZ1nB5cY3hJ6dF0gA2eU7";

    /// The token in Ascii85, and in the base85 of RFC 1924.
    const A85: &str = "<~B4u6kE(`-,;)3;s3HIkNFAb)B=tsn]2.KcFBM(0n7PJI@11aHE~>";
    const B85: &str = "XJ~L=a7#CBQ8IQ|Ide=jbW%8XS}|@yHDg&bXi7F@MlfeVGG$da";

    fn action(door: Door, kind: ActionKind, url: &str, header: (&str, &str), body: &str) -> Action {
        let mut action = Action::new(door, kind, "a".into(), "s".into());
        let line = |(name, value): (&str, &str)| Header { name: name.into(), value: value.as_bytes().into() };
        let content_type = match body.as_bytes().first() {
            Some(b'{') => "application/json",
            Some(b'-') => "multipart/form-data; boundary=xx",
            _ => "application/x-www-form-urlencoded",
        };
        let headers = vec![line(header), line(("content-type", content_type))];
        let body = Body::Whole(body.to_owned().into());
        action.request = Some(Arc::new(Request::new("POST", url, headers, body)));
        action
    }

    fn found(action: &Action) -> Vec<Finding> {
        RuleSet::with(&[], Some(Secrets::shipped())).unwrap().request_findings(action).0
    }

    #[test]
    fn what_reads_as_it_stands_is_told_once() {
        let json = r#"{"a":"plain words","b":"line\nline","list":["x","\u0073ecret", "y"],"k\u0065y":"v","n\u0061me":7,
                       "long":"0123456789abcdef","deep":{"é":"é"}}"#;
        let behind = "\nb: line\nline\n\nlist: secret\n\nkey: v\n\nname: \nlong: 0123456789abcdef\n";
        for (content_type, body, behind) in [
            ("application/json", json, behind),
            ("application/json", r#"{"a":"plain words","b":[1,"c"]}"#, ""),
            ("text/plain", "no JSON, \"but\" this", ""),
            ("text/plain", "no JSON, \"\\x\" \"a\\nb\"", ""),
            ("application/x-www-form-urlencoded", "a=1&b=c%20d&e=f", "\na: 1\n\nb: c d\n\ne: f\n"),
        ] {
            let header = Header { name: "content-type".into(), value: content_type.as_bytes().into() };
            let of = Body::Whole(body.to_owned().into());
            let request = Request::new("POST", PLAIN, vec![header], of);
            let text = super::body(&request).unwrap();
            let told = text.strip_prefix(body).unwrap();
            let form = content_type.ends_with("encoded") && body.starts_with('{');
            assert!(
                if form { told.ends_with(behind) } else { told == behind },
                "{content_type} {body}: {told}"
            );
        }
    }

    const PLAIN: &str = "https://api.example/v1/files";
    const NONE: (&str, &str) = ("accept", "*/*");

    #[test]
    fn a_secret_is_found_in_every_field() {
        let coded = format!("%67%68%70%5f{REST}");
        let parts = format!(
            "--xx\r\nContent-Disposition: form-data; name=\"file\"; filename=\"notes.txt\"\r\n\r\nkey {TOKEN}\r\n--xx--\r\n"
        );
        for (place, url, header, body) in [
            ("the path", format!("{PLAIN}/{TOKEN}"), NONE, String::new()),
            ("the path", format!("{PLAIN}/{coded}"), NONE, String::new()),
            ("the query", format!("{PLAIN}?q={TOKEN}"), NONE, String::new()),
            ("the query", format!("{PLAIN}?a=1&q={coded}"), NONE, String::new()),
            ("the query", format!("{PLAIN}?{TOKEN}"), NONE, String::new()),
            ("the query", format!("{PLAIN}?q=%26%23103%3Bhp_{REST}"), NONE, String::new()),
            ("the query", format!("{PLAIN}?q=%5Cu0067hp_{REST}"), NONE, String::new()),
            ("the path", format!("{PLAIN}/ghp&lowbar;{REST}"), NONE, String::new()),
            ("a header", PLAIN.to_owned(), ("x-note", TOKEN), String::new()),
            ("a header", PLAIN.to_owned(), ("x-note", &format!("\\u0067hp\\u005F{REST}")), String::new()),
            ("a header", PLAIN.to_owned(), ("x-note", A85), String::new()),
            (
                "the query",
                format!("{PLAIN}?q=XJ~L%3Da7%23CBQ8IQ%7CIde%3DjbW%258XS%7D%7C%40yHDg%26bXi7F%40MlfeVGG%24da"),
                NONE,
                String::new(),
            ),
            ("the body", PLAIN.to_owned(), NONE, format!(r#"{{"a":["{B85}"]}}"#)),
            ("the body", PLAIN.to_owned(), NONE, format!(r#"{{"a":["&#x67;hp&#95;{REST}"]}}"#)),
            ("the body", PLAIN.to_owned(), NONE, format!(r#"{{"a":["{TOKEN}"]}}"#)),
            ("the body", PLAIN.to_owned(), NONE, format!(r#"{{"a":"\u0067hp_{REST}"}}"#)),
            ("the body", PLAIN.to_owned(), NONE, format!("a=1&b={coded}")),
            ("the body", PLAIN.to_owned(), NONE, parts),
        ] {
            for (door, kind) in [(Door::Model, ActionKind::Opaque), (Door::Egress, ActionKind::Outbound)] {
                let found = found(&action(door, kind, &url, header, &body));
                let [one] = found.as_slice() else { panic!("{place} {url} {body}: {found:?}") };
                assert!(one.rule.starts_with("secret.github") && one.message.ends_with(place), "{one:?}");
                assert!(!one.message.contains(REST));
                assert_eq!(one.severity >= 60, door == Door::Egress, "{one:?}");
            }
        }
    }

    #[test]
    fn a_client_may_show_who_it_is_and_name_its_requests() {
        for header in
            [("Authorization", "Bearer ghp_pK7mQ2vX9sL4tR8wZ1nB5cY3hJ6dF0gA2eU7"), ("X-Api-Key", TOKEN)]
        {
            assert_eq!(found(&action(Door::Model, ActionKind::Opaque, PLAIN, header, "")), []);
        }
        let id = ("idempotency-key", "stainless-python-retry-4f1c2a9e-77aa-4b1e-9c53-0d2f6b8e1a37");
        assert_eq!(found(&action(Door::Model, ActionKind::Opaque, PLAIN, id, "")), []);
        let url = format!("{PLAIN}?key={TOKEN}&alt=sse");
        assert_eq!(found(&action(Door::Model, ActionKind::ModelRequest, &url, NONE, "")), []);
        assert_eq!(found(&action(Door::Egress, ActionKind::Outbound, &url, NONE, "")).len(), 1);
    }

    /// What stands there is believed to be a credential for where it goes, unless it is known to be something else.
    #[test]
    fn a_decoy_is_none_that_a_client_may_show() {
        let value = "abcdef0123lowercase-only-secret-77";
        let mut registered = crate::detect::secrets::Registered::new(&[7; 32]);
        registered.add("one", registered.registration(value).unwrap());
        let secrets = Secrets::shipped().with_registered(registered);
        let rules = RuleSet::with(&[], Some(secrets)).unwrap();
        for (value, count) in [(value, 1), (TOKEN, 0), ("Basic dXNlcjpwYXNzd29yZA==", 0)] {
            for name in ["Authorization", "x-api-key"] {
                let action = action(Door::Egress, ActionKind::Url, PLAIN, (name, value), "");
                assert_eq!(rules.request_findings(&action).0.len(), count, "{name} {value}");
            }
        }
    }

    /// As a coding agent sends it with each request; a note of each would be noise.
    #[test]
    fn ids_beside_a_conversation_are_no_credentials_and_a_token_among_them_is_one() {
        let rules = RuleSet::with(&[], Some(Secrets::shipped())).unwrap();
        let ids = r#"{"device_id":"5d41402abc4b2a76b9719d911017c592ae1c3f2b7d8e9f00112233445566778899","session_id":"0f6e8b1f-3c0b-4b6e-9d7c-000000000001"}"#;
        assert_eq!(rules.text_findings(PartKind::Label, ids), []);
        let with_token = ids.replace("0f6e8b1f-3c0b-4b6e-9d7c-000000000001", TOKEN);
        assert_eq!(rules.text_findings(PartKind::Label, &with_token).len(), 1);
    }

    #[test]
    fn a_conversation_is_not_read_twice() {
        let body = format!(r#"{{"messages":[{{"role":"user","content":"{TOKEN}"}}]}}"#);
        assert_eq!(found(&action(Door::Model, ActionKind::ModelRequest, PLAIN, NONE, &body)), []);
    }
}
