//! The names that a template speaks of, numbered, so that a variable is found without comparing
//! texts while rendering.

use std::collections::HashMap;

/// Names and their numbers.
#[derive(Debug, Default)]
pub(super) struct Names {
    numbers: HashMap<Box<str>, usize>,
}

impl Names {
    /// The number of `name`, which it keeps.
    pub fn number(&mut self, name: &str) -> usize {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.numbers.len();
        self.numbers.insert(name.into(), number);
        number
    }

    /// The number of `name`, where the template has it.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.numbers.get(name).copied()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }
}
