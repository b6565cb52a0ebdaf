//! The directory is asked so that one replica's trouble is nobody's.

use std::time::{Duration, Instant};

use buzonera_kit::lifecycle::Shutdown;
use buzonera_kit::rpc::directory::{DirectoryOptions, MAX_BATCH, Replica as Configured};
use buzonera_kit::rpc::{DirectoryClient, ReplicaList};
use buzonera_kit::services::directory_client::DirectoryClient as RawClient;
use tokio::net::TcpListener;
use tonic::Code;
use wire::answer::{Answer, NotMe, Word};
use wire::identity::Tier;
use wire::rpc::{AuthenticateRequest, ResolveQuery};

use crate::support::{Cluster, Replica, quick, text, until};

/// Longer than any answer here takes, shorter than any test's patience.
const FAIL_OVER: Duration = Duration::from_millis(250);

struct Setup {
    cluster: Cluster,
    replicas: Vec<Replica>,
    client: DirectoryClient,
}

impl Setup {
    fn new(count: usize) -> Self {
        let cluster = Cluster::new();
        let replicas: Vec<_> = (0..count)
            .map(|number| Replica::start(&cluster, &format!("directory-{number}")))
            .collect();
        let configured: Vec<_> = replicas
            .iter()
            .map(|replica| configured(&replica.instance, replica.endpoint()))
            .collect();
        let client = client(&cluster, &configured);
        Self {
            cluster,
            replicas,
            client,
        }
    }

    fn calls(&self) -> usize {
        self.replicas.iter().map(Replica::calls).sum()
    }
}

fn configured(instance: &str, endpoint: String) -> Configured {
    Configured {
        instance: instance.to_owned(),
        endpoint,
    }
}

fn client(cluster: &Cluster, replicas: &[Configured]) -> DirectoryClient {
    let list = ReplicaList::Fixed(replicas.to_vec());
    client_of(cluster, list)
}

fn client_of(cluster: &Cluster, list: ReplicaList) -> DirectoryClient {
    let options = DirectoryOptions {
        fail_over: FAIL_OVER,
        resolve_deadline: Duration::from_secs(3),
        authenticate_deadline: Duration::from_secs(2),
        avoid: Duration::from_secs(60),
        channel: quick(),
    };
    let proxy = cluster.credentials(Tier::Proxy, "proxy-0");
    DirectoryClient::of(list, &proxy, options).unwrap()
}

fn questions(count: usize) -> Vec<ResolveQuery> {
    vec![ResolveQuery::default(); count]
}

fn login() -> AuthenticateRequest {
    AuthenticateRequest::default()
}

#[tokio::test]
async fn questions_are_spread_and_answered_in_order() {
    let setup = Setup::new(2);
    until("both have answered", async || {
        let answers = setup.client.resolve(questions(3)).await;
        assert_eq!(answers.iter().map(text).count(), 3);
        setup.replicas.iter().all(|replica| replica.calls() > 0)
    })
    .await;
}

#[tokio::test]
async fn more_than_a_batch_goes_in_several() {
    let setup = Setup::new(1);
    let answers = setup.client.resolve(questions(MAX_BATCH * 2 + 1)).await;
    assert_eq!(answers.len(), MAX_BATCH * 2 + 1);
    assert_eq!(setup.calls(), 3);
}

#[tokio::test]
async fn a_replica_that_hangs_costs_one_fail_over_then_nothing() {
    let setup = Setup::new(2);
    setup.client.resolve(questions(1)).await;
    let hanging = &setup.replicas[0];
    hanging.hang();
    until("the hanging one was asked", async || {
        let asked = Instant::now();
        let answers = setup.client.resolve(questions(1)).await;
        assert_eq!(text(&answers[0]), "directory-1 to proxy-0");
        assert!(asked.elapsed() < FAIL_OVER * 6, "{:?}", asked.elapsed());
        asked.elapsed() >= FAIL_OVER
    })
    .await;
    // It is avoided now: nobody waits for it again.
    let asked_of_hanging = hanging.calls();
    for _ in 0..10 {
        assert_ne!(setup.client.resolve(questions(1)).await, [Answer::NotMe]);
    }
    assert_eq!(hanging.calls(), asked_of_hanging);
}

#[tokio::test]
async fn a_replica_that_fails_costs_nothing() {
    let setup = Setup::new(2);
    setup.replicas[0].fail();
    for _ in 0..4 {
        let answers = setup.client.resolve(questions(1)).await;
        assert_eq!(text(&answers[0]), "directory-1 to proxy-0");
    }
}

#[tokio::test]
async fn an_answer_is_not_asked_for_elsewhere() {
    let setup = Setup::new(2);
    setup.client.resolve(questions(1)).await;
    assert_eq!(setup.calls(), 1);
}

#[tokio::test]
async fn not_me_sends_a_question_and_a_password_to_the_next() {
    let setup = Setup::new(2);
    setup.replicas[0].say_not_me();
    for _ in 0..4 {
        let answers = setup.client.resolve(questions(1)).await;
        assert_eq!(text(&answers[0]), "directory-1 to proxy-0");
        setup.client.authenticate(login()).await.unwrap();
    }
    // It was asked once, and is avoided since.
    assert!(setup.replicas[0].calls() <= 1);
}

#[tokio::test]
async fn when_all_say_not_me_so_does_the_client() {
    let setup = Setup::new(2);
    setup.replicas.iter().for_each(Replica::say_not_me);
    let answers = setup.client.resolve(questions(1)).await;
    assert_eq!(answers, [Answer::NotMe]);
    let before = setup.calls();
    let status = setup.client.authenticate(login()).await.unwrap_err();
    let word = buzonera_kit::rpc::word_of(&status);
    assert_eq!(word, Some(Word::NotMe(NotMe::Loading)));
    assert_eq!(setup.calls() - before, 2);
}

