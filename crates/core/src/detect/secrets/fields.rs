//! What an HTTP request says outside of a conversation: the path and query of its URL, its headers, and a body that is no
//! conversation, be it JSON, a form, parts of one, or any text.

use std::borrow::Cow;

use super::decoded;
use crate::action::request::{Body, Content, Request};
use crate::action::{Action, ActionKind, Door};
use crate::syntax::Node;

/// How much of a body is looked at, in bytes. What it is beyond that is a file.
const LARGEST: usize = 1 << 20;

/// Headers in which a client shows who it is to where the request goes: their credential stands where it belongs.
const CREDENTIALS: [&str; 5] =
    ["authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key"];

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

/// The body as it came, and behind it what escapes and percent signs hid of it.
fn body(request: &Request) -> Option<Cow<'_, str>> {
    let Body::Whole(bytes) = request.body() else { return None };
    let text = String::from_utf8_lossy(bytes.get(..LARGEST).unwrap_or(bytes));
    let Content::Read(trees) = request.content() else { return Some(text) };
    let mut text = text.into_owned();
    let most = text.len() + LARGEST;
    trees.iter().for_each(|tree| say(tree.view().root(), &mut text, most));
    Some(Cow::Owned(text))
}

fn say(node: &Node, text: &mut String, most: usize) {
    if text.len() >= most {
        return;
    }
    node.elements().iter().for_each(|one| say(one, text, most));
    for member in node.members() {
        text.push('\n');
        text.push_str(&member.key);
        text.push_str(": ");
        say(&member.value, text, most);
    }
    if let Some(value) = node.as_str() {
        let room = most.saturating_sub(text.len()).min(value.len());
        text.push_str(value.get(..room).unwrap_or_default());
        text.push('\n');
    }
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
