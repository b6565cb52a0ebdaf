//! Asking one after the other without waiting for each: the first good answer counts.

use std::future::Future;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use tokio::time::timeout;

/// Starts the first attempt, and the next whenever one failed or `patience` passed without an
/// answer. The first success ends it and drops the others; when all have failed, the last error.
/// `None` means that there were no attempts.
pub(super) async fn first<A, F, T, E>(attempts: A, patience: Duration) -> Result<T, Option<E>>
where
    A: IntoIterator<Item = F>,
    F: Future<Output = Result<T, E>>,
{
    let mut waiting = attempts.into_iter().fuse().peekable();
    let mut running = FuturesUnordered::new();
    let mut last = None;
    loop {
        running.extend(waiting.next());
        let answered = if waiting.peek().is_some() {
            timeout(patience, running.next()).await
        } else {
            Ok(running.next().await)
        };
        match answered {
            Ok(Some(Ok(answer))) => return Ok(answer),
            Ok(Some(Err(error))) => last = Some(error),
            Ok(None) if waiting.peek().is_none() => return Err(last),
            Ok(None) | Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::FutureExt;
    use futures::future::BoxFuture;

    use super::*;

    type Attempt = BoxFuture<'static, Result<u8, &'static str>>;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(3600);

    fn answers(result: Result<u8, &'static str>) -> Attempt {
        ready(result).boxed()
    }

    #[tokio::test]
    async fn a_quick_answer_bothers_nobody_else() {
        let asked = AtomicUsize::new(0);
        let attempts = [Ok(1), Ok(2)].into_iter().map(|result| {
            asked.fetch_add(1, Ordering::Relaxed);
            answers(result)
        });
        assert_eq!(first(attempts, LONG).await, Ok(1));
        // One more is taken from the list, to know whether there is one; it is not begun.
        assert!(asked.load(Ordering::Relaxed) <= 2);
    }

    #[tokio::test]
    async fn an_error_starts_the_next_at_once() {
        assert_eq!(
            first([answers(Err("a")), answers(Ok(2))], LONG).await,
            Ok(2)
        );
    }

    #[tokio::test]
    async fn a_silent_one_is_not_waited_for() {
        assert_eq!(
            first([pending().boxed(), answers(Ok(2))], SHORT).await,
            Ok(2)
        );
    }

    #[tokio::test]
    async fn a_slow_one_still_counts() {
        let slow: Attempt = async {
            tokio::time::sleep(SHORT * 3).await;
            Ok(1)
        }
        .boxed();
        assert_eq!(first([slow, pending().boxed()], SHORT).await, Ok(1));
    }

    #[tokio::test]
    async fn when_all_fail_the_last_error_is_told() {
        assert_eq!(
            first([answers(Err("a")), answers(Err("b"))], LONG).await,
            Err(Some("b"))
        );
        assert_eq!(first(Vec::<Attempt>::new(), LONG).await, Err(None));
    }
}
