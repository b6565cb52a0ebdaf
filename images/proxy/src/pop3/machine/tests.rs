//! The machine, walked through every command in every state.

use super::*;

/// `\0tim\0tanstaaf`
const PLAIN: &str = "AHRpbQB0YW5zdGFhZg==";

fn say(state: PreAuth, text: &str) -> (PreAuth, Step) {
    state.line(Line::Whole(Bytes::copy_from_slice(text.as_bytes())), false)
}

fn plain() -> PreAuth {
    PreAuth::new(false, 3)
}

fn encrypted() -> PreAuth {
    PreAuth::new(true, 3)
}

fn login() -> Step {
    Step::Login {
        login: "tim".to_owned(),
        password: Secret::new("tanstaaf"),
    }
}

fn refused(step: &Step) -> bool {
    matches!(step, Step::Reply(reply) if !reply.ok)
}

/// A well-formed line for each verb.
fn example(verb: Verb) -> String {
    let argument = match verb {
        Verb::Auth => " PLAIN",
        Verb::Dele | Verb::Retr => " 1",
        Verb::Pass | Verb::User => " x",
        Verb::Top => " 1 2",
        _ => "",
    };
    format!("{}{argument}", verb.as_str())
}

#[test]
fn every_command_in_every_state() {
    use Verb::{Auth, Capa, Pass, Quit, Stls, User};
    let after_user = say(encrypted(), "USER tim").0;
    for (state, known) in [
        (plain(), vec![Capa, Quit, Stls]),
        (encrypted(), vec![Auth, Capa, Quit, User]),
        (after_user, vec![Auth, Capa, Pass, Quit, User]),
    ] {
        for &verb in Verb::ALL {
            let (next, step) = say(state.clone(), &example(verb));
            assert_eq!(
                !refused(&step),
                known.contains(&verb),
                "{state:?} {verb:?} {step:?}"
            );
            assert!(
                !refused(&step) || next.phase == state.phase,
                "{verb:?}: {next:?}"
            );
        }
    }
    let challenged = say(encrypted(), "AUTH PLAIN").0;
    let asking = say(encrypted(), &format!("AUTH PLAIN {PLAIN}")).0;
    let upgrading = say(plain(), "STLS").0;
    let closed = say(plain(), "QUIT").0;
    for &verb in Verb::ALL {
        // While a response is awaited no line is a command.
        let (next, step) = say(challenged.clone(), &example(verb));
        assert!(
            refused(&step) && next.phase == Phase::Commands { user: None },
            "{verb:?}"
        );
        for state in [&asking, &upgrading, &closed] {
            let (next, step) = say(state.clone(), &example(verb));
            assert!(next.phase == Phase::Closed && matches!(step, Step::Close(_)));
        }
    }
}

#[test]
fn capabilities_change_with_tls() {
    let shown = |state| match say(state, "CAPA").1 {
        Step::Capabilities(lines) => lines,
        other => panic!("{other:?}"),
    };
    let (before, after) = (shown(plain()), shown(encrypted()));
    assert!(before.contains(&"STLS"));
    assert!(!before.contains(&"USER") && !before.contains(&"SASL PLAIN"));
    assert!(!after.contains(&"STLS"));
    assert!(after.contains(&"USER") && after.contains(&"SASL PLAIN"));
    assert!(before.contains(&"UIDL") && after.contains(&"PIPELINING"));
}

#[test]
fn stls_forgets_and_nothing_may_follow_it() {
    let (state, step) = say(plain(), "STLS");
    assert_eq!(step, Step::StartTls(Reply::ok("begin TLS")));
    assert_eq!(state.encrypted(), encrypted());
    let line = Line::Whole(Bytes::from_static(b"STLS"));
    let (state, step) = plain().line(line, true);
    assert_eq!(state.phase, Phase::Closed);
    assert!(matches!(step, Step::Close(reply) if !reply.ok));
}

#[test]
fn user_and_pass() {
    let (state, step) = say(encrypted(), "USER tim");
    assert_eq!(step, Step::Reply(Reply::ok("now PASS")));
    let (state, step) = say(state, "PASS tanstaaf");
    assert_eq!(step, login());
    // After a refusal the name is to be said again.
    let (state, _) = state.refused(Refusal::Denied);
    assert!(refused(&say(state, "PASS tanstaaf").1));
    // The last name counts, and a mistake between the two is forgiven.
    let state = say(say(encrypted(), "USER tom").0, "USER tim").0;
    assert_eq!(say(say(state, "NOOP").0, "PASS tanstaaf").1, login());
}

#[test]
fn spaces_are_part_of_a_password() {
    let (_, step) = say(say(encrypted(), "USER tim").0, "PASS  a  b ");
    let expected = Secret::new(" a  b ");
    assert!(matches!(step, Step::Login { password, .. } if password == expected));
}

#[test]
fn auth_plain_with_and_without_an_initial_response() {
    assert_eq!(say(encrypted(), &format!("auth plain {PLAIN}")).1, login());
    let (state, step) = say(encrypted(), "AUTH PLAIN");
    assert_eq!(step, Step::Challenge);
    assert_eq!(state.line_cap(), sasl::MAX_LINE + 2);
    assert_eq!(say(state.clone(), PLAIN).1, login());
    for bad in ["*", "", "x", "dGlt"] {
        let (next, step) = say(state.clone(), bad);
        assert!(refused(&step) && next.line_cap() == MAX_COMMAND, "{bad}");
    }
    let (_, step) = state.line(Line::TooLong, false);
    assert!(refused(&step));
}

#[test]
fn refuses_other_mechanisms_and_other_identities() {
    let other = sasl::encode(b"root\0tim\0tanstaaf");
    for line in [
        "AUTH EXTERNAL =",
        "AUTH CRAM-MD5",
        &format!("AUTH PLAIN {other}"),
    ] {
        let (state, step) = say(encrypted(), line);
        assert!(refused(&step), "{line}");
        assert_eq!(state.failed, 0);
    }
}

#[test]
fn failed_logins_are_counted_and_temporary_ones_are_not() {
    let asking = |state| say(state, &format!("AUTH PLAIN {PLAIN}")).0;
    let mut state = encrypted();
    for _ in 0..5 {
        let (next, step) = asking(state).refused(Refusal::Temporary("later"));
        assert_eq!(step, Step::Reply(Reply::coded(Code::SysTemp, "later")));
        state = next;
    }
    let in_use = Reply::coded(Code::InUse, "busy");
    let (mut state, step) = asking(state).refused(Refusal::Shard(in_use.clone()));
    assert_eq!(step, Step::Reply(in_use));
    let denied = Reply::coded(Code::Auth, "wrong name or password");
    for _ in 0..2 {
        let (next, step) = asking(state).refused(Refusal::Denied);
        assert_eq!(step, Step::Reply(denied.clone()));
        state = next;
    }
    let (state, step) = asking(state).refused(Refusal::Denied);
    assert_eq!((state.phase, step), (Phase::Closed, Step::Close(denied)));
}

#[test]
fn mistakes_end_it() {
    let mut state = plain();
    for _ in 1..MAX_MISTAKES {
        let (next, step) = say(state, "GET / HTTP/1.1");
        assert!(refused(&step));
        state = next;
    }
    let (state, step) = state.line(Line::TooLong, false);
    assert!(state.phase == Phase::Closed && matches!(step, Step::Close(_)));
}
