//! Listeners say what is wrong with their port, and keep their bounds.

use std::net::SocketAddr;

use buzonera_kit::listener::{Accepted, Admission, Listener, ListenerConfig, Permit, Reason};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wire::proxy_header::header;

use crate::support::ANY;

fn config(max_connections: usize, max_per_address: usize) -> ListenerConfig {
    ListenerConfig {
        max_connections,
        max_per_address,
        ..ListenerConfig::new("smtp", "--smtp-listen", ANY)
    }
}

#[tokio::test]
async fn a_busy_port_names_its_flag() {
    let first = Listener::bind(config(1, 1)).unwrap();
    let address = first.local_addr();
    let busy = Listener::bind(ListenerConfig::new("smtp", "--smtp-listen", address));
    let message = busy.unwrap_err().to_string();
    for part in ["smtp", &address.to_string(), "in use", "--smtp-listen"] {
        assert!(message.contains(part), "{message}");
    }
    drop(first);
    Listener::bind(ListenerConfig::new("smtp", "--smtp-listen", address)).unwrap();
}

#[tokio::test]
async fn connections_are_set_up_for_dead_peers() {
    let mut listener = Listener::bind(config(1, 1)).unwrap();
    let _client = TcpStream::connect(listener.local_addr()).await.unwrap();
    let accepted = listener.accept().await;
    let socket = SockRef::from(&accepted.stream);
    assert!(socket.tcp_nodelay().unwrap());
    assert!(socket.keepalive().unwrap());
    assert_eq!(socket.tcp_keepalive_time().unwrap().as_secs(), 20);
    assert_eq!(socket.tcp_keepalive_interval().unwrap().as_secs(), 10);
    assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
    assert_eq!(socket.tcp_user_timeout().unwrap().unwrap().as_secs(), 50);
}

#[tokio::test]
async fn over_the_cap_of_an_address_the_client_is_told_so() {
    let mut listener = Listener::bind(config(10, 1)).unwrap();
    let (_first, permit) = admitted(&mut listener).await;
    let said = refused(&mut listener).await;
    assert_eq!(said, "421 too many connections from your address\r\n");
    assert_eq!(listener.metrics().open(), 1);
    drop(permit);
    admitted(&mut listener).await;
    assert_eq!(listener.metrics().refused(), 1);
}

#[tokio::test]
async fn over_the_cap_of_all_the_client_is_told_so() {
    let mut listener = Listener::bind(config(2, 10)).unwrap();
    let _inside = [admitted(&mut listener).await, admitted(&mut listener).await];
    let said = refused(&mut listener).await;
    assert_eq!(said, "421 too many connections, try again later\r\n");
}

async fn connect(listener: &mut Listener) -> (TcpStream, Accepted) {
    let address: SocketAddr = listener.local_addr();
    let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    (client.unwrap(), accepted)
}

async fn admitted(listener: &mut Listener) -> (TcpStream, Permit) {
    let (client, accepted) = connect(listener).await;
    match accepted.admission {
        Admission::Admitted(permit) => (client, permit),
        Admission::Refused(refusal) => panic!("refused: {}", refusal.reason()),
    }
}

/// What a refused client reads.
async fn refused(listener: &mut Listener) -> String {
    let (mut client, accepted) = connect(listener).await;
    let Admission::Refused(refusal) = accepted.admission else {
        panic!("admitted");
    };
    let line = format!("421 {}\r\n", refusal.reason());
    let mut said = String::new();
    let read = async {
        let read = client.read_to_string(&mut said).await;
        drop(client);
        read
    };
    let (read, ()) = tokio::join!(read, refusal.say(accepted.stream, line.as_bytes()));
    read.unwrap();
    said
}

/// A listener behind a balancer at this address.
fn proxied(trusted: &str, max_per_address: usize) -> Listener {
    let config = ListenerConfig {
        proxied_from: Some(vec![trusted.parse().unwrap()]),
        ..config(10, max_per_address)
    };
    Listener::bind(config).unwrap()
}

/// A balancer's connection for a client, which says something right away.
async fn through_balancer(to: SocketAddr, client: &str, said: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let header = header(client.parse().unwrap(), to);
    stream.write_all(&[&header, said].concat()).await.unwrap();
    stream
}

async fn is_dropped(mut stream: TcpStream) {
    let mut octet = [0];
    let read = stream.read(&mut octet).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

#[tokio::test]
async fn a_balancer_says_whose_a_connection_is() {
    let mut listener = proxied("127.0.0.0/8", 1);
    let to = listener.local_addr();
    let _first = through_balancer(to, "192.0.2.7:4711", b"EHLO x\r\n").await;
    let Accepted {
        mut stream,
        peer,
        admission,
    } = listener.accept().await;
    assert_eq!(peer, "192.0.2.7:4711".parse().unwrap());
    let Admission::Admitted(_permit) = admission else {
        panic!("{admission:?}");
    };
    // What the client says comes whole behind the header.
    let mut said = [0; 8];
    stream.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"EHLO x\r\n");

    // Clients are counted, and not the balancer.
    let _other = through_balancer(to, "192.0.2.8:1", b"").await;
    let other = listener.accept().await.admission;
    assert!(matches!(other, Admission::Admitted(_)), "{other:?}");
    let _again = through_balancer(to, "192.0.2.7:2", b"").await;
    let again = listener.accept().await.admission;
    let Admission::Refused(refusal) = again else {
        panic!("{again:?}");
    };
    assert_eq!(refusal.reason(), Reason::AddressFull);
}

#[tokio::test]
async fn a_balancer_may_look_whether_we_are_well() {
    let mut listener = proxied("127.0.0.1", 10);
    let to = listener.local_addr();
    // Written for a client of the other kind of address, a header is the balancer's own (LOCAL).
    let stream = through_balancer(to, "[2001:db8::7]:1", b"").await;
    let own = stream.local_addr().unwrap();
    assert_eq!(listener.accept().await.peer, own);
}

#[tokio::test]
async fn nobody_but_the_balancer_is_believed_or_heard() {
    let mut listener = proxied("192.0.2.0/24", 10);
    let to = listener.local_addr();
    let accepting = tokio::spawn(async move { listener.accept().await.peer });
    is_dropped(through_balancer(to, "192.0.2.7:1", b"").await).await;
    assert!(!accepting.is_finished());
    accepting.abort();
}

#[tokio::test]
async fn a_slow_or_bad_header_holds_up_nobody() {
    let mut listener = proxied("127.0.0.1", 10);
    let to = listener.local_addr();
    let accepting = tokio::spawn(async move { listener.accept().await.peer });
    let _silent = TcpStream::connect(to).await.unwrap();
    let mut bad = TcpStream::connect(to).await.unwrap();
    let text = b"PROXY TCP4 192.0.2.7 192.0.2.1 1 25\r\n";
    bad.write_all(text).await.unwrap();
    is_dropped(bad).await;
    let _good = through_balancer(to, "192.0.2.9:9", b"").await;
    assert_eq!(accepting.await.unwrap(), "192.0.2.9:9".parse().unwrap());
}
