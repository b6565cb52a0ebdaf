//! The AUTHORIZATION state: a proxy says whom it brings, by SASL EXTERNAL (RFC 5034, RFC 4422).

use wire::handoff::{Handoff, HandoffError};
use wire::pop3::reply::Reply;
use wire::sasl::{self, Mechanism, SaslError};
use wire::secret::Secret;

use super::{State, Step};

/// AUTH with its mechanism and, perhaps, the response at once.
pub(super) fn authenticate(mechanism: &str, initial: Option<&Secret>) -> (State, Step) {
    if Mechanism::parse(mechanism) != Some(Mechanism::External) {
        let reply = Reply::err("only EXTERNAL: this port is for Buzonera's proxies");
        return (State::Authorization, Step::Reply(reply));
    }
    match initial {
        None => (State::Response, Step::Challenge),
        Some(text) => handoff(sasl::initial_response(text.expose())),
    }
}

/// The response that names the client, or why there is none.
pub(super) fn handoff(message: Result<Secret, SaslError>) -> (State, Step) {
    match message
        .map_err(|error| error.to_string())
        .and_then(|message| read(&message))
    {
        Ok(handoff) => (State::Opening, Step::Open(handoff)),
        Err(error) => (State::Authorization, Step::Reply(Reply::err(error))),
    }
}

fn read(message: &Secret) -> Result<Handoff, String> {
    let text = sasl::external(message.expose()).map_err(|error| error.to_string())?;
    text.parse()
        .map_err(|error: HandoffError| error.to_string())
}

#[cfg(test)]
mod tests {
    use wire::pop3::framing::Line;

    use super::*;
    use crate::pop3::machine::tests::{HANDOFF, line, say};

    #[test]
    fn external_with_and_without_an_initial_response() {
        let response = sasl::encode(HANDOFF.as_bytes());
        let handoff = HANDOFF.parse().unwrap();
        let opens = (State::Opening, Step::Open(handoff));
        assert_eq!(
            say(State::Authorization, &format!("AUTH external {response}")),
            opens
        );
        let asked = say(State::Authorization, "AUTH EXTERNAL");
        assert_eq!(asked, (State::Response, Step::Challenge));
        assert_eq!(say(State::Response, &response), opens);
    }

    #[test]
    fn refused_handoffs_leave_the_session_where_it_was() {
        for text in [
            "AUTH PLAIN",
            "AUTH EXTERNAL =",
            "AUTH EXTERNAL x",
            "AUTH EXTERNAL eA==",
        ] {
            let (state, step) = say(State::Authorization, text);
            assert_eq!(state, State::Authorization, "{text}");
            assert!(
                matches!(step, Step::Reply(Reply { ok: false, .. })),
                "{text}"
            );
        }
        for bad in [line("*"), line("%"), Line::TooLong] {
            let (state, step) = State::Response.line(bad, &[]);
            assert_eq!(state, State::Authorization);
            assert!(matches!(step, Step::Reply(Reply { ok: false, .. })));
        }
    }
}
