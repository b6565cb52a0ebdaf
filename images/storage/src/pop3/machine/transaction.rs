//! The TRANSACTION state: the commands of RFC 1939 sections 5 and 7.

use wire::pop3::command::Command;
use wire::pop3::reply::Reply;

use super::{Listing, State, Step, not_now};
use crate::maildrop::MaildropMessage;
use crate::pop3::marks::Marks;

/// QUIT: deletes what is marked, if anything is.
pub(super) fn quit(marks: Marks, messages: &[MaildropMessage]) -> (State, Step) {
    if !marks.any() {
        return (State::Closed, Step::Close(Reply::ok("bye")));
    }
    let marked = messages
        .iter()
        .enumerate()
        .filter(|(index, _)| marks.has(*index));
    let uids = marked.map(|(_, message)| message.uid).collect();
    (State::Update, Step::Expunge { uids })
}

/// Every other command; `Err` refuses.
pub(super) fn transaction(
    marks: &mut Marks,
    command: &Command,
    messages: &[MaildropMessage],
) -> Result<Step, Reply> {
    let find = |marks: &Marks, number: u32| find(marks, number, messages);
    let reply = match *command {
        Command::Stat => stat(marks, messages),
        Command::List(None) => return Ok(Step::Listing(Listing::Sizes)),
        Command::Uidl(None) => return Ok(Step::Listing(Listing::UniqueIds)),
        Command::List(Some(number)) => {
            let (_, message) = find(marks, number)?;
            format!("{number} {}", message.size)
        }
        Command::Uidl(Some(number)) => {
            let (_, message) = find(marks, number)?;
            format!("{number} {}", message.uidl)
        }
        Command::Retr(number) => {
            let (index, _) = find(marks, number)?;
            return Ok(Step::Send { index, lines: None });
        }
        Command::Top { number, lines } => {
            let (index, _) = find(marks, number)?;
            return Ok(Step::Send {
                index,
                lines: Some(lines),
            });
        }
        Command::Dele(number) => {
            let (index, _) = find(marks, number)?;
            marks.set(index);
            format!("message {number} marked")
        }
        Command::Rset => {
            marks.clear();
            stat(marks, messages)
        }
        Command::Noop => String::new(),
        ref other => return Err(not_now(other.verb())),
    };
    Ok(Step::Reply(Reply::ok(reply)))
}

/// Number and octets of the messages that are not marked.
fn stat(marks: &Marks, messages: &[MaildropMessage]) -> String {
    let kept = messages
        .iter()
        .enumerate()
        .filter(|(index, _)| !marks.has(*index));
    let (count, octets) = kept.fold((0_u64, 0_u64), |(count, octets), (_, message)| {
        (count + 1, octets.saturating_add(message.size))
    });
    format!("{count} {octets}")
}

fn find<'a>(
    marks: &Marks,
    number: u32,
    messages: &'a [MaildropMessage],
) -> Result<(usize, &'a MaildropMessage), Reply> {
    let index = usize::try_from(number)
        .ok()
        .and_then(|number| number.checked_sub(1));
    let found = index.and_then(|index| Some((index, messages.get(index)?)));
    match found {
        Some((index, _)) if marks.has(index) => {
            Err(Reply::err(format!("message {number} is already deleted")))
        }
        Some(found) => Ok(found),
        None => Err(Reply::err(format!(
            "no such message, {} in the maildrop",
            messages.len()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use wire::ids::Epoch;
    use wire::pop3::reply::Code;

    use super::*;
    use crate::maildrop::ExpungeError;
    use crate::pop3::machine::tests::{line, say, talk, transaction};
    use crate::shard::Unready;

    #[test]
    fn numbers_sizes_and_ids() {
        talk(
            transaction(),
            &[
                ("STAT", "+OK 3 320"),
                ("LIST 2", "+OK 2 200"),
                ("UIDL 3", "+OK 3 1.9"),
                ("NOOP", "+OK"),
                ("LIST 4", "-ERR no such message, 3 in the maildrop"),
                ("RETR 4294967295", "-ERR no such message, 3 in the maildrop"),
                ("APOP a b", "-ERR unknown command"),
                ("LAST", "-ERR unknown command"),
                ("TOP 1", "-ERR write: TOP number lines"),
            ],
        );
        let listing = |text| say(transaction(), text).1;
        assert_eq!(listing("LIST"), Step::Listing(Listing::Sizes));
        assert_eq!(listing("UIDL"), Step::Listing(Listing::UniqueIds));
        assert_eq!(
            listing("RETR 3"),
            Step::Send {
                index: 2,
                lines: None
            }
        );
        assert_eq!(
            listing("TOP 1 0"),
            Step::Send {
                index: 0,
                lines: Some(0)
            }
        );
    }

    #[test]
    fn marked_messages_are_gone_until_rset() {
        let state = talk(
            transaction(),
            &[
                ("DELE 2", "+OK message 2 marked"),
                ("DELE 2", "-ERR message 2 is already deleted"),
                ("RETR 2", "-ERR message 2 is already deleted"),
                ("TOP 2 0", "-ERR message 2 is already deleted"),
                ("LIST 2", "-ERR message 2 is already deleted"),
                ("UIDL 2", "-ERR message 2 is already deleted"),
                ("STAT", "+OK 2 120"),
                ("LIST 3", "+OK 3 20"),
                ("RSET", "+OK 3 320"),
                ("LIST 2", "+OK 2 200"),
            ],
        );
        assert_eq!(state, transaction());
    }

    #[test]
    fn quit_deletes_what_is_marked_and_waits_for_the_disk() {
        let marked = talk(
            transaction(),
            &[
                ("DELE 3", "+OK message 3 marked"),
                ("DELE 1", "+OK message 1 marked"),
            ],
        );
        let (state, step) = say(marked, "QUIT");
        assert_eq!(
            (&state, step),
            (&State::Update, Step::Expunge { uids: vec![5, 9] })
        );
        let done = state.clone().expunged(&Ok(()));
        assert_eq!(done, (State::Closed, Step::Close(Reply::ok("bye"))));
        let (state, step) = state.expunged(&Err(ExpungeError(Unready::Moved(Epoch(8)))));
        assert_eq!(state, State::Closed);
        let expected = Reply::coded(
            Code::SysTemp,
            "messages not deleted: the account is elsewhere since epoch 8",
        );
        assert_eq!(step, Step::Close(expected));
    }

    #[test]
    fn quit_without_marks_touches_nothing() {
        let bye = (State::Closed, Step::Close(Reply::ok("bye")));
        assert_eq!(say(transaction(), "QUIT"), bye);
        assert_eq!(say(State::Authorization, "quit"), bye);
        let unmarked = talk(
            transaction(),
            &[("DELE 1", "+OK message 1 marked"), ("RSET", "+OK 3 320")],
        );
        assert_eq!(say(unmarked, "QUIT"), bye);
    }

    #[test]
    fn an_empty_maildrop() {
        let empty = State::Opening.opened(&Ok(0)).0;
        let (_, step) = empty.line(line("STAT"), &[]);
        assert_eq!(step, Step::Reply(Reply::ok("0 0")));
    }
}
