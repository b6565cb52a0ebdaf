//! `buzonera import`: every bad row is named, and nothing is imported until all are good.

use super::{Ran, run, still_serves};
use crate::support::TestSite;

/// What the command says of a file.
enum Answer {
    /// Exit code 1: these rows are bad.
    Rows(&'static [&'static str]),
    /// Exit code 2: it is no such file at all.
    File(&'static str),
}
use Answer::{File, Rows};

/// Name, file, answer.
const FILES: &[(&str, &[u8], Answer)] = &[
    (
        "an empty file",
        b"",
        File("the header is wrong: unknown column \"\""),
    ),
    (
        "no header",
        b"bo@example.org,x\r\n",
        File("the header is wrong: unknown column \"bo@example.org\""),
    ),
    (
        "an unknown column",
        b"address,colour\r\nbo@example.org,red\r\n",
        File("the header is wrong: unknown column \"colour\""),
    ),
    (
        "a column twice",
        b"address,address\r\nbo@example.org,cy@example.org\r\n",
        File("the header is wrong: column address stands twice"),
    ),
    (
        "no column for the address",
        b"password,quota\nx,1Gi\n",
        File("the header is wrong: column address is missing"),
    ),
    (
        "semicolons",
        b"address;password\nbo@example.org;x\n",
        File(
            "the header is wrong: \"address;password\" is separated by something else than commas",
        ),
    ),
    (
        "UTF-16",
        b"\xff\xfea\0d\0d\0r\0e\0s\0s\0\n\0",
        File("the header is wrong: it is not UTF-8 text"),
    ),
    (
        "lines that end in CR",
        b"address\rbo@example.org\r",
        File("the header is wrong: its lines end in CR alone, and have to end in LF or CRLF"),
    ),
    (
        "an open quote in the header",
        b"\"address\nbo@example.org\n",
        File("the header is wrong: cell 1 opens a quote and the line ends before it closes"),
    ),
    (
        "an address that is none, after a byte order mark",
        b"\xef\xbb\xbfaddress\r\nbo\r\n",
        Rows(&["line 2: \"bo\" is not an address: write local-part@domain"]),
    ),
    (
        "an empty address",
        b"address,password\n,x\n",
        Rows(&["line 2: \"\" is not an address: write local-part@domain"]),
    ),
    (
        "a NUL",
        b"address\nb\0o@example.org\n",
        Rows(&[
            "line 2: \"b\\0o\" is not a local part: write letters, digits, dots or a \"quoted string\"",
        ]),
    ),
    (
        "a foreign domain",
        b"address\r\nbo@elsewhere.example\r\n",
        Rows(&["line 2: address: elsewhere.example is not a domain of this cluster"]),
    ),
    (
        "an alias in a foreign domain",
        b"address,aliases\nbo@example.org,bo@elsewhere.example\n",
        Rows(&["line 2: aliases: elsewhere.example is not a domain of this cluster"]),
    ),
    (
        "an account that is there",
        b"address\r\nAna@example.org\r\n",
        Rows(&["line 2: ana@example.org exists already"]),
    ),
    (
        "an alias that is there",
        b"address,aliases\nbo@example.org,ana@example.org\n",
        Rows(&["line 2: ana@example.org exists already"]),
    ),
    (
        "an address twice",
        b"address\r\nbo@example.org\r\n\r\nBO@Example.ORG\r\n",
        Rows(&["line 4: bo@example.org stands in line 2 already"]),
    ),
    (
        "an alias that is another row's address",
        b"address,aliases\nbo@example.org,\ncy@example.org,bo@example.org\n",
        Rows(&["line 3: bo@example.org stands in line 2 already"]),
    ),
    (
        "an alias of itself",
        b"address,aliases\nbo@example.org,bo@example.org\n",
        Rows(&["line 2: bo@example.org stands twice in it"]),
    ),
    (
        "quotas that are none",
        b"address,quota\nbo@example.org,lots\ncy@example.org,-1\ndee@example.org,99999999Ti\n",
        Rows(&[
            "line 2: \"lots\" is not a size: write bytes, or 500M, 1Gi, none",
            "line 3: \"-1\" is not a size: write bytes, or 500M, 1Gi, none",
            "line 4: \"99999999Ti\" is not a size: write bytes, or 500M, 1Gi, none",
        ]),
    ),
    (
        "too few cells, and too many",
        b"address,password\nbo@example.org\ncy@example.org,x,y\n",
        Rows(&[
            "line 2: it has 1 cell, the header has 2",
            "line 3: it has 3 cells, the header has 2",
        ]),
    ),
    (
        "a quote open at the end of the file",
        b"address\r\n\"bo@example.org\r\n",
        Rows(&["line 2: cell 1 opens a quote and the line ends before it closes"]),
    ),
    (
        "quotes that would swallow the row between them",
        b"address,password\nbo@example.org,\"x\ncy@example.org,y\ndee@example.org,z\"\n",
        Rows(&[
            "line 2: cell 2 opens a quote and the line ends before it closes",
            "line 4: cell 2 has a quote inside; put the cell in quotes, and write that one as \"\"",
        ]),
    ),
    (
        "text after a closing quote",
        b"address,password\nbo@example.org,\"pa\"ss\n",
        Rows(&["line 2: cell 2 goes on after its closing quote; write a quote inside as \"\""]),
    ),
    (
        "octets that are no text",
        b"address,password\nbo@example.org,\xff\xfe\ncy@example.org,x\n",
        Rows(&["line 2: it is not UTF-8 text"]),
    ),
    (
        "a control character in a password",
        b"address,password\nbo@example.org,a\tb\n",
        Rows(&["line 2: the password holds a control character"]),
    ),
];

