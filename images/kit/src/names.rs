//! Names of hosts and instances.

/// A label of a host name (RFC 1123 section 2.1).
pub(crate) fn is_label(label: &str) -> bool {
    let known = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-';
    (1..=63).contains(&label.len())
        && label.bytes().all(known)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_letters_digits_and_inner_hyphens() {
        for good in ["a", "A-1", &"x".repeat(63)] {
            assert!(is_label(good), "{good:?}");
        }
        for bad in ["", "-a", "a-", "a.b", "a b", "é", &"x".repeat(64)] {
            assert!(!is_label(bad), "{bad:?}");
        }
    }
}