#[tokio::test]
async fn when_none_answers_it_is_not_me() {
    let setup = Setup::new(2);
    for replica in setup.replicas {
        replica.stop().await;
    }
    let answers = setup.client.resolve(questions(2)).await;
    assert_eq!(answers, [Answer::NotMe, Answer::NotMe]);
    drop(setup.cluster);
}

#[tokio::test]
async fn when_all_hang_the_deadline_holds() {
    let setup = Setup::new(2);
    setup.replicas.iter().for_each(Replica::hang);
    assert_eq!(setup.client.resolve(questions(1)).await, [Answer::NotMe]);
}

#[tokio::test]
async fn passwords_are_spread() {
    let setup = Setup::new(2);
    until("both were asked", async || {
        setup.client.authenticate(login()).await.unwrap();
        setup.replicas.iter().all(|replica| replica.calls() > 0)
    })
    .await;
}

#[tokio::test]
async fn other_calls_stay_with_one_replica_until_it_fails() {
    let setup = Setup::new(2);
    until("both are connected", async || {
        setup.client.resolve(questions(1)).await;
        setup.replicas.iter().all(|replica| replica.calls() > 0)
    })
    .await;
    let before: Vec<_> = setup.replicas.iter().map(Replica::calls).collect();
    let mut client = RawClient::new(setup.client.channel());
    let mut asks = async || client.authenticate(login()).await;
    for _ in 0..4 {
        asks().await.unwrap();
    }
    let asked: Vec<_> = (0..2)
        .filter(|&number| setup.replicas[number].calls() > before[number])
        .collect();
    let [home] = asked[..] else {
        panic!("{asked:?} were asked");
    };
    setup.replicas[home].fail();
    asks().await.unwrap_err();
    asks().await.unwrap();
}

#[tokio::test]
async fn a_password_is_sent_once_even_if_it_fails() {
    let setup = Setup::new(2);
    setup.replicas.iter().for_each(Replica::fail);
    let failed = setup.client.authenticate(login()).await.unwrap_err();
    assert_eq!(failed.code(), Code::Unavailable);
    assert_eq!(setup.calls(), 1);
}

#[tokio::test]
async fn a_password_is_sent_once_even_if_it_is_not_answered() {
    let setup = Setup::new(2);
    setup.replicas.iter().for_each(Replica::hang);
    let failed = setup.client.authenticate(login()).await.unwrap_err();
    assert_eq!(failed.code(), Code::DeadlineExceeded);
    assert_eq!(setup.calls(), 1);
    // Who asks again asks the other one.
    setup.client.authenticate(login()).await.unwrap_err();
    assert!(setup.replicas.iter().all(|replica| replica.calls() == 1));
}

#[tokio::test]
async fn connecting_fails_over_before_a_password_is_sent() {
    let cluster = Cluster::new();
    // One refuses connections, one takes them and never says a word.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refusing = closed.local_addr().unwrap().to_string();
    drop(closed);
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_at = silent.local_addr().unwrap().to_string();
    let well = Replica::start(&cluster, "directory-2");
    let client = client(
        &cluster,
        &[
            configured("directory-0", refusing),
            configured("directory-1", silent_at),
            configured("directory-2", well.endpoint()),
        ],
    );
    let asked = Instant::now();
    client.authenticate(login()).await.unwrap();
    assert!(asked.elapsed() < FAIL_OVER * 6);
    assert_eq!(well.calls(), 1);
}

#[test]
fn a_list_that_cannot_work_is_refused() {
    let cluster = Cluster::new();
    let mx = cluster.credentials(Tier::Mx, "mx-0");
    let refused = |replicas: &[Configured]| {
        let options = DirectoryOptions::default();
        let refused = DirectoryClient::new(replicas, &mx, options);
        refused.unwrap_err().to_string()
    };
    assert!(refused(&[]).contains("no directory replica"));
    let bad = refused(&[configured("directory-0", "nowhere".to_owned())]);
    assert!(
        bad.contains("directory-0") && bad.contains("HOST:PORT"),
        "{bad}"
    );
    refused(&[configured("Directory 0", "127.0.0.1:1".to_owned())]);
}

#[tokio::test]
async fn replicas_come_and_go_by_a_file() {
    let cluster = Cluster::new();
    let replicas = ["directory-0", "directory-1"].map(|name| Replica::start(&cluster, name));
    let lines = replicas
        .each_ref()
        .map(|replica| format!("{}\n", configured(&replica.instance, replica.endpoint())));
    let file = cluster.dir.path().join("replicas");
    std::fs::write(&file, &lines[0]).unwrap();
    let client = client_of(&cluster, ReplicaList::File(file.clone()));
    let shutdown = Shutdown::new(Duration::ZERO, Duration::ZERO);
    client.watch_every(Duration::from_millis(10), &shutdown);
    let both_answer = async || {
        let before = replicas.each_ref().map(Replica::calls);
        for _ in 0..4 {
            assert_ne!(client.resolve(questions(1)).await, [Answer::NotMe]);
        }
        let after = replicas.each_ref().map(Replica::calls);
        [0, 1].map(|at| after[at] > before[at])
    };
    assert_eq!(both_answer().await, [true, false]);

    std::fs::write(&file, lines.concat()).unwrap();
    until("the second is asked", async || {
        both_answer().await == [true, true]
    })
    .await;
    // An emptied list is a mistake: the last good one stays.
    std::fs::write(&file, "").unwrap();
    std::fs::write(&file, "directory-0").unwrap();
    assert_eq!(both_answer().await, [true, true]);
    std::fs::write(&file, &lines[1]).unwrap();
    until("the first is not", async || {
        both_answer().await == [false, true]
    })
    .await;
}
