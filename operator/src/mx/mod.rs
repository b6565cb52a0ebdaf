//! An mx that is not wanted any more lets nobody in, delivers what it has, and goes.
//!
//! | its door | what it holds | what is done |
//! |---|---|---|
//! | nobody tells | – | it is waited for: it may hold mail |
//! | open | – | it is shut, and all that waits is due at once |
//! | shut | sessions, or mail that is tried | it is waited for |
//! | shut | dead letters and nothing else | it is waited for: somebody has to decide about them |
//! | shut | nothing | its StatefulSet goes, then its certificate; its volume stays |
//!
//! Its door is shut for as long as its process runs, so one that started again is shut again. Its
//! StatefulSet is marked as leaving before that: one that is wanted again has its door opened before
//! the mark goes. Whatever door somebody else has shut stays shut.

use wire::rpc::SpoolStatus;

mod ask;

pub(crate) use ask::{shut, told};

/// What is done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Its door is shut.
    Shut,
    /// Nothing now.
    Wait(Wait),
    /// It holds nothing, and nothing can come: it goes.
    Remove,
}

/// What an mx that leaves is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// It does not answer.
    Answer,
    /// It has sessions, and mail that is tried.
    Mail {
        /// Recipients that wait.
        pending: u64,
        /// Sessions that are open.
        sessions: u64,
    },
    /// Nothing is left but recipients that were given up.
    DeadLetters(u64),
}

/// What is done with one that leaves; the table is above. `told`: what it says; none: nothing.
pub fn decide(told: Option<&SpoolStatus>) -> Step {
    let Some(told) = told else {
        return Step::Wait(Wait::Answer);
    };
    let SpoolStatus {
        cordoned,
        pending,
        dead,
        sessions,
    } = *told;
    match (cordoned, pending + sessions, dead) {
        (false, _, _) => Step::Shut,
        (true, 0, 0) => Step::Remove,
        (true, 0, dead) => Step::Wait(Wait::DeadLetters(dead)),
        (true, _, _) => Step::Wait(Wait::Mail { pending, sessions }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table() {
        let told = |cordoned, pending, dead, sessions| SpoolStatus {
            cordoned,
            pending,
            dead,
            sessions,
        };
        let mail = |pending, sessions| Step::Wait(Wait::Mail { pending, sessions });
        for (told, expected) in [
            (None, Step::Wait(Wait::Answer)),
            (Some(told(false, 0, 0, 0)), Step::Shut),
            (Some(told(false, 9, 9, 9)), Step::Shut),
            (Some(told(true, 1, 0, 0)), mail(1, 0)),
            (Some(told(true, 0, 0, 1)), mail(0, 1)),
            (Some(told(true, 2, 3, 4)), mail(2, 4)),
            (Some(told(true, 0, 3, 0)), Step::Wait(Wait::DeadLetters(3))),
            (Some(told(true, 0, 0, 0)), Step::Remove),
        ] {
            assert_eq!(decide(told.as_ref()), expected, "{told:?}");
        }
    }
}
