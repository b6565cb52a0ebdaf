//! The admin port shows what every tier counts, each under its own name.

use e2e::metrics::{counter, text};

use crate::support::{ANA, TestSite};

/// One that each tier counts, as a dashboard would name it.
const ONE_EACH: [&str; 5] = [
    "buzonera_directory_resolved_total",
    "buzonera_storage_deliveries_total",
    "buzonera_storage_heap_syncs_total",
    "buzonera_mx_outcomes_total",
    "buzonera_proxy_logins_total",
];

#[tokio::test]
async fn every_tier_counts_under_its_own_name() {
    let site = TestSite::with_ana().await.unwrap();
    let admin = site.ports().admin;
    let before = text(admin).unwrap();
    site.deliver([1, 2], ANA).await.unwrap();
    assert_eq!(site.numbers(ANA).await.unwrap(), [1, 2]);
    let after = text(admin).unwrap();
    for name in ONE_EACH {
        let (before, after) = (counter(&before, name), counter(&after, name));
        assert!(
            after > before,
            "{name}: {before:?} before mail, {after:?} after it"
        );
    }
    let idle = counter(&after, "buzonera_mx_spool_syncs_total");
    assert_eq!(idle, Some(0), "mail that is stored is not spooled");
    for tier in ["directory", "storage", "mx", "proxy"] {
        let twice = format!("buzonera_{tier}_{tier}_");
        assert!(!after.contains(&twice), "{twice}…");
        let expires = format!("buzonera_{tier}_identity_expires_timestamp_seconds");
        assert!(after.contains(&expires), "no {expires}");
    }
}
