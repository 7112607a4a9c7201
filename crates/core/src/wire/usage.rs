//! What providers say about tokens. Each counts in its own way; here the input is all that was read, cached or not, and
//! the output all that was written, thinking as well, each token once.

use super::frame::Observation;
use crate::syntax::Node;
use crate::usage::Usage;

/// Anthropic: `input_tokens` are those that neither came from a cache nor went to one. `output_tokens` hold thinking.
pub(super) fn anthropic(node: &Node, saw: &mut Vec<Observation>) {
    let Some(usage) = node.some("usage") else { return };
    let (cached, cache_write) =
        (count(usage, "cache_read_input_tokens"), count(usage, "cache_creation_input_tokens"));
    let input = count(usage, "input_tokens").map(|plain| {
        plain.saturating_add(cached.unwrap_or_default()).saturating_add(cache_write.unwrap_or_default())
    });
    saw.push(Observation::Usage(Usage { input, cached, cache_write, output: count(usage, "output_tokens") }));
}

/// OpenAI's Chat Completions and Completions, and who speaks like them: `prompt_tokens` hold cached ones,
/// `completion_tokens` hold thinking.
pub(super) fn openai_chat(node: &Node, saw: &mut Vec<Observation>) {
    // Groq has it there at the end of a stream.
    let of_groq = || node.some("x_groq").and_then(|groq| groq.some("usage"));
    let Some(usage) = node.some("usage").or_else(of_groq) else { return };
    let details = usage.some("prompt_tokens_details");
    let detail = |key: &str| details.and_then(|details| count(details, key));
    // DeepSeek; OpenRouter; LiteLLM before Anthropic.
    let cached = detail("cached_tokens").or_else(|| count(usage, "prompt_cache_hit_tokens"));
    let cache_write = detail("cache_write_tokens").or_else(|| detail("cache_creation_tokens"));
    let input = count(usage, "prompt_tokens");
    let output = rest(count(usage, "total_tokens"), input, count(usage, "completion_tokens"));
    saw.push(Observation::Usage(Usage { input, cached, cache_write, output }));
}

/// OpenAI's Responses: `input_tokens` hold cached ones, `output_tokens` hold reasoning.
pub(super) fn openai_responses(node: &Node, saw: &mut Vec<Observation>) {
    let Some(usage) = node.some("usage") else { return };
    let cached = usage.some("input_tokens_details").and_then(|details| count(details, "cached_tokens"));
    let input = count(usage, "input_tokens");
    let output = rest(count(usage, "total_tokens"), input, count(usage, "output_tokens"));
    saw.push(Observation::Usage(Usage { input, cached, cache_write: None, output }));
}

/// Gemini: `promptTokenCount` holds cached ones; what tools of its own brought in is beside it, and thoughts are
/// beside what the candidates say.
pub(super) fn gemini(node: &Node, saw: &mut Vec<Observation>) {
    let Some(usage) = node.some("usageMetadata") else { return };
    let both = |one: Option<u64>, other: Option<u64>| match one {
        Some(one) => Some(one.saturating_add(other.unwrap_or_default())),
        None => other,
    };
    let input = both(count(usage, "promptTokenCount"), count(usage, "toolUsePromptTokenCount"));
    let written = both(count(usage, "candidatesTokenCount"), count(usage, "thoughtsTokenCount"));
    let output = rest(count(usage, "totalTokenCount"), input, written);
    let cached = count(usage, "cachedContentTokenCount");
    saw.push(Observation::Usage(Usage { input, cached, cache_write: None, output }));
}

/// The output. Some servers leave thinking out of what they call output and have it in the total.
fn rest(total: Option<u64>, input: Option<u64>, output: Option<u64>) -> Option<u64> {
    let rest = total.zip(input).map(|(total, input)| total.saturating_sub(input));
    // Where there is no output yet the total is the input.
    output.max(rest.filter(|rest| *rest > 0))
}

