//! Numbers that are looked up when metrics are asked for.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// One number, as it is now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Number {
    /// Without prefix; no `_total` for counters (it is added).
    pub name: &'static str,
    /// The help text, without a full stop.
    pub help: &'static str,
    /// Its kind and value.
    pub value: Value,
}

/// A kind and a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// It only rises.
    Counter(u64),
    /// Seconds spent; they only rise.
    Seconds(f64),
    /// It rises and falls.
    Gauge(u64),
}

/// A collector of such numbers: for what something else counts anyway.
pub struct LookedUp<F>(pub F);

impl<F: Fn() -> Vec<Number> + Send + Sync + 'static> Collector for LookedUp<F> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        (self.0)()
            .into_iter()
            .try_for_each(|number| match number.value {
                Value::Counter(value) => write(&mut encoder, number, &ConstCounter::new(value)),
                Value::Seconds(value) => write(&mut encoder, number, &ConstCounter::new(value)),
                Value::Gauge(value) => write(&mut encoder, number, &ConstGauge::new(value)),
            })
    }
}

fn write(
    encoder: &mut DescriptorEncoder<'_>,
    number: Number,
    metric: &impl EncodeMetric,
) -> fmt::Result {
    let Number { name, help, .. } = number;
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

impl<F> fmt::Debug for LookedUp<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LookedUp").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode_registry;
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn numbers_are_as_they_are_when_asked_for() {
        let number = |name, value| Number {
            name,
            help: "It",
            value,
        };
        let mut registry = Registry::with_prefix("buzonera");
        registry.register_collector(Box::new(LookedUp(move || {
            vec![
                number("syncs", Value::Counter(3)),
                number("sync_seconds", Value::Seconds(0.5)),
                number("waiting", Value::Gauge(7)),
            ]
        })));
        let mut text = String::new();
        encode_registry(&mut text, &registry).unwrap();
        for line in [
            "# TYPE buzonera_syncs counter",
            "buzonera_syncs_total 3",
            "buzonera_sync_seconds_total 0.5",
            "buzonera_waiting 7",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} in\n{text}");
        }
    }
}
