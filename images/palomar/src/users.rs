//! `users.csv`: one account a row, under a header of `address,password,quota,aliases`.
//!
//! Columns may stand in any order, and all but `address` may be missing. Aliases are separated by
//! `;`. Every bad row is named with its line.

use std::collections::HashMap;

use csv::{ReaderBuilder, StringRecord};

use crate::quantity::Size;
use crate::secret::Secret;

/// The largest file that is read.
pub const MAX_FILE: usize = 256 << 20;
/// The most rows.
pub const MAX_ROWS: usize = 1_000_000;
/// The longest cell but for aliases; an address has at most 254 octets (RFC 5321 4.5.3.1).
const MAX_CELL: usize = 1024;
/// The most aliases of a row.
const MAX_ALIASES: usize = 100;

const COLUMNS: [&str; 4] = ["address", "password", "quota", "aliases"];

/// One good row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its line in the file, for what the directory says about it later.
    pub line: u64,
    /// As written; the directory normalises it.
    pub address: String,
    /// None: no login until a password is set.
    pub password: Option<Secret>,
    /// Bytes.
    pub quota: Size,
    /// As written.
    pub aliases: Vec<String>,
}

/// One bad row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct BadRow {
    /// Its line in the file, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
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
    let mut reader = ReaderBuilder::new().flexible(true).from_reader(data);
    let header = reader
        .headers()
        .map_err(|error| UsersError::Header(error.to_string()))?;
    let columns = Columns::of(header)?;
    let mut users = Users::default();
    let mut lines = Lines {
        data,
        at: 0,
        line: 1,
    };
    for row in reader.records() {
        if users.good.len() + users.bad.len() >= MAX_ROWS {
            return Err(UsersError::TooManyRows);
        }
        match row {
            Ok(row) => users.take(lines.of(row.position()), &columns, &row),
            Err(error) => users.bad.push(BadRow {
                line: lines.of(error.position()),
                reason: "it is not UTF-8 text".to_owned(),
            }),
        }
    }
    users.name_repeated();
    Ok(users)
}

/// Line numbers by octet offset. csv's own are one behind where lines end in CRLF: it stops
/// between the two.
struct Lines<'d> {
    data: &'d [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line of the row that starts there; offsets must not fall.
    fn of(&mut self, position: Option<&csv::Position>) -> u64 {
        let start = position.map_or(0, csv::Position::byte) as usize;
        while let Some(octet) = self.data.get(self.at) {
            if self.at >= start && !matches!(octet, b'\r' | b'\n') {
                break;
            }
            self.line += u64::from(*octet == b'\n');
            self.at += 1;
        }
        self.line
    }
}

/// Where each column is.
struct Columns {
    at: [Option<usize>; COLUMNS.len()],
    count: usize,
}

impl Columns {
    fn of(header: &StringRecord) -> Result<Self, UsersError> {
        let mut at = [None; COLUMNS.len()];
        for (index, name) in header.iter().enumerate() {
            let name = name
                .trim()
                .trim_start_matches('\u{feff}')
                .to_ascii_lowercase();
            let Some(column) = COLUMNS.iter().position(|known| *known == name) else {
                let shown: String = name.chars().take(40).collect();
                return Err(UsersError::Header(format!("unknown column {shown:?}")));
            };
            if at[column].replace(index).is_some() {
                return Err(UsersError::Header(format!("column {name} stands twice")));
            }
        }
        if at[0].is_none() {
            return Err(UsersError::Header("column address is missing".to_owned()));
        }
        Ok(Self {
            at,
            count: header.len(),
        })
    }

    fn cell<'r>(&self, row: &'r StringRecord, column: usize) -> &'r str {
        self.at[column]
            .and_then(|index| row.get(index))
            .unwrap_or("")
    }
}

impl Users {
    fn take(&mut self, line: u64, columns: &Columns, row: &StringRecord) {
        match user(line, columns, row) {
            Ok(user) => self.good.push(user),
            Err(reason) => self.bad.push(BadRow { line, reason }),
        }
    }

    /// An address may be in the file once; the first row with it is good. The directory compares
    /// normalised addresses; this finds the common case before anything is asked.
    fn name_repeated(&mut self) {
        let mut first: HashMap<String, u64> = HashMap::new();
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for user in self.good.drain(..) {
            let key = user.address.to_lowercase();
            if let Some(line) = first.get(&key) {
                let reason = format!("{} stands in line {line} already", user.address);
                bad.push(BadRow {
                    line: user.line,
                    reason,
                });
            } else {
                first.insert(key, user.line);
                good.push(user);
            }
        }
        self.good = good;
        self.bad.append(&mut bad);
        self.bad.sort_by_key(|row| row.line);
    }
}

