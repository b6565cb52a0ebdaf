//! What etcd's members have raised an alarm about.

use super::endpoints::Endpoints;
use super::proto::maintenance_client::MaintenanceClient;
use super::proto::{AlarmRequest, AlarmType};
use crate::store::{Alarm, Error};

/// Each kind once. It is answered without a leader too, so none is asked for.
pub(super) async fn alarms(endpoints: &Endpoints) -> Result<Vec<Alarm>, Error> {
    let call = |channel| async move {
        let every_one = AlarmRequest::default();
        MaintenanceClient::new(channel).alarm(every_one).await
    };
    let limit = endpoints.options().attempt_timeout;
    let reply = endpoints.read(limit, call).await?;
    let raised = |kind: AlarmType| reply.alarms.iter().any(|member| member.alarm() == kind);
    let mut alarms = Vec::new();
    if raised(AlarmType::Nospace) {
        alarms.push(Alarm::Full);
    }
    if raised(AlarmType::Corrupt) {
        alarms.push(Alarm::Corrupt);
    }
    Ok(alarms)
}
