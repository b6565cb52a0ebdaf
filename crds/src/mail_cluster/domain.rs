//! Domains to take mail for.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::rules::{self, matches};

/// A domain.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Domain {
    /// Its name in lower case, for example example.org; names of other scripts in their xn-- form.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::host(
        "domains: write names in lower case, for example example.org, and others in their xn-- form",
    ))]
    pub name: String,
    /// Who gets mail for the domain's postmaster, for example admin@example.org. Left out: nobody is
    /// named here, and what was named before stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 320))]
    #[x_kube(validation = matches(
        "^[^@ ]+@[^@ ]+$",
        "postmaster: write an address, for example admin@example.org",
    ))]
    pub postmaster: Option<String>,
}
