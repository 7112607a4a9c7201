//! A list that takes no memory of its own for its first element: most actions have one effect, and most paths lead to
//! one value.

/// Some values, in order.
#[derive(Clone, Debug)]
pub(super) struct Few<T> {
    first: Option<T>,
    rest: Vec<T>,
}

impl<T> Few<T> {
    pub fn new() -> Self {
        Self { first: None, rest: Vec::new() }
    }

    /// One value.
    pub fn one(value: T) -> Self {
        Self { first: Some(value), rest: Vec::new() }
    }

    pub fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }

    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The only value; `None` if there are none or several.
    pub fn only(&self) -> Option<&T> {
        self.first.as_ref().filter(|_| self.rest.is_empty())
    }

    pub fn get(&self, at: usize) -> Option<&T> {
        match at.checked_sub(1) {
            None => self.first.as_ref(),
            Some(at) => self.rest.get(at),
        }
    }

    pub fn push(&mut self, value: T) {
        if self.first.is_none() {
            self.first = Some(value);
        } else {
            self.rest.push(value);
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> + Clone {
        self.first.iter().chain(&self.rest)
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.first.iter_mut().chain(&mut self.rest)
    }
}

impl<T> Extend<T> for Few<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        values.into_iter().for_each(|value| self.push(value));
    }
}

impl<T> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut values = values.into_iter();
        Self { first: values.next(), rest: values.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_list() {
        for count in 0..5usize {
            let collected: Few<usize> = (0..count).collect();
            let mut pushed = Few::new();
            (0..count).for_each(|value| pushed.push(value));
            for mut few in [collected, pushed] {
                assert_eq!((few.len(), few.is_empty()), (count, count == 0));
                assert_eq!(few.iter().copied().collect::<Vec<_>>(), (0..count).collect::<Vec<_>>());
                assert_eq!(few.only().copied(), (count == 1).then_some(0));
                assert_eq!((0..6).map_while(|at| few.get(at)).count(), count);
                few.iter_mut().skip(1).for_each(|value| *value += 10);
                few.extend([99]);
                let expected: Vec<usize> =
                    (0..count).map(|at| if at == 0 { 0 } else { at + 10 }).chain([99]).collect();
                assert_eq!(few.iter().copied().collect::<Vec<_>>(), expected);
            }
        }
    }
}
