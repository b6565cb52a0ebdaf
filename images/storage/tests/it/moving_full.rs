//! A shard without room takes no copy, and says so before the account's mail waits for it.

use tonic::Code;
use wire::ids::MoveId;
use wire::rpc::MoveCommand;

use crate::hosts::{Hosts, NAMES};
use crate::rig::account;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nearly_full_target_refuses_at_once() {
    let hosts = Hosts::new(1).await;
    hosts.create(0, account(1)).await;
    let command = MoveCommand {
        move_id: MoveId::random().to_field(),
        account: account(1).to_field(),
        epoch: 1,
        source: NAMES[0].to_owned(),
        target: NAMES[1].to_owned(),
    };
    let target = &hosts.all[1];
    target.shard().set_nearly_full(true);
    let refused = target.mover().prepare(command.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert_eq!(target.shard().account(account(1)).unwrap(), None);
    target.shard().set_nearly_full(false);
    target.mover().prepare(command).await.unwrap();
    hosts.close().await;
}
