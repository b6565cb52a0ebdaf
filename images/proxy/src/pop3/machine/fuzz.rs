//! Any octets through framer and machine, as a connection takes them.

use bytes::BytesMut;
use wire::pop3::framing::Framer;

use super::{MAX_MISTAKES, PreAuth, Refusal, Step};

const MAX_FAILED: u32 = 3;

/// Feeds any octets to a client's connection, in the clear and under TLS: nobody logs in in the
/// clear, and neither mistakes nor failures go on for ever.
pub(crate) fn fuzz(data: &[u8]) {
    for encrypted in [false, true] {
        run(encrypted, data);
    }
}

fn run(mut encrypted: bool, data: &[u8]) {
    let (mut framer, mut input) = (Framer::default(), BytesMut::from(data));
    let mut state = PreAuth::new(encrypted, MAX_FAILED);
    let (mut mistakes, mut logins) = (0, 0);
    while let Some(line) = framer.next(&mut input, state.line_cap()) {
        let (next, step) = state.line(line, !input.is_empty());
        state = next;
        match step {
            Step::Reply(reply) => mistakes += u32::from(!reply.ok),
            Step::Challenge => assert!(encrypted),
            Step::Capabilities(names) => assert_eq!(names.contains(&"USER"), encrypted),
            Step::StartTls(_) => {
                assert!(!encrypted && input.is_empty());
                encrypted = true;
                state = state.encrypted();
            }
            Step::Login { login, password } => {
                assert!(encrypted, "a login in the clear");
                assert!(!login.is_empty() && !password.expose().is_empty());
                logins += 1;
                let (next, step) = state.refused(Refusal::Denied);
                if matches!(step, Step::Close(_)) {
                    assert_eq!(logins, MAX_FAILED);
                    return;
                }
                state = next;
            }
            Step::Close(_) => return,
        }
        assert!(mistakes < MAX_MISTAKES && logins < MAX_FAILED);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_octets(data: Vec<u8>) {
            fuzz(&data);
        }

        #[test]
        fn near_sessions(
            lines in prop::collection::vec(
                "(USER [a-z]{1,3}|PASS [a-z ]{0,3}|AUTH PLAIN( AHRpbQB0YW5zdGFhZg==| =|)|AHRpbQB0YW5zdGFhZg==|\
                  \\*|CAPA|STLS|QUIT|STAT|[a-z]{0,4})\r?\n",
                0..20,
            ),
        ) {
            fuzz(lines.concat().as_bytes());
        }
    }
}
