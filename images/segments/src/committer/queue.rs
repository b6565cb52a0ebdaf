//! What waits for the committer: bounded, in the order of submission.

use std::collections::VecDeque;

use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::oneshot;

use crate::error::LogError;
use crate::options::Options;
use crate::record::Record;
use crate::ticket::{Answer, Ticket};

/// One thing to do, and who waits for it.
pub(crate) struct Waiting {
    pub(crate) work: Work,
    pub(crate) answer: oneshot::Sender<Answer>,
}

/// What the committer is asked for.
pub(crate) enum Work {
    Append(Record),
    /// Start a new segment.
    Seal,
}

impl Work {
    fn bytes(&self) -> u64 {
        match self {
            Self::Append(record) => record.len() as u64,
            Self::Seal => 0,
        }
    }
}

/// What the committer does next.
pub(crate) enum Next {
    /// Write these together.
    Group(Vec<Waiting>),
    /// Start a new segment, then answer.
    Seal(oneshot::Sender<Answer>),
    /// Nothing waits and nothing will come.
    End,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    bytes: u64,
    /// Why nothing more is taken.
    refusal: Option<LogError>,
}

/// The queue between submitters and the committer.
pub(crate) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    options: Options,
}

impl Queue {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            state: Mutex::default(),
            filled: Condvar::new(),
            options,
        }
    }

    /// Adds work at the end, or says why not.
    pub(crate) fn push(&self, work: Work) -> Result<Ticket, LogError> {
        let bytes = work.bytes();
        let (answer, ticket) = Ticket::new();
        let mut state = self.lock();
        if let Some(refusal) = &state.refusal {
            return Err(refusal.clone());
        }
        let full = state.waiting.len() >= self.options.queue_records
            || (state.bytes > 0 && state.bytes + bytes > self.options.queue_bytes);
        if full {
            return Err(LogError::Overloaded);
        }
        state.bytes += bytes;
        state.waiting.push_back(Waiting { work, answer });
        drop(state);
        self.filled.notify_one();
        Ok(ticket)
    }

    /// Waits for work and takes as much as one group may hold.
    pub(crate) fn take(&self) -> Next {
        let mut state = self.lock();
        while state.waiting.is_empty() && state.refusal.is_none() {
            self.filled.wait(&mut state);
        }
        let mut group = Vec::new();
        let mut bytes = 0;
        while let Some(next) = state.waiting.pop_front() {
            let more = next.work.bytes();
            let seal = matches!(next.work, Work::Seal);
            if seal && group.is_empty() {
                return Next::Seal(next.answer);
            }
            let full = bytes + more > self.options.group_bytes
                || group.len() >= self.options.group_records;
            if seal || (full && !group.is_empty()) {
                state.waiting.push_front(next);
                break;
            }
            bytes += more;
            group.push(next);
        }
        state.bytes -= bytes;
        match group.is_empty() {
            true => Next::End,
            false => Next::Group(group),
        }
    }

    /// Takes nothing more; what waits is still done.
    pub(crate) fn close(&self) {
        self.lock().refusal.get_or_insert(LogError::Closed);
        self.filled.notify_all();
    }

    /// Takes nothing more, ever, and fails what waits.
    pub(crate) fn fail(&self, error: &LogError) {
        let mut state = self.lock();
        state.refusal = Some(error.clone());
        let waiting = std::mem::take(&mut state.waiting);
        state.bytes = 0;
        drop(state);
        for waiting in waiting {
            let _ = waiting.answer.send(Err(error.clone()));
        }
        self.filled.notify_all();
    }

    /// Why the log stopped, if a write or sync failed.
    pub(crate) fn failure(&self) -> Option<LogError> {
        let failed = |error: &LogError| matches!(error, LogError::Failed { .. });
        self.lock().refusal.clone().filter(failed)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(options: Options) -> Queue {
        Queue::new(options)
    }

    fn record(length: usize) -> Work {
        Work::Append(Record::new(1, vec![0; length]))
    }

    fn group(queue: &Queue) -> usize {
        match queue.take() {
            Next::Group(group) => group.len(),
            Next::Seal(_) => 0,
            Next::End => usize::MAX,
        }
    }

    #[test]
    fn bounds() {
        let queue = queue(Options {
            queue_records: 3,
            queue_bytes: 100,
            ..Options::default()
        });
        // Larger than all that may wait, but nothing waits.
        let _large = queue.push(record(500)).unwrap();
        assert!(matches!(queue.push(record(1)), Err(LogError::Overloaded)));
        assert_eq!(group(&queue), 1);
        let _three = [40, 40, 20].map(|length| queue.push(record(length)).unwrap());
        assert!(matches!(queue.push(record(0)), Err(LogError::Overloaded)));
        assert_eq!(group(&queue), 3);
        let _fits = queue.push(record(100)).unwrap();
    }

    #[test]
    fn groups() {
        let queue = queue(Options {
            group_records: 2,
            group_bytes: 10,
            ..Options::default()
        });
        let _tickets: Vec<_> = [1, 1, 1, 10, 11, 1]
            .map(|length| queue.push(record(length)).unwrap())
            .into_iter()
            .chain([
                queue.push(Work::Seal).unwrap(),
                queue.push(record(1)).unwrap(),
            ])
            .collect();
        queue.close();
        assert!(matches!(queue.push(record(1)), Err(LogError::Closed)));
        let groups: Vec<_> = (0..8).map(|_| group(&queue)).collect();
        assert_eq!(groups, [2, 1, 1, 1, 1, 0, 1, usize::MAX]);
    }

    #[test]
    fn failing_answers_all_who_wait() {
        let queue = queue(Options::default());
        let ticket = queue.push(record(1)).unwrap();
        let error = LogError::failed("sync", &std::io::Error::other("broken"));
        queue.fail(&error);
        queue.close();
        assert!(matches!(ticket.wait(), Err(LogError::Failed { .. })));
        assert!(matches!(
            queue.push(record(1)),
            Err(LogError::Failed { .. })
        ));
        assert!(queue.failure().is_some());
    }
}
