//! One row: its cells, each checked.

use wire::address::Canonical;

use super::User;
use super::cells::cells;
use super::columns::{Column, Columns};
use crate::output::text::count;
use crate::quantity::Size;
use crate::secret::Password;

/// The most aliases of a row; the directory has the same cap.
pub(super) const MAX_ALIASES: usize = 20;

/// Reads one line; an error is what is wrong with it.
pub(super) fn read(number: u64, line: &[u8], columns: &Columns) -> Result<User, String> {
    let cells = cells(line).map_err(|error| error.to_string())?;
    if cells.len() != columns.count() {
        let has = count(cells.len() as u64, "cell");
        return Err(format!("it has {has}, the header has {}", columns.count()));
    }
    let cell = |column| columns.cell(&cells, column);
    Ok(User {
        line: number,
        address: address(cell(Column::Address))?,
        password: password(cell(Column::Password))?,
        quota: quota(cell(Column::Quota))?,
        aliases: aliases(cell(Column::Aliases))?,
    })
}

fn address(cell: &str) -> Result<Canonical, String> {
    cell.trim()
        .parse::<Canonical>()
        .map_err(|error| error.to_string())
}

/// A password keeps its spaces.
fn password(cell: &str) -> Result<Option<Password>, String> {
    if cell.is_empty() {
        return Ok(None);
    }
    let secret = Password::try_from(cell.to_owned()).map_err(|error| error.to_string())?;
    Ok(Some(secret))
}

fn quota(cell: &str) -> Result<Size, String> {
    match cell.trim() {
        "" => Ok(Size(0)),
        cell => cell.parse::<Size>().map_err(|error| error.to_string()),
    }
}

fn aliases(cell: &str) -> Result<Vec<Canonical>, String> {
    let written = cell.split(';').filter(|alias| !alias.trim().is_empty());
    let aliases = written.map(address).collect::<Result<Vec<_>, _>>()?;
    match aliases.len() > MAX_ALIASES {
        true => Err(format!("it has more than {MAX_ALIASES} aliases")),
        false => Ok(aliases),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(line: &str) -> String {
        let columns = Columns::read(b"address,password,quota,aliases").unwrap();
        read(2, line.as_bytes(), &columns).unwrap_err()
    }

    #[test]
    fn each_cell_is_checked() {
        let many = "x@b.c;".repeat(21);
        for (line, expected) in [
            ("a@b.c", "it has 1 cell, the header has 4".to_owned()),
            ("a@b.c,,,,", "it has 5 cells, the header has 4".to_owned()),
            (
                ",,,",
                "\"\" is not an address: write local-part@domain".to_owned(),
            ),
            (
                "a@b.c,x\ty,,",
                "the password holds a control character".to_owned(),
            ),
            (
                &format!("a@b.c,{},,", "x".repeat(1025)),
                "the password is longer than 1024 octets".to_owned(),
            ),
            (
                "a@b.c,,0,",
                "\"0\" is not a size: write bytes, or 500M, 1Gi, none".to_owned(),
            ),
            (
                "a@b.c,,,x",
                "\"x\" is not an address: write local-part@domain".to_owned(),
            ),
            (
                &format!("a@b.c,,,{many}"),
                "it has more than 20 aliases".to_owned(),
            ),
        ] {
            assert_eq!(reason(line), expected, "{line}");
        }
    }
}
