//! One recipient's outcome, one log line: what "where is my mail" is answered from.

use std::net::SocketAddr;
use std::time::Duration;

use wire::ids::{AccountId, DeliveryId, ShardName};

/// What became of one recipient of one transaction, refusals too. What is not known is `None` and
/// left out. The fields of the log event have fixed names: `transaction`, `delivery`, `client`,
/// `from`, `recipient`, `size`, `message_id`, `account`, `shard`, `uid`, `reply`, `ms`.
#[derive(Debug, Clone, Copy)]
pub struct Outcome<'a> {
    /// The random id that the 250 and Received carry too.
    pub transaction: &'a str,
    /// Present once the whole message was received.
    pub delivery: Option<DeliveryId>,
    /// Who handed the message in.
    pub client: Option<SocketAddr>,
    /// Reverse path; empty for bounces.
    pub from: &'a str,
    /// As given in RCPT.
    pub recipient: &'a str,
    /// Octets received.
    pub size: Option<u64>,
    /// The Message-ID field.
    pub message_id: Option<&'a str>,
    /// Whose mailbox it went to.
    pub account: Option<AccountId>,
    /// Where that is.
    pub shard: Option<&'a ShardName>,
    /// Under which UID it was stored.
    pub uid: Option<u32>,
    /// What the client was told, for example "250 2.0.0 …".
    pub reply: &'a str,
    /// From RCPT to the reply.
    pub took: Duration,
}

/// Clients choose these texts; more than this of each is not worth a log line.
const MAX_TEXT: usize = 512;

impl Outcome<'_> {
    /// Writes the line.
    pub fn log(&self) {
        let Self {
            transaction,
            delivery,
            client,
            from,
            recipient,
            size,
            message_id,
            account,
            shard,
            uid,
            reply,
            took,
        } = *self;
        // Texts of clients are recorded as strings, which both formats escape.
        tracing::info!(
            target: "buzonera::outcome",
            transaction,
            delivery = delivery.map(tracing::field::display),
            client = client.map(tracing::field::display),
            from = cut(from),
            recipient = cut(recipient),
            size,
            message_id = message_id.map(cut),
            account = account.map(tracing::field::display),
            shard = shard.map(ShardName::as_str),
            uid,
            reply = cut(reply),
            ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            "outcome"
        );
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::LogFormat;
    use super::super::tests::logged;
    use super::*;

    fn outcome() -> Outcome<'static> {
        Outcome {
            transaction: "T1",
            delivery: None,
            client: Some("192.0.2.1:5".parse().unwrap()),
            from: "",
            recipient: "a@example.org",
            size: Some(7),
            message_id: None,
            account: None,
            shard: None,
            uid: None,
            reply: "250 ok",
            took: Duration::from_millis(12),
        }
    }

    #[test]
    fn json_has_the_fixed_names_and_leaves_out_what_is_unknown() {
        let text = logged(LogFormat::Json, "", || outcome().log());
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["target"], "buzonera::outcome");
        assert_eq!(line["transaction"], "T1");
        assert_eq!(line["client"], "192.0.2.1:5");
        assert_eq!(line["from"], "");
        assert_eq!(line["size"], 7);
        assert_eq!(line["ms"], 12);
        for absent in ["delivery", "message_id", "account", "shard", "uid"] {
            assert_eq!(line.get(absent), None, "{absent}");
        }
    }

    #[test]
    fn everything_known_is_there() {
        let shard: ShardName = "shard-1".parse().unwrap();
        let (delivery, account) = (DeliveryId::random(), AccountId::random());
        let whole = Outcome {
            delivery: Some(delivery),
            message_id: Some("<m@example>"),
            account: Some(account),
            shard: Some(&shard),
            uid: Some(9),
            ..outcome()
        };
        let text = logged(LogFormat::Json, "", || whole.log());
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["delivery"], delivery.to_string());
        assert_eq!(line["message_id"], "<m@example>");
        assert_eq!(line["account"], account.to_string());
        assert_eq!(
            (&line["shard"], &line["uid"]),
            (&"shard-1".into(), &9.into())
        );
    }

    #[test]
    fn a_clients_text_forges_no_line() {
        let long = format!("<a\r\nERROR forged\x1b[2J@x>{}", "é".repeat(MAX_TEXT));
        let hostile = Outcome {
            message_id: Some(&long),
            ..outcome()
        };
        for format in [LogFormat::Text, LogFormat::Json] {
            let text = logged(format, "", || hostile.log());
            assert_eq!(text.lines().count(), 1, "{text}");
            assert!(
                !text.contains('\x1b') && text.len() < 2 * MAX_TEXT,
                "{text}"
            );
        }
    }
}
