//! `cargo e2e soak`: the tests whose ordinary runs are short, in their long forms.

use anyhow::Result;

use crate::say;
use crate::test::{self, SoakArgs};

/// A test's module, the variable that makes it longer, and how long.
const LONGER: [(&str, &str, &str); 6] = [
    ("crash::", "BUZONERA_KILLS", "400"),
    ("restart_shard::", "BUZONERA_RESTARTS", "20"),
    ("restart_shard::", "BUZONERA_RATE", "200"),
    ("restart_shard::", "BUZONERA_ABSENCE", "60"),
    ("sick_store::", "BUZONERA_SICK_STORE_SECONDS", "300"),
    ("answers::restarts::", "BUZONERA_ANSWERS_ACCOUNTS", "300000"),
];

/// Likewise, of those that need a Kubernetes.
const LONGER_ON_KUBERNETES: [(&str, &str, &str); 1] =
    [("nodes::chart::", "BUZONERA_IDLE_SECONDS", "600")];

/// Runs them; true when all passed.
pub fn run(args: SoakArgs) -> Result<bool> {
    for (test, variable, value) in LONGER.iter().chain(&LONGER_ON_KUBERNETES) {
        say::line(&format!("{test} with {variable}={value}"));
    }
    let variables = LONGER.map(|(_, variable, value)| (variable, value.into()));
    let on_kubernetes = LONGER_ON_KUBERNETES.map(|(_, variable, value)| (variable, value.into()));
    let mut all = test::soak(&args, &LONGER.map(|(test, ..)| test), &variables)?;
    let tests = LONGER_ON_KUBERNETES.map(|(test, ..)| test);
    all += test::soak_on_kubernetes(&args, &tests, &on_kubernetes)?;
    say::line(&format!("{} passed, {} failed", all.passed, all.failed));
    Ok(all.is_good())
}
