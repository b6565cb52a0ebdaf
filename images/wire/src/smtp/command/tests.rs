//! Known answers.

use super::*;

fn mail(line: &str) -> Result<(String, Option<u64>, Option<BodyType>), CommandError> {
    match Command::parse(line.as_bytes())? {
        Command::Mail(mail) => Ok((mail.from.to_string(), mail.size, mail.body)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn mail_and_its_parameters() {
    assert_eq!(mail("MAIL FROM:<>"), Ok((String::new(), None, None)));
    assert_eq!(
        mail("mail from: <a@b.example> size=10 body=8bitmime "),
        Ok(("a@b.example".into(), Some(10), Some(BodyType::EightBitMime)))
    );
    let big = mail("MAIL FROM:<> SIZE=99999999999999999999").unwrap();
    assert_eq!(big.1, Some(u64::MAX));
    for (line, syntax) in [
        ("MAIL FROM:<> SIZE=123456789012345678901", true),
        ("MAIL FROM:<> SIZE=", true),
        ("MAIL FROM:<> SIZE=+1", true),
        ("MAIL FROM:<> SIZE=1 SIZE=1", true),
        ("MAIL FROM:<> BODY=BINARYMIME", true),
        ("MAIL FROM:<>SIZE=1", true),
        ("MAIL <a@b.example>", true),
        ("MAIL", true),
        ("MAIL FROM:<> SMTPUTF8", false),
        ("MAIL FROM:<> AUTH=<>", false),
    ] {
        let error = mail(line).unwrap_err();
        assert_eq!(
            matches!(error, CommandError::Syntax { .. }),
            syntax,
            "{line}: {error:?}"
        );
    }
    assert!(matches!(
        mail("MAIL FROM:a@b.example"),
        Err(CommandError::Sender(_))
    ));
}

#[test]
fn other_commands() {
    let parse = |line: &str| Command::parse(line.as_bytes());
    assert_eq!(parse("data"), Ok(Command::Data));
    assert!(parse("DATA x").is_err());
    assert_eq!(
        parse("BDAT 10 last"),
        Ok(Command::Bdat {
            size: 10,
            last: true
        })
    );
    assert_eq!(
        parse("BDAT 0"),
        Ok(Command::Bdat {
            size: 0,
            last: false
        })
    );
    for bad in [
        "BDAT",
        "BDAT x",
        "BDAT -1",
        "BDAT 1 LAST x",
        "BDAT 1 FIRST",
        "BDAT  1",
    ] {
        assert!(parse(bad).is_err(), "{bad}");
    }
    let parameter = Err(CommandError::Parameter(Verb::Rcpt));
    assert_eq!(parse("RCPT TO:<a@b.example> NOTIFY=NEVER"), parameter);
    assert_eq!(parse("NOOP anything"), Ok(Command::Noop));
    assert_eq!(parse("FOO"), Err(CommandError::Unknown));
    assert_eq!(parse(""), Err(CommandError::Unknown));
    assert_eq!(parse("NOOP\0"), Err(CommandError::NotPrintable));
    assert_eq!(
        parse("RCPT TO:<jörg@b.example>"),
        Err(CommandError::NotPrintable)
    );
}

#[test]
fn client_names_are_made_harmless() {
    let name = |line: &str| match Command::parse(line.as_bytes()) {
        Ok(Command::Ehlo(name)) => name.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(name("EHLO [IPv6:::1]"), "[IPv6:::1]");
    assert_eq!(name("EHLO a (b) <c>;d"), "a??b???c??d");
    assert_eq!(
        name(&format!("EHLO {}", "a".repeat(1000))).len(),
        HeloName::MAX_OCTETS
    );
    assert!(Command::parse(b"EHLO ").is_err());
}
