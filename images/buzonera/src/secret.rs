//! Passwords: from a prompt or from standard input, never from the command line, where every user
//! of the machine could read them.

use std::io::{self, BufRead};

use clap::Args;
use wire::secret::{MAX_PASSWORD, Secret};

use crate::failure::Failure;
use crate::terminal::{self, Unseen};

/// A password that can be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Password(Secret);

impl Password {
    /// The password's octets, for a message's field.
    pub fn to_octets(&self) -> Vec<u8> {
        self.0.expose().to_vec()
    }
}

/// A password that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// No character at all.
    #[error("the password is empty")]
    Empty,
    /// Over the cap.
    #[error("the password is longer than {MAX_PASSWORD} octets")]
    TooLong,
    /// POP3 and SMTP authentication cannot carry NUL and line ends.
    #[error("the password holds a control character")]
    Control,
}

impl TryFrom<String> for Password {
    type Error = PasswordError;

    fn try_from(text: String) -> Result<Self, PasswordError> {
        match text {
            text if text.is_empty() => Err(PasswordError::Empty),
            text if text.len() > MAX_PASSWORD => Err(PasswordError::TooLong),
            text if text.chars().any(char::is_control) => Err(PasswordError::Control),
            text => Ok(Self(Secret::new(text))),
        }
    }
}

/// Where the password comes from.
#[derive(Debug, Clone, Args)]
pub struct PasswordSource {
    /// Read the password from the first line of standard input instead of asking.
    #[arg(long)]
    pub password_stdin: bool,
}

impl PasswordSource {
    /// Asks twice on the terminal, or reads one line.
    pub fn read(&self, address: &str) -> Result<Password, Failure> {
        let text = if self.password_stdin {
            first_line(&mut io::stdin().lock())?
        } else {
            ask(address)?
        };
        let refuse = |error: PasswordError| Failure::Usage(format!("Not set: {error}."));
        Password::try_from(text).map_err(refuse)
    }
}

fn ask(address: &str) -> Result<String, Failure> {
    if !terminal::is_there() {
        let text = "There is no terminal to ask for the password: use --password-stdin.";
        return Err(Failure::Usage(text.to_owned()));
    }
    let _unseen = Unseen::begin()?;
    let first = terminal::ask(&format!("Password for {address}: "))?;
    let again = terminal::ask("The same again: ")?;
    if first != again {
        let text = "The two passwords differ; nothing was changed.";
        return Err(Failure::Usage(text.to_owned()));
    }
    Ok(first)
}

/// One line without its end, reading no more than a password may have.
fn first_line(input: &mut impl BufRead) -> Result<String, Failure> {
    let mut line = Vec::new();
    let cap = MAX_PASSWORD as u64 + 3;
    io::Read::take(input, cap).read_until(b'\n', &mut line)?;
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    String::from_utf8(line.to_vec())
        .map_err(|_| Failure::Usage("Not set: the password is not UTF-8.".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_read_without_its_end() {
        for input in ["letter\n", "letter\r\n", "letter", "letter\nmore\n"] {
            assert_eq!(first_line(&mut input.as_bytes()).unwrap(), "letter");
        }
    }

    #[test]
    fn bad_passwords_are_refused() {
        let refused = |text: String| Password::try_from(text).unwrap_err();
        assert_eq!(refused(String::new()), PasswordError::Empty);
        assert_eq!(refused("a\0b".into()), PasswordError::Control);
        assert_eq!(refused("x".repeat(1025)), PasswordError::TooLong);
        let endless = "x".repeat(5000);
        let read = first_line(&mut endless.as_bytes()).unwrap();
        assert_eq!(refused(read), PasswordError::TooLong);
    }

    #[test]
    fn a_password_does_not_print() {
        let password = Password::try_from("letter".to_owned()).unwrap();
        assert_eq!(format!("{password:?}"), "Password(Secret(…))");
    }
}
