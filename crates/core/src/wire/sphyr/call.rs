//! What is asked for: the arguments of the gateway's tools, read strictly.

use super::code::{self, Code};
use super::framing;
use crate::syntax::{Kind, Node, base64};

/// The longest text that names something: an id, a category, a trace.
const LONGEST_NAME: usize = 128;

/// A call of one of the tools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// `audit_sess`: opens a session.
    Handshake(Handshake),
    /// `sphyr_net`, `guard_net`: sends a request.
    Net(Box<Net>),
    /// `agent_guard_up`, `sphyr_up`: whether the gateway works.
    Up {
        /// The session's token.
        session: String,
    },
    /// `user_bal`: how many credits are left.
    Balance {
        /// The session's token.
        session: String,
    },
    /// `usage_summary`: what was used.
    Usage(Usage),
}

/// The names of the tools, with those that the published SDK and older documents have for them.
pub const TOOLS: &[&str] =
    &["audit_sess", "sphyr_net", "guard_net", "agent_guard_up", "sphyr_up", "user_bal", "usage_summary"];

/// A key's signed wish for a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// The key.
    pub key: String,
    /// The agent, as it calls itself: 1 to 64 of letters, digits, `_` and `-`.
    pub agent: String,
    /// Seconds since the Unix epoch, as sent.
    pub time: Time,
    /// A value used once, by the client.
    pub nonce: String,
    /// The signature.
    pub signature: String,
}

/// A signed request to somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Net {
    /// The session's token.
    pub session: String,
    /// Where it goes.
    pub url: String,
    /// The method, in capitals.
    pub method: String,
    /// What the agent calls it.
    pub category: String,
    /// The signature.
    pub signature: String,
    /// Seconds since the Unix epoch, as sent.
    pub time: Time,
    /// What is sent.
    pub body: Vec<u8>,
    /// Header lines that are to be sent, in the order in which they came.
    pub headers: Vec<Line>,
    /// Header lines that were signed and are not sent: they say what Doorward says by itself.
    pub framing: Vec<Line>,
    /// What the agent follows it by; empty if by nothing.
    pub trace: String,
    /// Whether it is only checked and not sent.
    pub preflight: bool,
    /// How many redirects are followed; as the key says if it is not said here. What is signed does not say it.
    pub follow: Option<u8>,
}

/// A header line: name and value.
pub type Line = (String, String);

/// A signed question about what was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The session's token.
    pub session: String,
    /// Seconds since the Unix epoch, as sent.
    pub time: Time,
    /// The signature.
    pub signature: String,
}

/// A time as it was signed, and as it is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Time {
    /// Its digits.
    pub text: String,
    /// Seconds since the Unix epoch.
    pub seconds: u64,
}

/// Why arguments are no call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The code.
    pub code: &'static Code,
    /// What is wrong, for a person; quotes nothing.
    pub message: String,
}

