//! Which endpoints there are, and what each carries. Decided one by one; `docs/reference/coverage.md` is this
//! table for people.

use doorward_core::stream::Dialect;
use doorward_core::wire::Protocol;
use http::Method;

/// What an endpoint carries, by protocol, method and path. Decided one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// Calls: read and judged.
    Conversation(Dialect),
    /// No calls: passed on, coverage `none`.
    NoCalls(&'static str),
    /// Not known.
    Unknown,
}

/// Which endpoint this is. What carries calls that cannot be read yet (`responses`, `batches`, threads) is
/// unknown.
pub(super) fn endpoint(protocol: Protocol, method: &Method, path: &str) -> Endpoint {
    let path = path.strip_prefix("v1/").unwrap_or(path);
    let parts: Vec<&str> = path.split('/').collect();
    let (post, get) = (method == Method::POST, method == Method::GET);
    match (protocol, parts.as_slice()) {
        (Protocol::Anthropic, ["messages"]) if post => Endpoint::Conversation(Dialect::Anthropic),
        (Protocol::OpenAi, ["chat", "completions"]) if post => Endpoint::Conversation(Dialect::OpenAiChat),
        (Protocol::Anthropic, ["messages", "count_tokens"]) if post => Endpoint::NoCalls("token count"),
        (_, ["models"] | ["models", _] | ["models", _, _]) if get => Endpoint::NoCalls("models"),
        (_, ["files"]) if post || get => Endpoint::NoCalls("files"),
        (_, ["files", _]) if get || method == Method::DELETE => Endpoint::NoCalls("files"),
        (_, ["files", _, "content"]) if get => Endpoint::NoCalls("files"),
        (Protocol::OpenAi, ["embeddings" | "moderations"]) if post => Endpoint::NoCalls("embeddings"),
        (Protocol::OpenAi, ["audio", "speech" | "transcriptions" | "translations"]) if post => {
            Endpoint::NoCalls("media")
        }
        (Protocol::OpenAi, ["images", "generations" | "edits" | "variations"]) if post => {
            Endpoint::NoCalls("media")
        }
        _ => Endpoint::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_decided_one_by_one() {
        let post = |protocol, path| endpoint(protocol, &Method::POST, path);
        assert_eq!(post(Protocol::Anthropic, "v1/messages"), Endpoint::Conversation(Dialect::Anthropic));
        assert_eq!(post(Protocol::OpenAi, "chat/completions"), Endpoint::Conversation(Dialect::OpenAiChat));
        assert_eq!(post(Protocol::Anthropic, "v1/messages/count_tokens"), Endpoint::NoCalls("token count"));
        assert_eq!(endpoint(Protocol::OpenAi, &Method::GET, "v1/models/x"), Endpoint::NoCalls("models"));
        for path in [
            "v1/responses",
            "v1/messages/batches",
            "v1/threads",
            "v1/completions",
            "v1/files/chat/completions",
            "v1/audio/chat/completions",
            "v1/models/chat",
            "messagesx",
            "",
        ] {
            assert_eq!(post(Protocol::OpenAi, path), Endpoint::Unknown, "{path}");
        }
        assert_eq!(post(Protocol::OpenAi, "v1/messages"), Endpoint::Unknown);
    }
}
