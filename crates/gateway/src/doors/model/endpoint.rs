//! Which endpoints there are, and what each carries. Decided one by one: a line here is a line of the table in
//! `docs/reference/coverage.md`, and a test compares the two.

use doorward_core::stream::{Batch, Dialect};
use doorward_core::wire::Protocol;
use http::Method;

/// What an endpoint carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// Calls: read and judged.
    Conversation(Dialect),
    /// A reply that was asked for earlier: nothing to read in the request, calls in the reply, judged.
    Stored(Dialect),
    /// A request like a conversation's, which is read; a reply without calls, which is not.
    Asked(Dialect, &'static str),
    /// No calls: passed on, coverage `none`.
    NoCalls(&'static str),
    /// Known, and nothing an agent has business with.
    Refused(&'static str),
    /// Not known, or known to carry calls that cannot be read yet.
    Unknown,
}

/// One line of the table.
struct Line {
    protocol: Protocol,
    /// With blanks between; `any` is all of them.
    methods: &'static str,
    /// The path below the version, segment by segment. `<id>` is any one segment, `<id>:verb` one that ends so.
    path: &'static str,
    endpoint: Endpoint,
}

const fn line(protocol: Protocol, methods: &'static str, path: &'static str, endpoint: Endpoint) -> Line {
    Line { protocol, methods, path, endpoint }
}

use Endpoint::{Asked, Conversation, NoCalls, Refused, Stored, Unknown};
use Protocol::{Anthropic, Gemini, OpenAi};

/// Why what administers an organization is refused: a configured key must not become an agent's way to mint others.
const ADMIN: &str = "it administers keys, members or budgets; that is a person's work, without Doorward";

/// Every endpoint that was decided. What is not here is unknown.
const TABLE: &[Line] = &[
    line(Anthropic, "POST", "messages", Conversation(Dialect::Anthropic)),
    line(Anthropic, "POST", "messages/count_tokens", Asked(Dialect::Anthropic, "token count")),
    line(Anthropic, "POST", "messages/batches", Conversation(Dialect::Batch(Batch::MessageBatches))),
    line(Anthropic, "GET", "messages/batches", Stored(Dialect::Batch(Batch::MessageBatches))),
    line(Anthropic, "GET DELETE", "messages/batches/<id>", Stored(Dialect::Batch(Batch::MessageBatches))),
    line(Anthropic, "POST", "messages/batches/<id>/cancel", Stored(Dialect::Batch(Batch::MessageBatches))),
    line(Anthropic, "GET", "messages/batches/<id>/results", Stored(Dialect::Batch(Batch::MessageResults))),
    // The interface from before Messages, retired.
    line(Anthropic, "any", "complete", Unknown),
    line(Anthropic, "GET POST", "skills", NoCalls("skills")),
    line(Anthropic, "GET DELETE", "skills/<id>", NoCalls("skills")),
    line(Anthropic, "GET POST", "skills/<id>/versions", NoCalls("skills")),
    line(Anthropic, "GET DELETE", "skills/<id>/versions/<id>", NoCalls("skills")),
    line(Anthropic, "GET", "models", NoCalls("models")),
    line(Anthropic, "GET", "models/<id>", NoCalls("models")),
    line(Anthropic, "GET POST", "files", NoCalls("files")),
    line(Anthropic, "GET DELETE", "files/<id>", NoCalls("files")),
    line(Anthropic, "GET", "files/<id>/content", NoCalls("files")),
    line(Anthropic, "any", "organizations/<rest>", Refused(ADMIN)),
    line(OpenAi, "POST", "chat/completions", Conversation(Dialect::OpenAiChat)),
    line(OpenAi, "POST", "responses", Conversation(Dialect::OpenAiResponses)),
    line(OpenAi, "POST", "responses/compact", Conversation(Dialect::OpenAiResponses)),
    line(OpenAi, "POST", "responses/input_tokens", Asked(Dialect::OpenAiResponses, "token count")),
    line(OpenAi, "GET DELETE", "responses/<id>", Stored(Dialect::OpenAiResponses)),
    line(OpenAi, "POST", "responses/<id>/cancel", Stored(Dialect::OpenAiResponses)),
    line(OpenAi, "GET", "responses/<id>/input_items", Stored(Dialect::OpenAiResponses)),
    // Stored completions. A list of them, and their messages, is not read: a call in it is refused.
    line(OpenAi, "GET POST", "chat/completions/<id>", Stored(Dialect::OpenAiChat)),
    line(OpenAi, "GET", "chat/completions", Unknown),
    line(OpenAi, "DELETE", "chat/completions/<id>", Unknown),
    line(OpenAi, "any", "chat/completions/<id>/messages", Unknown),
    line(OpenAi, "GET", "models", NoCalls("models")),
    line(OpenAi, "GET", "models/<id>", NoCalls("models")),
    line(OpenAi, "GET", "models/<id>/<id>", NoCalls("models")),
    line(OpenAi, "GET POST", "files", NoCalls("files")),
    line(OpenAi, "GET DELETE", "files/<id>", NoCalls("files")),
    line(OpenAi, "GET", "files/<id>/content", Stored(Dialect::Batch(Batch::OpenAiFile))),
    line(OpenAi, "POST", "uploads", NoCalls("files")),
    line(OpenAi, "POST", "uploads/<id>/parts", NoCalls("files")),
    line(OpenAi, "POST", "uploads/<id>/complete", NoCalls("files")),
    line(OpenAi, "POST", "uploads/<id>/cancel", NoCalls("files")),
    line(OpenAi, "POST", "batches", Conversation(Dialect::Batch(Batch::OpenAiBatches))),
    line(OpenAi, "GET", "batches", Stored(Dialect::Batch(Batch::OpenAiBatches))),
    line(OpenAi, "GET", "batches/<id>", Stored(Dialect::Batch(Batch::OpenAiBatches))),
    line(OpenAi, "POST", "batches/<id>/cancel", Stored(Dialect::Batch(Batch::OpenAiBatches))),
    line(OpenAi, "POST", "completions", Conversation(Dialect::OpenAiCompletions)),
    line(OpenAi, "POST", "embeddings", NoCalls("embeddings")),
    line(OpenAi, "POST", "moderations", NoCalls("embeddings")),
    line(OpenAi, "POST", "audio/speech", NoCalls("media")),
    line(OpenAi, "POST", "audio/transcriptions", NoCalls("media")),
    line(OpenAi, "POST", "audio/translations", NoCalls("media")),
    line(OpenAi, "POST", "images/generations", NoCalls("media")),
    line(OpenAi, "POST", "images/edits", NoCalls("media")),
    line(OpenAi, "POST", "images/variations", NoCalls("media")),
    line(OpenAi, "any", "organization/<rest>", Refused(ADMIN)),
    // They run tools the agent has to run, in shapes that are not read: a call in a reply is refused.
    line(OpenAi, "any", "assistants", Unknown),
    line(OpenAi, "any", "assistants/<rest>", Unknown),
    line(OpenAi, "any", "threads", Unknown),
    line(OpenAi, "any", "threads/<rest>", Unknown),
    line(OpenAi, "any", "conversations", Unknown),
    line(OpenAi, "any", "conversations/<rest>", Unknown),
    line(OpenAi, "any", "evals", Unknown),
    line(OpenAi, "any", "evals/<rest>", Unknown),
    line(OpenAi, "any", "fine_tuning/<rest>", Unknown),
    line(OpenAi, "any", "containers", Unknown),
    line(OpenAi, "any", "containers/<rest>", Unknown),
    line(OpenAi, "any", "vector_stores", Unknown),
    line(OpenAi, "any", "vector_stores/<rest>", Unknown),
    // Sessions over WebSocket or WebRTC, which are not read; see 426 in errors.md.
    line(OpenAi, "any", "realtime", Unknown),
    line(OpenAi, "any", "realtime/<rest>", Unknown),
    line(OpenAi, "GET POST DELETE", "videos", NoCalls("media")),
    line(OpenAi, "GET POST DELETE", "videos/<id>", NoCalls("media")),
    line(OpenAi, "POST", "videos/<id>/remix", NoCalls("media")),
    line(OpenAi, "GET", "videos/<id>/content", NoCalls("media")),
    line(OpenAi, "DELETE", "models/<id>", Unknown),
    line(Gemini, "POST", "models/<model>:generateContent", Conversation(Dialect::Gemini)),
    line(Gemini, "POST", "models/<model>:streamGenerateContent", Conversation(Dialect::Gemini)),
    line(Gemini, "POST", "tunedModels/<model>:generateContent", Conversation(Dialect::Gemini)),
    line(Gemini, "POST", "tunedModels/<model>:streamGenerateContent", Conversation(Dialect::Gemini)),
    line(Gemini, "POST", "endpoints/<id>:generateContent", Conversation(Dialect::Gemini)),
    line(Gemini, "POST", "endpoints/<id>:streamGenerateContent", Conversation(Dialect::Gemini)),
    line(Gemini, "POST", "models/<model>:countTokens", Asked(Dialect::Gemini, "token count")),
    line(Gemini, "POST", "models/<model>:computeTokens", Asked(Dialect::Gemini, "token count")),
    line(Gemini, "POST", "models/<model>:embedContent", Asked(Dialect::Gemini, "embeddings")),
    line(Gemini, "POST", "models/<model>:batchEmbedContents", Asked(Dialect::Gemini, "embeddings")),
    line(Gemini, "POST", "models/<model>:predict", NoCalls("media")),
    line(Gemini, "POST", "models/<model>:predictLongRunning", NoCalls("media")),
    line(Gemini, "GET", "models", NoCalls("models")),
    line(Gemini, "GET", "models/<model>", NoCalls("models")),
    line(Gemini, "GET", "tunedModels", NoCalls("models")),
    line(Gemini, "GET", "tunedModels/<model>", NoCalls("models")),
    line(Gemini, "POST", "cachedContents", Asked(Dialect::Gemini, "cached content")),
    line(Gemini, "GET", "cachedContents", NoCalls("cached content")),
    line(Gemini, "GET PATCH DELETE", "cachedContents/<id>", NoCalls("cached content")),
    line(Gemini, "GET", "files", NoCalls("files")),
    line(Gemini, "GET DELETE", "files/<id>", NoCalls("files")),
    line(Gemini, "GET", "files/<id>:download", Stored(Dialect::Batch(Batch::GeminiFile))),
    line(Gemini, "POST PUT", "upload/<version>/files", NoCalls("files")),
    line(
        Gemini,
        "POST",
        "models/<model>:batchGenerateContent",
        Conversation(Dialect::Batch(Batch::GeminiBatches)),
    ),
    line(Gemini, "GET", "batches", Stored(Dialect::Batch(Batch::GeminiBatches))),
    line(Gemini, "GET DELETE", "batches/<id>", Stored(Dialect::Batch(Batch::GeminiBatches))),
    line(Gemini, "POST", "batches/<id>:cancel", Stored(Dialect::Batch(Batch::GeminiBatches))),
    line(Gemini, "any", "models/<model>:asyncBatchEmbedContent", Unknown),
    line(Gemini, "any", "interactions", Unknown),
    line(Gemini, "any", "interactions/<rest>", Unknown),
    line(Gemini, "any", "fileSearchStores", Unknown),
    line(Gemini, "any", "fileSearchStores/<rest>", Unknown),
    line(Gemini, "GET", "models/<model>/operations/<id>", NoCalls("media")),
];

/// Which endpoint this is.
pub(super) fn endpoint(protocol: Protocol, method: &Method, path: &str) -> Endpoint {
    let found = find(protocol, method, path);
    if found != Unknown {
        return found;
    }
    // Servers that do not look at the case take this for what it spells; none of it becomes readable so.
    match find(protocol, method, &path.to_ascii_lowercase()) {
        refused @ Refused(_) => refused,
        _ => Unknown,
    }
}

fn find(protocol: Protocol, method: &Method, path: &str) -> Endpoint {
    let path = below_version(protocol, path);
    let fits = |line: &&Line| {
        line.protocol == protocol
            && (line.methods == "any" || line.methods.split(' ').any(|known| known == method.as_str()))
            && matches(line.path, path)
    };
    TABLE.iter().find(fits).map_or(Unknown, |line| line.endpoint)
}

/// The path without its version, which may be there or not. Azure has `openai/v1/…`, and
/// `openai/deployments/<name>/…` before that; Vertex AI names project and publisher before the model.
fn below_version(protocol: Protocol, path: &str) -> &str {
    match protocol {
        Anthropic => path.strip_prefix("v1/").unwrap_or(path),
        OpenAi => {
            let path = path.strip_prefix("openai/").unwrap_or(path);
            match behind(path, &["deployments"]) {
                Some(below) => below,
                None => path.strip_prefix("v1/").unwrap_or(path),
            }
        }
        Gemini => {
            let versions = ["v1beta/", "v1/", "v1alpha/", "v1beta1/"];
            let path = versions.iter().find_map(|version| path.strip_prefix(version)).unwrap_or(path);
            let path = behind(path, &["projects", "locations"]).unwrap_or(path);
            behind(path, &["publishers"]).unwrap_or(path)
        }
    }
}

/// The model that a path names: Gemini's and Vertex AI's `models/<model>:verb`, Azure's `deployments/<name>/…`.
pub(super) fn model_of(path: &str) -> Option<&str> {
    let mut segments = path.split('/');
    let named = ["models", "tunedModels", "endpoints", "deployments"];
    segments.find(|segment| named.contains(segment))?;
    let model = segments.next()?.split(':').next().unwrap_or_default();
    (!model.is_empty()).then_some(model)
}

/// What follows `name/<id>/` for each of `names`.
fn behind<'p>(mut path: &'p str, names: &[&str]) -> Option<&'p str> {
    for name in names {
        let (id, rest) = path.strip_prefix(name)?.strip_prefix('/')?.split_once('/')?;
        if id.is_empty() {
            return None;
        }
        path = rest;
    }
    Some(path)
}

