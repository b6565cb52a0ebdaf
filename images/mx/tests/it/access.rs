//! The spool is the administrators' alone.

use kit::rpc::{ChannelOptions, channel};
use kit::services::spool_admin_client::SpoolAdminClient;
use kit::tls::Credentials;
use tonic::Code;
use wire::identity::Tier;
use wire::rpc::SpoolListRequest;

use crate::harness::World;

#[tokio::test]
async fn no_other_tier_sees_what_is_spooled() {
    let world = World::new().await;
    for &tier in Tier::ALL {
        let credentials = Credentials::load(&world.identity(tier, "one")).unwrap();
        let mx = credentials.peer(Tier::Mx, "mx-0").unwrap();
        let (at, options) = (world.rpc.to_string(), ChannelOptions::default());
        let mut spool = SpoolAdminClient::new(channel(&at, &mx, &credentials, options).unwrap());
        let listed = spool.list(SpoolListRequest::default()).await;
        let refused = (tier != Tier::Admin).then_some(Code::PermissionDenied);
        assert_eq!(listed.err().map(|status| status.code()), refused, "{tier}");
    }
}
