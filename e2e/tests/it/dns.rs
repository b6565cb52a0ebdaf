//! `buzonera domain add` prints the DNS records to create, with the server's own name.

use crate::support::TestSite;

#[tokio::test]
async fn the_records_name_the_server() {
    let site = TestSite::with_flags(&["--hostname", "mx.example.net"]).await;
    let site = site.unwrap();
    let mx = |words: &[&str]| {
        let domain = site.ask(words, "").unwrap();
        let mx = domain["dns"][0].clone();
        assert_eq!(mx["kind"], "MX");
        format!(
            "{} {}",
            mx["name"].as_str().unwrap(),
            mx["data"].as_str().unwrap()
        )
    };
    let told = mx(&["domain", "add", "example.org"]);
    assert_eq!(told, "example.org. 10 mx.example.net.");
    let asked = [
        "domain",
        "show",
        "example.org",
        "--host",
        "mx.b\u{fc}cher.example",
    ];
    assert_eq!(mx(&asked), "example.org. 10 mx.xn--bcher-kva.example.");
    for wrong in ["a b", "", "[192.0.2.1]", "192.0.2.1"] {
        let words = ["domain", "add", "example.com", "--host", wrong];
        let refused = site.buzonera(&words, "").unwrap();
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(2), "{wrong:?}: {said}");
        assert!(said.starts_with("buzonera: --host: "), "{said}");
    }
    let domains = site.ask(&["domain", "list"], "").unwrap();
    assert_eq!(domains.as_array().unwrap().len(), 1, "{domains}");
}

#[tokio::test]
async fn a_machine_without_a_name_is_called_mail() {
    let site = TestSite::empty().await.unwrap();
    let output = site
        .buzonera(&["domain", "add", "example.org"], "")
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for record in [
        "\nexample.org.              IN MX   10 mail.example.org.\n",
        "\n_pop3s._tcp.example.org.  IN SRV  0 1 995 mail.example.org.\n",
        "\nexample.org.              IN TXT  \"v=spf1 -all\"\n",
    ] {
        assert!(text.contains(record), "{text}");
    }
}