/// Whether `path` is of the form `pattern`.
fn matches(pattern: &str, path: &str) -> bool {
    let (mut pattern, mut path) = (pattern.split('/'), path.split('/'));
    loop {
        match (pattern.next(), path.next()) {
            (None, None) => return true,
            (Some("<rest>"), Some(have)) => return !have.is_empty(),
            (Some(want), Some(have)) if segment(want, have) => {}
            _ => return false,
        }
    }
}

/// Whether a segment is the one wanted, or any that ends as wanted behind a `<name>`.
fn segment(want: &str, have: &str) -> bool {
    match want.strip_prefix('<').and_then(|open| open.split_once('>')) {
        Some((_, ending)) => {
            have.strip_suffix(ending).is_some_and(|name| !name.is_empty() && !name.contains(':'))
        }
        None => want == have,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_decided_one_by_one() {
        let post = |protocol, path: &str| endpoint(protocol, &Method::POST, path);
        assert_eq!(post(Anthropic, "v1/messages"), Conversation(Dialect::Anthropic));
        assert_eq!(post(OpenAi, "chat/completions"), Conversation(Dialect::OpenAiChat));
        assert_eq!(post(Anthropic, "v1/messages/count_tokens"), Asked(Dialect::Anthropic, "token count"));
        assert_eq!(endpoint(OpenAi, &Method::GET, "v1/models/x"), NoCalls("models"));
        assert_eq!(post(OpenAi, "v1/organization/admin_api_keys"), Refused(ADMIN));
        assert_eq!(post(OpenAi, "V1/Organization/Admin_Api_Keys"), Refused(ADMIN));
        assert_eq!(post(Anthropic, "v1/ORGANIZATIONS/api_keys"), Refused(ADMIN));
        assert_eq!(post(OpenAi, "v1/Chat/Completions"), Unknown);
        for path in [
            "v1/threads",
            "v1/files/chat/completions",
            "v1/audio/chat/completions",
            "v1/models/chat",
            "v1/organization",
            "v1/v1/chat/completions",
            "messagesx",
            "",
        ] {
            assert_eq!(post(OpenAi, path), Unknown, "{path}");
        }
        assert_eq!(post(OpenAi, "v1/messages"), Unknown);
        for below in ["openai/v1", "openai", "openai/deployments/gpt-4o", "deployments/my.model-1"] {
            let conversation = Conversation(Dialect::OpenAiChat);
            assert_eq!(post(OpenAi, &format!("{below}/chat/completions")), conversation, "{below}");
            assert_eq!(post(OpenAi, &format!("{below}/organization/admin_api_keys")), Refused(ADMIN));
            assert_eq!(post(Anthropic, &format!("{below}/messages")), Unknown, "{below}");
        }
        for path in [
            "openai/deployments//chat/completions",
            "openai/deployments/a/b/chat/completions",
            "openai/deployments/a/v1/chat/completions",
            "openai/openai/chat/completions",
            "deployments/a/openai/chat/completions",
        ] {
            assert_eq!(post(OpenAi, path), Unknown, "{path}");
        }
        for path in [
            "v1beta/models/gemini-x:generateContent",
            "v1/models/gemini-x:streamGenerateContent",
            "models/gemini-x:generateContent",
            "v1beta1/publishers/google/models/gemini-x:generateContent",
            "v1/projects/p/locations/eu/publishers/google/models/gemini-x:streamGenerateContent",
            "v1/projects/p/locations/eu/endpoints/1:generateContent",
        ] {
            assert_eq!(post(Gemini, path), Conversation(Dialect::Gemini), "{path}");
        }
        for path in ["v1beta/interactions", "v1/v1beta/models/x:generateContent", "v1/projects/p/models"] {
            assert_eq!(post(Gemini, path), Unknown, "{path}");
        }
        let completions = Conversation(Dialect::OpenAiCompletions);
        assert_eq!(
            post(OpenAi, "openai/deployments/chat/completions"),
            completions,
            "of the deployment `chat`"
        );
        assert_eq!(endpoint(OpenAi, &Method::PUT, "organization/users"), Refused(ADMIN));
        assert_eq!(post(OpenAi, "v1beta/chat/completions"), Unknown);
        assert_eq!(endpoint(OpenAi, &Method::HEAD, "v1/models"), Unknown);
    }

    #[test]
    fn a_path_may_name_the_model() {
        for (path, model) in [
            ("v1beta/models/gemini-x:generateContent", Some("gemini-x")),
            (
                "v1/projects/p/locations/eu/publishers/google/models/gemini-x:streamGenerateContent",
                Some("gemini-x"),
            ),
            ("openai/deployments/my.model-1/chat/completions", Some("my.model-1")),
            ("v1/chat/completions", None),
            ("v1/messages", None),
            ("models", None),
        ] {
            assert_eq!(model_of(path), model, "{path}");
        }
    }

    #[test]
    fn a_segment_is_one_and_ends_as_wanted() {
        assert!(matches("models/<model>:generateContent", "models/gemini-x:generateContent"));
        for path in ["models/a:b:generateContent", "models/:generateContent", "models/a/b:generateContent"] {
            assert!(!matches("models/<model>:generateContent", path), "{path}");
        }
        assert!(matches("a/<rest>", "a/b/c") && !matches("a/<rest>", "a") && !matches("a/<rest>", "a/"));
    }

    /// What coverage.md says of an endpoint.
    fn cells(endpoint: Endpoint) -> (String, String) {
        let none = |why: &str| format!("`none({why})`");
        match endpoint {
            // Text, or nothing but where results are.
            Conversation(
                Dialect::OpenAiCompletions | Dialect::Batch(Batch::MessageBatches | Batch::OpenAiBatches),
            ) => ("read".into(), "read".into()),
            Stored(Dialect::Batch(Batch::MessageBatches | Batch::OpenAiBatches)) => {
                (none("stored reply"), "read".into())
            }
            Conversation(_) => ("read".into(), "read; calls judged".into()),
            Stored(_) => (none("stored reply"), "read; calls judged".into()),
            Asked(_, why) => ("read".into(), none(why)),
            NoCalls(why) => (none(why), none(why)),
            Refused(_) => ("refused".into(), "".into()),
            Unknown => ("unknown".into(), "unknown".into()),
        }
    }

    #[test]
    fn the_page_for_people_is_this_table() {
        let page = include_str!("../../../../../docs/reference/coverage.md");
        let rows = page.lines().filter(|line| {
            ["| Anthropic |", "| OpenAI |", "| Gemini |"].iter().any(|start| line.starts_with(start))
        });
        let mut written: Vec<[String; 4]> = Vec::new();
        for row in rows {
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            for named in cells[1].split(", ") {
                written.push([cells[0], named.trim_matches('`'), cells[2], cells[3]].map(str::to_owned));
            }
        }
        let mut decided: Vec<[String; 4]> = Vec::new();
        for line in TABLE {
            let protocol = match line.protocol {
                Anthropic => "Anthropic",
                OpenAi => "OpenAI",
                Gemini => "Gemini",
            };
            let (request, reply) = cells(line.endpoint);
            for method in line.methods.split(' ') {
                decided.push([
                    protocol.into(),
                    format!("{method} {}", line.path),
                    request.clone(),
                    reply.clone(),
                ]);
            }
        }
        for line in &decided {
            assert!(written.contains(line), "coverage.md has no line for {line:?}");
        }
        for row in &written {
            assert!(decided.contains(row), "coverage.md lists what is not in the table: {row:?}");
        }
    }
}
