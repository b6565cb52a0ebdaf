//! The tests' Kubernetes with nodes is a whole one: what Buzonera needs of a cluster, it has.

mod audit;
mod balancer;
mod chart;
mod directory_away;
mod ends;
mod etcd_away;
mod helm;
mod host;
mod lost;
mod mail;
mod names;
mod programs;
mod proxied;
mod scaled;
mod support;
mod volumes;
mod without;
