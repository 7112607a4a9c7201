//! The table of credential types: `types.tbl`, and `services.txt`.

use std::sync::OnceLock;

use regex::Regex;

use super::checks::Check;
use crate::detect::compiled;

const TYPES: &str = include_str!("types.tbl");

const SERVICES: &str = include_str!("services.txt");

/// The mark in examples that keeps scanners of code hosts from taking them for real.
const MARK: char = '·';

/// Where the shape of a type is tried, given one of its literals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It begins with the literal.
    Start,
    /// The literal stands somewhere within.
    Inside,
    /// The literal names the service; the shape is that of a whole value given for it.
    Value,
}

/// One type.
#[derive(Debug)]
pub struct Type {
    /// Its id, without `secret.`.
    pub id: &'static str,
    /// What it is, for a person: `a GitHub personal access token`.
    pub description: &'static str,
    /// 0 to 100.
    pub severity: u8,
    /// What it must match, its mark dropped.
    pub example: String,
    /// What it must not match.
    pub near_miss: &'static str,
    pub(super) check: Option<Check>,
    pub(super) place: Place,
    pub(super) literals: Vec<&'static str>,
    shape: &'static str,
    compiled: OnceLock<Option<Regex>>,
}

impl Type {
    /// The shape, compiled when it is first needed: most never are. A test keeps all of them good.
    pub(super) fn shape(&self) -> Option<&Regex> {
        let compile = || {
            let shape = self.shape;
            let anchored = match self.place {
                Place::Start => format!("^(?:{shape})"),
                Place::Inside => shape.to_owned(),
                Place::Value => format!("^(?:{shape})$"),
            };
            compiled::shipped(&anchored)
        };
        self.compiled.get_or_init(compile).as_ref()
    }
}

/// All types. Lines that are not of the table's form are left out; a test counts them.
pub(super) fn types() -> Vec<Type> {
    let lines: Vec<&'static str> =
        TYPES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    lines.chunks(5).filter_map(entry).collect()
}

fn entry(lines: &[&'static str]) -> Option<Type> {
    let &[head, description, shape, example, near_miss] = lines else { return None };
    let (head, literals) = head.split_once(" <- ")?;
    let mut head = head.split(' ');
    let (id, severity) = (head.next()?, head.next()?.parse().ok()?);
    let check = match head.next() {
        None => None,
        Some(word) => Some(Check::of(word)?),
    };
    let (place, literals) = match literals.split_at_checked(1) {
        Some(("@", literals)) => (Place::Value, literals),
        Some(("~", literals)) => (Place::Inside, literals),
        _ => (Place::Start, literals),
    };
    Some(Type {
        id,
        description,
        severity,
        example: example.strip_prefix("+ ")?.replace(MARK, ""),
        near_miss: near_miss.strip_prefix("- ")?,
        check,
        place,
        literals: literals.split(',').collect(),
        shape,
        compiled: OnceLock::new(),
    })
}

/// Names of services whose credentials have no mark of their own.
pub(super) fn services() -> impl Iterator<Item = &'static str> {
    SERVICES.lines().filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_table_is_read_and_every_shape_compiles() {
        let types = types();
        assert_eq!(
            types.len(),
            TYPES.lines().filter(|line| line.contains(" <- ") && !line.starts_with('#')).count()
        );
        assert!(types.len() >= 150, "{}", types.len());
        for (index, one) in types.iter().enumerate() {
            assert!(one.shape().is_some(), "{}", one.id);
            assert!(!one.shape().unwrap().is_match(""), "{}", one.id);
            assert!(types.iter().skip(index + 1).all(|other| other.id != one.id), "{} twice", one.id);
            assert!(one.literals.iter().all(|literal| literal.len() >= 3), "{}", one.id);
            assert!(
                one.id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
                "{}",
                one.id
            );
        }
    }

    #[test]
    fn examples_do_not_stand_in_the_table_as_they_are() {
        for one in types() {
            assert!(one.place == Place::Value || !TYPES.contains(&one.example), "{}", one.id);
        }
    }
}
