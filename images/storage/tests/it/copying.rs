//! The copy of a move: what it reports, what it waits for, what comparing it takes.

use kit::services::mover_client::MoverClient;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use wire::identity::Tier;
use wire::ids::MoveId;
use wire::rpc::export_part::Part;
use wire::rpc::{ExportRequest, ImportRequest, MoveCommand};

use crate::moving::{Stage, Step, back, there};
use crate::rig::account;
use crate::serving::create;

/// What a digest takes is as much as the account has messages, whatever their size.
#[tokio::test]
async fn a_digest_reads_no_bodies() {
    let mut stage = Stage::new().await;
    let plan = there();
    for step in [Step::Prepare, Step::Fence, Step::Import] {
        stage.step(&plan, step).await;
    }
    for shard in ["a", "b"] {
        let heap = stage.cluster.data(shard).join("heap");
        let segment = heap.join(format!("{:016x}.segment", 1));
        let octets = std::fs::read(&segment).unwrap();
        std::fs::write(&segment, vec![0; octets.len()]).unwrap();
    }
    stage.step(&plan, Step::Digests).await;
}

/// Who drives the move hears of an import that waits for its source.
#[tokio::test]
async fn an_import_reports_while_its_source_is_silent() {
    let mut stage = Stage::new().await;
    let plan = there();
    for step in [Step::Prepare, Step::Fence] {
        stage.step(&plan, step).await;
    }
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let request = ImportRequest {
        command: Some(stage.command(&plan, 1)),
        source_endpoint: silent.local_addr().unwrap().to_string(),
        source_incarnation: 1,
        change_number: 1,
        ..ImportRequest::default()
    };
    let mut target = stage.cluster.mover(&stage.shards["b"]);
    let mut progress = target.import(request).await.unwrap().into_inner();
    for _ in 0..2 {
        let report = progress.message().await.unwrap().unwrap();
        assert!(!report.complete);
    }
    stage.stop().await;
}

/// Imports of a shard wait for exports of others; should its own exports wait for those imports,
/// two shards could wait for each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_exports_while_it_imports_all_it_can() {
    let stage = Stage::new().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let b = &stage.shards["b"];
    let mut target = stage.cluster.mover(b);
    create(&stage.cluster, b, account(2)).await;
    let fenced = MoveCommand {
        account: account(2).to_field(),
        ..stage.command(&back(), 1)
    };
    let fence = target.fence(fenced.clone()).await.unwrap().into_inner();
    let mut imports = JoinSet::new();
    for n in 10..18 {
        let command = MoveCommand {
            account: account(n).to_field(),
            move_id: MoveId::random().to_field(),
            ..stage.command(&there(), 1)
        };
        target.prepare(command.clone()).await.unwrap();
        let request = ImportRequest {
            command: Some(command),
            source_endpoint: silent.local_addr().unwrap().to_string(),
            source_incarnation: 1,
            change_number: 1,
            ..ImportRequest::default()
        };
        let mut progress = target.import(request).await.unwrap().into_inner();
        assert!(progress.message().await.unwrap().is_some());
        imports.spawn(async move { while let Ok(Some(_)) = progress.message().await {} });
    }
    let request = ExportRequest {
        command: Some(fenced),
        source_incarnation: fence.incarnation,
        change_number: fence.change_number,
        ..ExportRequest::default()
    };
    let mut source = MoverClient::new(stage.cluster.channel(b, Tier::Storage, "a"));
    let mut parts = source.export(request).await.unwrap().into_inner();
    let first = parts.message().await.unwrap().unwrap();
    assert!(matches!(first.part, Some(Part::Account(_))), "{first:?}");
    assert!(
        imports.try_join_next().is_none(),
        "an import had to end first"
    );
    stage.stop().await;
}
