//! RFCS.md says the truth: each RFC that the code names, and a file that obeys it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use e2e::places;

/// One row of the table.
struct Row {
    number: String,
    state: String,
    files: Vec<PathBuf>,
}

#[test]
fn every_rfc_of_the_code_has_a_row_and_every_row_a_file_that_names_it() {
    let images = places::workspace().join("images");
    let rows = rows(&fs::read_to_string(images.join("wire/RFCS.md")).unwrap());
    let mut listed = BTreeMap::new();
    for row in &rows {
        let again = listed.insert(row.number.clone(), ());
        assert!(again.is_none(), "RFC {} stands there twice", row.number);
        obeyed(row, &images).unwrap();
    }
    let mut sources = Vec::new();
    for folder in [images, places::workspace().join("e2e")] {
        find_sources(&folder, &mut sources).unwrap();
    }
    assert!(sources.len() > 300, "only {} sources", sources.len());
    let mut named = BTreeSet::new();
    for path in sources {
        named.extend(numbers(&fs::read_to_string(path).unwrap()));
    }
    let missing: Vec<_> = named.iter().filter(|n| !listed.contains_key(*n)).collect();
    assert!(missing.is_empty(), "no row for RFC {missing:?}");
}

/// Its state is one of three words, and each of its files names it.
fn obeyed(row: &Row, images: &Path) -> Result<()> {
    let number = &row.number;
    let known = ["Yes", "Partial", "No"].contains(&row.state.as_str());
    ensure!(known, "RFC {number}: {} is no state", row.state);
    ensure!(!row.files.is_empty(), "RFC {number}: no file");
    for file in &row.files {
        let text = fs::read_to_string(images.join(file))
            .with_context(|| format!("RFC {number}: {}", file.display()))?;
        let names = numbers(&text).any(|named| named == *number) || follows(&text, number);
        ensure!(names, "{} does not name RFC {number}", file.display());
    }
    Ok(())
}

fn rows(text: &str) -> Vec<Row> {
    let lines = text.lines().filter(|line| line.starts_with("| "));
    lines.filter_map(row).collect()
}

fn row(line: &str) -> Option<Row> {
    let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
    let [number, _title, state, files, _missing] = cells.try_into().ok()?;
    let is_number = number.bytes().all(|octet| octet.is_ascii_digit());
    let files = files.split(", ").map(|file| file.trim_matches('`').into());
    is_number.then(|| Row {
        number: number.to_owned(),
        state: state.to_owned(),
        files: files.collect(),
    })
}

/// The number after each "RFC ".
fn numbers(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split("RFC ").skip(1).filter_map(|rest| {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        (digits > 2).then(|| rest[..digits].to_owned())
    })
}

/// "RFC 1939, 2449, 2595 and 5034" names four.
fn follows(text: &str, number: &str) -> bool {
    [", ", "and "]
        .iter()
        .any(|before| text.contains(&format!("{before}{number}")))
}

fn find_sources(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find_sources(&path, found)?;
        } else if path
            .extension()
            .is_some_and(|ending| ending == "rs" || ending == "proto")
        {
            found.push(path);
        }
    }
    Ok(())
}
