//! `buzonera rebalance` says what would move, and moves nothing.

use serde_json::{Value, json};

use crate::support::{PASSWORD, TestSite};

#[tokio::test]
async fn a_plan_is_shown_and_not_carried_out() {
    let site = TestSite::empty().await.unwrap();
    site.add_domain("example.org").unwrap();
    let ask = |words: &[&str]| -> Value { site.ask(words, "").unwrap() };
    let said = |words: &[&str]| {
        let output = site.buzonera(words, "").unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let users: Vec<String> = (1..=6)
        .map(|number| format!("user{number}@example.org"))
        .collect();
    for user in &users {
        site.add_account(user, PASSWORD).unwrap();
    }
    let plan = ["rebalance", "--dry-run"];
    assert_eq!(ask(&plan)["flows"], json!([]));
    let text = said(&plan);
    assert!(text.contains("Nothing would move."), "{text}");

    for user in &users {
        if ask(&["account", "show", user])["shard"] != "shard-1" {
            ask(&["move", user, "shard-1"]);
        }
    }
    let found = ask(&plan);
    let text = said(&plan);
    // A volume that is used by 80 % takes nothing for evenness, and this is the disk of whoever tests.
    let of_disk = |field: &str| ask(&["shards"])[1][field].as_u64().unwrap();
    if of_disk("volume_free") * 100 / of_disk("volume_size") > 20 {
        let flow = json!({
            "from": "shard-1",
            "to": "shard-2",
            "why": "uneven",
            "accounts": 3,
            "bytes": 0,
        });
        assert_eq!(found["flows"], json!([flow]), "{found}");
        assert!(
            text.contains("shard-1  shard-2         3    0 B  uneven"),
            "{text}"
        );
        assert!(text.contains("3 accounts with 0 B would move."), "{text}");
    } else {
        assert_eq!(found["flows"], json!([]), "{found}");
        assert!(
            text.contains("of its part then: shard-1, shard-2."),
            "{text}"
        );
    }
    assert_eq!(found["shares"][0]["now"], 1_000_000);
    assert_eq!(found["shares"][1]["part"], 500_000);
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    assert_eq!(ask(&["moves", "--open"]), json!([]));
    assert_eq!(ask(&["shards"])[0]["accounts"], 6);
}

#[tokio::test]
async fn a_plan_is_not_carried_out_by_the_command_line() {
    let site = TestSite::empty().await.unwrap();
    for words in [
        &["rebalance"][..],
        &["rebalance", "--dry-run", "--tolerance", "0"],
    ] {
        assert_eq!(site.buzonera(words, "").unwrap().status.code(), Some(2));
    }
}
