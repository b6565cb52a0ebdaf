//! What `buzonera local` shows: what runs where, and commands that work as pasted.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use wire::ids::ShardName;

use crate::cli::DEFAULT_DATA;
use crate::local::args::LocalArgs;
use crate::local::layout::Layout;

/// All that the screen tells.
pub struct Screen<'a> {
    /// How this program was called, so that the commands work where it was called.
    pub program: &'a str,
    /// Flags in use.
    pub args: &'a LocalArgs,
    /// Where the data is.
    pub layout: &'a Layout,
    /// The shards that run.
    pub shards: &'a [ShardName],
    /// The disk has too little room for mail.
    pub nearly_full: bool,
}

impl Screen<'_> {
    /// The whole screen.
    pub fn render(&self) -> String {
        format!(
            "{}\n{}\n{}\n{}",
            self.head(),
            self.places(),
            self.try_it(),
            "Ctrl-C stops it and keeps the data.\n"
        )
    }

    fn head(&self) -> String {
        let root = self.layout.root().display();
        let mut text = format!(
            "Buzonera {} is running: every tier in this process, data in {root}.\n\
             It receives mail and serves it; it does not send any yet.\n",
            env!("CARGO_PKG_VERSION"),
        );
        if self.nearly_full {
            let percent = storage::MIN_FREE_PERCENT;
            text.push_str(&format!(
                "Attention: less than {percent} % of the disk under {root} is free, and shards \
                 take no mail until there is more.\n"
            ));
        }
        text
    }

    fn places(&self) -> String {
        let names = ["SMTP", "LMTP", "POP3", "POP3S", "directory", "admin"];
        let uses = [
            "mail comes in, with STARTTLS",
            "mail from another server on this machine, such as Postfix",
            "mail is read, after STLS",
            "mail is read, over TLS",
            "for the buzonera command, over mutual TLS",
            "http: /livez /readyz /metrics",
        ];
        let mut text = String::new();
        for ((name, used), port) in names.iter().zip(uses).zip(self.args.ports()) {
            let address = port.address.to_string();
            text.push_str(&format!("  {name:<9}  {address:<15}  {used}\n"));
        }
        let shards: Vec<&str> = self.shards.iter().map(ShardName::as_str).collect();
        text.push_str(&format!("  {:<9}  {}\n", "shards", shards.join(", ")));
        text
    }

    fn try_it(&self) -> String {
        let commands: String = self
            .commands()
            .iter()
            .map(|line| format!("  {line}\n"))
            .collect();
        format!("Try it, in another terminal in this folder:\n\n{commands}")
    }

    /// The commands, one a line.
    pub fn commands(&self) -> Vec<String> {
        let buzonera = self.buzonera();
        let ca = quote(&self.layout.ca().display().to_string());
        let [smtp, _, _, pop3s, ..] = self.args.ports().map(|port| reachable(port.address));
        let cacert = match self.args.tls {
            Some(_) => String::new(),
            None => format!("--cacert {ca} "),
        };
        vec![
            format!("{buzonera} domain add example.org"),
            format!("{buzonera} account add ana@example.org"),
            format!(
                r"printf 'Subject: Hello\r\n\r\nThe first letter.\r\n' | curl smtp://{smtp} --mail-from bo@example.net --mail-rcpt ana@example.org --upload-file -"
            ),
            format!("curl {cacert}--user ana@example.org pop3s://{pop3s}/1"),
        ]
    }

    /// How to call us, with --data unless it is the default.
    fn buzonera(&self) -> String {
        let program = quote(self.program);
        match self.layout.root() == Path::new(DEFAULT_DATA) {
            true => program,
            false => {
                let root = self.layout.root().display().to_string();
                format!("{program} --data {}", quote(&root))
            }
        }
    }
}

/// Where a client on this machine reaches a listener: "any address" is no address to call.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip().is_unspecified() {
        true => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port()),
        false => address,
    }
}

/// `text` as one word of a POSIX shell.
fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn commands(words: &[&str]) -> Vec<String> {
        let cli = Cli::try_parse_from(words).unwrap();
        let Command::Local(args) = cli.command else {
            panic!("not local");
        };
        let screen = Screen {
            program: words[0],
            args: &args,
            layout: &Layout::new(&cli.reach.data),
            shards: &["shard-1".parse().unwrap()],
            nearly_full: false,
        };
        screen.commands()
    }

    #[test]
    fn the_commands_call_us_as_we_were_called() {
        let plain = commands(&["target/debug/buzonera", "local"]);
        assert_eq!(plain[0], "target/debug/buzonera domain add example.org");
        assert_eq!(
            plain[3],
            "curl --cacert buzonera-data/ca.pem --user ana@example.org pop3s://127.0.0.1:1995/1"
        );
    }

    #[test]
    fn other_folders_and_ports_are_in_the_commands() {
        let words = ["buzonera", "local", "--data", "my mail", "--pop3s", "995"];
        let other = commands(&words);
        assert_eq!(other[0], "buzonera --data 'my mail' domain add example.org");
        assert!(other[3].contains("--cacert 'my mail/ca.pem'"));
        assert!(other[3].ends_with("pop3s://127.0.0.1:995/1"));
    }

    #[test]
    fn any_address_is_called_by_loopback() {
        let open = commands(&["buzonera", "local", "--listen", "0.0.0.0"]);
        assert!(open[2].contains("smtp://127.0.0.1:2525"));
    }

    #[test]
    fn words_for_the_shell() {
        assert_eq!(quote("a/b-c.d"), "a/b-c.d");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
    }
}
