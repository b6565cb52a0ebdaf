//! The commands' keywords.

/// A command's keyword.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "they are the keywords of RFC 1939, 2449, 2595 and 5034"
)]
pub enum Verb {
    Auth,
    Capa,
    Dele,
    List,
    Noop,
    Pass,
    Quit,
    Retr,
    Rset,
    Stat,
    Stls,
    Top,
    Uidl,
    User,
}

impl Verb {
    /// Every verb, in order of the alphabet.
    pub const ALL: [Self; 14] = [
        Self::Auth,
        Self::Capa,
        Self::Dele,
        Self::List,
        Self::Noop,
        Self::Pass,
        Self::Quit,
        Self::Retr,
        Self::Rset,
        Self::Stat,
        Self::Stls,
        Self::Top,
        Self::Uidl,
        Self::User,
    ];

    /// The keyword.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "AUTH",
            Self::Capa => "CAPA",
            Self::Dele => "DELE",
            Self::List => "LIST",
            Self::Noop => "NOOP",
            Self::Pass => "PASS",
            Self::Quit => "QUIT",
            Self::Retr => "RETR",
            Self::Rset => "RSET",
            Self::Stat => "STAT",
            Self::Stls => "STLS",
            Self::Top => "TOP",
            Self::Uidl => "UIDL",
            Self::User => "USER",
        }
    }

    /// How the command is written, for the sentence that refuses another form.
    pub(super) const fn usage(self) -> &'static str {
        match self {
            Self::Auth => "AUTH mechanism [initial-response]",
            Self::Dele => "DELE number",
            Self::List => "LIST [number]",
            Self::Pass => "PASS password",
            Self::Retr => "RETR number",
            Self::Top => "TOP number lines",
            Self::Uidl => "UIDL [number]",
            Self::User => "USER name",
            other => other.as_str(),
        }
    }
}
