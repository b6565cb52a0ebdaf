//! Which command is allowed when, on one screen.

use wire::smtp::{Reply, Verb};

use super::{Protocol, replies};

/// Where a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Before HELO, EHLO or LHLO.
    Start,
    /// Between transactions.
    Ready,
    /// After MAIL, without a recipient.
    Sender,
    /// With at least one recipient.
    Recipients,
    /// After a first BDAT, before its LAST.
    Chunks,
}

/// What the table says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    Allowed,
    Refused(Refusal),
}

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The other protocol's greeting (RFC 2033 section 4.1).
    OtherProtocol,
    NeedHello,
    NeedMail,
    NeedRecipient,
    InTransaction,
    InChunks,
}

impl Refusal {
    pub(super) fn reply(self) -> Reply {
        match self {
            Self::OtherProtocol => replies::unknown_command(),
            Self::NeedHello => replies::need_hello(),
            Self::NeedMail => replies::need_mail(),
            Self::NeedRecipient => replies::need_recipient(),
            Self::InTransaction => replies::in_transaction(),
            Self::InChunks => replies::in_chunks(),
        }
    }
}

/// RFC 5321 section 4.1.4, RFC 3030 section 2, RFC 3207 section 4, RFC 2033 section 4.
pub(super) fn rule(protocol: Protocol, phase: Phase, verb: Verb) -> Rule {
    use Phase::{Chunks, Ready, Recipients, Sender, Start};
    use Refusal::{InChunks, InTransaction, NeedHello, NeedMail, NeedRecipient, OtherProtocol};
    use Verb::{
        Bdat, Data, Ehlo, Expn, Helo, Help, Lhlo, Mail, Noop, Quit, Rcpt, Rset, StartTls, Vrfy,
    };
    let refusal = match (verb, phase) {
        (Helo | Ehlo, _) if protocol == Protocol::Lmtp => OtherProtocol,
        (Lhlo, _) if protocol == Protocol::Smtp => OtherProtocol,
        (Mail | Rcpt | Data | Bdat, Start) => NeedHello,
        (Mail, Sender | Recipients | Chunks) => InTransaction,
        (Rcpt | Data | Bdat, Ready) => NeedMail,
        (Data | Bdat, Sender) => NeedRecipient,
        (Rcpt | Data, Chunks) => InChunks,
        (StartTls, Sender | Recipients | Chunks) => InTransaction,
        (Helo | Ehlo | Lhlo | Rset | Noop | Quit | Vrfy | Expn | Help, _)
        | (StartTls, Start | Ready)
        | (Mail, Ready)
        | (Rcpt, Sender | Recipients)
        | (Data, Recipients)
        | (Bdat, Recipients | Chunks) => return Rule::Allowed,
    };
    Rule::Refused(refusal)
}
