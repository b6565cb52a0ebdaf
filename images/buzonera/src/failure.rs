//! Why a command failed: one sentence, and one exit code per kind.

use std::io;

use tonic::Code;

/// How a command ended. The kind decides the exit code; the text is a whole sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Refused or failed, and the same command again fails again. Exit code 1.
    #[error("{0}")]
    Refused(String),
    /// The command line, a file or a value is wrong. Exit code 2, as for flags.
    #[error("{0}")]
    Usage(String),
    /// What was named does not exist. Exit code 3.
    #[error("{0}")]
    NotFound(String),
    /// Something is away or busy: try again. Exit code 4.
    #[error("{0}")]
    Temporary(String),
    /// The reader of our output went away (`buzonera … | head`). No error: exit code 0.
    #[error("the reader of the output is gone")]
    OutputClosed,
}

impl Failure {
    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::OutputClosed => 0,
            Self::Refused(_) => 1,
            Self::Usage(_) => 2,
            Self::NotFound(_) => 3,
            Self::Temporary(_) => 4,
        }
    }

    /// The same with a sentence more.
    pub fn and(self, more: &str) -> Self {
        let with = |said: String| format!("{said} {more}");
        match self {
            Self::Refused(said) => Self::Refused(with(said)),
            Self::Usage(said) => Self::Usage(with(said)),
            Self::NotFound(said) => Self::NotFound(with(said)),
            Self::Temporary(said) => Self::Temporary(with(said)),
            Self::OutputClosed => Self::OutputClosed,
        }
    }

    /// What a call to `server` answered, as one sentence.
    pub fn from_status(status: &tonic::Status, server: &str) -> Self {
        let said = sentence(status.message());
        match status.code() {
            Code::NotFound => Self::NotFound(said),
            Code::InvalidArgument => Self::Usage(said),
            Code::AlreadyExists | Code::FailedPrecondition => Self::Refused(said),
            Code::PermissionDenied | Code::Unauthenticated => Self::Refused(format!(
                "{server} does not let this identity do that: {said}"
            )),
            Code::Unimplemented => Self::Refused(format!(
                "{server} does not know this command; is it an older version?"
            )),
            _ if kit::rpc::is_unsent(status) => Self::Temporary(format!(
                "No answer from {server}: {}. Is it running?",
                reason(status, server)
            )),
            Code::Unavailable | Code::Aborted | Code::ResourceExhausted => Self::Temporary(said),
            Code::DeadlineExceeded | Code::Cancelled => {
                Self::Temporary(format!("{server} took too long to answer."))
            }
            _ => Self::Refused(format!("{server} failed: {said}")),
        }
    }
}

/// Failures of local files and of our own output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::OutputClosed;
        }
        Self::Refused(sentence(&error.to_string()))
    }
}

/// `text` with a capital first letter and a full stop. A name that comes first stays as it is.
fn sentence(text: &str) -> String {
    let text = text.trim();
    let mut letters = text.chars();
    let Some(first) = letters.next() else {
        return "No reason was given.".to_owned();
    };
    let is_name = text
        .split(' ')
        .next()
        .is_some_and(|word| word.contains(['.', '@', '-']));
    let mut said = match is_name {
        true => text.to_owned(),
        false => first.to_uppercase().chain(letters).collect(),
    };
    if !said.ends_with(['.', '?', '!']) {
        said.push('.');
    }
    said
}

/// Why no connection came about, without what names the server once more.
fn reason(status: &tonic::Status, server: &str) -> String {
    let text = status.message();
    let after = text.rsplit_once(&format!(" at {server}: "));
    after.map_or(text, |(_, reason)| reason).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_code() {
        let of = |code| Failure::from_status(&tonic::Status::new(code, "x"), "s:1").exit_code();
        assert_eq!(of(Code::NotFound), 3);
        assert_eq!(of(Code::InvalidArgument), 2);
        assert_eq!(of(Code::AlreadyExists), 1);
        assert_eq!(of(Code::FailedPrecondition), 1);
        assert_eq!(of(Code::PermissionDenied), 1);
        assert_eq!(of(Code::Unavailable), 4);
        assert_eq!(of(Code::DeadlineExceeded), 4);
        assert_eq!(of(Code::Internal), 1);
        assert_eq!(Failure::OutputClosed.exit_code(), 0);
    }

    #[test]
    fn answers_become_sentences() {
        let status = tonic::Status::not_found("no account ana@example.org");
        let failure = Failure::from_status(&status, "s:1");
        assert_eq!(failure.to_string(), "No account ana@example.org.");
        assert_eq!(sentence(""), "No reason was given.");
        assert_eq!(
            sentence("example.org is there already"),
            "example.org is there already."
        );
    }

    #[test]
    fn a_sentence_more_changes_no_exit_code() {
        let failure = Failure::Temporary("It is away.".to_owned()).and("Try again.");
        assert_eq!(failure.to_string(), "It is away. Try again.");
        assert_eq!(failure.exit_code(), 4);
    }

    #[test]
    fn a_closed_pipe_is_no_error() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(failure.exit_code(), 0);
    }
}
