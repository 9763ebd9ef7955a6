//! How ranks end together and agree on whose fault it was.
//!
//! A rank that cannot go on tells all others. The cause is often several ranks away: 0 waits for 1, which waits for 2,
//! which hangs. So whoever gives up waiting says for whom it waited, every rank that waits answers with its own, and
//! after a moment each follows this chain to the rank that nobody has heard of.

use std::time::{Duration, Instant};

use crate::error::Error;
use crate::farewell::{Farewell, Reason};
use crate::link::{Fault, Link, Wait};

/// How long the others may take to say for whom they wait. Ranks that wait look every few milliseconds.
const GRACE: Duration = Duration::from_secs(3);

/// Tells every other rank about `fault`, which ended an exchange with `peer`, and finds out whose fault it is.
pub(crate) fn conclude(link: &mut dyn Link, fault: Fault, peer: usize, wait: &Wait<'_>) -> Error {
    let me = link.rank();
    let mut heard: Vec<Option<Farewell>> = vec![None; link.size()];
    let mine = match fault {
        Fault::Ended { rank } => Farewell { from: me, about: rank, reason: Reason::Ended, text: wait.stage.into() },
        Fault::Broken { rank, cause } => Farewell { from: me, about: rank, reason: Reason::Failed, text: cause },
        Fault::Silent { rank } => Farewell { from: me, about: rank, reason: Reason::Waited, text: wait.stage.into() },
        Fault::Told(told) if told.reason != Reason::Waited => Farewell { from: me, ..told },
        Fault::Told(told) => {
            let from = told.from;
            heard[from] = Some(told);
            Farewell { from: me, about: peer, reason: Reason::Waited, text: wait.stage.into() }
        }
    };
    link.tell(&mine);
    if mine.reason != Reason::Waited {
        return verdict(&mine, wait);
    }
    heard[me] = Some(mine);
    if let Some(certain) = listen(link, &mut heard) {
        return verdict(&certain, wait);
    }
    follow(&heard, me, wait)
}

/// Collects what the others say, until all have spoken or [`GRACE`] is over; at once what one of them knows for certain.
fn listen(link: &mut dyn Link, heard: &mut [Option<Farewell>]) -> Option<Farewell> {
    let begun = Instant::now();
    while begun.elapsed() < GRACE && heard.iter().any(Option::is_none) {
        match link.heard() {
            Some(Fault::Told(told)) if told.reason == Reason::Waited => {
                let from = told.from;
                heard[from] = Some(told);
            }
            Some(Fault::Told(told)) => return Some(told),
            // The rank may have ended because it gave up on another one, whose farewell to us is still on its way.
            Some(_) => {}
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    None
}

/// Goes from each rank to the one that it waited for, until one is found that did not say a word.
fn follow(heard: &[Option<Farewell>], me: usize, wait: &Wait<'_>) -> Error {
    let mut seen = vec![false; heard.len()];
    let (mut at, mut stage) = (me, wait.stage.to_owned());
    while let Some(farewell) = heard.get(at).and_then(Option::as_ref) {
        if std::mem::replace(&mut seen[at], true) {
            break;
        }
        at = farewell.about;
        stage.clone_from(&farewell.text);
    }
    if at == me {
        return Error::Late { stage, place: wait.place(me) };
    }
    Error::Silent { rank: at, place: wait.place(at), stage, seconds: wait.patience.as_secs_f64() }
}

fn verdict(farewell: &Farewell, wait: &Wait<'_>) -> Error {
    let (rank, place) = (farewell.about, wait.place(farewell.about));
    match farewell.reason {
        Reason::Ended => Error::Ended { rank, place, stage: farewell.text.clone() },
        _ => Error::Failed { rank, place, cause: farewell.text.clone() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Receive;

    /// Rank 0 of four, to whom the others say what is given.
    struct Scripted {
        news: Vec<Fault>,
        told: Vec<Farewell>,
    }

    impl Link for Scripted {
        fn rank(&self) -> usize {
            0
        }

        fn size(&self) -> usize {
            4
        }

        fn name(&self) -> &str {
            "scripted"
        }

        fn exchange(&mut self, peer: usize, _: &[u8], _: Receive<'_>, _: &Wait<'_>) -> Result<(), Fault> {
            Err(Fault::Silent { rank: peer })
        }

        fn tell(&mut self, farewell: &Farewell) {
            self.told.push(farewell.clone());
        }

        fn heard(&mut self) -> Option<Fault> {
            self.news.pop()
        }

        fn finish(&mut self) {}
    }

    fn waits(from: usize, about: usize) -> Farewell {
        Farewell { from, about, reason: Reason::Waited, text: format!("stage of {from}") }
    }

    const WAIT: Wait<'_> = Wait { stage: "gradients", patience: Duration::from_secs(9), peers: &[] };

    #[test]
    fn what_the_others_say_counts() {
        let news = vec![Fault::Ended { rank: 3 }, Fault::Told(waits(3, 2)), Fault::Told(waits(1, 3))];
        let mut link = Scripted { news, told: Vec::new() };
        let error = conclude(&mut link, Fault::Silent { rank: 1 }, 1, &WAIT);
        assert!(matches!(&error, Error::Silent { rank: 2, stage, .. } if stage == "stage of 3"), "{error}");
        let told = Farewell { from: 0, about: 1, reason: Reason::Waited, text: "gradients".into() };
        assert_eq!(link.told, [told]);
        // Somebody knows for certain.
        let full = Farewell { from: 3, about: 3, reason: Reason::Failed, text: "the disk is full".into() };
        let mut link = Scripted { news: vec![Fault::Told(full), Fault::Told(waits(1, 3))], told: Vec::new() };
        let error = conclude(&mut link, Fault::Silent { rank: 1 }, 1, &WAIT);
        assert!(matches!(&error, Error::Failed { rank: 3, cause, .. } if cause == "the disk is full"), "{error}");
    }

    #[test]
    fn the_chain_of_waiting_ranks_ends_at_the_one_that_is_silent() {
        let heard = [Some(waits(0, 1)), Some(waits(1, 3)), None, Some(waits(3, 2))];
        match follow(&heard, 0, &WAIT) {
            Error::Silent { rank: 2, stage, .. } => assert_eq!(stage, "stage of 3"),
            other => panic!("{other}"),
        }
        let heard = [Some(waits(0, 1)), Some(waits(1, 2)), Some(waits(2, 0))];
        assert!(matches!(follow(&heard, 0, &WAIT), Error::Late { .. }));
    }
}
