//! Listeners say what is wrong with their port, and keep their bounds.

use std::net::SocketAddr;

use buzonera_kit::listener::{Accepted, Admission, Listener, ListenerConfig, Permit};
use socket2::SockRef;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

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
    let listener = Listener::bind(config(1, 1)).unwrap();
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
    let listener = Listener::bind(config(10, 1)).unwrap();
    let (_first, permit) = admitted(&listener).await;
    let said = refused(&listener).await;
    assert_eq!(said, "421 too many connections from your address\r\n");
    assert_eq!(listener.metrics().open(), 1);
    drop(permit);
    admitted(&listener).await;
    assert_eq!(listener.metrics().refused(), 1);
}

#[tokio::test]
async fn over_the_cap_of_all_the_client_is_told_so() {
    let listener = Listener::bind(config(2, 10)).unwrap();
    let _inside = [admitted(&listener).await, admitted(&listener).await];
    let said = refused(&listener).await;
    assert_eq!(said, "421 too many connections, try again later\r\n");
}

async fn connect(listener: &Listener) -> (TcpStream, Accepted) {
    let address: SocketAddr = listener.local_addr();
    let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    (client.unwrap(), accepted)
}

async fn admitted(listener: &Listener) -> (TcpStream, Permit) {
    let (client, accepted) = connect(listener).await;
    match accepted.admission {
        Admission::Admitted(permit) => (client, permit),
        Admission::Refused(refusal) => panic!("refused: {}", refusal.reason()),
    }
}

/// What a refused client reads.
async fn refused(listener: &Listener) -> String {
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
