//! What is remembered, as bytes in the side store.
//!
//! ```text
//! 1  agent  upstream  response  conversation  notice  item     a call that was blocked
//! 2  agent  upstream  response  numbers  name  name  …         the tools declared for a reply
//! 3  agent  (empty)   digest    rule  severity  notice         a block of a request that was replaced
//! ```
//!
//! One byte says what it is, then [fields](crate::fields). A memo of another shape is forgotten.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use doorward_core::decision::Replaced;
use doorward_core::wire::openai_responses::restore::Suppressed;
use doorward_core::wire::request::Declared;

use super::Whose;
use crate::fields::{Fields, push};

const CALL: u8 = 1;
const TOOLS: u8 = 2;
const BLOCK: u8 = 3;

/// A call that was blocked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub response: Arc<str>,
    /// The conversation it belongs to, until the upstream was given an output.
    pub conversation: Option<Arc<str>>,
    pub suppressed: Suppressed,
}

/// The tools declared for a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tools {
    pub response: Arc<str>,
    pub declared: Arc<Declared>,
}

/// A block of a request that was replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub digest: Arc<str>,
    pub replaced: Replaced,
}

/// What a memo says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    Block(Block),
    Call(Call),
    Tools(Tools),
}

impl Call {
    pub fn write(&self, whose: &Whose) -> Vec<u8> {
        let conversation = self.conversation.as_deref().unwrap_or_default();
        let Suppressed { item, notice } = &self.suppressed;
        let texts = [&*whose.0, &*whose.1, &*self.response, conversation, notice];
        let mut out = vec![CALL];
        texts.iter().for_each(|text| push(&mut out, text.as_bytes()));
        push(&mut out, item);
        out
    }

    /// Roughly what it takes in memory.
    pub fn size(&self) -> usize {
        self.suppressed.item.len() + self.suppressed.notice.len() + self.response.len() + 256
    }
}

impl Tools {
    pub fn write(&self, whose: &Whose) -> Vec<u8> {
        let Declared { tools, provider_tools, choices, .. } = &*self.declared;
        let mut out = vec![TOOLS];
        [&*whose.0, &*whose.1, &*self.response].iter().for_each(|text| push(&mut out, text.as_bytes()));
        let mut numbers = choices.to_le_bytes().to_vec();
        numbers.push(u8::from(*provider_tools));
        push(&mut out, &numbers);
        tools.iter().for_each(|name| push(&mut out, name.as_bytes()));
        out
    }

    /// Roughly what it takes in memory, were nothing shared.
    pub fn size(&self) -> usize {
        self.response.len() + self.declared.tools.iter().map(|name| name.len() + 48).sum::<usize>() + 128
    }
}

impl Block {
    pub fn write(&self, agent: &str) -> Vec<u8> {
        let Replaced { rule, severity, notice } = &self.replaced;
        let mut out = vec![BLOCK];
        [agent, "", &*self.digest, &**rule].iter().for_each(|text| push(&mut out, text.as_bytes()));
        push(&mut out, &[*severity]);
        push(&mut out, notice.as_bytes());
        out
    }
}

/// What was written, and whose it is; `None` if it is something else.
pub(super) fn read(memo: &[u8]) -> Option<(Whose, Said)> {
    let (kind, rest) = memo.split_first()?;
    let mut fields = Fields(rest);
    let whose = (fields.text()?.into(), fields.text()?.into());
    let response = fields.text()?.into();
    let said = match *kind {
        CALL => {
            let conversation = Some(fields.text()?).filter(|id| !id.is_empty()).map(Arc::from);
            let notice = fields.text()?.to_owned();
            let item = Bytes::copy_from_slice(fields.next()?);
            Said::Call(Call { response, conversation, suppressed: Suppressed { item, notice } })
        }
        TOOLS => {
            let (choices, flags) = fields.next()?.split_first_chunk::<8>()?;
            let provider_tools = match flags {
                [0] => false,
                [1] => true,
                _ => return None,
            };
            let mut tools = HashSet::new();
            while !fields.is_empty() {
                tools.insert(fields.text()?.to_owned());
            }
            let choices = u64::from_le_bytes(*choices);
            let declared = Declared { tools, provider_tools, choices, ..Declared::default() };
            Said::Tools(Tools { response, declared: Arc::new(declared) })
        }
        BLOCK => {
            let rule = fields.text()?.into();
            let [severity] = *fields.next()? else { return None };
            let replaced = Replaced { rule, severity, notice: fields.text()?.into() };
            Said::Block(Block { digest: response, replaced })
        }
        _ => return None,
    };
    fields.is_empty().then_some((whose, said))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whose() -> Whose {
        ("an agent".into(), "openai".into())
    }

    fn call(conversation: Option<&str>) -> Call {
        let item = Bytes::from_static(b"{\"type\":\"function_call\",\"id\":\"fc_\xc3\xa9\"}");
        let suppressed = Suppressed { item, notice: "[doorward] \"no\"\n".into() };
        Call { response: "resp_1".into(), conversation: conversation.map(Arc::from), suppressed }
    }

    fn tools() -> Tools {
        let names = ["Bash", "get_weather", "", "with \u{1f980}"];
        let tools = names.iter().map(|name| (*name).to_owned()).collect();
        let declared = Declared { tools, provider_tools: true, choices: 3, ..Declared::default() };
        Tools { response: "resp_2".into(), declared: Arc::new(declared) }
    }

    #[test]
    fn what_was_written_is_read() {
        for call in [call(None), call(Some("conv_1"))] {
            assert_eq!(read(&call.write(&whose())), Some((whose(), Said::Call(call))));
        }
        assert_eq!(read(&tools().write(&whose())), Some((whose(), Said::Tools(tools()))));
        let replaced = Replaced { rule: "inject.x".into(), severity: 71, notice: "\"gone\"".into() };
        let block = Block { digest: "0f".into(), replaced };
        let of_an_agent = (whose().0, "".into());
        assert_eq!(read(&block.write("an agent")), Some((of_an_agent, Said::Block(block))));
        let none = Tools { declared: Arc::default(), ..tools() };
        assert_eq!(read(&none.write(&whose())), Some((whose(), Said::Tools(none))));
    }

    #[test]
    fn anything_else_is_not() {
        let call = call(None).write(&whose());
        for at in 0..call.len() {
            assert_eq!(read(&call[..at]), None, "cut at {at}");
        }
        assert_eq!(read(&[&call[..], &[0]].concat()), None, "more than was written");
        assert_eq!(read(&[&[9], &call[1..]].concat()), None, "another kind");
        assert_eq!(read(b"\x01\xff\xff\xff\xff"), None);
    }
}
