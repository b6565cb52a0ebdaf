//! Where something stands in an object, as people write it: spec.template.spec.containers[mx].image.

use std::fmt;

/// A step from one value into another.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Field(String),
    Item(String),
}

/// A place in an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Path(Vec<Step>);

impl Path {
    /// A field of the value there.
    pub(super) fn field(&self, name: &str) -> Self {
        self.with(Step::Field(name.to_owned()))
    }

    /// An item of the list there, by its key or place.
    pub(super) fn item(&self, key: impl fmt::Display) -> Self {
        self.with(Step::Item(key.to_string()))
    }

    /// The name of the nearest field on the way.
    pub(super) fn last_field(&self) -> &str {
        let name = |step: &'_ Step| matches!(step, Step::Field(_));
        let last = self.0.iter().rfind(|step| name(step));
        last.map_or("", |step| match step {
            Step::Field(name) | Step::Item(name) => name,
        })
    }

    /// Whether a field of that name is on the way.
    pub(super) fn passes(&self, field: &str) -> bool {
        self.0.contains(&Step::Field(field.to_owned()))
    }

    fn with(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, step) in self.0.iter().enumerate() {
            match step {
                Step::Field(name) if place == 0 => f.write_str(name)?,
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Item(key) => write!(f, "[{key}]")?,
            }
        }
        Ok(())
    }
}
