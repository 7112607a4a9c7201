//! JSON objects, written member by member.

use super::json;

/// An object being written.
#[derive(Debug)]
pub struct Object(Vec<u8>);

impl Default for Object {
    fn default() -> Self {
        Self::new()
    }
}

impl Object {
    /// One without members.
    #[must_use]
    pub fn new() -> Self {
        Self(vec![b'{'])
    }

    /// A member whose value is this JSON.
    #[must_use]
    pub fn raw(mut self, key: &str, value: &[u8]) -> Self {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        self.0.extend_from_slice(&json::quoted(key));
        self.0.push(b':');
        self.0.extend_from_slice(value);
        self
    }

    /// A member that is a string.
    #[must_use]
    pub fn text(self, key: &str, value: &str) -> Self {
        self.raw(key, &json::quoted(value))
    }

    /// A member that is a number.
    #[must_use]
    pub fn number(self, key: &str, value: u64) -> Self {
        self.raw(key, value.to_string().as_bytes())
    }

    /// A member that is true or false.
    #[must_use]
    pub fn truth(self, key: &str, value: bool) -> Self {
        self.raw(key, if value { b"true" } else { b"false" })
    }

    /// A member that is a list of JSON values.
    #[must_use]
    pub fn array<T: AsRef<[u8]>>(self, key: &str, items: impl IntoIterator<Item = T>) -> Self {
        let mut array = vec![b'['];
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                array.push(b',');
            }
            array.extend_from_slice(item.as_ref());
        }
        array.push(b']');
        self.raw(key, &array)
    }

    /// Its text.
    #[must_use]
    pub fn end(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }
}
