//! The doors: how many may be inside at a time, how long a request may take to be said, and under which names
//! this collector is asked.
//!
//! A connection waits for its client (for a head, the rest of a body, the next request) or is being answered.
//! Where all places are taken, the newcomer gets the place of who waits for longest, first among those that
//! were never answered well: a crowd of half requests pushes itself out, and gateways, whose connections were
//! of use, stay.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore};

/// Who is inside.
#[derive(Debug)]
pub struct Doors {
    inside: Mutex<Inside>,
    /// Memory of bodies, in KiB.
    pub(crate) memory: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Inside {
    next: u64,
    visitors: BTreeMap<u64, Visitor>,
}

#[derive(Debug)]
struct Visitor {
    /// Since when it waits for its client; none while it is being answered.
    waits_since: Option<Instant>,
    /// Whether it was answered well before.
    known: bool,
    leave: Arc<Notify>,
}

/// One connection. Its place is free when this is dropped.
#[derive(Debug)]
pub struct Visit {
    id: u64,
    leave: Arc<Notify>,
    doors: Arc<Doors>,
}

impl Default for Doors {
    fn default() -> Self {
        Self { inside: Mutex::default(), memory: Arc::new(Semaphore::new(MEMORY_KIB)) }
    }
}

impl Doors {
    /// Lets a connection in, in the place of another where all are taken; none where everybody is being
    /// answered.
    pub fn enter(self: &Arc<Self>) -> Option<Visit> {
        let mut inside = self.inside();
        if inside.visitors.len() >= VISITORS_MAX {
            let waiting =
                inside.visitors.iter().filter_map(|(id, one)| Some((one.known, one.waits_since?, *id)));
            let (.., id) = waiting.min()?;
            inside.visitors.remove(&id)?.leave.notify_one();
        }
        let id = inside.next;
        inside.next = inside.next.wrapping_add(1);
        let leave = Arc::new(Notify::new());
        let visitor = Visitor { waits_since: Some(Instant::now()), known: false, leave: Arc::clone(&leave) };
        inside.visitors.insert(id, visitor);
        drop(inside);
        Some(Visit { id, leave, doors: Arc::clone(self) })
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visit {
    /// Ends when this connection has to go.
    pub async fn sent_away(&self) {
        self.leave.notified().await;
    }

    /// All of a request is here.
    pub(crate) fn said(&self) {
        if let Some(visitor) = self.doors.inside().visitors.get_mut(&self.id) {
            visitor.waits_since = None;
        }
    }

    /// It has been answered.
    pub(crate) fn answered(&self, well: bool) {
        if let Some(visitor) = self.doors.inside().visitors.get_mut(&self.id) {
            visitor.waits_since = Some(Instant::now());
            visitor.known |= well;
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.doors.inside().visitors.remove(&self.id);
    }
}

/// Connections at a time: half of the files that a process may have open where nobody raised that.
pub const VISITORS_MAX: usize = 512;
/// How long a request's head may take, and a connection be silent before it.
pub const HEAD_WAITS: Duration = Duration::from_secs(20);
/// How long a body may take, from its head on.
pub(crate) const BODY_WAITS: Duration = Duration::from_secs(20);
/// Memory of all bodies that are here and not yet answered.
const MEMORY_KIB: usize = 96 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_all_places_are_taken_who_was_never_answered_goes_first_and_then_who_waits_for_longest() {
        let doors = Arc::new(Doors::default());
        let mut visits: Vec<_> = (0..VISITORS_MAX).map(|_| doors.enter().unwrap()).collect();
        // A gateway that waits for longest, and one whose request is being answered.
        visits[0].said();
        visits[0].answered(true);
        visits[1].said();
        let here = |visit: &Visit| doors.inside().visitors.contains_key(&visit.id);
        let newcomer = doors.enter().unwrap();
        assert!(here(&visits[0]) && here(&visits[1]) && here(&newcomer));
        assert!(!here(&visits[2]), "of those that were never answered the first one");
        for visit in &visits[3..] {
            visit.said();
        }
        newcomer.said();
        doors.enter().unwrap().said();
        assert!(!here(&visits[0]), "nobody else waits");
        visits.truncate(2);
        assert!(doors.enter().is_some(), "places are free again");
    }

    #[test]
    fn where_everybody_is_being_answered_nobody_comes_in() {
        let doors = Arc::new(Doors::default());
        let visits: Vec<_> = (0..VISITORS_MAX).map(|_| doors.enter().unwrap()).collect();
        visits.iter().for_each(Visit::said);
        assert!(doors.enter().is_none());
    }
}