fn user(line: u64, columns: &Columns, row: &StringRecord) -> Result<User, String> {
    if row.len() != columns.count {
        return Err(format!(
            "it has {} cells, the header has {}",
            row.len(),
            columns.count
        ));
    }
    Ok(User {
        line,
        address: address(columns.cell(row, 0))?,
        password: password(columns.cell(row, 1))?,
        quota: quota(columns.cell(row, 2))?,
        aliases: aliases(columns.cell(row, 3))?,
    })
}

fn address(cell: &str) -> Result<String, String> {
    let cell = cell.trim();
    if cell.len() > MAX_CELL {
        return Err("the address is too long".to_owned());
    }
    match cell.rsplit_once('@') {
        Some((local, domain)) if !local.is_empty() && !domain.is_empty() => Ok(cell.to_owned()),
        _ => Err(format!("{cell:?} is not an address: write local@domain")),
    }
}

/// A password keeps its spaces.
fn password(cell: &str) -> Result<Option<Secret>, String> {
    if cell.is_empty() {
        return Ok(None);
    }
    let secret = Secret::try_from(cell.to_owned()).map_err(|error| error.to_string())?;
    Ok(Some(secret))
}

fn quota(cell: &str) -> Result<Size, String> {
    match cell.trim() {
        "" => Ok(Size(0)),
        cell => cell.parse::<Size>().map_err(|error| error.to_string()),
    }
}

fn aliases(cell: &str) -> Result<Vec<String>, String> {
    if cell.len() > MAX_CELL * MAX_ALIASES {
        return Err("the aliases are too long".to_owned());
    }
    let aliases = cell
        .split(';')
        .filter(|alias| !alias.trim().is_empty())
        .map(address)
        .collect::<Result<Vec<_>, _>>()?;
    if aliases.len() > MAX_ALIASES {
        return Err(format!("it has more than {MAX_ALIASES} aliases"));
    }
    Ok(aliases)
}

/// Feeds any octets to the parser; what it takes must be within the caps.
pub fn fuzz(data: &[u8]) {
    let Ok(users) = parse(data) else {
        return;
    };
    assert!(users.good.iter().all(|user| user.address.contains('@')));
    assert!(
        users
            .good
            .iter()
            .all(|user| user.aliases.len() <= MAX_ALIASES)
    );
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reasons(text: &str) -> Vec<String> {
        let bad = parse(text.as_bytes()).unwrap().bad;
        bad.iter().map(BadRow::to_string).collect()
    }

    #[test]
    fn a_whole_row() {
        let text = "address,password,quota,aliases\r\nana@b.c,\"p,w \",1Gi,x@b.c;y@b.c\r\n";
        let users = parse(text.as_bytes()).unwrap();
        let expected = User {
            line: 2,
            address: "ana@b.c".into(),
            password: Some(Secret::try_from("p,w ".to_owned()).unwrap()),
            quota: Size(1 << 30),
            aliases: vec!["x@b.c".into(), "y@b.c".into()],
        };
        assert_eq!(users.good, [expected]);
        assert_eq!(users.bad, []);
    }

    #[test]
    fn columns_may_be_missing_and_in_any_order() {
        let users = parse(b"\xef\xbb\xbfQuota,Address\n,ana@b.c\n").unwrap();
        assert_eq!(users.good[0].address, "ana@b.c");
        assert_eq!(users.good[0].password, None);
    }

    #[test]
    fn a_wrong_header_is_refused() {
        for header in ["", "password\n", "address,address\n", "address,shoe size\n"] {
            let error = parse(header.as_bytes()).unwrap_err();
            assert!(matches!(error, UsersError::Header(_)), "{header:?}");
        }
    }

    #[test]
    fn every_bad_row_is_named() {
        let text = "address,quota\r\nana@b.c,1Gi\nana,1Gi\nbo@b.c,lots\n\nANA@b.c,\ncy@b.c\n";
        assert_eq!(
            reasons(text),
            [
                "line 3: \"ana\" is not an address: write local@domain",
                "line 4: \"lots\" is not a size: write bytes, or 500M, 1Gi, none",
                "line 6: ANA@b.c stands in line 2 already",
                "line 7: it has 1 cells, the header has 2",
            ]
        );
    }

    #[test]
    fn octets_that_are_not_text_are_a_bad_row() {
        let users = parse(b"address\nana@b.c\n\xff@b.c\n").unwrap();
        assert_eq!(users.good.len(), 1);
        assert_eq!(users.bad[0].line, 3);
    }

    proptest! {
        #[test]
        fn any_octets(data: Vec<u8>) {
            fuzz(&data);
        }

        #[test]
        fn any_rows(rows in "address,password,quota,aliases\n([a-z@.;\",\n\r 1G]{0,40}\n){0,5}") {
            fuzz(rows.as_bytes());
        }
    }
}
