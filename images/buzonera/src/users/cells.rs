//! One line of CSV (RFC 4180 section 2), strictly: no column of ours can hold a line end, so a quote
//! that stays open is a mistake and must not swallow the rows below it.

/// The longest line, in octets: an address, a password and twenty aliases fit many times.
pub(super) const MAX_LINE: usize = 64 << 10;

/// A line that is no row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum LineError {
    /// Over the cap.
    #[error("it is longer than {} KiB", MAX_LINE >> 10)]
    TooLong,
    /// Octets that are not UTF-8.
    #[error("it is not UTF-8 text")]
    NotText,
    /// A quote at a cell's start and none at its end; cells count from 1.
    #[error("cell {0} opens a quote and the line ends before it closes")]
    Open(usize),
    /// Something between a closing quote and the next comma.
    #[error("cell {0} goes on after its closing quote; write a quote inside as \"\"")]
    After(usize),
    /// A quote in a cell that does not start with one.
    #[error("cell {0} has a quote inside; put the cell in quotes, and write that one as \"\"")]
    Inside(usize),
}

/// The cells of a line without its end, quotes taken off.
pub(super) fn cells(line: &[u8]) -> Result<Vec<String>, LineError> {
    if line.len() > MAX_LINE {
        return Err(LineError::TooLong);
    }
    let mut rest = std::str::from_utf8(line).map_err(|_| LineError::NotText)?;
    let mut cells = Vec::new();
    loop {
        let number = cells.len() + 1;
        let (cell, after) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted).ok_or(LineError::Open(number))?,
            None => plain(rest, number)?,
        };
        cells.push(cell);
        rest = match after.strip_prefix(',') {
            Some(next) => next,
            None if after.is_empty() => return Ok(cells),
            None => return Err(LineError::After(number)),
        };
    }
}

/// A cell up to its closing quote, and what stands behind it.
fn unquote(mut rest: &str) -> Option<(String, &str)> {
    let mut cell = String::new();
    loop {
        let (part, after) = rest.split_once('"')?;
        cell.push_str(part);
        let Some(more) = after.strip_prefix('"') else {
            return Some((cell, after));
        };
        cell.push('"');
        rest = more;
    }
}

/// A cell up to the next comma.
fn plain(rest: &str, number: usize) -> Result<(String, &str), LineError> {
    let (cell, after) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
    match cell.contains('"') {
        true => Err(LineError::Inside(number)),
        false => Ok((cell.to_owned(), after)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cells_are_separated_by_commas() {
        for (line, expected) in [
            ("", vec![""]),
            ("a", vec!["a"]),
            ("a, b ,", vec!["a", " b ", ""]),
            (r#""a","b,c""#, vec!["a", "b,c"]),
            (r#""","""""#, vec!["", "\""]),
            (r#""say ""hello""",x"#, vec!["say \"hello\"", "x"]),
        ] {
            assert_eq!(cells(line.as_bytes()).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn stray_quotes_are_refused() {
        for (line, expected) in [
            ("\"", LineError::Open(1)),
            ("a,\"b", LineError::Open(2)),
            ("\"a\"\"", LineError::Open(1)),
            ("\"pa\"ss", LineError::After(1)),
            ("\"a\" ,b", LineError::After(1)),
            ("a,pa\"ss", LineError::Inside(2)),
            (" \"a\"", LineError::Inside(1)),
        ] {
            assert_eq!(cells(line.as_bytes()), Err(expected), "{line}");
        }
        assert_eq!(cells(b"a,\xff"), Err(LineError::NotText));
        assert_eq!(cells(&vec![b'a'; MAX_LINE + 1]), Err(LineError::TooLong));
    }

    proptest! {
        #[test]
        fn what_is_written_with_quotes_is_read(wanted in prop::collection::vec("[a\", \r]{0,5}", 1..5)) {
            let quoted = wanted.iter().map(|cell| format!("\"{}\"", cell.replace('"', "\"\"")));
            let line = quoted.collect::<Vec<_>>().join(",");
            prop_assert_eq!(cells(line.as_bytes()), Ok(wanted));
        }
    }
}
