//! Refusals that a program acts on: a message in the status' details, beside the sentence.

use prost::Message;
use tonic::{Code, Status};
use wire::rpc::Refusal;
use wire::rpc::refusal::Why;

/// A refusal with its reason.
pub fn refused(code: Code, sentence: impl Into<String>, why: Why) -> Status {
    let details = Refusal { why: Some(why) }.encode_to_vec();
    Status::with_details(code, sentence, details.into())
}

/// The reason in a refusal; `None`: it has none, or one that this version does not know.
pub fn refusal(status: &Status) -> Option<Why> {
    Refusal::decode(status.details()).ok()?.why
}

#[cfg(test)]
mod tests {
    use wire::rpc::OrdinalUsed;

    use super::*;

    #[test]
    fn a_reason_is_read_as_it_was_written() {
        let why = Why::OrdinalUsed(OrdinalUsed { next_free: 12 });
        let status = refused(Code::AlreadyExists, "used before", why.clone());
        assert_eq!(refusal(&status), Some(why));
        assert_eq!(status.message(), "used before");
    }

    #[test]
    fn most_refusals_are_sentences_only() {
        assert_eq!(refusal(&Status::not_found("no")), None);
        let strange = Status::with_details(Code::Aborted, "", vec![0xff; 9].into());
        assert_eq!(refusal(&strange), None);
    }
}
