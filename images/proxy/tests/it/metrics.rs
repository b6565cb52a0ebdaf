//! What a proxy counts.

use crate::world::{LOGIN, World, until};

#[tokio::test]
async fn logins_sessions_and_octets() {
    let world = World::new().await;
    let counts = |line: &str| world.metrics.text().lines().any(|found| found == line);
    let mut client = world.pop3s().await;
    client.login_as(LOGIN, "x").await;
    client.login().await;
    let instance = "instance=\"proxy-0\"";
    for (result, count) in [("denied", 1), ("granted", 1)] {
        let line = format!("buzonera_proxy_logins_total{{{instance},result=\"{result}\"}} {count}");
        assert!(counts(&line), "{line}: {}", world.metrics.text());
    }
    let sessions = |count| format!("buzonera_proxy_sessions{{{instance}}} {count}");
    until("the session counts", || counts(&sessions(1))).await;
    client.ask("QUIT").await;
    drop(client);
    until("the session is over", || counts(&sessions(0))).await;
    for (direction, octets) in [("in", "QUIT\r\n".len()), ("out", "+OK QUIT\r\n".len())] {
        let line =
            format!("buzonera_proxy_octets_total{{{instance},direction=\"{direction}\"}} {octets}");
        assert!(counts(&line), "{line}: {}", world.metrics.text());
    }
}