impl Wrong {
    fn new(code: &'static Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// Reads a call of the tool `name`; `None` if it is none of [`TOOLS`].
///
/// # Errors
/// [`Wrong`].
#[must_use]
pub fn read(name: &str, arguments: &Node) -> Option<Result<Call, Wrong>> {
    Some(match name {
        "audit_sess" => handshake(arguments).map(Call::Handshake),
        "sphyr_net" | "guard_net" => net(arguments).map(|net| Call::Net(Box::new(net))),
        "agent_guard_up" | "sphyr_up" => session(arguments).map(|session| Call::Up { session }),
        "user_bal" => session(arguments).map(|session| Call::Balance { session }),
        "usage_summary" => usage(arguments).map(Call::Usage),
        _ => return None,
    })
}

fn handshake(arguments: &Node) -> Result<Handshake, Wrong> {
    if arguments.get("api_key").is_some() {
        let message = "a handshake with `api_key` is no longer taken; sign it with the key's secret";
        return Err(Wrong::new(code::AUTH_FAILED, message));
    }
    Ok(Handshake {
        key: named(arguments, "key_id")?,
        agent: agent(arguments)?,
        time: time(arguments)?,
        nonce: named(arguments, "client_nonce")?,
        signature: signature(arguments)?,
    })
}

fn net(arguments: &Node) -> Result<Net, Wrong> {
    let session = session(arguments)?;
    let url = text(arguments, "url").map_err(|wrong| Wrong { code: code::INVALID_URL, ..wrong })?;
    let body = maybe_text(arguments, "body")?.unwrap_or_default().into_bytes();
    let (lines, framing) = framing::apart(headers(arguments)?, &url, &body);
    Ok(Net {
        session,
        url,
        method: method(arguments, "mthd")?,
        category: category(arguments)?,
        signature: signature(arguments)?,
        time: time(arguments)?,
        body,
        headers: lines,
        framing,
        trace: trace(arguments)?,
        preflight: preflight(arguments)?,
        follow: None,
    })
}

fn preflight(arguments: &Node) -> Result<bool, Wrong> {
    match arguments.some("preflight") {
        None => Ok(false),
        Some(value) => value.as_bool().ok_or_else(|| argument("`preflight` must be true or false")),
    }
}

/// Reads a request that is not signed: who sends it shows the key's credential. `url`, and if wanted `method` (`GET`),
/// `headers`, `body` or `body_base64`, `preflight`, `follow_redirects`; nothing else, so that a word with a letter wrong is not overlooked.
///
/// # Errors
/// [`Wrong`].
pub fn plain(arguments: &Node) -> Result<Net, Wrong> {
    const KNOWN: [&str; 7] =
        ["url", "method", "headers", "body", "body_base64", "preflight", "follow_redirects"];
    if !arguments.is_object() {
        return Err(argument("a request must be a JSON object with `url`"));
    }
    if arguments.members().iter().any(|member| !KNOWN.contains(&member.key.as_str())) {
        return Err(argument(&format!("there is a member that is none of {}", KNOWN.join(", "))));
    }
    let body = match (maybe_text(arguments, "body")?, maybe_text(arguments, "body_base64")?) {
        (Some(_), Some(_)) => return Err(argument("give `body` or `body_base64`, not both")),
        (text, None) => text.unwrap_or_default().into_bytes(),
        (None, Some(coded)) => base64::decode(&coded)
            .filter(|_| coded.len() % 4 == 0)
            .ok_or_else(|| argument("`body_base64` is not base64"))?,
    };
    Ok(Net {
        session: String::new(),
        url: text(arguments, "url").map_err(|wrong| Wrong { code: code::INVALID_URL, ..wrong })?,
        method: match arguments.some("method") {
            None => "GET".to_owned(),
            Some(_) => method(arguments, "method")?,
        },
        category: String::new(),
        signature: String::new(),
        time: Time { text: String::new(), seconds: 0 },
        body,
        headers: headers(arguments)?,
        framing: Vec::new(),
        trace: String::new(),
        preflight: preflight(arguments)?,
        follow: follow(arguments)?,
    })
}

/// The most redirects that are followed, one after the other.
pub const MOST_REDIRECTS: u8 = 10;

fn follow(arguments: &Node) -> Result<Option<u8>, Wrong> {
    let Some(value) = arguments.some("follow_redirects") else { return Ok(None) };
    let number = value.as_u64().and_then(|number| u8::try_from(number).ok());
    let number = number.filter(|number| *number <= MOST_REDIRECTS);
    let wrong = || argument(&format!("`follow_redirects` must be a number from 0 to {MOST_REDIRECTS}"));
    number.map(Some).ok_or_else(wrong)
}

fn usage(arguments: &Node) -> Result<Usage, Wrong> {
    Ok(Usage { session: session(arguments)?, time: time(arguments)?, signature: signature(arguments)? })
}

/// The token of a session. One that cannot be one is unknown, as any other.
fn session(arguments: &Node) -> Result<String, Wrong> {
    let unknown = || Wrong::new(code::SESS_INVALID, "`sess_token` is missing; call `audit_sess` first");
    let token = arguments.text("sess_token").ok_or_else(unknown)?;
    if token.len() > LONGEST_NAME { Err(unknown()) } else { Ok(token.to_owned()) }
}

fn method(arguments: &Node, key: &str) -> Result<String, Wrong> {
    const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"];
    match arguments.text(key) {
        Some(method) if METHODS.contains(&method) => Ok(method.to_owned()),
        _ => {
            let message = format!("`{key}` must be one of {}", METHODS.join(", "));
            Err(Wrong::new(code::METHOD_INVALID, message))
        }
    }
}

fn category(arguments: &Node) -> Result<String, Wrong> {
    let category = text(arguments, "cat")?;
    let length = category.chars().count();
    if (1..=64).contains(&length) && !category.contains(char::is_control) {
        Ok(category)
    } else {
        Err(argument("`cat` must be a text of 1 to 64 characters"))
    }
}

fn trace(arguments: &Node) -> Result<String, Wrong> {
    let trace = maybe_text(arguments, "trace_id")?.unwrap_or_default();
    if trace.len() <= LONGEST_NAME && !trace.contains(char::is_control) {
        Ok(trace)
    } else {
        Err(argument("`trace_id` must be a text of at most 128 bytes"))
    }
}

fn agent(arguments: &Node) -> Result<String, Wrong> {
    let agent = text(arguments, "agent_id")?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if (1..=64).contains(&agent.len()) && agent.bytes().all(plain) {
        Ok(agent)
    } else {
        Err(argument("`agent_id` must be 1 to 64 letters, digits, `_` and `-`"))
    }
}

fn signature(arguments: &Node) -> Result<String, Wrong> {
    match arguments.text("sig") {
        Some(signature) if signature.len() == 64 => Ok(signature.to_owned()),
        _ => {
            let message = "`sig` must be 64 hexadecimal digits: HMAC-SHA256 of the call";
            Err(Wrong::new(code::SIG_PROCESSING_ERROR, message))
        }
    }
}

/// Whole seconds, as a number or, as the handshake has them, as text.
fn time(arguments: &Node) -> Result<Time, Wrong> {
    let digits: Option<&str> = match arguments.get("ts").map(|time| &time.kind) {
        Some(Kind::Number(digits)) => Some(digits),
        Some(Kind::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let plain = |digits: &&str| {
        (1..=15).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && (digits.len() == 1 || !digits.starts_with('0'))
    };
    let seconds = digits.filter(plain).and_then(|digits| Some((digits, digits.parse().ok()?)));
    match seconds {
        Some((digits, seconds)) => Ok(Time { text: digits.to_owned(), seconds }),
        None => Err(Wrong::new(code::SIG_PROCESSING_ERROR, "`ts` must be whole seconds since 1970")),
    }
}

/// Header lines as they are signed. Whether they can be sent, [`sendable`] says.
fn headers(arguments: &Node) -> Result<Vec<Line>, Wrong> {
    let Some(headers) = arguments.some("headers") else { return Ok(Vec::new()) };
    let wrong = || Wrong::new(code::HEADER_INVALID, "`headers` must be an object of at most 100 texts");
    if !headers.is_object() || headers.members().len() > MOST_HEADERS {
        return Err(wrong());
    }
    let line = |member: &crate::syntax::Member| {
        let value = member.value.as_string().filter(|text| text.as_str().as_bytes() == text.as_wtf8())?;
        Some((member.key.as_str().to_owned(), value.as_str().to_owned()))
    };
    headers.members().iter().map(|member| line(member).ok_or_else(wrong)).collect()
}

/// Whether header lines can stand in a request, and everybody reads them alike: each name once, whatever its case.
///
/// # Errors
/// [`Wrong`]. It names no line: names can be secrets, and it will be recorded.
pub fn sendable(lines: &[Line]) -> Result<(), Wrong> {
    for (index, (name, value)) in lines.iter().enumerate() {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(token) {
            return Err(Wrong::new(code::HEADER_INVALID, "the name of a header is none (RFC 9110, 5.1)"));
        }
        if !is_value(value) {
            let message = "the value of a header cannot stand in a request";
            return Err(Wrong::new(code::HEADER_INVALID, message));
        }
        if lines.iter().take(index).any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            return Err(Wrong::new(code::HEADER_COLLISION, "a header is given more than once"));
        }
    }
    Ok(())
}

/// The most header lines of a request.
const MOST_HEADERS: usize = 100;

/// Whether every reader takes it for one value: visible ASCII with spaces and tabs inside (RFC 9110, 5.5). Bytes above are
/// read in several character sets.
fn is_value(value: &str) -> bool {
    value.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) && value.trim_matches([' ', '\t']) == value
}

fn named(arguments: &Node, key: &'static str) -> Result<String, Wrong> {
    let text = text(arguments, key)?;
    let fits = (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if fits {
        Ok(text)
    } else {
        Err(argument(&format!("`{key}` must be 1 to {LONGEST_NAME} visible characters")))
    }
}

fn text(arguments: &Node, key: &'static str) -> Result<String, Wrong> {
    maybe_text(arguments, key)?.ok_or_else(|| argument(&format!("`{key}` is missing")))
}

/// A text that is whole: half of a surrogate pair has no UTF-8 to sign.
fn maybe_text(arguments: &Node, key: &'static str) -> Result<Option<String>, Wrong> {
    let Some(value) = arguments.some(key) else { return Ok(None) };
    let whole = value.as_string().filter(|text| text.as_str().as_bytes() == text.as_wtf8());
    let text = whole.map(|text| text.as_str().to_owned());
    text.map(Some).ok_or_else(|| argument(&format!("`{key}` must be a text")))
}

fn argument(message: &str) -> Wrong {
    Wrong::new(code::ARGUMENTS_INVALID, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::json;

    const SIGNATURE: &str = "1616d4fb4eef1d022e068d3e85259a3d05770436fd538f3459cc7aba2a44242f";

    fn read_as(name: &str, arguments: &str) -> Result<Call, Wrong> {
        let arguments = arguments.replace("SIG", SIGNATURE);
        read(name, &json::parse(arguments.as_bytes()).unwrap()).unwrap()
    }

    fn net_with(more: &str) -> Result<Call, Wrong> {
        let rest = r#""url":"https://a.example/","mthd":"GET","cat":"c","sig":"SIG","ts":1743800400,"sess_token":"s""#;
        read_as("sphyr_net", &format!("{{{rest}{more}}}"))
    }

    #[test]
    fn calls_are_read_as_the_sdk_makes_them() {
        let call = read_as(
            "audit_sess",
            r#"{"key_id":"key_1","agent_id":"a-1","ts":"1743800400","client_nonce":"n","sig":"SIG"}"#,
        );
        let Ok(Call::Handshake(handshake)) = call else { panic!("{call:?}") };
        assert_eq!((handshake.time.text.as_str(), handshake.time.seconds), ("1743800400", 1_743_800_400));
        let Ok(Call::Net(net)) = net_with(r#","body":"{}","headers":{"X-B":"2","a":"1"},"preflight":true"#)
        else {
            panic!()
        };
        assert_eq!(net.headers, [("X-B".to_owned(), "2".to_owned()), ("a".to_owned(), "1".to_owned())]);
        assert!(net.preflight && net.trace.is_empty() && net.body == b"{}");
        let Ok(Call::Net(net)) = net_with(r#","body":null,"trace_id":null"#) else { panic!() };
        assert!(!net.preflight && net.body.is_empty());
        for (name, up) in [("agent_guard_up", true), ("sphyr_up", true), ("user_bal", false)] {
            let call = read_as(name, r#"{"sess_token":"s"}"#).unwrap();
            assert_eq!(matches!(call, Call::Up { .. }), up, "{name}");
        }
        assert!(read("fetch", &json::parse(b"{}").unwrap()).is_none());
    }

    #[test]
    fn a_request_that_is_not_signed_has_few_words() {
        let of = |text: &str| plain(&json::parse(text.as_bytes()).unwrap());
        let net = of(r#"{"url":"https://a.example/"}"#).unwrap();
        assert_eq!((net.method.as_str(), net.body.len(), net.preflight), ("GET", 0, false));
        let net = of(r#"{"url":"u","method":"POST","body_base64":"AP8=","headers":{"a":"b"}}"#).unwrap();
        assert_eq!((net.body, net.headers.len()), (vec![0, 255], 1));
        for (text, name) in [
            ("[]", "ARGUMENTS_INVALID"),
            ("{}", "INVALID_URL"),
            (r#"{"url":"u","methd":"POST"}"#, "ARGUMENTS_INVALID"),
            (r#"{"url":"u","method":"get"}"#, "METHOD_INVALID"),
            (r#"{"url":"u","body":"a","body_base64":"AA=="}"#, "ARGUMENTS_INVALID"),
            (r#"{"url":"u","body_base64":"A"}"#, "ARGUMENTS_INVALID"),
            (r#"{"url":"u","headers":{"a":1}}"#, "HEADER_INVALID"),
        ] {
            assert_eq!(of(text).unwrap_err().code.name, name, "{text}");
        }
    }

    #[test]
    fn header_lines_that_readers_could_take_differently_are_not_sent() {
        let of = |lines: &[(&str, &str)]| {
            let lines: Vec<_> = lines.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
            sendable(&lines).map_err(|wrong| wrong.code.name)
        };
        assert_eq!(of(&[("X-B", "2"), ("a", ""), ("b", "c d\te")]), Ok(()));
        assert_eq!(of(&[("A", "1"), ("b", "1"), ("a", "2")]), Err("HEADER_COLLISION"));
        for (name, value) in [
            ("a b", "1"),
            ("", "1"),
            ("a:", "1"),
            ("a", "1\r\nHost: x"),
            ("a", "1\n"),
            ("a", " 1"),
            ("a", "é"),
            ("a", "\0"),
        ] {
            assert_eq!(of(&[(name, value)]), Err("HEADER_INVALID"), "{name} {value:?}");
        }
    }

    #[test]
    fn what_cannot_be_signed_or_sent_is_refused_with_its_code() {
        for (more, name) in [
            (r#","headers":{"a":1}"#, "HEADER_INVALID"),
            (r#","headers":{"a":"\ud800"}"#, "HEADER_INVALID"),
            (r#","headers":[]"#, "HEADER_INVALID"),
            (r#","body":"\ud800""#, "ARGUMENTS_INVALID"),
            (r#","body":{}"#, "ARGUMENTS_INVALID"),
            (r#","preflight":"yes""#, "ARGUMENTS_INVALID"),
            (r#","trace_id":"a\nb""#, "ARGUMENTS_INVALID"),
        ] {
            assert_eq!(net_with(more).unwrap_err().code.name, name, "{more}");
        }
        let net =
            r#"{"url":"https://a.example/","mthd":"GET","cat":"c","sig":"SIG","ts":1,"sess_token":"s"}"#;
        for (from, to, name) in [
            (r#""url":"https://a.example/","#, "", "INVALID_URL"),
            ("\"GET\"", "\"get\"", "METHOD_INVALID"),
            ("\"GET\"", "\"CONNECT\"", "METHOD_INVALID"),
            (r#""cat":"c""#, r#""cat":"""#, "ARGUMENTS_INVALID"),
            (r#""ts":1"#, r#""ts":1.5"#, "SIG_PROCESSING_ERROR"),
            (r#""ts":1"#, r#""ts":-1"#, "SIG_PROCESSING_ERROR"),
            (r#""ts":1"#, r#""ts":"01""#, "SIG_PROCESSING_ERROR"),
            ("SIG", "SIG0", "SIG_PROCESSING_ERROR"),
            (r#","sess_token":"s""#, "", "SESS_INVALID"),
        ] {
            assert_eq!(read_as("sphyr_net", &net.replace(from, to)).unwrap_err().code.name, name, "{to}");
        }
        let old = read_as("audit_sess", r#"{"api_key":"uk_live_x"}"#).unwrap_err();
        assert_eq!((old.code.name, old.code.action), ("AUTH_FAILED", "REAUTHENTICATE"));
    }
}
