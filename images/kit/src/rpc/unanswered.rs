//! The status of a call that the directory has no answer for, and the word that says why.

use tonic::{Code, Status};
use wire::answer::Word;

/// A temporary failure that carries its word.
pub fn unanswered(word: Word) -> Status {
    Status::with_details(Code::Unavailable, word.to_string(), word.encode().into())
}

/// The word that a status carries.
pub fn word_of(status: &Status) -> Option<Word> {
    match status.code() {
        Code::Unavailable => Word::decode(status.details()),
        _ => None,
    }
}

/// Whether nothing was done because another replica is to be asked.
pub(super) fn is_not_me(status: &Status) -> bool {
    match word_of(status) {
        Some(Word::NotMe(_)) => true,
        Some(Word::NobodyKnows(_)) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use wire::answer::{NobodyKnows, NotMe};

    use super::*;

    #[test]
    fn a_status_carries_its_word() {
        let not_me = unanswered(Word::NotMe(NotMe::Loading));
        assert!(is_not_me(&not_me));
        assert!(not_me.message().contains("not loaded"), "{not_me}");
        assert!(!is_not_me(&unanswered(Word::NobodyKnows(
            NobodyKnows::Unproven
        ))));
        assert!(!is_not_me(&Status::unavailable("gone")));
    }
}
