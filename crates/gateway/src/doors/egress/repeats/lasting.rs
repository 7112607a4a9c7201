//! What outlives a restart: an answer as bytes in the store, and what earlier processes left.

use std::sync::Arc;

use bytes::Bytes;
use doorward_core::account::gcra::Ticks;
use doorward_core::wire::sphyr::reply::Safety;
use doorward_store::{Came, OnceOnly, Store};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::super::reply::Given;
use super::{At, Entry, Known, LASTS, STOPPED, State, conflict};
use crate::fields::{Fields, push};

/// In which form an answer is written.
const GIVEN: u8 = 1;

impl Known {
    /// Knows again what an earlier process knew. One that was on its way when that process ended is as good as one that broke off.
    pub(super) fn restore(&mut self, one: OnceOnly, store: &Store, now: At) {
        let left = one.until.map_or(LASTS, |until| until.saturating_sub(now.millis).min(LASTS));
        if left == 0 {
            return;
        }
        if one.until.is_none() {
            store.end_once(OnceOnly { until: Some(now.millis.saturating_add(LASTS)), ..one.clone() });
        }
        let state = match one.came {
            Came::Unknown => State::Refused(Box::new(conflict(STOPPED))),
            Came::Done => State::Answered(None),
            Came::Answered(answer) => State::Answered(Given::read(&answer).map(Arc::new)),
        };
        let state = self.bounded(state);
        let until: Ticks = now.ticks.saturating_add(left);
        self.put(one.tag, Entry { owner: one.key, request: one.request, state, until: Some(until) });
    }
}

impl Given {
    /// As it lies in the store.
    pub(super) fn written(&self) -> Vec<u8> {
        let Self { status, headers, bytes, safety, receipt, credits, redirect } = self;
        let seen = [safety.html_body, safety.injection, safety.secret].map(u8::from);
        let mut out = vec![GIVEN];
        push(&mut out, &status.to_le_bytes());
        push(&mut out, &seen);
        push(&mut out, &credits.to_le_bytes());
        push(&mut out, receipt.as_bytes());
        push(&mut out, redirect.as_deref().unwrap_or_default().as_bytes());
        push(&mut out, bytes);
        for (name, value) in headers {
            push(&mut out, name.as_str().as_bytes());
            push(&mut out, value.as_bytes());
        }
        out
    }

    /// What was written; `None` if it is something else.
    pub(super) fn read(written: &[u8]) -> Option<Self> {
        let (&GIVEN, rest) = written.split_first()? else { return None };
        let mut fields = Fields(rest);
        let status = u16::from_le_bytes(fields.next()?.try_into().ok()?);
        let &[html_body, injection, secret] = fields.next()? else { return None };
        let [html_body, injection, secret] = [html_body, injection, secret].map(|seen| seen != 0);
        let credits = u64::from_le_bytes(fields.next()?.try_into().ok()?);
        let receipt = fields.text()?.into();
        let redirect = Some(fields.text()?).filter(|url| !url.is_empty()).map(Into::into);
        let bytes = Bytes::copy_from_slice(fields.next()?);
        let mut headers = HeaderMap::new();
        while !fields.is_empty() {
            let name = HeaderName::from_bytes(fields.next()?).ok()?;
            headers.append(name, HeaderValue::from_bytes(fields.next()?).ok()?);
        }
        let safety = Safety { html_body, injection, secret };
        Some(Self { status, headers, bytes, safety, receipt, credits, redirect })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_as_it_was_written() {
        let lines = [("set-cookie", "a=1"), ("x-raw", "\u{e9}"), ("set-cookie", "b=2")];
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let safety = Safety { html_body: false, injection: true, secret: true };
        let given = Given {
            status: 201,
            headers,
            bytes: Bytes::from_static(b"\0\xff body"),
            safety,
            receipt: "01RECEIPT".into(),
            credits: 3,
            redirect: Some("https://a.example/".into()),
        };
        let written = given.written();
        let again = Given::read(&written).unwrap();
        assert_eq!(again.written(), written);
        assert_eq!((again.status, again.credits, &again.bytes), (201, 3, &given.bytes));
        assert_eq!((again.headers, again.redirect), (given.headers.clone(), given.redirect.clone()));
        assert!(!again.safety.html_body && again.safety.injection && again.safety.secret);
        let none = Given { redirect: None, ..given };
        assert!(Given::read(&none.written()).unwrap().redirect.is_none());
        for at in 0..written.len() - 5 {
            assert!(Given::read(&written[..at]).is_none_or(|cut| cut.headers.len() < 3), "cut at {at}");
        }
        assert!(Given::read(&[&[9], &written[1..]].concat()).is_none());
    }
}
