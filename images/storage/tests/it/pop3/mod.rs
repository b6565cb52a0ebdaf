//! POP3 over real sockets and TLS, on a shard over a disk whose syncs can be held.

mod deleting;
mod ending;
mod hostile;
mod locking;
mod reading;
pub(crate) mod site;
mod strangers;
