//! The DNS records of a site that receives mail and does not send any.

use serde::Serialize;

/// One record, in the words of a zone file (RFC 1035 section 5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Record {
    /// Owner name, ending in a dot.
    pub name: String,
    /// MX, A, SRV or TXT.
    pub kind: &'static str,
    /// Its data.
    pub data: String,
    /// What it is for.
    pub purpose: &'static str,
}

/// What to create for `domain` when `host` is the machine's name.
pub fn records(domain: &str, host: &str) -> Vec<Record> {
    let record = |name: String, kind, data: String, purpose| Record {
        name,
        kind,
        data,
        purpose,
    };
    vec![
        record(
            format!("{domain}."),
            "MX",
            format!("10 {host}."),
            "mail for the domain comes to this host (RFC 5321 section 5)",
        ),
        record(
            format!("{host}."),
            "A",
            "PUBLIC-IPV4-ADDRESS".to_owned(),
            "where that host is; AAAA likewise; never a CNAME",
        ),
        record(
            format!("_pop3s._tcp.{domain}."),
            "SRV",
            format!("0 1 995 {host}."),
            "mail programs find the server by themselves (RFC 6186)",
        ),
        record(
            format!("{domain}."),
            "TXT",
            "\"v=spf1 -all\"".to_owned(),
            "nobody sends mail as this domain; only if that is so (RFC 7208)",
        ),
        record(
            format!("_dmarc.{domain}."),
            "TXT",
            "\"v=DMARC1; p=reject\"".to_owned(),
            "and who does is to be refused; only if nobody sends (RFC 7489)",
        ),
    ]
}

/// Zone file lines with the purpose as a comment above each.
pub fn zone_lines(records: &[Record]) -> String {
    let width = records.iter().map(|record| record.name.len()).max();
    let width = width.unwrap_or(0);
    let line = |record: &Record| {
        let Record {
            name,
            kind,
            data,
            purpose,
        } = record;
        format!("; {purpose}\n{name:<width$}  IN {kind:<3}  {data}\n")
    };
    records.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiving_site_needs_mx_and_address() {
        let records = records("example.org", "mail.example.org");
        let text = zone_lines(&records);
        assert!(text.contains("\nexample.org.              IN MX   10 mail.example.org.\n"));
        assert!(text.contains("\nmail.example.org.         IN A    PUBLIC-IPV4-ADDRESS\n"));
        assert!(
            text.lines()
                .all(|line| line.starts_with(';') || line.contains(" IN "))
        );
    }
}
