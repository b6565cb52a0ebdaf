//! The directory's words, as all who ask it read them: yes, *no*, *nobody knows*, *not me*.

use std::fmt;

use prost::Message as _;

use crate::rpc::{No, Recipient, ResolveAnswer, Unanswered, resolve_answer, unanswered};
pub use crate::rpc::{NobodyKnows, NotMe};

/// The answer to one question. Every caller decides about each word.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// These.
    Yes(Vec<Recipient>),
    /// Proven: never a guess.
    No(No),
    /// A temporary failure; asking another replica is no use.
    NobodyKnows(NobodyKnows),
    /// No replica was asked that could have known: each is away or said "not me". Only now may a
    /// caller go by a yes that it remembers.
    NotMe,
}

impl Answer {
    /// Reads what a replica said; none: it cannot be read.
    pub fn read(answer: ResolveAnswer) -> Option<Self> {
        Some(match answer.answer? {
            resolve_answer::Answer::Yes(yes) => Self::Yes(yes.recipients),
            resolve_answer::Answer::No(no) => Self::No(No::try_from(no).ok()?),
            resolve_answer::Answer::NobodyKnows(why) => {
                // A reason of a later release is still this word.
                Self::NobodyKnows(NobodyKnows::try_from(why).unwrap_or_default())
            }
        })
    }
}

/// A word for which a whole call has no answer: the details of its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Asking another replica is no use.
    NobodyKnows(NobodyKnows),
    /// Nothing was done: another replica is to be asked.
    NotMe(NotMe),
}

impl Word {
    /// As details of a status.
    pub fn encode(self) -> Vec<u8> {
        let word = match self {
            Self::NobodyKnows(why) => unanswered::Word::NobodyKnows(why.into()),
            Self::NotMe(why) => unanswered::Word::NotMe(why.into()),
        };
        Unanswered { word: Some(word) }.encode_to_vec()
    }

    /// Reads the details of a status; none: they are something else.
    pub fn decode(details: &[u8]) -> Option<Self> {
        if details.len() > MAX_DETAILS {
            return None;
        }
        Some(match Unanswered::decode(details).ok()?.word? {
            unanswered::Word::NobodyKnows(why) => {
                Self::NobodyKnows(NobodyKnows::try_from(why).unwrap_or_default())
            }
            unanswered::Word::NotMe(why) => Self::NotMe(NotMe::try_from(why).unwrap_or_default()),
        })
    }
}

/// Two numbers with their tags.
const MAX_DETAILS: usize = 64;

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NobodyKnows(why) => why.fmt(f),
            Self::NotMe(why) => why.fmt(f),
        }
    }
}

impl fmt::Display for NobodyKnows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "nobody knows",
            Self::Creating => "the account is being created",
            Self::TooWide => "the alias leads to too many addresses",
            Self::Postmaster => "the domain's postmaster does not exist yet",
            Self::Unproven => "the directory's store did not prove in time that it is so",
            Self::Epoch => "the directory does not know the epoch that was asked for",
            Self::Changing => "the account changed just now",
            Self::Question => "the question cannot be read",
            Self::Unchecked => "the check of the password broke off",
            Self::Lost => "the account's shard is lost",
        })
    }
}

impl fmt::Display for NotMe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "this replica of the directory cannot know",
            Self::Loading => "this replica of the directory has not loaded its map yet",
            Self::OutOfTouch => {
                "this replica of the directory has had no word from its store for too long"
            }
            Self::EmptyStore => "the store of this replica of the directory is empty",
        })
    }
}

/// Feeds any octets as a status's details; what is read is written again as it was understood.
pub fn fuzz(data: &[u8]) {
    if let Some(word) = Word::decode(data) {
        assert_eq!(Word::decode(&word.encode()), Some(word));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_read_as_they_were_written() {
        for word in [
            Word::NotMe(NotMe::Loading),
            Word::NotMe(NotMe::OutOfTouch),
            Word::NotMe(NotMe::EmptyStore),
            Word::NobodyKnows(NobodyKnows::Unproven),
        ] {
            assert_eq!(Word::decode(&word.encode()), Some(word));
        }
        assert_eq!(Word::decode(b""), None);
        assert_eq!(Word::decode(&[0xff; 9]), None);
    }

    #[test]
    fn an_empty_answer_is_none() {
        assert_eq!(Answer::read(ResolveAnswer::default()), None);
    }

    proptest! {
        #[test]
        fn any_octets(data: Vec<u8>) {
            fuzz(&data);
        }
    }
}
