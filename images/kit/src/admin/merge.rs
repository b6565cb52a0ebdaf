//! Joins metric families that several components wrote.
//!
//! OpenMetrics 1.0, "MetricFamily": a family stands once in a text, its samples together.

use std::collections::HashMap;

#[derive(Default)]
struct Family<'a> {
    head: &'a str,
    samples: Vec<&'a str>,
}

/// Moves the samples of every family to where the family stands first. What the encoder writes is
/// a family's comments, the first of which is HELP, then its samples.
pub(super) fn merge(text: &str) -> String {
    let mut order = Vec::new();
    let mut families: HashMap<&str, Family<'_>> = HashMap::new();
    for (name, head, samples) in blocks(text) {
        let family = families.entry(name).or_insert_with(|| {
            order.push(name);
            Family {
                head,
                samples: Vec::new(),
            }
        });
        family.samples.push(samples);
    }
    let mut merged = String::with_capacity(text.len());
    for name in order {
        if let Some(family) = families.get(name) {
            merged.push_str(family.head);
            merged.extend(family.samples.iter().copied());
        }
    }
    merged
}

/// Name, comments and samples of each family as it stands in the text.
fn blocks(text: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    let starts: Vec<_> = text
        .match_indices(HELP)
        .map(|(at, _)| at)
        .filter(|&at| at == 0 || text.as_bytes().get(at - 1) == Some(&b'\n'))
        .collect();
    let ends: Vec<_> = starts.iter().skip(1).copied().chain([text.len()]).collect();
    starts
        .into_iter()
        .zip(ends)
        .map(move |(start, end)| split(&text[start..end]))
}

const HELP: &str = "# HELP ";

fn split(block: &str) -> (&str, &str, &str) {
    let name = block[HELP.len()..].split(' ').next().unwrap_or_default();
    let comments: usize = block
        .split_inclusive('\n')
        .take_while(|line| line.starts_with('#'))
        .map(str::len)
        .sum();
    let (head, samples) = block.split_at(comments);
    (name, head, samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_a_family_come_together() {
        let text = "# HELP a One.\n# TYPE a counter\na_total{i=\"1\"} 1\n\
                    # HELP b Two.\n# TYPE b gauge\nb 2\n\
                    # HELP a One.\n# TYPE a counter\na_total{i=\"2\"} 3\n";
        let merged = "# HELP a One.\n# TYPE a counter\na_total{i=\"1\"} 1\na_total{i=\"2\"} 3\n\
                      # HELP b Two.\n# TYPE b gauge\nb 2\n";
        assert_eq!(merge(text), merged);
        assert_eq!(merge(""), "");
        assert_eq!(merge(merged), merged);
    }
}
