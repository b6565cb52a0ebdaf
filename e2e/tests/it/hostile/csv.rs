//! `palomar import`: every bad row is named, and nothing is imported.

use super::{run, still_serves};
use crate::support::TestSite;

/// Name, file, and what the complaint has to contain.
const FILES: [(&str, &str, &str); 11] = [
    ("an empty file", "", "address"),
    ("no header", "bo@example.org,x\r\n", "address"),
    (
        "an unknown column",
        "address,colour\r\nbo@example.org,red\r\n",
        "colour",
    ),
    (
        "a column twice",
        "address,address\r\na@example.org,b@example.org\r\n",
        "address",
    ),
    ("an address that is none", "address\r\nbo\r\n", "bo"),
    (
        "a foreign domain",
        "address\r\nbo@elsewhere.example\r\n",
        "elsewhere.example",
    ),
    (
        "an address that is there",
        "address\r\nana@example.org\r\n",
        "ana@example.org",
    ),
    (
        "an address twice",
        "address\r\nbo@example.org\r\nBO@Example.ORG\r\n",
        "3",
    ),
    (
        "a quota that is none",
        "address,quota\r\nbo@example.org,lots\r\n",
        "lots",
    ),
    (
        "too few fields",
        "address,password,quota\r\nbo@example.org\r\n",
        "2",
    ),
    (
        "an open quote",
        "address\r\n\"bo@example.org\r\n",
        "bo@example.org",
    ),
];

#[tokio::test]
async fn each_file_is_refused_with_its_reason_and_imports_nothing() {
    let site = TestSite::with_ana().await.unwrap();
    for (name, file, complaint) in FILES {
        let path = site.folder().join("users.csv");
        std::fs::write(&path, file).unwrap();
        let ran = run(&site, &["import", "users.csv"]);
        assert!(is_refusal(ran.code), "{name}: {:?} {}", ran.code, ran.err);
        let said = format!("{}{}", ran.out, ran.err);
        assert!(said.contains(complaint), "{name}: {said}");
    }
    std::fs::write(
        site.folder().join("users.csv"),
        b"address\n\xff\xfe@example.org\n",
    )
    .unwrap();
    let ran = run(&site, &["import", "users.csv"]);
    assert!(is_refusal(ran.code), "octets that are no text: {}", ran.err);
    let list = site.ask(&["account", "list"], "").unwrap().to_string();
    assert_eq!(list.matches("@example.org").count(), 1, "{list}");
    still_serves(&site, 5).await.unwrap();
}

/// 1: rows are refused; 2: it is no such file at all.
fn is_refusal(code: Option<i32>) -> bool {
    matches!(code, Some(1 | 2))
}
