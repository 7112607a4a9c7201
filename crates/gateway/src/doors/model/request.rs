//! What an agent asks for, read.

use doorward_core::action::ActionKind;
use doorward_core::wire::request::{Declared, Request};
use doorward_core::{Action, Coverage, Door, Source};
use http::StatusCode;
use http::request::Parts;

use super::endpoint::{Endpoint, endpoint};
use super::{Crossing, bad_request};
use crate::answer::Answer;

/// A request as it was read.
pub(super) struct Asked {
    pub endpoint: Endpoint,
    pub request: Request,
    pub action: Action,
    /// What the agent is told if it is refused for being wrong.
    pub wrong: Option<Answer>,
}

fn unread(coverage: Coverage) -> Request {
    Request { coverage, ..Request::default() }
}

impl Crossing {
    /// What the agent asks for, as an action. What is wrong with it is a fault of the action, so that it is
    /// judged and recorded like anything else (in monitor mode it passes, unread).
    pub(super) fn read(&self, head: &Parts, body: &[u8]) -> Asked {
        let path = self.rest.split('?').next().unwrap_or_default();
        let endpoint = endpoint(self.upstream.protocol, &head.method, path);
        let kind = match endpoint {
            Endpoint::Conversation(_) | Endpoint::Asked(..) => ActionKind::ModelRequest,
            Endpoint::Stored(_) | Endpoint::NoCalls(_) | Endpoint::Refused(_) | Endpoint::Unknown => {
                ActionKind::Opaque
            }
        };
        let mut action = Action::new(Door::Model, kind, self.agent.clone(), self.agent.clone());
        action.peer = self.upstream.name.clone();
        action.peer_trusted = self.upstream.trusted;
        action.source = Source::User;
        let read = self.routable(endpoint, path).and_then(|()| match endpoint {
            Endpoint::Conversation(dialect) | Endpoint::Asked(dialect, _) => {
                dialect.read_request(body).map_err(|fault| bad_request(fault.code, fault.message))
            }
            Endpoint::Stored(_) => Ok(self.stored()),
            Endpoint::NoCalls(what) => Ok(unread(Coverage::None(what.to_owned()))),
            Endpoint::Refused(_) | Endpoint::Unknown => {
                Ok(unread(Coverage::Partial("unknown endpoint".to_owned())))
            }
        });
        let (request, wrong) = match read {
            Ok(request) => (request, None),
            Err(answer) => (unread(Coverage::None(answer.code.to_owned())), Some(answer)),
        };
        action.fault = wrong.as_ref().map(|answer| answer.message.clone());
        action.coverage = request.coverage.clone();
        action.parts.clone_from(&request.parts);
        action.effects.clone_from(&request.effects);
        Asked { endpoint, request, action, wrong }
    }

    /// What is known of a reply that was asked for earlier.
    fn stored(&self) -> Request {
        let query = self.rest.split_once('?').map_or("", |(_, query)| query);
        // Escaped, it would be another parameter to some servers; then the stream has to begin at its beginning.
        let resumed = query.split('&').any(|parameter| parameter.starts_with("starting_after="));
        let declared = Declared { resumed, ..Declared::unseen() };
        Request { declared, ..unread(Coverage::None("stored reply".to_owned())) }
    }

    /// Refuses what no strict reader would route, and unknown endpoints of who is not trusted with them.
    fn routable(&self, endpoint: Endpoint, path: &str) -> Result<(), Answer> {
        let odd = path.split('/').any(|part| matches!(part, "" | "." | "..")) && !path.is_empty()
            || path.bytes().any(|byte| matches!(byte, b'\\' | b'%' | b';') || !byte.is_ascii_graphic());
        if odd {
            let why = "the path has empty, dot or escaped segments, which servers read in different ways";
            return Err(bad_request("path", why.to_owned()));
        }
        if let Endpoint::Refused(why) = endpoint {
            let message = format!("Doorward does not pass `{path}` on: {why}");
            return Err(Answer::agent(StatusCode::FORBIDDEN, "refused_endpoint", message));
        }
        if endpoint == Endpoint::Unknown && !(self.upstream.trusted && self.upstream.unknown_passes) {
            let message = format!(
                "Doorward does not know the endpoint `{path}` and the upstream `{}` is not trusted with unknown \
                 ones; use /v1/messages or /v1/chat/completions, or set `trusted: yes` and `unknown: pass` for it",
                self.upstream.name
            );
            return Err(Answer::agent(StatusCode::FORBIDDEN, "unknown_endpoint", message));
        }
        Ok(())
    }
}
