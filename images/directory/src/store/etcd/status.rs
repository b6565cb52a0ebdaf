//! What etcd's and the connection's failures mean for a caller.

use std::error::Error as _;

use tonic::{Code, ConnectError, Status};

use crate::store::{Error, Revision};

/// Of a read, which changes nothing.
pub(super) fn read_error(status: &Status) -> Error {
    let text = describe(status);
    match status.code() {
        Code::OutOfRange if text.contains("compacted") => Error::Compacted(Revision(0)),
        Code::NotFound if text.contains("lease") => Error::LeaseGone,
        code if is_refusal(code) => Error::Failed(text),
        _ => Error::Unavailable(text),
    }
}

/// Of a write: what is not surely a refusal may have been done.
pub(super) fn write_error(status: &Status) -> Error {
    let text = describe(status);
    match status.code() {
        Code::NotFound if text.contains("lease") => Error::LeaseGone,
        Code::ResourceExhausted => Error::Full(text),
        code if is_refusal(code) => Error::Failed(text),
        _ if never_sent(status) => Error::Unavailable(text),
        _ => Error::Unknown(text),
    }
}

/// etcd says so before it proposes anything.
const fn is_refusal(code: Code) -> bool {
    matches!(
        code,
        Code::InvalidArgument
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::Unimplemented
            | Code::FailedPrecondition
    )
}

fn never_sent(status: &Status) -> bool {
    let mut source = status.source();
    while let Some(error) = source {
        if error.is::<ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}

fn describe(status: &Status) -> String {
    let mut text = format!("{:?}: {}", status.code(), status.message());
    let mut source = status.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unsure_write_is_never_called_undone() {
        for code in [
            Code::Unavailable,
            Code::DeadlineExceeded,
            Code::Cancelled,
            Code::Unknown,
            Code::Internal,
        ] {
            let status = Status::new(code, "etcdserver: request timed out");
            assert!(
                matches!(write_error(&status), Error::Unknown(_)),
                "{code:?}"
            );
            assert!(
                matches!(read_error(&status), Error::Unavailable(_)),
                "{code:?}"
            );
        }
    }

    #[test]
    fn refusals_are_told_apart() {
        let lease = Status::not_found("etcdserver: requested lease not found");
        assert_eq!(write_error(&lease), Error::LeaseGone);
        let full = Status::resource_exhausted("etcdserver: mvcc: database space exceeded");
        assert!(matches!(write_error(&full), Error::Full(_)));
        let wrong = Status::invalid_argument("etcdserver: duplicate key given in txn request");
        assert!(matches!(write_error(&wrong), Error::Failed(_)));
        let old = Status::out_of_range("etcdserver: mvcc: required revision has been compacted");
        assert!(matches!(read_error(&old), Error::Compacted(_)));
    }
}
