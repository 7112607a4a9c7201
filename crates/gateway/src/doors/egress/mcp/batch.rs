//! Several messages in one body: version 2025-03-26 of the protocol has them, those before and after have not. Each is judged,
//! metered and answered as if it had come by itself, one after the other.

use doorward_core::wire::jsonrpc::{self, Message, NoMessage};
use http::request::Parts;
use http::{Response, StatusCode};

use super::client::{self, Client, VERSION};
use super::{Answered, Asked, status};
use crate::answer::Body;
use crate::doors::egress::{Caller, Egress};

/// The version that has them. Who says nothing of versions speaks it (2025-06-18, *Protocol Version Header*).
const VERSION_WITH: &str = "2025-03-26";

impl Egress {
    /// Answers each of these messages that wants an answer.
    pub(super) async fn batch(
        &self,
        messages: Vec<Result<Message, NoMessage>>,
        head: &Parts,
        client: &Client,
        caller: Caller,
    ) -> Response<Body> {
        let said = head.headers.get(VERSION);
        let spoken = said.is_none_or(|version| version.as_bytes() == VERSION_WITH.as_bytes());
        let agreed = client.conversation.as_ref().and_then(|conversation| conversation.version());
        if !spoken || agreed.is_some_and(|version| version != VERSION_WITH) {
            let error = jsonrpc::error(None, jsonrpc::INVALID_REQUEST, NOT_TAKEN);
            return status(StatusCode::BAD_REQUEST, error);
        }
        let mut answers: Vec<Vec<u8>> = Vec::new();
        for message in messages {
            let answer = match message {
                Ok(Message::Request(request)) => Some(self.one_of(&request, head, client, caller).await),
                told => match (self.flooded(client.key.as_deref(), caller.ip).await, told) {
                    // It may want no answer, but whoever sends too many is to know.
                    (Err(denial), _) => Some(jsonrpc::error(None, jsonrpc::LIMITED, &denial.message)),
                    (Ok(()), Err(wrong)) => Some(jsonrpc::error(None, wrong.code, &wrong.message)),
                    (Ok(()), Ok(_)) => None,
                },
            };
            answers.extend(answer);
        }
        if answers.is_empty() {
            return status(StatusCode::ACCEPTED, Vec::new());
        }
        let body = [b"[", answers.join(&b","[..]).as_slice(), b"]"].concat();
        Answered::of(body).response(client.wants_events, self.now())
    }

    async fn one_of(
        &self,
        request: &jsonrpc::Request,
        head: &Parts,
        client: &Client,
        caller: Caller,
    ) -> Vec<u8> {
        if &*request.method == "initialize" {
            let message = "`initialize` is a message by itself (2025-03-26, *Lifecycle*)";
            return jsonrpc::error(Some(&request.id), jsonrpc::INVALID_REQUEST, message);
        }
        match client::era(&head.headers, request) {
            Ok(era) => self.asked(&Asked { request, head, client, era, caller }).await.body,
            Err(wrong) => match self.flooded(client.key.as_deref(), caller.ip).await {
                Ok(()) => wrong.body,
                Err(denial) => jsonrpc::error(Some(&request.id), jsonrpc::LIMITED, &denial.message),
            },
        }
    }
}

/// For who sends several at once in another version.
const NOT_TAKEN: &str = "several messages at once are taken in version 2025-03-26 of the protocol only; send one message, an object, in each request";
