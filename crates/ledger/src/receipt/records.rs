//! The parts of a receipt's body, as plain borrowed records. Every text has an upper length, every list an upper
//! count, so the worst receipt still fits an entry; what is left out of a list is counted and kept by digest.

use super::salt::{KeyedDigest, Salt};
use crate::canonical::{Object, Value, escaped_len};

/// Most reasons kept in full; give the strongest first.
pub const MAX_REASONS: usize = 24;
/// Most effects kept in full.
pub const MAX_EFFECTS: usize = 48;
/// Most parts kept in full.
pub const MAX_PARTS: usize = 48;
/// Most duties kept in full.
pub const MAX_DUTIES: usize = 32;

/// Most charges kept in full.
pub const MAX_CHARGES: usize = 16;

const WORD: usize = 24;
const NAME: usize = 96;
const LONG_NAME: usize = 256;
const MESSAGE: usize = 400;
const DESTINATION: usize = 2048;

/// `text`, cut so that its canonical form takes at most `max` bytes; a cut shows as `…`.
pub(super) fn clip(text: &str, max: usize) -> Value {
    // However it is escaped: six bytes stand for one at the most.
    if text.len() <= max / 6 {
        return Value::from(text);
    }
    let mut room = max;
    for (at, c) in text.char_indices() {
        let need = escaped_len(c);
        if need > room {
            let kept = cut_back(text.get(..at).unwrap_or_default(), max);
            return Value::Str(format!("{kept}…"));
        }
        room -= need;
    }
    Value::from(text)
}

/// Drops characters from the end until three bytes are free for the `…`.
fn cut_back(mut text: &str, max: usize) -> &str {
    let mut used: usize = text.chars().map(escaped_len).sum();
    while used + '…'.len_utf8() > max {
        let Some(last) = text.chars().next_back() else { break };
        used -= escaped_len(last);
        text = text.get(..text.len() - last.len_utf8()).unwrap_or_default();
    }
    text
}

/// Sets `key` to the first `keep` items and `key_more` to count and digest of the rest, if any. The digest is
/// keyed like every other: messages may name what the content was.
fn capped(
    object: &mut Object,
    key: &'static str,
    more: &'static str,
    mut items: Vec<Value>,
    keep: usize,
    salt: &Salt,
) {
    if items.len() > keep {
        let rest = items.split_off(keep);
        let count = rest.len() as u64;
        let digest = salt.digest(more, &Value::Array(rest).to_canonical());
        object.set(more, Object::new().with("count", Value::count(count)).with("digest", digest.to_string()));
    }
    object.set(key, items);
}

fn set_some(object: &mut Object, key: &'static str, text: Option<&str>, max: usize) {
    if let Some(text) = text {
        object.set(key, clip(text, max));
    }
}

fn counters(pairs: &[(&'static str, u64)]) -> Object {
    let mut object = Object::new();
    for &(key, value) in pairs.iter().take(32) {
        object.set(key, Value::count(value));
    }
    object
}

/// One thing an action would do.
#[derive(Debug, Clone, Copy)]
pub struct EffectRecord<'a> {
    /// What it does: `file.read`, `net.post`, …
    pub capability: &'a str,
    /// The class of what it touches.
    pub asset: &'a str,
    /// Keyed digest of the exact target, domain `target`.
    pub target: Option<KeyedDigest>,
}

/// One piece of content, known by digest only.
#[derive(Debug, Clone, Copy)]
pub struct PartRecord<'a> {
    /// What it is: `arguments`, `text`, `body`, …; also the domain of the digest.
    pub part: &'a str,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its keyed digest.
    pub digest: KeyedDigest,
}

/// The action that was judged.
#[derive(Debug, Clone, Default)]
pub struct ActionRecord<'a> {
    /// Kind of crossing.
    pub kind: &'a str,
    /// Name of the tool, for calls.
    pub tool: Option<&'a str>,
    /// Who caused it.
    pub source: &'a str,
    /// Where it goes (host or upstream name; no path, no query).
    pub destination: Option<&'a str>,
    /// What it would do.
    pub effects: Vec<EffectRecord<'a>>,
    /// The content judged.
    pub parts: Vec<PartRecord<'a>>,
}

