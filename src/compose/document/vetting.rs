//! Gathers the faults of a document while its parts are vetted, each with its JSON pointer.

use std::fmt::Display;

use super::Fault;
use crate::admission::push_token;

/// Faults told at once. A person mends a few at a time; a hostile document has thousands.
const FAULTS_MAX: usize = 50;
/// Characters of a name.
const NAME_MAX: usize = 255;
/// Characters of a description.
const DESCRIPTION_MAX: usize = 10_000;
/// Tags of one document.
const TAGS_MAX: usize = 50;

/// The faults found so far, and the place that is being vetted.
#[derive(Debug, Default)]
pub struct Vetting {
    path: String,
    faults: Vec<Fault>,
}

impl Vetting {
    /// At the top of a document, without a fault.
    pub fn new() -> Self {
        Self::default()
    }

    /// Vets the part at `token` of the present place.
    pub fn under<R>(&mut self, token: impl Display, vet: impl FnOnce(&mut Self) -> R) -> R {
        let length = self.path.len();
        push_token(&mut self.path, &token.to_string());
        let result = vet(self);
        self.path.truncate(length);
        result
    }

    /// The present place is at fault.
    pub fn fault(&mut self, detail: impl Into<String>) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault::new(self.path.clone(), detail));
        }
    }

    /// The field `token` of the present place is at fault.
    pub fn fault_at(&mut self, token: impl Display, detail: impl Into<String>) {
        self.under(token, |vetting| vetting.fault(detail));
    }

    /// The vetted value, or all that is wrong. A part that is missing was named as a fault.
    pub fn finish<T>(mut self, value: Option<T>) -> Result<T, Vec<Fault>> {
        if self.faults.is_empty() && value.is_none() {
            self.fault("cannot be taken");
        }
        match value {
            Some(value) if self.faults.is_empty() => Ok(value),
            _ => Err(self.faults),
        }
    }

    /// A field that must not be given with this `kind` of thing.
    pub fn absent<T>(&mut self, token: &str, field: &Option<T>, kind: &str) {
        if field.is_some() {
            self.fault_at(token, format!("has no meaning in {kind}; leave it out"));
        }
    }

    /// A field that must be given; `wanted` says what it holds.
    pub fn present<T>(&mut self, token: &str, field: Option<T>, wanted: &str) -> Option<T> {
        if field.is_none() {
            self.fault_at(token, format!("missing; {wanted}"));
        }
        field
    }

    /// A name: 1 to 255 characters, none of them a control character, not blank.
    pub fn name(&mut self, token: impl Display, name: &str) {
        self.text(token, name, NAME_MAX);
    }

    /// A line of 1 to `max` characters that says something.
    pub fn text(&mut self, token: impl Display, text: &str, max: usize) {
        if text.trim().is_empty() {
            self.fault_at(token, "is empty; write at least one character");
        } else if text.chars().count() > max {
            self.fault_at(token, format!("is longer than {max} characters"));
        } else if text.chars().any(char::is_control) {
            self.fault_at(token, "has a control character, such as a line break");
        }
    }

    /// What every document begins with.
    pub fn heading(&mut self, name: &str, description: Option<&str>, tags: Option<&[String]>) {
        self.name("name", name);
        if description.is_some_and(|text| text.chars().count() > DESCRIPTION_MAX) {
            let detail = format!("is longer than {DESCRIPTION_MAX} characters");
            self.fault_at("description", detail);
        }
        self.under("tags", |vetting| {
            let tags = tags.unwrap_or_default();
            vetting.count(tags.len(), 0, TAGS_MAX);
            for (index, tag) in tags.iter().enumerate().take(TAGS_MAX) {
                vetting.name(index, tag);
                if tags[..index].contains(tag) {
                    vetting.fault_at(index, format!("repeats {tag:?}"));
                }
            }
        });
    }

    /// Whether the list at the present place has `min` to `max` items; else it is at fault.
    pub fn count(&mut self, length: usize, min: usize, max: usize) -> bool {
        let fits = (min..=max).contains(&length);
        if !fits {
            self.fault(format!("has {length} items; {min} to {max} are taken"));
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_escaped_and_lead_from_the_top() {
        let mut vetting = Vetting::new();
        vetting.under("steps", |steps| {
            steps.under(3, |step| step.fault_at("a/b~c", "odd"));
            steps.fault("many");
        });
        let faults = vetting.finish(Some(())).expect_err("two faults");
        assert_eq!(faults, [Fault::new("/steps/3/a~1b~0c", "odd"), Fault::new("/steps", "many")]);
    }

    #[test]
    fn no_more_faults_are_kept_than_a_person_reads() {
        let mut vetting = Vetting::new();
        for index in 0..1_000 {
            vetting.name(index, " ");
        }
        assert_eq!(vetting.finish(Some(())).expect_err("faults").len(), FAULTS_MAX);
    }
}
