//! `users.csv`: one account a line, under a header of `address,password,quota,aliases`.
//!
//! Columns may stand in any order, and all but `address` may be missing. Aliases are separated by
//! `;`. Every bad row is named with its line.

mod cells;
mod columns;
mod row;

use std::collections::{HashMap, HashSet};

use wire::address::Canonical;

use crate::quantity::Size;
use crate::secret::Password;
use columns::Columns;

/// The largest file that is read.
pub const MAX_FILE: usize = 256 << 20;
/// The most rows.
pub const MAX_ROWS: usize = 1_000_000;

/// What some programs put before UTF-8 text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One good row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its line in the file, for what the directory says about it later.
    pub line: u64,
    /// The account's address.
    pub address: Canonical,
    /// None: no login until a password is set.
    pub password: Option<Password>,
    /// Bytes.
    pub quota: Size,
    /// Addresses that lead to it.
    pub aliases: Vec<Canonical>,
}

/// One bad row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct BadRow {
    /// Its line in the file, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
    /// Whether the same row may be taken when it comes again.
    pub again: bool,
}

/// A file that cannot be read at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UsersError {
    /// Over the cap.
    #[error("the file is larger than {} MiB", MAX_FILE >> 20)]
    TooLarge,
    /// Over the cap.
    #[error("the file has more than {MAX_ROWS} rows")]
    TooManyRows,
    /// The header lacks a column, has a strange one or one twice.
    #[error("the header is wrong: {0}; write address,password,quota,aliases")]
    Header(String),
}

/// Good and bad rows, in the file's order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Users {
    /// Rows that can be asked for.
    pub good: Vec<User>,
    /// Rows that cannot.
    pub bad: Vec<BadRow>,
}

/// Reads a whole file.
pub fn parse(data: &[u8]) -> Result<Users, UsersError> {
    if data.len() > MAX_FILE {
        return Err(UsersError::TooLarge);
    }
    let data = data.strip_prefix(BYTE_ORDER_MARK).unwrap_or(data);
    let mut lines = (1..).zip(lines(data));
    let header = lines.next().map_or(&b""[..], |(_, line)| line);
    let columns = Columns::read(header).map_err(UsersError::Header)?;
    let mut users = Users::default();
    let mut names = Names::default();
    let rows = lines.filter(|(_, line)| !line.trim_ascii().is_empty());
    for (at, (number, line)) in rows.enumerate() {
        if at >= MAX_ROWS {
            return Err(UsersError::TooManyRows);
        }
        let row = row::read(number, line, &columns);
        match row.and_then(|user| names.take(user)) {
            Ok(user) => users.good.push(user),
            Err(reason) => users.bad.push(BadRow {
                line: number,
                reason,
                again: false,
            }),
        }
    }
    Ok(users)
}

