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

/// Runs them; true when all passed.
pub fn run(args: SoakArgs) -> Result<bool> {
    for (test, variable, value) in LONGER {
        say::line(&format!("{test} with {variable}={value}"));
    }
    let variables = LONGER.map(|(_, variable, value)| (variable, value.into()));
    test::soak(args, &LONGER.map(|(test, ..)| test), &variables)
}