#[tokio::test]
async fn each_file_has_its_answer_and_imports_nothing() {
    let site = TestSite::with_ana().await.unwrap();
    let mut wrong = Vec::new();
    for (name, file, answer) in FILES {
        let ran = import(&site, file, &[]);
        let expected = match answer {
            File(complaint) => unreadable(complaint),
            Rows(rows) => refused(rows, good_rows(file) - rows.len()),
        };
        if (ran.code, &ran.out, &ran.err) != (expected.code, &expected.out, &expected.err) {
            wrong.push(format!("{name}: {:?}\n{}{}", ran.code, ran.out, ran.err));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(accounts(&site), ["ana@example.org"]);
    still_serves(&site, 5).await.unwrap();
}

/// Bounds: what is too large is built here and not written out.
#[tokio::test]
async fn what_is_too_large_is_refused() {
    let site = TestSite::with_ana().await.unwrap();
    let long = "x".repeat(1025);
    let huge = "x".repeat(10 << 20);
    let aliases: String = (0..21).map(|n| format!("a{n}@example.org;")).collect();
    let file = format!(
        "address,password,aliases\nbo@example.org,{long},\ncy@example.org,{huge},\n\
         dee@example.org,,{aliases}\n{}@example.org,,\n",
        &long[..65]
    );
    let ran = import(&site, file.as_bytes(), &[]);
    let expected = refused(
        &[
            "line 2: the password is longer than 1024 octets",
            "line 3: it is longer than 64 KiB",
            "line 4: it has more than 20 aliases",
            &format!(
                "line 5: \"{}\" is not a local part of ours: it has more than 64 octets",
                &long[..65]
            ),
        ],
        0,
    );
    assert_eq!((ran.out, ran.err), (expected.out, expected.err));
    let sparse = std::fs::File::create(site.folder().join("users.csv")).unwrap();
    sparse.set_len((256 << 20) + 1).unwrap();
    let ran = run(&site, &["import", "users.csv"]);
    assert_eq!(
        ran.err,
        unreadable("the file is larger than 256 MiB")
            .err
            .replace(HINT, "")
    );
    assert_eq!(ran.code, Some(2));
    still_serves(&site, 8).await.unwrap();
}

#[tokio::test]
async fn skip_bad_imports_every_other_row() {
    let site = TestSite::with_ana().await.unwrap();
    let file = b"\xef\xbb\xbfAddress, Password ,Aliases\r\n\
        bo@example.org,\"coo, \"\"coo\"\"\",\"b@example.org; bob@example.org\"\r\n\
        cy@example.org,\"open,\r\n\
        \r\n\
        dee@example.org,,\r\n\
        bob@example.org,x,";
    let ran = import(&site, file, &["--skip-bad"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(
        ran.out,
        "line 3: cell 2 opens a quote and the line ends before it closes\n\
         line 6: bob@example.org stands in line 2 already\n\
         2 accounts imported.\n\
         1 account without a password: no login until `buzonera account passwd` sets one.\n"
    );
    assert_eq!(
        accounts(&site),
        ["ana@example.org", "bo@example.org", "dee@example.org"]
    );
    let has_password = |address| {
        let account = site.ask(&["account", "show", address], "").unwrap();
        account["has_password"].as_bool().unwrap()
    };
    assert!(has_password("bo@example.org"));
    assert!(!has_password("dee@example.org"));
}

fn import(site: &TestSite, file: &[u8], more: &[&str]) -> Ran {
    std::fs::write(site.folder().join("users.csv"), file).unwrap();
    run(site, &[&["import", "users.csv"], more].concat())
}

/// Rows below the header, empty lines not counted.
fn good_rows(file: &[u8]) -> usize {
    let lines = file.split(|octet| *octet == b'\n').skip(1);
    lines.filter(|line| !line.trim_ascii().is_empty()).count()
}

/// What follows a complaint about a header.
const HINT: &str = "; write address,password,quota,aliases";

fn unreadable(complaint: &str) -> Ran {
    Ran {
        code: Some(2),
        out: String::new(),
        err: format!("buzonera: users.csv: {complaint}{HINT}.\n"),
    }
}

fn refused(rows: &[&str], others: usize) -> Ran {
    let rows_are = match rows.len() {
        1 => "1 bad row: nothing was imported. Mend it".to_owned(),
        many => format!("{many} bad rows: nothing was imported. Mend them"),
    };
    let or = match others {
        0 => String::new(),
        others => format!(", or import the other {others} with --skip-bad"),
    };
    Ran {
        code: Some(1),
        out: format!("{}\n0 accounts imported.\n", rows.join("\n")),
        err: format!("buzonera: {rows_are}{or}.\n"),
    }
}

fn accounts(site: &TestSite) -> Vec<String> {
    let list = site.ask(&["account", "list"], "").unwrap();
    let accounts = list.as_array().unwrap().iter();
    accounts
        .map(|account| account["address"].as_str().unwrap().to_owned())
        .collect()
}