fn count(node: &Node, key: &str) -> Option<u64> {
    node.get(key).and_then(Node::as_u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::json;

    type Reading = fn(&Node, &mut Vec<Observation>);

    /// Input, cached, written to a cache, output.
    type Figures = [Option<u64>; 4];

    fn read(reading: Reading, body: &str) -> Option<Figures> {
        let mut saw = Vec::new();
        reading(&json::parse(body.as_bytes()).unwrap(), &mut saw);
        match saw.as_slice() {
            [Observation::Usage(usage)] => Some([usage.input, usage.cached, usage.cache_write, usage.output]),
            [] => None,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn input_is_all_that_was_read_and_output_all_that_was_written() {
        let some = |numbers: [i64; 4]| Some(numbers.map(|number| u64::try_from(number).ok()));
        let readings: [(Reading, &str, Option<Figures>); 16] = [
            (anthropic, r#"{"usage":{"input_tokens":10,"output_tokens":2}}"#, some([10, -1, -1, 2])),
            (
                anthropic,
                r#"{"usage":{"input_tokens":10,"cache_creation_input_tokens":5,"cache_read_input_tokens":100,"output_tokens":2}}"#,
                some([115, 100, 5, 2]),
            ),
            (anthropic, r#"{"usage":{"output_tokens":89}}"#, some([-1, -1, -1, 89])),
            (
                anthropic,
                r#"{"usage":{"input_tokens":18446744073709551615,"cache_read_input_tokens":9}}"#,
                Some([Some(u64::MAX), Some(9), None, None]),
            ),
            (anthropic, r#"{"usage":null}"#, None),
            (
                openai_chat,
                r#"{"usage":{"prompt_tokens":115,"completion_tokens":20,"total_tokens":135,"prompt_tokens_details":{"cached_tokens":100},"completion_tokens_details":{"reasoning_tokens":15}}}"#,
                some([115, 100, -1, 20]),
            ),
            // DeepSeek.
            (
                openai_chat,
                r#"{"usage":{"prompt_tokens":115,"completion_tokens":20,"total_tokens":135,"prompt_cache_hit_tokens":64,"prompt_cache_miss_tokens":51}}"#,
                some([115, 64, -1, 20]),
            ),
            // xAI has reasoning in the total alone.
            (
                openai_chat,
                r#"{"usage":{"prompt_tokens":30,"completion_tokens":9,"total_tokens":339,"completion_tokens_details":{"reasoning_tokens":300}}}"#,
                some([30, -1, -1, 309]),
            ),
            // LiteLLM before Anthropic.
            (
                openai_chat,
                r#"{"usage":{"prompt_tokens":115,"completion_tokens":2,"total_tokens":117,"prompt_tokens_details":{"cached_tokens":100,"cache_creation_tokens":5}}}"#,
                some([115, 100, 5, 2]),
            ),
            (
                openai_chat,
                r#"{"x_groq":{"id":"r","usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}}"#,
                some([7, -1, -1, 3]),
            ),
            (openai_chat, r#"{"usage":null,"choices":[]}"#, None),
            (
                openai_responses,
                r#"{"usage":{"input_tokens":115,"input_tokens_details":{"cached_tokens":100},"output_tokens":20,"output_tokens_details":{"reasoning_tokens":15},"total_tokens":135}}"#,
                some([115, 100, -1, 20]),
            ),
            (
                gemini,
                r#"{"usageMetadata":{"promptTokenCount":100,"cachedContentTokenCount":60,"candidatesTokenCount":5,"thoughtsTokenCount":40,"toolUsePromptTokenCount":11,"totalTokenCount":156}}"#,
                some([111, 60, -1, 45]),
            ),
            // Before anything was said.
            (
                gemini,
                r#"{"usageMetadata":{"promptTokenCount":100,"totalTokenCount":100}}"#,
                some([100, -1, -1, -1]),
            ),
            (
                gemini,
                r#"{"usageMetadata":{"promptTokenCount":100,"totalTokenCount":140}}"#,
                some([100, -1, -1, 40]),
            ),
            (gemini, r#"{"usageMetadata":{"thoughtsTokenCount":4}}"#, some([-1, -1, -1, 4])),
        ];
        for (reading, body, expected) in readings {
            assert_eq!(read(reading, body), expected, "{body}");
        }
    }
}
