//! What a replica cannot know it does not answer: it says "not me", and callers ask the next.

mod cut_off;
mod loading;
mod restarts;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use buzonera_directory::Config;
use buzonera_directory::store::SharedStore;
use buzonera_directory::store::embedded::{Embedded, Options};
use buzonera_directory::store::lagging::Lagging;
use kit::authority::Authority;
use kit::rpc::directory::DirectoryOptions;
use kit::rpc::{DirectoryClient, Replica, word_of};
use tempfile::TempDir;
use tonic::Status;
use wire::answer::{Answer, NotMe, Word};
use wire::identity::Tier;
use wire::ids::ClusterId;
use wire::rpc::authenticate_reply::Result as Login;
use wire::rpc::resolve_query::Subject;
use wire::rpc::{AuthenticateRequest, ResolveQuery};

use crate::store_suite::PATIENCE;
use crate::world::{World, config, identity_folder, issue};

const ANA: &str = "ana@example.org";
const PASSWORD: &str = "secret";

/// How long a replica may be out of touch.
const A_MINUTE: Duration = Duration::from_secs(60);

/// Two replicas of one store: the second sees it through something that can hold it back.
struct Pair {
    first: World,
    second: World,
    store: SharedStore,
    lagging: Arc<Lagging>,
    client: DirectoryClient,
}

impl Pair {
    /// Ana has an account before the second replica starts, whose limit that is.
    async fn start(limit: Duration, before_second: impl FnOnce(&Lagging)) -> Self {
        let folder = TempDir::new().unwrap();
        let authority = Authority::create(&folder.path().join("ca"), ClusterId::random()).unwrap();
        let again = Authority::open(&folder.path().join("ca")).unwrap();
        let store = Embedded::open(&folder.path().join("store"), Options::default()).await;
        let store: SharedStore = Arc::new(store.unwrap());
        let lagging = Arc::new(Lagging::new(Arc::clone(&store)));
        let one = settings(&authority, folder.path(), 0, A_MINUTE);
        let two = settings(&authority, folder.path(), 1, limit);
        let first = World::over(folder, authority, one, Arc::clone(&store)).await;
        let shard = first.shard("shard-1").await;
        first.domain("example.org").await;
        first.account(ANA, PASSWORD).await;
        drop(shard);
        before_second(&lagging);
        let behind = Arc::clone(&lagging) as SharedStore;
        let second = World::over_unasked(TempDir::new().unwrap(), again, two, behind);
        let endpoints = [first.endpoint.clone(), second.endpoint.clone()];
        let client = client(&first.authority, first.folder.path(), &endpoints);
        Self {
            first,
            second,
            store,
            lagging,
            client,
        }
    }

    /// Asks the second replica by itself.
    async fn login_at_second(&self, password: &str) -> Result<Login, Status> {
        let mut second = self.second.lookups();
        let reply = second.authenticate(login(ANA, password)).await?;
        Ok(reply.into_inner().result.unwrap())
    }
}

/// Of the replica with that number.
fn settings(authority: &Authority, folder: &Path, number: usize, limit: Duration) -> Config {
    let mut settings = config(authority, folder);
    let name = format!("directory-{number}");
    settings.identity = identity_folder(authority, folder, Tier::Directory, &name);
    settings.authenticate.proof = Duration::from_millis(200);
    settings.contact_limit = limit;
    settings
}

/// A proxy that asks these replicas, whose numbers are their places. It waits longer than proxies
/// do, since the machine may be busy.
fn client(authority: &Authority, folder: &Path, endpoints: &[String]) -> DirectoryClient {
    let replica = |(number, endpoint): (usize, &String)| Replica {
        instance: format!("directory-{number}"),
        endpoint: endpoint.clone(),
    };
    let replicas: Vec<_> = endpoints.iter().enumerate().map(replica).collect();
    let proxy = issue(authority, folder, Tier::Proxy, "proxy-0");
    let options = DirectoryOptions {
        resolve_deadline: PATIENCE,
        authenticate_deadline: PATIENCE,
        ..DirectoryOptions::default()
    };
    DirectoryClient::new(&replicas, &proxy, options).unwrap()
}

async fn resolve(client: &DirectoryClient, address: &str) -> Answer {
    let query = ResolveQuery {
        subject: Some(Subject::Address(address.to_owned())),
        at_least_epoch: 0,
    };
    client.resolve(vec![query]).await.remove(0)
}

fn login(address: &str, password: &str) -> AuthenticateRequest {
    AuthenticateRequest {
        login: address.to_owned(),
        password: password.as_bytes().to_vec().into(),
        client: String::new(),
    }
}

fn not_me(status: &Status) -> NotMe {
    match word_of(status) {
        Some(Word::NotMe(why)) => why,
        other => panic!("{other:?}: {status}"),
    }
}
