//! Calls to the cluster: found once, retried while it is away, answered in sentences.

use std::future::Future;
use std::time::Duration;

use kit::rpc::directory::DirectoryChannel;
use kit::services::admin_client::AdminClient;
use tonic::{Code, Response, Status};
use wire::ids::RequestId;

use crate::failure::Failure;

/// How long a server that is away is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How often a call is sent.
    pub attempts: u32,
    /// The first pause; each later one is twice as long.
    pub first_pause: Duration,
}

/// About 3 s in all: longer than a process needs to be back, short for who waits in vain.
pub const PATIENCE: Patience = Patience {
    attempts: 5,
    first_pause: Duration::from_millis(200),
};

/// The directory's administration. Cheap to clone.
#[derive(Clone)]
pub struct Admin {
    client: AdminClient<DirectoryChannel>,
    server: String,
}

impl Admin {
    /// `server` is what sentences call it.
    pub fn new(client: AdminClient<DirectoryChannel>, server: String) -> Self {
        Self { client, server }
    }

    /// Sends `request` until it is answered, a bounded number of times. A write is safe to send
    /// again because its request id stays the same.
    pub async fn call<R, T, F>(
        &self,
        request: R,
        send: impl Fn(AdminClient<DirectoryChannel>, R) -> F,
    ) -> Result<T, Failure>
    where
        R: Clone,
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let attempt = || send(self.client.clone(), request.clone());
        retry(PATIENCE, &self.server, attempt).await
    }
}

/// `ask!(admin.add_alias(request))`: one call of `Admin`, retried and answered in sentences.
macro_rules! ask {
    ($admin:ident.$method:ident($request:expr)) => {
        $admin
            .call($request, |mut client, request| async move {
                client.$method(request).await
            })
            .await
    };
}
pub(crate) use ask;

/// A fresh request id as a message field.
pub fn request_id<B: From<Vec<u8>>>() -> B {
    B::from(RequestId::random().as_bytes().to_vec())
}

/// Runs `attempt` until it is answered with anything but "unavailable", a bounded number of times.
pub async fn retry<T, F>(
    patience: Patience,
    server: &str,
    attempt: impl Fn() -> F,
) -> Result<T, Failure>
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    let mut pause = patience.first_pause;
    for _ in 1..patience.attempts {
        match attempt().await {
            Err(status) if status.code() == Code::Unavailable => {}
            answer => return settle(answer, server),
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    settle(attempt().await, server)
}

fn settle<T>(answer: Result<Response<T>, Status>, server: &str) -> Result<T, Failure> {
    answer
        .map(Response::into_inner)
        .map_err(|status| Failure::from_status(&status, server))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const BRIEF: Patience = Patience {
        attempts: 4,
        first_pause: Duration::from_millis(1),
    };

    async fn answers(codes: &[Code]) -> (Result<u32, Failure>, u32) {
        let calls = AtomicU32::new(0);
        let answer = retry(BRIEF, "s:1", || {
            let call = calls.fetch_add(1, Ordering::Relaxed);
            let code = codes.get(call as usize).copied().unwrap_or(Code::Ok);
            async move {
                match code {
                    Code::Ok => Ok(Response::new(call)),
                    code => Err(Status::new(code, "no")),
                }
            }
        })
        .await;
        (answer, calls.into_inner())
    }

    #[tokio::test]
    async fn unavailable_is_asked_again() {
        let (answer, calls) = answers(&[Code::Unavailable, Code::Unavailable]).await;
        assert_eq!((answer, calls), (Ok(2), 3));
    }

    #[tokio::test]
    async fn but_not_for_ever() {
        let (answer, calls) = answers(&[Code::Unavailable; 100]).await;
        assert_eq!(answer.unwrap_err().exit_code(), 4);
        assert_eq!(calls, BRIEF.attempts);
    }

    #[tokio::test]
    async fn a_no_is_final() {
        let (answer, calls) = answers(&[Code::NotFound]).await;
        assert_eq!(answer.unwrap_err().exit_code(), 3);
        assert_eq!(calls, 1);
    }
}
