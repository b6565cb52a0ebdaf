//! Metrics whose doc comment is their help text.

use prometheus_client::registry::{Metric, Registry};

/// Declares a struct of metrics. Each is registered under its field's name, and its doc comment is
/// its help text, so that the two cannot differ. What has no default is made by what follows `=`.
#[macro_export]
macro_rules! metrics {
    (
        $(#[$about:meta])*
        $vis:vis struct $name:ident {
            $(
                $(#[doc = $help:literal])+
                $field_vis:vis $field:ident: $type:ty $(= $make:expr)?,
            )+
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone)]
        $vis struct $name {
            $($(#[doc = $help])+ $field_vis $field: $type,)+
        }

        impl Default for $name {
            fn default() -> Self {
                Self {
                    $($field: $crate::metrics!(@make $($make)?),)+
                }
            }
        }

        impl $name {
            /// Adds each under its name to the tier's registry.
            $vis fn register(&self, registry: &mut ::prometheus_client::registry::Registry) {
                $(
                    let (name, doc) = (stringify!($field), concat!($($help),+));
                    $crate::metrics::Registered::register(&self.$field, registry, name, doc);
                )+
            }
        }
    };
    (@make) => { Default::default() };
    (@make $make:expr) => { $make };
}

/// What a field of [`metrics!`](crate::metrics!) may be.
pub trait Registered {
    /// Adds it to a registry; `doc` is its doc comment.
    fn register(&self, registry: &mut Registry, name: &'static str, doc: &'static str);
}

impl<M: Metric + Clone> Registered for M {
    fn register(&self, registry: &mut Registry, name: &'static str, doc: &'static str) {
        // What encodes it ends the help text with a full stop.
        let help = doc.trim();
        let help = help.strip_suffix('.').unwrap_or(help);
        registry.register(name, help, self.clone());
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::histogram::Histogram;

    use super::*;

    crate::metrics! {
        /// The test's.
        struct Metrics {
            /// Knocks at the door, those that
            /// nobody heard too.
            knocks: Counter,
            /// Seconds until it opened
            seconds: Histogram = Histogram::new([1.0]),
        }
    }

    #[test]
    fn the_doc_comment_is_the_help_text() {
        let mut registry = Registry::default();
        let metrics = Metrics::default();
        metrics.register(&mut registry);
        metrics.knocks.inc();
        metrics.seconds.observe(0.5);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let help = "# HELP knocks Knocks at the door, those that nobody heard too.\n";
        assert!(text.contains(help), "{text}");
        assert!(
            text.contains("# HELP seconds Seconds until it opened.\n"),
            "{text}"
        );
        assert!(text.contains("knocks_total 1\n"), "{text}");
    }
}
