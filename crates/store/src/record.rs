//! One recorded action: what the receipt names by digest only, for the people who may know more.

use std::borrow::Cow;

use doorward_core::session::Millis;
use doorward_core::syntax::{Node, json};

use crate::judged::Judged;
use crate::secret::Secret32;

/// Most effects and most rules that are kept of one action; the receipt has the full count.
pub const MAX_LISTED: usize = 64;

/// Most bytes of content that are kept of one action; the rest is cut off.
pub const MAX_CONTENT: usize = 16 * 1024 * 1024;

/// What is kept of one action beside its receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedAction {
    /// The receipt's id.
    pub receipt: String,
    /// When, in milliseconds since the Unix epoch.
    pub time: Millis,
    /// Which agent.
    pub agent: String,
    /// Which session.
    pub session: String,
    /// `Door::as_str`.
    pub door: Cow<'static, str>,
    /// `ActionKind::as_str`.
    pub kind: Cow<'static, str>,
    /// The tool's name, if it was a call.
    pub tool: Option<String>,
    /// What it would do; at most [`MAX_LISTED`] are kept.
    pub effects: Vec<RecordedEffect>,
    /// `Verdict::as_str`.
    pub verdict: Cow<'static, str>,
    /// The rules behind the verdict, strongest first; at most [`MAX_LISTED`] are kept.
    pub rules: Vec<Cow<'static, str>>,
    /// The key that pays for it, if one does.
    pub key: Option<String>,
    /// Where it leads, [masked](doorward_core::url::masked); kept only with [`Options::urls`](crate::Options::urls);
    /// `None` once purged.
    pub url: Option<String>,
    /// The salt of the receipt's keyed digests; `None` once purged.
    pub salt: Option<Secret32>,
    /// The judged bytes; kept only with [`Options::content`](crate::Options::content), up to
    /// [`MAX_CONTENT`]; `None` once purged.
    pub content: Option<Vec<u8>>,
    /// What was judged, to be judged again; kept only with [`Options::judged`](crate::Options::judged); `None` once
    /// purged.
    pub judged: Option<Box<Judged>>,
}

/// One effect, without its target: targets are content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedEffect {
    /// `Capability::as_str`.
    pub capability: Cow<'static, str>,
    /// `AssetClass::as_str`.
    pub asset: Cow<'static, str>,
}

impl RecordedAction {
    /// Everything but id, time, salt, content, URL and what was judged, which have columns of their own, as JSON.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        let mut open = b'{';
        let mut text = |key: &str, value: &str| {
            out.push(std::mem::replace(&mut open, b','));
            out.extend_from_slice(&json::quoted(key));
            out.push(b':');
            out.extend_from_slice(&json::quoted(value));
        };
        text("agent", &self.agent);
        text("session", &self.session);
        text("door", &self.door);
        text("kind", &self.kind);
        if let Some(tool) = &self.tool {
            text("tool", tool);
        }
        if let Some(key) = &self.key {
            text("key", key);
        }
        text("verdict", &self.verdict);
        out.extend_from_slice(b",\"effects\":");
        let effects = self.effects.iter().take(MAX_LISTED);
        list(&mut out, effects.flat_map(|effect| [&*effect.capability, &*effect.asset]));
        out.extend_from_slice(b",\"rules\":");
        list(&mut out, self.rules.iter().take(MAX_LISTED).map(AsRef::as_ref));
        out.push(b'}');
        out
    }

    /// What is left of an action that was scrubbed: that there was one.
    pub(crate) fn scrubbed(receipt: &str, time: Millis) -> Self {
        Self {
            receipt: receipt.to_owned(),
            time,
            agent: String::new(),
            session: String::new(),
            door: "".into(),
            kind: "".into(),
            tool: None,
            effects: Vec::new(),
            verdict: "".into(),
            rules: Vec::new(),
            key: None,
            url: None,
            salt: None,
            content: None,
            judged: None,
        }
    }

    /// What [`Self::encode`] wrote; `None` if it is something else.
    pub(crate) fn decode(receipt: &str, time: Millis, encoded: &[u8]) -> Option<Self> {
        let node = json::parse(encoded).ok()?;
        let text = |key| node.text(key).map(str::to_owned);
        let effects: Vec<Cow<'static, str>> = strings(&node, "effects")?;
        Some(Self {
            receipt: receipt.to_owned(),
            time,
            agent: text("agent")?,
            session: text("session")?,
            door: text("door")?.into(),
            kind: text("kind")?.into(),
            tool: text("tool"),
            effects: effects
                .chunks_exact(2)
                .filter_map(|pair| match pair {
                    [capability, asset] => {
                        Some(RecordedEffect { capability: capability.clone(), asset: asset.clone() })
                    }
                    _ => None,
                })
                .collect(),
            verdict: text("verdict")?.into(),
            rules: strings(&node, "rules")?,
            key: text("key"),
            url: None,
            salt: None,
            content: None,
            judged: None,
        })
    }
}

fn list<'a>(out: &mut Vec<u8>, items: impl Iterator<Item = &'a str>) {
    out.push(b'[');
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&json::quoted(item));
    }
    out.push(b']');
}

fn strings(node: &Node, key: &str) -> Option<Vec<Cow<'static, str>>> {
    node.get(key)?.elements().iter().map(|item| item.as_str().map(|text| text.to_owned().into())).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn word() -> impl Strategy<Value = String> {
        any::<String>()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn what_was_encoded_is_decoded(
            (agent, session, kind) in (word(), word(), word()),
            (tool, key) in (proptest::option::of(word()), proptest::option::of(word())),
            effects in proptest::collection::vec((word(), word()), 0..4),
            rules in proptest::collection::vec(word(), 0..4),
        ) {
            let record = RecordedAction {
                receipt: "r1".into(),
                time: 7,
                agent,
                session,
                door: "model".into(),
                kind: kind.into(),
                tool,
                effects: effects
                    .into_iter()
                    .map(|(capability, asset)| RecordedEffect { capability: capability.into(), asset: asset.into() })
                    .collect(),
                verdict: "ask".into(),
                rules: rules.into_iter().map(Cow::from).collect(),
                key,
                url: None,
                salt: None,
                content: None,
                judged: None,
            };
            prop_assert_eq!(RecordedAction::decode("r1", 7, &record.encode()), Some(record));
        }

        #[test]
        fn rubbish_is_not_decoded(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(RecordedAction::decode("r1", 7, &bytes), None);
        }
    }
}
