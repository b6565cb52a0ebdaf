//! What a process counts, read from its admin port.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::site::feed;

/// All metrics of the process whose admin port that is, in OpenMetrics text.
pub fn text(admin: u16) -> Result<String> {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail", "--max-time", "10"]);
    curl.arg(format!("http://127.0.0.1:{admin}/metrics"));
    let output = feed(curl, "")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    String::from_utf8(output.stdout).context("metrics are text")
}

/// The sum of a counter over all instances and labels; none where nobody counts that.
pub fn counter(text: &str, name: &str) -> Option<u64> {
    let value = |line: &str| {
        let rest = line.strip_prefix(name)?;
        let (labels, value) = rest.rsplit_once(' ')?;
        let whole = labels.is_empty() || labels.starts_with('{');
        whole.then(|| value.parse::<u64>().ok())?
    };
    text.lines().filter_map(value).reduce(|sum, one| sum + one)
}

/// The sum of a counter over the lines whose labels have this one; 0 where nobody counts that.
pub fn labelled(text: &str, name: &str, label: &str, value: &str) -> u64 {
    let wanted = format!("{label}=\"{value}\"");
    let lines = text.lines().filter(|line| line.contains(&wanted));
    let lines: Vec<&str> = lines.collect();
    counter(&lines.join("\n"), name).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_summed_over_instances() {
        let text = "# TYPE a_total counter\n\
                    a_total{instance=\"1\"} 3\na_total{instance=\"2\"} 4\nab_total 9\nb_total 5\n";
        assert_eq!(counter(text, "a_total"), Some(7));
        assert_eq!(counter(text, "b_total"), Some(5));
        assert_eq!(counter(text, "c_total"), None);
        assert_eq!(labelled(text, "a_total", "instance", "2"), 4);
        assert_eq!(labelled(text, "a_total", "instance", "3"), 0);
    }
}
