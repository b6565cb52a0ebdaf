//! The commands' keywords.

use strum::{EnumString, IntoStaticStr, VariantArray};

/// A command's keyword.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "UPPERCASE", ascii_case_insensitive)]
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

/// What CAPA says of a command.
pub(in crate::pop3) enum Told {
    /// This, in every state.
    Always(&'static str),
    /// Something, while nobody has logged in, by whoever lets people in.
    AtLogin,
    /// Nothing: every server has it.
    Never,
}

impl Verb {
    /// Every verb, in order of the alphabet.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The keyword.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// What CAPA says of the command (RFC 2449 section 6).
    pub(in crate::pop3) fn told(self) -> Told {
        match self {
            Self::Top => Told::Always("TOP"),
            Self::Uidl => Told::Always("UIDL"),
            Self::Auth | Self::Stls | Self::User => Told::AtLogin,
            Self::Capa
            | Self::Dele
            | Self::List
            | Self::Noop
            | Self::Pass
            | Self::Quit
            | Self::Retr
            | Self::Rset
            | Self::Stat => Told::Never,
        }
    }

    /// How the command is written, for the sentence that refuses another form.
    pub(super) fn usage(self) -> &'static str {
        match self {
            Self::Auth => "AUTH mechanism [initial-response]",
            Self::Dele => "DELE number",
            Self::List => "LIST [number]",
            Self::Pass => "PASS password",
            Self::Retr => "RETR number",
            Self::Top => "TOP number lines",
            Self::Uidl => "UIDL [number]",
            Self::User => "USER name",
            Self::Capa | Self::Noop | Self::Quit | Self::Rset | Self::Stat | Self::Stls => {
                self.as_str()
            }
        }
    }
}