impl ActionRecord<'_> {
    pub(super) fn to_value(&self, salt: &Salt) -> Value {
        let mut object = Object::new();
        object.set("kind", clip(self.kind, NAME));
        object.set("source", clip(self.source, NAME));
        set_some(&mut object, "tool", self.tool, LONG_NAME);
        set_some(&mut object, "destination", self.destination, DESTINATION);
        let effect = |e: &EffectRecord<'_>| {
            let mut object = Object::new();
            object.set("asset", clip(e.asset, NAME));
            object.set("capability", clip(e.capability, NAME));
            if let Some(target) = e.target {
                object.set("target_digest", target.to_string());
            }
            Value::Object(object)
        };
        let effects = self.effects.iter().map(effect).collect();
        capped(&mut object, "effects", "effects_more", effects, MAX_EFFECTS, salt);
        let part = |p: &PartRecord<'_>| {
            let object =
                Object::new().with("bytes", Value::count(p.bytes)).with("digest", p.digest.to_string());
            Value::Object(object.with("part", clip(p.part, NAME)))
        };
        let parts = self.parts.iter().map(part).collect();
        capped(&mut object, "parts", "parts_more", parts, MAX_PARTS, salt);
        Value::Object(object)
    }
}

/// One reason for a verdict.
#[derive(Debug, Clone, Copy)]
pub struct ReasonRecord<'a> {
    /// Id of the rule.
    pub rule: &'a str,
    /// `floor`, `policy`, `detect`, `session` or `budget`.
    pub layer: &'a str,
    /// 0 to 100.
    pub severity: u8,
    /// What this reason alone asks for.
    pub verdict: &'a str,
    /// For a person; must not quote content.
    pub message: &'a str,
    /// Index of the part it is about; `None` for the action as a whole.
    pub part: Option<u32>,
}

/// What an action costs.
#[derive(Debug, Clone, Copy)]
pub struct ChargeRecord<'a> {
    /// The account.
    pub account: &'a str,
    /// `credits`, `tokens`, `calls`.
    pub unit: &'a str,
    /// How many.
    pub amount: u64,
}

impl ChargeRecord<'_> {
    fn to_value(self) -> Value {
        let object =
            Object::new().with("account", clip(self.account, NAME)).with("unit", clip(self.unit, WORD));
        Value::Object(object.with("amount", Value::count(self.amount)))
    }
}

/// A verdict and everything that led to it.
#[derive(Debug, Clone, Default)]
pub struct DecisionRecord<'a> {
    /// `allow`, `audit`, `redact`, `ask`, `quarantine` or `block`.
    pub verdict: &'a str,
    /// 0 to 100.
    pub risk: u8,
    /// The highest entropy of a token, in hundredths of bits per character; 0 is left out.
    pub entropy: u16,
    /// Effective mode when it was decided.
    pub mode: &'a str,
    /// Whether the verdict was carried out (false in monitor, dry-run and observe).
    pub enforced: bool,
    /// What was really looked at: `full`, `partial(why)`, `none(why)`.
    pub coverage: &'a str,
    /// All reasons, strongest first.
    pub reasons: Vec<ReasonRecord<'a>>,
    /// Revision of the policy.
    pub policy: &'a str,
    /// Revisions the decision rests on, say `kill`, `policy`, `key`.
    pub epoch: &'a [(&'static str, u64)],
    /// What had to be done to the action, one line each.
    pub duties: Vec<&'a str>,
    /// What was reserved for it.
    pub charges: Vec<ChargeRecord<'a>>,
}

