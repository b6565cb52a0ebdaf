//! The command line: wrong usage is exit code 2 and names the flag; refusals are 1, absence is 3.

use super::{run, still_serves};
use crate::support::TestSite;

/// Name, words, exit code, and what the complaint has to contain.
const CALLS: &[(&str, &[&str], i32, &str)] = &[
    ("no command", &[], 2, "Usage"),
    ("an unknown command", &["brew"], 2, "brew"),
    ("an unknown flag", &["status", "--colour"], 2, "--colour"),
    (
        "a port that is none",
        &["local", "--smtp", "70000"],
        2,
        "--smtp",
    ),
    ("no shards", &["local", "--shards", "0"], 2, "--shards"),
    (
        "an address that is none",
        &["local", "--listen", "here"],
        2,
        "--listen",
    ),
    (
        "an all-in-one elsewhere",
        &["local", "--server", "127.0.0.1:7400"],
        2,
        "--server",
    ),
    (
        "an address without an identity",
        &["status", "--server", "127.0.0.1:7400"],
        2,
        "--identity",
    ),
    (
        "entries that are not there",
        &["spool", "retry", "7", "8"],
        3,
        "entries 7, 8",
    ),
    (
        "an MX without an identity",
        &["spool", "list", "--mx", "127.0.0.1:7425"],
        2,
        "--identity",
    ),
    (
        "an entry that is no number",
        &["spool", "show", "x"],
        2,
        "invalid digit",
    ),
    (
        "a file that is none",
        &["import", "nowhere.csv"],
        2,
        "nowhere.csv",
    ),
    (
        "a quota that is none",
        &["account", "quota", "ana@example.org", "--quota", "lots"],
        2,
        "--quota",
    ),
    (
        "a separator of two characters",
        &["domain", "add", "example.com", "--separator", "ab"],
        2,
        "eparator",
    ),
    (
        "a folder that is none",
        &["--data", "nowhere", "status"],
        4,
        "nowhere",
    ),
    (
        "a domain that is none",
        &["domain", "add", "exa mple"],
        2,
        "exa mple",
    ),
    (
        "a domain that is there",
        &["domain", "add", "EXAMPLE.org"],
        1,
        "example.org",
    ),
    (
        "an address without a domain",
        &["account", "show", "ana"],
        2,
        "ana",
    ),
    (
        "an account that is not there",
        &["account", "show", "no@example.org"],
        3,
        "no@example.org",
    ),
    (
        "an alias that leads outside",
        &["alias", "add", "x@example.org", "a@b.example"],
        2,
        "b.example",
    ),
    (
        "an alias that leads to itself",
        &["alias", "add", "y@example.org", "y@example.org"],
        2,
        "y@",
    ),
    (
        "a move to nowhere",
        &["move", "ana@example.org", "shard-9"],
        3,
        "shard-9",
    ),
    (
        "a domain in use",
        &["domain", "remove", "example.org"],
        1,
        "example.org",
    ),
];

#[tokio::test]
async fn each_call_has_its_exit_code_and_its_reason() {
    let site = TestSite::with_ana().await.unwrap();
    let mut wrong = Vec::new();
    for (name, words, code, complaint) in CALLS {
        let ran = run(&site, words);
        let said = format!("{}{}", ran.out, ran.err);
        if ran.code != Some(*code) || !said.contains(complaint) || said.contains("panicked") {
            wrong.push(format!("{name}: exit code {:?}: {said}", ran.code));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    still_serves(&site, 6).await.unwrap();
}
