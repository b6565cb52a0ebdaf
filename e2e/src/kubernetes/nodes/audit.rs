//! What the API server noted of writes.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::node::AUDIT;

/// A request to change something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// `create`, `patch`, …
    pub verb: String,
    /// Of what: `configmaps`, `mailclusters/status`, …
    pub resource: String,
    /// Where; empty for what is in no namespace.
    pub namespace: String,
    /// Which one; empty if the API server was to choose.
    pub name: String,
    /// How it was answered: 201, 409, …
    pub code: u16,
}

/// Those of a user, the oldest first.
pub(super) fn writes(folder: &Path, user: &str) -> Result<Vec<Write>> {
    let path = folder.join(AUDIT);
    let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    // What is being written has no end yet.
    let whole = text.iter().rposition(|octet| *octet == b'\n').unwrap_or(0);
    parse(&String::from_utf8_lossy(&text[..whole]), user)
}

fn parse(log: &str, user: &str) -> Result<Vec<Write>> {
    let mut found = Vec::new();
    for line in log.lines() {
        let event: Event = serde_json::from_str(line).with_context(|| line.to_owned())?;
        if event.user.username == user {
            found.push(event.into());
        }
    }
    Ok(found)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    verb: String,
    user: User,
    object_ref: Object,
    response_status: Status,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[derive(Default)]
struct Object {
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Deserialize)]
struct Status {
    code: u16,
}

impl From<Event> for Write {
    fn from(event: Event) -> Self {
        let object = event.object_ref;
        let resource = match object.subresource.as_str() {
            "" => object.resource,
            part => format!("{}/{part}", object.resource),
        };
        Self {
            verb: event.verb,
            resource,
            namespace: object.namespace,
            name: object.name,
            code: event.response_status.code,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_users_writes_are_found() {
        let line = |user: &str, object: &str| {
            format!(
                "{{\"verb\":\"patch\",\"user\":{{\"username\":\"{user}\"}},\
                 \"objectRef\":{object},\"responseStatus\":{{\"code\":200}}}}"
            )
        };
        let status =
            r#"{"resource":"mailclusters","subresource":"status","namespace":"a","name":"x"}"#;
        let log = [line("operator", status), line("ana", "{}")].join("\n");
        let wanted = Write {
            verb: "patch".to_owned(),
            resource: "mailclusters/status".to_owned(),
            namespace: "a".to_owned(),
            name: "x".to_owned(),
            code: 200,
        };
        assert_eq!(parse(&log, "operator").unwrap(), [wanted]);
        assert!(parse(&log, "bo").unwrap().is_empty());
    }
}
