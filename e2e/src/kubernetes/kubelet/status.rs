//! Whether a pod is ready, and what the API server is told of it.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A probe that takes longer has failed.
const PROBE: Duration = Duration::from_secs(1);

/// What its readiness probe finds; without one it is ready.
pub(super) async fn probe(container: &Container, address: Ipv4Addr) -> bool {
    let probe = container
        .readiness_probe
        .as_ref()
        .and_then(|probe| probe.http_get.as_ref());
    let Some(get) = probe else {
        return true;
    };
    let port = match &get.port {
        IntOrString::Int(port) => *port,
        IntOrString::String(name) => {
            let ports = container.ports.iter().flatten();
            let mut named = ports.filter(|port| port.name.as_ref() == Some(name));
            named.next().map_or(0, |port| port.container_port)
        }
    };
    let path = get.path.clone().unwrap_or_default();
    let asked = async {
        let port = u16::try_from(port)?;
        let mut stream = TcpStream::connect((address, port)).await?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut reply = [0; 12];
        stream.read_exact(&mut reply).await?;
        anyhow::Ok(reply.ends_with(b"200"))
    };
    matches!(timeout(PROBE, asked).await, Ok(Ok(true)))
}

/// As a kubelet does whose registry does not know an image.
pub(super) async fn tell_unpulled(
    pods: &Api<Pod>,
    name: &str,
    container: &Container,
) -> Result<()> {
    let image = container.image.as_deref().unwrap_or_default();
    let waiting = json!({"reason": "ErrImagePull", "message": format!("{image}: not found")});
    let patch = json!({"status": {
        "phase": "Pending",
        "conditions": [
            {"type": "PodScheduled", "status": "True"},
            {"type": "Ready", "status": "False", "reason": "ContainersNotReady"},
        ],
        "containerStatuses": [{"name": container.name, "image": image, "imageID": "",
            "ready": false, "restartCount": 0, "state": {"waiting": waiting}}],
    }});
    pods.patch_status(name, &PatchParams::default(), &Patch::Merge(patch))
        .await?;
    Ok(())
}

/// That it runs, and whether it is ready.
pub(super) async fn tell(
    pods: &Api<Pod>,
    name: &str,
    address: Ipv4Addr,
    is_ready: bool,
) -> Result<()> {
    let status = if is_ready { "True" } else { "False" };
    let now = k8s_openapi::jiff::Timestamp::now().to_string();
    let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "lastTransitionTime": now});
    let patch = json!({"status": {
        "phase": "Running",
        "podIP": address.to_string(),
        "podIPs": [{"ip": address.to_string()}],
        "startTime": now,
        "conditions": [
            condition("PodScheduled", "True"),
            condition("Initialized", "True"),
            condition("ContainersReady", status),
            condition("Ready", status),
        ],
    }});
    pods.patch_status(name, &PatchParams::default(), &Patch::Merge(patch))
        .await?;
    Ok(())
}