/// Lines without their ends, LF or CRLF.
fn lines(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let whole = data.split(|octet| *octet == b'\n');
    whole.map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// Addresses and aliases of the good rows so far, each with its line.
#[derive(Default)]
struct Names(HashMap<Canonical, u64>);

impl Names {
    /// An address may be in the file once, as account or as alias; the first row with it is good.
    /// The directory sees a hundred rows at a time, so that it cannot tell.
    fn take(&mut self, user: User) -> Result<User, String> {
        let names = || user.aliases.iter().chain([&user.address]);
        let mut own = HashSet::new();
        for name in names() {
            if let Some(line) = self.0.get(name) {
                return Err(format!("{name} stands in line {line} already"));
            }
            if !own.insert(name) {
                return Err(format!("{name} stands twice in it"));
            }
        }
        let taken = names().map(|name| (name.clone(), user.line));
        self.0.extend(taken);
        Ok(user)
    }
}

/// Feeds any octets to the parser; what it takes must be within the caps and named once.
pub fn fuzz(data: &[u8]) {
    let Ok(users) = parse(data) else {
        return;
    };
    let mut names = HashSet::new();
    for user in &users.good {
        assert!(user.aliases.len() <= row::MAX_ALIASES);
        assert!(
            user.aliases
                .iter()
                .chain([&user.address])
                .all(|name| names.insert(name))
        );
    }
    let lines = lines(data).count() as u64;
    assert!(
        users
            .bad
            .iter()
            .all(|row| row.line > 1 && row.line <= lines)
    );
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reasons(text: impl AsRef<[u8]>) -> Vec<String> {
        let bad = parse(text.as_ref()).unwrap().bad;
        bad.iter().map(BadRow::to_string).collect()
    }

    #[test]
    fn a_whole_row() {
        let text = "address,password,quota,aliases\r\nana@b.c,\"p,\"\"w \",1Gi,x@b.c; Y@b.c\r\n";
        let users = parse(text.as_bytes()).unwrap();
        let expected = User {
            line: 2,
            address: "ana@b.c".parse().unwrap(),
            password: Some(Password::try_from("p,\"w ".to_owned()).unwrap()),
            quota: Size(1 << 30),
            aliases: vec!["x@b.c".parse().unwrap(), "y@b.c".parse().unwrap()],
        };
        assert_eq!(users.good, [expected]);
        assert_eq!(users.bad, []);
    }

    #[test]
    fn columns_may_be_missing_and_in_any_order() {
        let users = parse(b"\xef\xbb\xbfQuota,\"Address\"\n,ana@b.c").unwrap();
        assert_eq!(users.good[0].address.as_str(), "ana@b.c");
        assert_eq!(users.good[0].password, None);
    }

    #[test]
    fn every_bad_row_is_named() {
        let text = "address,quota\r\nana@b.c,1Gi\nana,1Gi\nbo@b.c,lots\n\nANA@b.c,\ncy@b.c\n";
        assert_eq!(
            reasons(text),
            [
                "line 3: \"ana\" is not an address: write local-part@domain",
                "line 4: \"lots\" is not a size: write bytes, or 500M, 1Gi, none",
                "line 6: ana@b.c stands in line 2 already",
                "line 7: it has 1 cell, the header has 2",
            ]
        );
    }

    #[test]
    fn an_open_quote_spoils_one_row_and_no_other() {
        let users = parse(b"address,password\na@b.c,\"x\nb@b.c,\"y\nc@b.c,\"z\"\n").unwrap();
        let bad: Vec<u64> = users.bad.iter().map(|row| row.line).collect();
        assert_eq!(bad, [2, 3]);
        assert_eq!(users.good.len(), 1);
    }

    #[test]
    fn a_name_is_taken_by_the_first_good_row() {
        let text =
            "address,aliases\nana@b.c,x@b.c\nX@b.c,\nbo@b.c,y@b.c;Y@b.c\ny@b.c,\nd@b.c,d@b.c\n";
        assert_eq!(
            reasons(text),
            [
                "line 3: x@b.c stands in line 2 already",
                "line 4: y@b.c stands twice in it",
                "line 6: d@b.c stands twice in it",
            ]
        );
    }

    #[test]
    fn files_have_bounds() {
        let rows = format!("address\n{}", "a\n".repeat(MAX_ROWS + 1));
        assert_eq!(parse(rows.as_bytes()), Err(UsersError::TooManyRows));
        assert_eq!(parse(&vec![0; MAX_FILE + 1]), Err(UsersError::TooLarge));
    }

    proptest! {
        #[test]
        fn any_octets(data: Vec<u8>) {
            fuzz(&data);
        }

        #[test]
        fn any_rows(rows in "address,password,quota,aliases\n([a-c@.;\",\n\r 1G]{0,40}\n){0,5}") {
            fuzz(rows.as_bytes());
        }

        #[test]
        fn any_addresses(rows in "address,aliases\n([ab]@b.c,([ab]@b.c;){0,2}\n){0,5}") {
            fuzz(rows.as_bytes());
        }
    }
}
