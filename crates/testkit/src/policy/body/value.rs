//! Values of bodies and of policies.

use doorward_core::syntax::{Kind, Node};

/// A value. Keys of a mapping may come twice, in forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `null`.
    Null,
    /// A truth value.
    Bool(bool),
    /// A number as spelled.
    Number(String),
    /// A text; `whole` is false if it has half a surrogate pair in it. In forms, the number of the field it is.
    Text {
        /// What it says.
        text: String,
        /// Whether all of it is known.
        whole: bool,
        /// Which field of a form this is the value of.
        field: Option<usize>,
    },
    /// A list.
    List(Vec<Self>),
    /// A mapping.
    Map(Vec<(String, Self)>),
    /// It is there, and nobody knows what it is.
    Unread(Option<usize>),
}

impl Value {
    /// The value of a node.
    pub fn of(node: &Node) -> Self {
        match &node.kind {
            Kind::Null => Self::Null,
            Kind::Bool(value) => Self::Bool(*value),
            Kind::Number(digits) => Self::Number(digits.to_string()),
            Kind::String(text) => {
                Self::Text { text: text.as_str().to_owned(), whole: text.is_well_formed(), field: None }
            }
            Kind::Array(elements) => Self::List(elements.iter().map(Self::of).collect()),
            Kind::Object(members) => {
                Self::Map(members.iter().map(|m| (m.key.as_str().to_owned(), Self::of(&m.value))).collect())
            }
        }
    }

    /// A text.
    pub fn text(text: &str) -> Self {
        Self::Text { text: text.to_owned(), whole: true, field: None }
    }

    /// Whether field `number` stands in it, at any depth.
    pub fn holds(&self, number: Option<usize>) -> bool {
        number.is_some() && self.field() == number
            || match self {
                Self::List(elements) => elements.iter().any(|value| value.holds(number)),
                Self::Map(members) => members.iter().any(|(_, value)| value.holds(number)),
                _ => false,
            }
    }

    /// The field of a form that this is.
    pub const fn field(&self) -> Option<usize> {
        match self {
            Self::Text { field, .. } | Self::Unread(field) => *field,
            _ => None,
        }
    }
}

/// A value that a path found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The value.
    pub value: Value,
    /// Whether every reader finds it.
    pub sure: bool,
}

/// What is asked: a whole body, or the arguments of a call.
#[derive(Clone, Debug)]
pub struct Document {
    /// The tree.
    pub root: Value,
    /// The fields by name, if it is a form.
    pub fields: Option<Vec<(String, Value)>>,
}

impl Document {
    /// Whether all values in it are text.
    pub const fn is_form(&self) -> bool {
        self.fields.is_some()
    }
}
