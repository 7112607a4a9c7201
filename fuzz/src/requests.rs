//! Requests to models, in every dialect.

use doorward_core::stream::Dialect;
use doorward_core::wire::batch::Batch;
use doorward_core::wire::unknown;

/// The dialects whose requests are read.
pub const DIALECTS: [Dialect; 8] = [
    Dialect::Anthropic,
    Dialect::OpenAiChat,
    Dialect::OpenAiResponses,
    Dialect::Gemini,
    Dialect::OpenAiCompletions,
    Dialect::Batch(Batch::MessageBatches),
    Dialect::Batch(Batch::OpenAiFile),
    Dialect::Batch(Batch::GeminiBatches),
];

/// The first byte chooses the dialect. What is accepted is JSON to `serde_json` too, reads the same twice,
/// and its tools and texts are all in the body.
pub fn requests(data: &[u8]) {
    let Some((choice, body)) = data.split_first() else { return };
    let _ = unknown::error_reply(body);
    let Some(dialect) = DIALECTS.get(usize::from(*choice) % DIALECTS.len()) else { return };
    let Ok(request) = dialect.read_request(body) else { return };
    assert_eq!(dialect.read_request(body).as_ref(), Ok(&request), "the same bytes read differently");
    assert!((1..=128).contains(&request.declared.choices.max(1)), "an unbounded number of choices");
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(body) else { return };
    assert!(value.is_object(), "a request that is no object was accepted");
    // Where these stand in the path, or in each of many requests, the body's say nothing.
    if !matches!(dialect, Dialect::Gemini | Dialect::Batch(_)) {
        assert_eq!(request.model, value.get("model").and_then(|model| model.as_str()).unwrap_or_default());
        let stream = value.get("stream").and_then(serde_json::Value::as_bool).unwrap_or_default();
        assert_eq!(request.stream, stream, "the request says otherwise whether it streams");
    }
}
