//! `--output json` prints what JSON.md says, for every command.

use buzonera::cli::Cli;
use clap::CommandFactory as _;
use serde_json::Value;

use crate::documented::Document;
use crate::support::{ANA, PASSWORD, TestSite};

/// Every noun with its verbs, from the command line's own description.
fn commands() -> Vec<String> {
    let cli = Cli::command();
    let nouns = cli.get_subcommands();
    let mut all = Vec::new();
    for noun in nouns {
        if !noun.is_subcommand_required_set() {
            all.push(noun.get_name().to_owned());
        }
        let verbs = noun.get_subcommands();
        all.extend(verbs.map(|verb| format!("{} {}", noun.get_name(), verb.get_name())));
    }
    all.retain(|name| name != "local");
    all.sort();
    all
}

#[test]
fn every_command_is_documented() {
    let document = Document::read().unwrap();
    let documented: Vec<String> = document.commands.into_keys().collect();
    assert_eq!(documented, commands());
}

#[tokio::test]
async fn every_result_is_as_documented() {
    let site = TestSite::empty().await.unwrap();
    let document = Document::read().unwrap();
    let ask = |words: &[&str], input: &str| -> Value { site.ask(words, input).unwrap() };
    let one = |value: Value, kind: &str, left_out: &[&str]| {
        document.fits(&value, kind, left_out).unwrap();
    };
    let many = |value: Value, kind: &str, left_out: &[&str]| {
        document.fit(&value, kind, left_out).unwrap();
    };
    let found = ask(&["directory", "bootstrap"], "");
    assert_eq!(found["created"], false);
    one(found, "Bootstrap", &[]);
    one(ask(&["domain", "add", "example.org"], ""), "Domain", &[]);
    one(ask(&["domain", "add", "example.com"], ""), "Domain", &[]);
    one(ask(&["domain", "show", "example.org"], ""), "Domain", &[]);
    many(ask(&["domain", "list"], ""), "Domain", &["dns"]);
    let gone = ask(&["domain", "remove", "example.com"], "");
    one(gone, "Domain", &["dns"]);

    let add = ["account", "add", ANA, "--password-stdin"];
    one(ask(&add, PASSWORD), "Account", &[]);
    let passwd = ["account", "passwd", ANA, "--password-stdin"];
    one(ask(&passwd, PASSWORD), "Account", &[]);
    let quota = [
        "account",
        "quota",
        ANA,
        "--quota",
        "1Gi",
        "--quota-messages",
        "7",
    ];
    one(ask(&quota, ""), "Account", &[]);
    let alias = ["alias", "add", "letters@example.org", ANA];
    one(ask(&alias, ""), "Alias", &[]);
    one(
        ask(&["alias", "show", "letters@example.org"], ""),
        "Alias",
        &[],
    );
    many(ask(&["alias", "list"], ""), "Alias", &[]);
    one(ask(&["account", "show", ANA], ""), "Account", &[]);
    many(ask(&["account", "list"], ""), "Account", &[]);
    one(
        ask(&["alias", "remove", "letters@example.org"], ""),
        "Alias",
        &[],
    );

    let file = site.folder().join("users.csv");
    std::fs::write(file, "address\nbo@example.org\nbo\n").unwrap();
    one(
        ask(&["import", "users.csv", "--skip-bad"], ""),
        "Import",
        &[],
    );

    site.deliver([1], ANA).await.unwrap();
    many(ask(&["shards"], ""), "Shard", &[]);
    one(ask(&["status"], ""), "Cluster", &[]);
    let home = ask(&["account", "show", ANA], "")["shard"].clone();
    let target = if home == "shard-1" {
        "shard-2"
    } else {
        "shard-1"
    };
    one(ask(&["move", ANA, target], ""), "Move", &[]);
    many(ask(&["moves"], ""), "Move", &[]);
    // Both accounts on one of two shards: one of them would move.
    if ask(&["account", "show", "bo@example.org"], "")["shard"] != target {
        ask(&["move", "bo@example.org", target], "");
    }
    one(ask(&["rebalance", "--dry-run"], ""), "Plan", &[]);
    one(ask(&["moves", "limits", "--pause"], ""), "Limits", &[]);
    assert_eq!(ask(&["moves", "--open"], ""), Value::Array(Vec::new()));

    one(
        ask(&["account", "remove", ANA, "--yes"], ""),
        "Account",
        &[],
    );
    many(ask(&["account", "list", "--removed"], ""), "Account", &[]);
    one(ask(&["account", "restore", ANA], ""), "Account", &[]);
    // What is in a spool stands in spool.rs: here it is empty.
    assert_eq!(ask(&["spool", "list"], ""), Value::Array(Vec::new()));
    one(ask(&["spool", "retry", "--all"], ""), "Retry", &[]);
}

/// JSON goes to standard output alone, and failures say nothing there.
#[tokio::test]
async fn failures_print_a_sentence_on_standard_error_and_no_json() {
    let site = TestSite::with_ana().await.unwrap();
    for words in [
        &["account", "show", "no@example.org"][..],
        &["domain", "add", "example.org"],
        &["move", ANA, "shard-9"],
        &["import", "nowhere.csv"],
    ] {
        let output = site
            .buzonera(&[words, &["--output", "json"]].concat(), "")
            .unwrap();
        assert!(!output.status.success());
        assert!(output.stdout.is_empty(), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            said.starts_with("buzonera: ") && said.ends_with(".\n"),
            "{said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}
