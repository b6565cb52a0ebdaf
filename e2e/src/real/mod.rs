//! Real mail programs as clients: they send over SMTP and read over POP3 with TLS.

mod reader;
mod sender;

pub use reader::{Mailbox, Pop3s, Reader};
pub use sender::Sender;
