//! RPC: plain text, foreign certificates, wrong tiers, and messages that are none.

use e2e::site::Site;

use super::{converse, still_serves};
use crate::support::TestSite;

/// Octets that are no TLS, or TLS that is no RPC of ours.
fn noise() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("nothing", Vec::new()),
        (
            "plain HTTP/1.1",
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        ),
        (
            "plain HTTP/2",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(),
        ),
        ("SMTP", b"EHLO c\r\nQUIT\r\n".to_vec()),
        (
            "a TLS record too long",
            [&[22, 3, 1, 255, 255][..], &[0; 70_000]].concat(),
        ),
        (
            "half a ClientHello",
            vec![22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3],
        ),
        ("zeros", vec![0; 100_000]),
    ]
}

#[tokio::test]
async fn noise_is_not_answered_and_rpc_still_serves() {
    let site = TestSite::with_ana().await.unwrap();
    for (name, octets) in noise() {
        let said = converse(Site::at(site.ports().directory), &octets)
            .await
            .unwrap();
        assert!(!said.contains("HTTP"), "{name}: {said:?}");
        site.ask(&["status"], "").expect(name);
    }
    still_serves(&site, 7).await.unwrap();
}
