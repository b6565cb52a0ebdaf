//! LMTP: what differs from SMTP.

use e2e::site::Site;

use super::{replies, row, still_serves, try_rows};
use crate::support::TestSite;

fn rows() -> Vec<super::Row> {
    let envelope = "LHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<ana@example.org>\r\n";
    vec![
        row("EHLO", "EHLO c\r\nQUIT\r\n", &["500 5.5.1", "221"]),
        row("HELO", "HELO c\r\nQUIT\r\n", &["500 5.5.1", "221"]),
        row(
            "DATA without a recipient",
            "LHLO c\r\nMAIL FROM:<>\r\nDATA\r\nQUIT\r\n",
            &["250", "250", "503 5.5.1", "221"],
        ),
        row(
            "no recipient is ours",
            "LHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.c>\r\nDATA\r\nQUIT\r\n",
            &["250", "250", "550 5.7.1", "503 5.5.1", "221"],
        ),
        row(
            "a bare LF in the body",
            format!("{envelope}DATA\r\na\nb\r\n.\r\nQUIT\r\n"),
            &["250", "250", "250", "354", "550 5.6.0", "221"],
        ),
        row(
            "one answer for each recipient that was accepted",
            format!("{envelope}RCPT TO:<no@example.org>\r\nDATA\r\na\0b\r\n.\r\nQUIT\r\n"),
            &["250", "250", "250", "550 5.1.1", "354", "550 5.6.0", "221"],
        ),
    ]
}

#[tokio::test]
async fn each_input_has_its_answer_and_lmtp_still_serves() {
    let site = TestSite::with_ana().await.unwrap();
    try_rows(Site::at(site.ports().lmtp), &rows(), replies).await;
    still_serves(&site, 2).await.unwrap();
}
