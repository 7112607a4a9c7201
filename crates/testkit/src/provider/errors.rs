//! The providers' error answers, spelled as they spell them.

use super::reply::Reply;

/// An error in Anthropic's shape.
pub(super) fn anthropic(status: u16) -> Reply {
    let (kind, message) = match status {
        400 => ("invalid_request_error", "messages: at least one message is required"),
        401 => ("authentication_error", "invalid x-api-key"),
        403 => ("permission_error", "Your API key does not have permission to use the specified resource."),
        404 => ("not_found_error", "Not found"),
        413 => ("request_too_large", "Request exceeds the maximum size"),
        429 => ("rate_limit_error", "This request would exceed your organization's rate limit."),
        529 => ("overloaded_error", "Overloaded"),
        _ => ("api_error", "Internal server error"),
    };
    let body = format!(
        "{{\"type\":\"error\",\"error\":{{\"type\":\"{kind}\",\"message\":\"{message}\"}},\
         \"request_id\":\"req_scripted{status}\"}}"
    );
    let reply = Reply::json(status, &body).with("request-id", &format!("req_scripted{status}"));
    match status {
        429 => reply
            .with("retry-after", "17")
            .with("anthropic-ratelimit-requests-limit", "50")
            .with("anthropic-ratelimit-requests-remaining", "0"),
        529 => reply.with("x-should-retry", "true"),
        _ => reply,
    }
}

/// An error in OpenAI's shape.
pub(super) fn openai(status: u16) -> Reply {
    let (message, kind, param, code) = match status {
        400 => ("Missing required parameter: 'messages'.", "invalid_request_error", "\"messages\"", "null"),
        401 => ("Incorrect API key provided: dummy.", "invalid_request_error", "null", "\"invalid_api_key\""),
        404 => ("The model does not exist.", "invalid_request_error", "null", "\"model_not_found\""),
        429 => ("Rate limit reached for requests", "requests", "null", "\"rate_limit_exceeded\""),
        529 => ("The engine is currently overloaded", "server_error", "null", "\"overloaded\""),
        _ => ("The server had an error processing your request.", "server_error", "null", "null"),
    };
    let body = format!(
        "{{\n    \"error\": {{\n        \"message\": \"{message}\",\n        \"type\": \"{kind}\",\n        \
         \"param\": {param},\n        \"code\": {code}\n    }}\n}}\n"
    );
    let reply = Reply::json(status, &body).with("x-request-id", &format!("req_scripted{status}"));
    match status {
        429 => reply
            .with("retry-after", "17")
            .with("retry-after-ms", "17250")
            .with("x-ratelimit-remaining-requests", "0"),
        _ => reply,
    }
}

/// An error in Gemini's shape.
pub(super) fn gemini(status: u16) -> Reply {
    let (message, name) = match status {
        400 => ("API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT"),
        403 => ("Permission denied.", "PERMISSION_DENIED"),
        404 => ("models/none is not found for API version v1beta.", "NOT_FOUND"),
        429 => ("You exceeded your current quota.", "RESOURCE_EXHAUSTED"),
        503 => ("The model is overloaded. Please try again later.", "UNAVAILABLE"),
        _ => ("An internal error has occurred.", "INTERNAL"),
    };
    let body = format!(
        "{{\n  \"error\": {{\n    \"code\": {status},\n    \"message\": \"{message}\",\n    \
         \"status\": \"{name}\"\n  }}\n}}\n"
    );
    Reply::json(status, &body)
}

/// `error_NNN`: the status asked for.
pub(super) fn status(scenario: &str) -> Option<u16> {
    scenario.strip_prefix("error_")?.parse().ok()
}
