//! What a reply is like. It stands in the request's model name, so that it survives every proxy, and says
//! to the upstream what to send and to the client what to expect.

/// Whose API is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Anthropic Messages.
    Anthropic,
    /// OpenAI Chat Completions.
    OpenAi,
}

impl Dialect {
    /// Its name in model names, options and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::OpenAi => "openai",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Anthropic, Self::OpenAi].into_iter().find(|dialect| dialect.name() == text)
    }
}

/// What a reply carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// One JSON body with a text of this many bytes.
    Json(usize),
    /// A stream: this many text deltas of a word each, then one harmless tool call.
    Tool(usize),
    /// A stream of this many text deltas of a word each.
    Deltas(usize),
    /// A stream of this many text deltas of a thousand characters each.
    Blocks(usize),
    /// A stream whose first text delta says when its request came and when it was sent itself.
    Clock,
}

/// How a reply is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// All at once: what a proxy sees that is slower than its upstream.
    Whole,
    /// Each event by a write of its own, without pauses.
    Events,
    /// Everything before the first text delta at once, then an event each so many milliseconds.
    Paced(u64),
}

/// A kind of reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Spec {
    /// Whose API.
    pub dialect: Dialect,
    /// What.
    pub kind: Kind,
    /// How.
    pub delivery: Delivery,
}

impl Spec {
    /// The model's name that asks for this reply.
    pub fn model(&self) -> String {
        let kind = match self.kind {
            Kind::Json(bytes) => format!("json-{bytes}"),
            Kind::Tool(deltas) => format!("tool-{deltas}"),
            Kind::Deltas(deltas) => format!("deltas-{deltas}"),
            Kind::Blocks(deltas) => format!("blocks-{deltas}"),
            Kind::Clock => "clock-1".to_owned(),
        };
        let delivery = match self.delivery {
            Delivery::Whole => "whole".to_owned(),
            Delivery::Events => "events".to_owned(),
            Delivery::Paced(millis) => format!("paced{millis}"),
        };
        format!("bench-{}-{kind}-{delivery}", self.dialect.name())
    }

    /// Reads a model's name; `None` if it is none of ours.
    pub fn parse(model: &str) -> Option<Self> {
        let mut parts = model.strip_prefix("bench-")?.split('-');
        let dialect = Dialect::parse(parts.next()?)?;
        let (kind, size) = (parts.next()?, parts.next()?.parse().ok()?);
        let kind = match kind {
            "json" => Kind::Json(size),
            "tool" => Kind::Tool(size),
            "deltas" => Kind::Deltas(size),
            "blocks" => Kind::Blocks(size),
            "clock" => Kind::Clock,
            _ => return None,
        };
        let delivery = match parts.next()? {
            "whole" => Delivery::Whole,
            "events" => Delivery::Events,
            other => Delivery::Paced(other.strip_prefix("paced")?.parse().ok()?),
        };
        parts.next().is_none().then_some(Self { dialect, kind, delivery })
    }

    /// Whether the reply is a stream.
    pub const fn streams(&self) -> bool {
        !matches!(self.kind, Kind::Json(_))
    }

    /// Whether one reply has more than a megabyte.
    pub const fn is_large(&self) -> bool {
        match self.kind {
            Kind::Json(bytes) => bytes > 1 << 20,
            Kind::Blocks(deltas) => deltas > 1 << 10,
            Kind::Tool(_) | Kind::Deltas(_) | Kind::Clock => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_as_they_were() {
        for dialect in [Dialect::Anthropic, Dialect::OpenAi] {
            for kind in [Kind::Json(600), Kind::Tool(40), Kind::Deltas(2_000), Kind::Blocks(20), Kind::Clock]
            {
                for delivery in [Delivery::Whole, Delivery::Events, Delivery::Paced(20)] {
                    let spec = Spec { dialect, kind, delivery };
                    assert_eq!(Spec::parse(&spec.model()), Some(spec));
                }
            }
        }
        for other in
            ["gpt-5", "bench-x-json-1-whole", "bench-openai-json-1-whole-x", "bench-openai-json-x-whole"]
        {
            assert_eq!(Spec::parse(other), None, "{other}");
        }
    }
}
