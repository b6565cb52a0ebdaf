//! The header: which column is where.

use super::cells::cells;

/// A column of `users.csv`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Address,
    Password,
    Quota,
    Aliases,
}

/// Every column with its name.
const COLUMNS: [(&str, Column); 4] = [
    ("address", Column::Address),
    ("password", Column::Password),
    ("quota", Column::Quota),
    ("aliases", Column::Aliases),
];

/// How much of a strange name is shown.
const SHOWN_CHARS: usize = 40;

/// The columns in the file's order.
#[derive(Debug)]
pub(super) struct Columns(Vec<Column>);

impl Columns {
    /// Reads the first line; an error is what is wrong with it.
    pub(super) fn read(line: &[u8]) -> Result<Self, String> {
        if line.contains(&b'\r') {
            return Err("its lines end in CR alone, and have to end in LF or CRLF".to_owned());
        }
        let names = cells(line).map_err(|error| error.to_string())?;
        let mut columns = Vec::new();
        for name in names {
            let column = named(&name)?;
            if columns.contains(&column) {
                return Err(format!("column {} stands twice", name.trim()));
            }
            columns.push(column);
        }
        match columns.contains(&Column::Address) {
            true => Ok(Self(columns)),
            false => Err("column address is missing".to_owned()),
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The cell of a row that is as long as the header; empty: there is no such column.
    pub(super) fn cell<'r>(&self, row: &'r [String], column: Column) -> &'r str {
        let at = self.0.iter().position(|known| *known == column);
        at.and_then(|at| row.get(at)).map_or("", String::as_str)
    }
}

fn named(name: &str) -> Result<Column, String> {
    let wanted = name.trim().to_ascii_lowercase();
    let known = COLUMNS.iter().find(|(name, _)| *name == wanted);
    known.map(|(_, column)| *column).ok_or_else(|| {
        let shown: String = name.trim().chars().take(SHOWN_CHARS).collect();
        match shown.contains([';', '\t']) {
            true => format!("{shown:?} is separated by something else than commas"),
            false => format!("unknown column {shown:?}"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_header_is_refused_with_its_reason() {
        for (header, reason) in [
            ("", "unknown column \"\""),
            ("password", "column address is missing"),
            ("Address,ADDRESS", "column ADDRESS stands twice"),
            ("address,shoe size", "unknown column \"shoe size\""),
            (
                "address;password",
                "\"address;password\" is separated by something else than commas",
            ),
            (
                "address\ra@b.c\r",
                "its lines end in CR alone, and have to end in LF or CRLF",
            ),
            (
                "address,\"quota",
                "cell 2 opens a quote and the line ends before it closes",
            ),
        ] {
            assert_eq!(Columns::read(header.as_bytes()).unwrap_err(), reason);
        }
    }
}
