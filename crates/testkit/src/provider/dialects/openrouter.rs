//! OpenRouter: comments while it waits, the role in every delta, reasoning twice (`reasoning` and
//! `reasoning_details`), the finish said again beside the usage, white space before a JSON body, errors
//! inside of a reply with status 200.
//!
//! Source: its documentation of streaming, errors and reasoning tokens.

use super::super::json::quote;
use super::super::reply::Reply;
use super::{Dialect, Turn, data, done};

pub(super) struct OpenRouter;

const USAGE: &str = "{\"prompt_tokens\":82,\"completion_tokens\":17,\"total_tokens\":99,\"cost\":0.00041,\
    \"is_byok\":false,\"prompt_tokens_details\":{\"cached_tokens\":0,\"cache_write_tokens\":0,\"audio_tokens\":0},\
    \"cost_details\":{\"upstream_inference_cost\":null,\"upstream_inference_prompt_cost\":0.0002},\
    \"completion_tokens_details\":{\"reasoning_tokens\":4,\"image_tokens\":0}}";

const COMMENT: &[u8] = b": OPENROUTER PROCESSING\n\n";

fn head(turn: &Turn, object: &str) -> String {
    format!(
        "\"id\":\"gen-1764061200-Xk3vQz\",\"provider\":\"Anthropic\",\"model\":{},\"object\":\"{object}\",\
         \"created\":1764061200",
        quote(&turn.model)
    )
}

fn chunk(turn: &Turn, delta: &str, finish: &str, native: &str, rest: &str) -> Vec<u8> {
    let word = |word: &str| if word.is_empty() { "null".to_owned() } else { quote(word) };
    data(&format!(
        "{{{},\"choices\":[{{\"index\":0,\"delta\":{{\"role\":\"assistant\",{delta}}},\"finish_reason\":{},\
         \"native_finish_reason\":{},\"logprobs\":null}}]{rest}}}",
        head(turn, "chat.completion.chunk"),
        word(finish),
        word(native)
    ))
}

fn native(turn: &Turn) -> &'static str {
    if turn.calls.is_empty() { "end_turn" } else { "tool_use" }
}

impl Dialect for OpenRouter {
    fn stream(&self, turn: &Turn) -> Vec<Vec<u8>> {
        let plain = |delta: &str| chunk(turn, delta, "", "", "");
        let mut events = vec![COMMENT.to_vec(), COMMENT.to_vec(), COMMENT.to_vec()];
        for piece in turn.reasoning_pieces() {
            let piece = quote(&piece);
            events.push(plain(&format!(
                "\"content\":\"\",\"reasoning\":{piece},\"reasoning_details\":[{{\"type\":\"reasoning.text\",\
                 \"text\":{piece},\"format\":\"anthropic-claude-v1\",\"index\":0}}]"
            )));
        }
        if !turn.reasoning.is_empty() {
            events.push(plain(
                "\"content\":\"\",\"reasoning\":null,\"reasoning_details\":[{\"type\":\"reasoning.text\",\
                 \"signature\":\"EqQBCgIYAhIM1gbcDa9GJwZA2b3h/+A==\",\"format\":\"anthropic-claude-v1\",\"index\":0},\
                 {\"type\":\"reasoning.encrypted\",\"data\":\"EmwKAhgBEgy3va3pzix/LafPsn4aDFIT\",\
                 \"id\":\"reasoning-encrypted-1\",\"format\":\"anthropic-claude-v1\",\"index\":1}]",
            ));
        }
        events.extend(turn.text_pieces().iter().map(|piece| plain(&format!("\"content\":{}", quote(piece)))));
        for (at, call) in turn.calls.iter().enumerate() {
            events.push(plain(&format!(
                "\"content\":null,\"tool_calls\":[{{\"index\":{at},\"id\":\"toolu_01A{at}\",\"type\":\"function\",\
                 \"function\":{{\"name\":{},\"arguments\":\"\"}}}}]",
                quote(call.name)
            )));
            events.push(COMMENT.to_vec());
            events.extend(call.pieces().iter().map(|piece| {
                plain(&format!(
                    "\"content\":null,\"tool_calls\":[{{\"index\":{at},\"type\":\"function\",\
                     \"function\":{{\"arguments\":{}}}}}]",
                    quote(piece)
                ))
            }));
        }
        events.push(chunk(turn, "\"content\":\"\"", turn.finish(), native(turn), ""));
        let usage = format!(",\"usage\":{USAGE}");
        events.push(chunk(turn, "\"content\":\"\"", turn.finish(), native(turn), &usage));
        events.push(done());
        events
    }

    fn whole(&self, turn: &Turn) -> Vec<u8> {
        let calls: Vec<String> = turn
            .calls
            .iter()
            .enumerate()
            .map(|(at, call)| {
                format!(
                    "{{\"type\":\"function\",\"index\":{at},\"id\":\"toolu_01A{at}\",{}}}",
                    call.function()
                )
            })
            .collect();
        let calls =
            if calls.is_empty() { String::new() } else { format!(",\"tool_calls\":[{}]", calls.join(",")) };
        let reasoning = if turn.reasoning.is_empty() {
            "\"reasoning\":null".to_owned()
        } else {
            format!(
                "\"reasoning\":{0},\"reasoning_details\":[{{\"format\":\"anthropic-claude-v1\",\"index\":0,\
                 \"type\":\"reasoning.text\",\"text\":{0},\"signature\":\"EqQBCgIYAhIM1gbc\"}}]",
                quote(turn.reasoning)
            )
        };
        // It writes white space while it waits, so that the connection stays open.
        format!(
            "\n         \n\n         \n{{{},\"choices\":[{{\"logprobs\":null,\"finish_reason\":\"{}\",\
             \"native_finish_reason\":\"{}\",\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":{},\
             \"refusal\":null,{reasoning}{calls}}}}}],\"usage\":{USAGE}}}",
            head(turn, "chat.completion"),
            turn.finish(),
            native(turn),
            quote(turn.text)
        )
        .into_bytes()
    }

    fn refused(&self) -> Reply {
        Reply::json(
            402,
            "{\"error\":{\"message\":\"This request requires more credits, or fewer max_tokens.\",\"code\":402,\
             \"metadata\":{\"provider_name\":null}},\"user_id\":\"user_2scripted\"}",
        )
    }

    fn breaks(&self, turn: &Turn) -> Vec<Vec<u8>> {
        vec![data(&format!(
            "{{{},\"error\":{{\"code\":\"server_error\",\"message\":\"Provider disconnected unexpectedly\"}},\
             \"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"\"}},\"finish_reason\":\"error\"}}]}}",
            head(turn, "chat.completion.chunk")
        ))]
    }

    fn broken(&self, turn: &Turn) -> Reply {
        Reply::json(
            200,
            &format!(
                "\n         \n{{{},\"choices\":[{{\"index\":0,\"finish_reason\":\"error\",\
                 \"native_finish_reason\":\"error\",\"message\":{{\"role\":\"assistant\",\"content\":\"Hello! I \"}},\
                 \"error\":{{\"code\":502,\"message\":\"Provider disconnected unexpectedly\",\
                 \"metadata\":{{\"provider_name\":\"Anthropic\",\"raw\":\"{{\\\"type\\\":\\\"overloaded_error\\\"}}\"}}}}}}]}}",
                head(turn, "chat.completion")
            ),
        )
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[("x-generation-id", "gen-1764061200-Xk3vQz"), ("cf-ray", "9a1b2c3d4e5f-FRA")]
    }
}
