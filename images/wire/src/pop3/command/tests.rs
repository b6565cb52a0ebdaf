//! Known answers both ways.

use proptest::prelude::*;

use super::*;

fn parse(line: &str) -> Result<Command, CommandError> {
    Command::parse(&Bytes::copy_from_slice(line.as_bytes()))
}

#[test]
fn every_command_both_ways() {
    let auth = |initial: Option<&str>| Command::Auth {
        mechanism: "PLAIN".to_owned(),
        initial: initial.map(Secret::new),
    };
    for (line, command) in [
        ("AUTH PLAIN", auth(None)),
        ("AUTH PLAIN dGVzdA==", auth(Some("dGVzdA=="))),
        ("AUTH PLAIN =", auth(Some("="))),
        ("CAPA", Command::Capa),
        ("DELE 1", Command::Dele(1)),
        ("LIST", Command::List(None)),
        ("LIST 4294967295", Command::List(Some(u32::MAX))),
        ("NOOP", Command::Noop),
        (
            "PASS  two  spaces ",
            Command::Pass(Secret::new(" two  spaces ")),
        ),
        ("QUIT", Command::Quit),
        ("RETR 2", Command::Retr(2)),
        ("RSET", Command::Rset),
        ("STAT", Command::Stat),
        ("STLS", Command::Stls),
        (
            "TOP 1 0",
            Command::Top {
                number: 1,
                lines: 0,
            },
        ),
        ("UIDL", Command::Uidl(None)),
        ("UIDL 3", Command::Uidl(Some(3))),
        (
            "USER josé@example.org",
            Command::User("josé@example.org".to_owned()),
        ),
    ] {
        assert_eq!(parse(line).as_ref(), Ok(&command), "{line}");
        assert_eq!(command.to_line().expose(), format!("{line}\r\n").as_bytes());
    }
}

#[test]
fn keywords_in_any_case_and_spaces_at_the_end() {
    assert_eq!(parse("stat"), Ok(Command::Stat));
    assert_eq!(parse("UiDl 7 "), Ok(Command::Uidl(Some(7))));
    assert_eq!(parse("quit   "), Ok(Command::Quit));
    assert_eq!(parse("top 1 99999999999").map(|c| c.verb()), Ok(Verb::Top));
}

#[test]
fn wrong_arguments_say_what_to_write() {
    for line in [
        "STAT 1",
        "LIST 0",
        "LIST -1",
        "LIST +1",
        "LIST a",
        "LIST 1 2",
        "LIST  1",
        "LIST 4294967296",
        "RETR",
        "DELE",
        "DELE 1 2",
        "TOP 1",
        "TOP 1 2 3",
        "TOP 0 1",
        "TOP 1 -1",
        "USER",
        "USER ",
        "PASS",
        "PASS ",
        "AUTH",
        "AUTH PLAIN a b",
        "QUIT now",
        "CAPA x",
        "RSET 1",
        "STLS x",
        "NOOP x",
        "UIDL 1 1",
    ] {
        assert!(
            matches!(parse(line), Err(CommandError::Arguments(_))),
            "{line}"
        );
    }
    let error = parse("TOP 1").unwrap_err().to_string();
    assert_eq!(error, "write: TOP number lines");
}

#[test]
fn refuses_what_is_no_command() {
    for (line, error) in [
        ("", CommandError::Unknown),
        (" STAT", CommandError::Unknown),
        (
            "APOP mrose c4c9334bac560ecc979e58001b3e22fb",
            CommandError::Unknown,
        ),
        ("LAST", CommandError::Unknown),
        ("STAT\0", CommandError::NotText),
        ("PASS a\tb", CommandError::NotText),
        ("USER a\rQUIT", CommandError::NotText),
    ] {
        assert_eq!(parse(line), Err(error), "{line}");
    }
    let bad = Bytes::from_static(b"USER \xff");
    assert_eq!(Command::parse(&bad), Err(CommandError::NotText));
    let pass = Bytes::from_static(b"PASS \xff");
    assert_eq!(
        Command::parse(&pass),
        Ok(Command::Pass(Secret::new(b"\xff".to_vec())))
    );
    assert_eq!(
        parse(&format!("PASS {}", "a".repeat(249))),
        Err(CommandError::TooLong)
    );
    assert!(parse(&format!("PASS {}", "a".repeat(248))).is_ok());
}

#[test]
fn passwords_do_not_print() {
    for line in ["PASS hunter2", "AUTH PLAIN aHVudGVyMg=="] {
        let shown = format!("{:?}", parse(line).unwrap());
        assert!(
            !shown.contains("hunter2") && !shown.contains("aHVu"),
            "{shown}"
        );
    }
}

proptest! {
    #[test]
    fn any_octets(data: Vec<u8>) {
        fuzz(&data);
    }

    #[test]
    fn near_commands(line in "(AUTH|dele|LIST|PASS|TOP|USER|UIDL) ?[ 0-9a-z=é]{0,12}") {
        fuzz(line.as_bytes());
    }
}