impl DecisionRecord<'_> {
    pub(super) fn to_value(&self, salt: &Salt) -> Value {
        let mut object = Object::new();
        object.set("verdict", clip(self.verdict, NAME));
        object.set("risk", u32::from(self.risk));
        if self.entropy > 0 {
            object.set("entropy", u32::from(self.entropy));
        }
        object.set("mode", clip(self.mode, NAME));
        object.set("enforced", self.enforced);
        object.set("coverage", clip(self.coverage, MESSAGE));
        object.set("policy", clip(self.policy, NAME));
        object.set("epoch", counters(self.epoch));
        let reason = |r: &ReasonRecord<'_>| {
            let mut object = Object::new();
            object.set("layer", clip(r.layer, WORD));
            object.set("message", clip(r.message, MESSAGE));
            object.set("rule", clip(r.rule, NAME));
            object.set("severity", u32::from(r.severity));
            object.set("verdict", clip(r.verdict, WORD));
            if let Some(part) = r.part {
                object.set("part", part);
            }
            Value::Object(object)
        };
        let reasons = self.reasons.iter().map(reason).collect();
        capped(&mut object, "reasons", "reasons_more", reasons, MAX_REASONS, salt);
        let duties = self.duties.iter().map(|duty| clip(duty, LONG_NAME)).collect();
        capped(&mut object, "duties", "duties_more", duties, MAX_DUTIES, salt);
        let charges = self.charges.iter().copied().map(ChargeRecord::to_value).collect();
        capped(&mut object, "charges", "charges_more", charges, MAX_CHARGES, salt);
        Value::Object(object)
    }
}

/// Whose fault it was that something failed.
#[derive(Debug, Clone, Copy)]
pub struct FaultRecord<'a> {
    /// `agent`, `upstream`, `doorward`, …
    pub whose: &'a str,
    /// Stable code.
    pub code: &'a str,
    /// For a person.
    pub message: &'a str,
}

/// How an opened or decided action ended.
#[derive(Debug, Clone, Copy, Default)]
pub struct OutcomeRecord<'a> {
    /// `completed`, `aborted`, `refused`, `failed`, …
    pub result: &'a str,
    /// What was counted: bytes, frames, calls released and blocked, status, milliseconds.
    pub counts: &'a [(&'static str, u64)],
    /// What the provider says was used: tokens.
    pub usage: &'a [(&'static str, u64)],
    /// What limits counted of it, at most [`MAX_CHARGES`].
    pub charges: &'a [ChargeRecord<'a>],
    /// The fault, if it failed.
    pub fault: Option<FaultRecord<'a>>,
}

impl OutcomeRecord<'_> {
    pub(super) fn to_value(self) -> Value {
        let mut object = Object::new();
        object.set("result", clip(self.result, NAME));
        object.set("counts", counters(self.counts));
        object.set("usage", counters(self.usage));
        if !self.charges.is_empty() {
            let charges: Vec<Value> =
                self.charges.iter().copied().take(MAX_CHARGES).map(ChargeRecord::to_value).collect();
            object.set("charges", charges);
        }
        if let Some(fault) = self.fault {
            let fault = Object::new()
                .with("whose", clip(fault.whose, NAME))
                .with("code", clip(fault.code, NAME))
                .with("message", clip(fault.message, MESSAGE));
            object.set("fault", fault);
        }
        Value::Object(object)
    }
}

/// Something done to Doorward itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct ControlRecord<'a> {
    /// `kill`, `resume`, `policy_changed`, `rules_refused`, `config_changed`, `unclean_shutdown`, `storage_full`, …
    pub event: &'a str,
    /// Who did it: a credential's name, or `unauthenticated`.
    pub by: Option<&'a str>,
    /// What it concerns: an agent's name, `all`, a policy's revision.
    pub target: Option<&'a str>,
    /// For a person.
    pub message: Option<&'a str>,
    /// Revisions after it.
    pub epoch: &'a [(&'static str, u64)],
}

impl ControlRecord<'_> {
    pub(super) fn to_value(self) -> Value {
        let mut object = Object::new();
        object.set("event", clip(self.event, NAME));
        set_some(&mut object, "by", self.by, LONG_NAME);
        set_some(&mut object, "target", self.target, LONG_NAME);
        set_some(&mut object, "message", self.message, MESSAGE);
        object.set("epoch", counters(self.epoch));
        Value::Object(object)
    }
}
