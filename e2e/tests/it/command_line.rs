//! The command line: exit codes that mean something, JSON for scripts, no panics.

use std::process::{Command, Stdio};

use e2e::{binaries, wait};

use crate::support::{ANA, PASSWORD, TestSite};

#[tokio::test]
async fn exit_codes_tell_what_happened() {
    let mut site = TestSite::with_ana().await.unwrap();
    let code = |words: &[&str], input: &str| site.buzonera(words, input).unwrap().status.code();
    assert_eq!(code(&["account", "show", ANA], ""), Some(0));
    let again = ["account", "add", ANA, "--password-stdin"];
    assert_eq!(code(&again, PASSWORD), Some(1));
    assert_eq!(code(&["account", "frobnicate"], ""), Some(2));
    assert_eq!(
        code(&["account", "add", "ana", "--password-stdin"], "x"),
        Some(2)
    );
    assert_eq!(
        code(&["account", "passwd", ANA, "--password-stdin"], ""),
        Some(2)
    );
    assert_eq!(
        code(&["account", "show", "nobody@example.org"], ""),
        Some(3)
    );
    assert_eq!(code(&["domain", "show", "example.com"], ""), Some(3));
    assert_eq!(code(&["alias", "show", "nobody@example.org"], ""), Some(3));
    assert_eq!(code(&["account", "remove", ANA], ""), Some(2));
    site.kill().unwrap();
    let gone = site.buzonera(&["status"], "").unwrap();
    assert_eq!(gone.status.code(), Some(4));
    let said = String::from_utf8_lossy(&gone.stderr).into_owned();
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[tokio::test]
async fn a_reader_that_leaves_early_is_no_reason_to_panic() {
    let site = TestSite::with_ana().await.unwrap();
    let mut child = Command::new(binaries::path("buzonera").unwrap())
        .args(["account", "list", "--output", "json"])
        .current_dir(site.folder())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[tokio::test]
async fn scripts_read_json() {
    let site = TestSite::with_ana().await.unwrap();
    site.deliver([1], ANA).await.unwrap();
    let account = site.ask(&["account", "show", ANA], "").unwrap();
    assert_eq!(account["messages"], 1);
    assert!(account["bytes"].as_u64().unwrap() > 500, "{account}");
    assert_eq!(account["epoch"], 1);
    assert_eq!(account["has_password"], true);
    assert!(account["created_at"].as_str().unwrap().ends_with('Z'));
    let domain = site.ask(&["domain", "show", "example.org"], "").unwrap();
    assert_eq!(domain["accounts"], 1);
    assert_eq!(domain["dns"][0]["kind"], "MX");
    let status = site.ask(&["status"], "").unwrap();
    assert_eq!(status["store"], "embedded");
    assert_eq!(status["shards"].as_array().unwrap().len(), 2);
    let domains = site.ask(&["domain", "list"], "").unwrap();
    assert_eq!(domains[0]["name"], "example.org");
}

#[tokio::test]
async fn nothing_is_imported_until_all_rows_are_good() {
    let site = TestSite::with_ana().await.unwrap();
    let file = site.folder().join("users.csv");
    let rows = "address,password,quota,aliases\n\
                bo@example.org,secret one,1Gi,b@example.org;bob@example.org\n\
                ana@example.org,x,,\n\
                cy@elsewhere.example,x,,\n\
                dee@example.org,x,lots,\n";
    std::fs::write(&file, rows).unwrap();
    let refused = site.buzonera(&["import", "users.csv"], "").unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stdout).into_owned();
    for line in ["line 3: ", "line 4: ", "line 5: "] {
        assert!(said.contains(line), "{said}");
    }
    assert_eq!(
        site.ask(&["account", "list"], "")
            .unwrap()
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let report = site
        .ask(&["import", "users.csv", "--skip-bad"], "")
        .unwrap();
    assert_eq!(report["imported"], 1);
    assert_eq!(report["bad_rows"].as_array().unwrap().len(), 3);
    // On a busy machine the shard may be late to make the account, or to say what it holds.
    let limit = std::time::Duration::from_secs(60);
    let bo = wait::until("the account has its mail", limit, || async {
        site.deliver([1], "bob@example.org").await?;
        let bo = site.ask(&["account", "show", "bo@example.org"], "")?;
        anyhow::ensure!(bo["messages"] == 1, "{bo}");
        Ok::<_, anyhow::Error>(bo)
    });
    assert_eq!(bo.await.unwrap()["quota_bytes"], 1 << 30);
}

#[tokio::test]
async fn aliases_lead_to_accounts_and_never_outside() {
    let site = TestSite::with_ana().await.unwrap();
    let outside = ["alias", "add", "x@example.org", "bo@elsewhere.example"];
    assert!(!site.buzonera(&outside, "").unwrap().status.success());
    site.ask(&["alias", "add", "letters@example.org", ANA], "")
        .unwrap();
    site.deliver([1], "letters@example.org").await.unwrap();
    assert_eq!(site.numbers(ANA).await.unwrap(), [1]);
    let list = site.ask(&["alias", "list"], "").unwrap();
    assert_eq!(list[0]["targets"][0], ANA);
    site.ask(&["alias", "remove", "letters@example.org"], "")
        .unwrap();
    let (_, reply) = site.send(2, "letters@example.org").await.unwrap();
    assert_eq!(reply.code, 550);
}

#[tokio::test]
async fn a_move_shows_where_the_account_went() {
    let site = TestSite::with_ana().await.unwrap();
    site.deliver(1..=5, ANA).await.unwrap();
    let before = site.mailbox(ANA).await.unwrap();
    let home = site.ask(&["account", "show", ANA], "").unwrap()["shard"].clone();
    let target = if home == "shard-1" {
        "shard-2"
    } else {
        "shard-1"
    };
    let moved = site.ask(&["move", ANA, target], "").unwrap();
    assert_eq!(moved["phase"], "done");
    let account = site.ask(&["account", "show", ANA], "").unwrap();
    assert_eq!(
        (&account["shard"], &account["epoch"]),
        (&target.into(), &2.into())
    );
    assert_eq!(site.mailbox(ANA).await.unwrap(), before);
    let nowhere = site.buzonera(&["move", ANA, "shard-9"], "").unwrap();
    assert_eq!(nowhere.status.code(), Some(3));
    let moves = site.ask(&["moves"], "").unwrap();
    assert_eq!(moves[0]["address"], ANA);
    assert!(
        site.ask(&["moves", "--open"], "")
            .unwrap()
            .as_array()
            .unwrap()
            .is_empty()
    );
}
