//! What models cost, as the operator says.

use super::layers::Level;
use super::number::Decimal;
use super::rule::Place;
use crate::detect::glob::Glob;
use crate::syntax::decode::Fields;
use crate::syntax::{Diagnostic, Kind, Node, Span};
use crate::usage::{Price, decimal};

/// The highest price of a million tokens, and the largest limit in money, in billionths: 10^9 of the currency.
pub(super) const DEAREST: u64 = 1_000_000_000_000_000_000;

/// The most prices in one file.
pub(super) const MOST_PRICES: usize = 1000;

/// The longest name or pattern of a model, in bytes.
const LONGEST: usize = 1024;

/// The keys of a price besides `model`, and whether one must be there.
pub(super) const KEYS: [(&str, bool, &str); 4] = [
    ("input", true, "for a million tokens"),
    ("output", true, "for a million tokens"),
    ("cached_input", false, "left out: as input"),
    ("cache_write", false, "left out: as input"),
];

/// What one model, or several, cost.
#[derive(Debug)]
pub(super) struct Priced {
    /// As written.
    pub model: String,
    pattern: Glob,
    price: Price,
    pub level: Level,
    pub place: Place,
}

/// The prices of all files.
#[derive(Debug, Default)]
pub(super) struct Prices(Vec<Priced>);

impl Priced {
    /// What it says, for a person.
    pub fn says(&self) -> String {
        let Price { input, cached, cache_write, output } = self.price;
        let rest = [("cached input", cached), ("cache write", cache_write)];
        let rest = rest.iter().filter(|(_, price)| *price != input);
        let rest: String = rest.map(|(what, price)| format!(", {what} {}", decimal(*price))).collect();
        format!("a million tokens: input {}, output {}{rest}", decimal(input), decimal(output))
    }
}

impl Prices {
    /// What `model` costs: of all prices that name it the highest, one by one. `None` if none does. As what lets
    /// pass, a price minds case.
    pub fn of(&self, model: &str) -> Option<Price> {
        let fitting = self.0.iter().filter(|priced| priced.pattern.matches(model));
        fitting.map(|priced| priced.price).reduce(Price::max)
    }

    /// The highest of all prices, one by one.
    pub fn dearest(&self) -> Price {
        self.0.iter().map(|priced| priced.price).reduce(Price::max).unwrap_or_default()
    }

    /// All of them, in the order of the files.
    pub fn all(&self) -> &[Priced] {
        &self.0
    }

    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads the prices of one file of `level`; `place` says where something stands.
    pub fn read(
        &mut self,
        nodes: &[Node],
        (level, place): (Level, &dyn Fn(Span) -> Place),
        faults: &mut Vec<Diagnostic>,
    ) {
        let mut named: Vec<&str> = Vec::new();
        for node in nodes {
            let mut fields = Fields::of(node, "a price", faults);
            let model = fields.text("model");
            let [input, output, cached, cache_write] = KEYS.map(|(key, needed, _)| {
                let value = if needed { fields.need(key) } else { fields.maybe(key) };
                value.and_then(|value| money(key, value, 0, &mut fields))
            });
            fields.finish();
            let (Some(model), Some(input), Some(output)) = (model, input, output) else { continue };
            let span = node.get("model").map_or(node.span, |at| at.span);
            if model.len() > LONGEST {
                let message = format!("a model's name has at most {LONGEST} bytes");
                faults.push(Diagnostic::error(span, message));
            } else if named.contains(&model) {
                let message = format!("a second price of `{model}`");
                faults.push(Diagnostic::error(span, message).advise("keep one of them"));
            } else {
                named.push(model);
                let (cached, cache_write) = (cached.unwrap_or(input), cache_write.unwrap_or(input));
                let price = Price { input, cached, cache_write, output };
                let pattern = Glob::exact_case(model);
                let (model, place) = (model.to_owned(), place(node.span));
                self.0.push(Priced { model, pattern, price, level, place });
            }
        }
    }
}

/// An amount of money, exactly, in billionths and no less than `least`.
pub(super) fn money(key: &str, node: &Node, least: u64, fields: &mut Fields<'_, '_>) -> Option<u64> {
    let decimal = match &node.kind {
        Kind::Number(text) => Decimal::parse(text).and_then(|decimal| decimal.billionths()),
        _ => None,
    };
    let amount = decimal.filter(|amount| (least..=DEAREST).contains(amount));
    if amount.is_none() {
        let from = if least > 0 { "above 0 and" } else { "no less than 0 and" };
        let message = format!(
            "`{key}` must be a number {from} at most 10^9, with at most nine digits behind the point"
        );
        fields.fault(node.span, message, "write it as `2.50`, without a currency");
    }
    amount
}
