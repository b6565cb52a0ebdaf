//! Settings declared once: field, flag, help and default in one place.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Problem;

/// One setting.
#[derive(Debug, Clone)]
pub struct Key {
    /// In the file; dots for tables.
    pub name: String,
    /// What to write, for example "ADDRESS:PORT".
    pub value: &'static str,
    /// What it is for; the default is added.
    pub help: String,
}

impl Key {
    /// A field and the lines of its doc comment, each with an end of line.
    #[doc(hidden)]
    pub fn of_field(field: &str, value: &'static str, doc: &str) -> Vec<Self> {
        let text: Vec<_> = doc.split_whitespace().collect();
        let text = text.join(" ").replace('`', "");
        vec![Self {
            name: field.replace('_', "-"),
            value,
            help: text.trim_end_matches('.').to_owned(),
        }]
    }

    /// The keys of a field that is a table.
    #[doc(hidden)]
    pub fn of_section(field: &str, keys: Vec<Self>) -> Vec<Self> {
        let inside = |key: Self| Self {
            name: format!("{}.{}", field.replace('_', "-"), key.name),
            ..key
        };
        keys.into_iter().map(inside).collect()
    }
}

/// Settings that [`settings`](crate::settings) declared: a tier's, or a table of them.
pub trait Section: Serialize + DeserializeOwned + Default {
    /// Every key that may be set, in the order of the fields.
    fn keys() -> Vec<Key>;
}

/// All settings of a tier, or of what every process has.
pub trait Settings: Section {
    /// What no value shows by itself: settings that are missing or exclude each other.
    fn check(&self) -> Vec<Problem> {
        Vec::new()
    }
}

/// Declares settings as a struct: `name: Type as SHAPE = default,` and the default's may be left
/// out where the type's own holds. The name is the key of the file and the flag, the doc comment is
/// its help. SHAPE is what to write, as help shows it (`"ADDRESS:PORT"`), or `DURATION` or `SIZE`
/// (octets), which are written with units; `SECTION` for a table, and `HIDDEN` for what nobody sets
/// from outside.
#[macro_export]
macro_rules! settings {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($fields:tt)* }) => {
        $crate::settings! { @ ($(#[$meta])* $vis struct $name) [] [] [] $($fields)* }
    };
    (@ $head:tt [$($fields:tt)*] [$($defaults:tt)*] [$($keys:tt)*]
        $(#[doc = $doc:literal])* $vis:vis $name:ident: $type:ty as DURATION $(= $default:expr)?,
        $($rest:tt)*
    ) => {
        $crate::settings! { @ $head
            [$($fields)* $(#[doc = $doc])* #[serde(with = "kit::config::duration")] $vis $name: $type,]
            [$($defaults)* $name: $crate::settings!(@default $($default)?),]
            [$($keys)* $crate::config::Key::of_field(
                stringify!($name), "DURATION", concat!($($doc, "\n"),*)),]
            $($rest)*
        }
    };
    (@ $head:tt [$($fields:tt)*] [$($defaults:tt)*] [$($keys:tt)*]
        $(#[doc = $doc:literal])* $vis:vis $name:ident: $type:ty as SIZE $(= $default:expr)?,
        $($rest:tt)*
    ) => {
        $crate::settings! { @ $head
            [$($fields)* $(#[doc = $doc])* #[serde(with = "kit::config::size")] $vis $name: $type,]
            [$($defaults)* $name: $crate::settings!(@default $($default)?),]
            [$($keys)* $crate::config::Key::of_field(
                stringify!($name), "SIZE", concat!($($doc, "\n"),*)),]
            $($rest)*
        }
    };
    (@ $head:tt [$($fields:tt)*] [$($defaults:tt)*] [$($keys:tt)*]
        $(#[doc = $doc:literal])* $vis:vis $name:ident: $type:ty as SECTION $(= $default:expr)?,
        $($rest:tt)*
    ) => {
        $crate::settings! { @ $head
            [$($fields)* $(#[doc = $doc])* $vis $name: $type,]
            [$($defaults)* $name: $crate::settings!(@default $($default)?),]
            [$($keys)* $crate::config::Key::of_section(
                stringify!($name), <$type as $crate::config::Section>::keys()),]
            $($rest)*
        }
    };
    (@ $head:tt [$($fields:tt)*] [$($defaults:tt)*] $keys:tt
        $(#[doc = $doc:literal])* $vis:vis $name:ident: $type:ty as HIDDEN $(= $default:expr)?,
        $($rest:tt)*
    ) => {
        $crate::settings! { @ $head
            [$($fields)* $(#[doc = $doc])* #[serde(skip)] $vis $name: $type,]
            [$($defaults)* $name: $crate::settings!(@default $($default)?),]
            $keys
            $($rest)*
        }
    };
    (@ $head:tt [$($fields:tt)*] [$($defaults:tt)*] [$($keys:tt)*]
        $(#[doc = $doc:literal])* $vis:vis $name:ident: $type:ty as $shape:literal $(= $default:expr)?,
        $($rest:tt)*
    ) => {
        $crate::settings! { @ $head
            [$($fields)* $(#[doc = $doc])* $vis $name: $type,]
            [$($defaults)* $name: $crate::settings!(@default $($default)?),]
            [$($keys)* $crate::config::Key::of_field(
                stringify!($name), $shape, concat!($($doc, "\n"),*)),]
            $($rest)*
        }
    };
    (@default) => { ::std::default::Default::default() };
    (@default $default:expr) => { $default };
    (@ ($(#[$meta:meta])* $vis:vis struct $name:ident)
        [$($fields:tt)*] [$($defaults:tt)*] [$($keys:tt)*]
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
        $vis struct $name { $($fields)* }

        impl ::std::default::Default for $name {
            fn default() -> Self {
                Self { $($defaults)* }
            }
        }

        impl $crate::config::Section for $name {
            fn keys() -> ::std::vec::Vec<$crate::config::Key> {
                [$($keys)*].concat()
            }
        }
    };
}
