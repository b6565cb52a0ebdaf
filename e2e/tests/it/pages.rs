//! Every page of the repository leads only to what is there, and to nothing outside.

use std::fs;
use std::path::{Component, Path, PathBuf};

use e2e::places;

#[test]
fn every_link_leads_to_a_file_of_the_repository() {
    let top = places::workspace();
    let pages = pages(&top);
    assert!(pages.len() >= 6, "only {pages:?}");
    let mut broken = Vec::new();
    for page in &pages {
        let text = fs::read_to_string(page).unwrap();
        let folder = page.parent().unwrap();
        for link in links(&text) {
            let target = folder.join(link);
            if !target.exists() || leaves(&top, &target) {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// README.md and every page beside the sources.
fn pages(top: &Path) -> Vec<PathBuf> {
    let mut found = vec![top.join("README.md")];
    let mut folders = vec![top.join("images"), top.join("e2e")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "md") {
                found.push(path);
            }
        }
    }
    found
}

/// The files that `[text](file)` names; addresses elsewhere and places within the page are none.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let ends = text.split("](").skip(1);
    let links = ends.filter_map(|rest| rest.split_once(')').map(|(link, _)| link));
    links.filter(|link| !link.starts_with("http") && !link.starts_with('#'))
}

/// Whether a path climbs out of the folder.
fn leaves(top: &Path, target: &Path) -> bool {
    let mut depth = 0_i32;
    for part in target.strip_prefix(top).unwrap_or(target).components() {
        depth += if part == Component::ParentDir { -1 } else { 1 };
        if depth < 0 {
            return true;
        }
    }
    false
}
