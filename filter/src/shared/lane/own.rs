//! The lane that one VM owns.

use std::cell::{Cell, RefCell};

use tollgate_core::protocol::config::GatewayConfig;

use super::{Lane, LaneId};

/// A VM's lane, taken where it has none or has lost it. Without a collector there is none.
#[derive(Debug)]
pub(crate) struct OwnLane {
    vm: u64,
    /// Records that its outbox holds; `None` without a collector.
    capacity: Option<u64>,
    lane: RefCell<Option<Lane>>,
    given_back: Cell<Option<LaneId>>,
}

impl OwnLane {
    /// Of a VM that has just started.
    pub(crate) fn new(vm: u64, config: &GatewayConfig) -> Self {
        let capacity = config.collector.as_ref().map(|_| config.outbox_records);
        Self { vm, capacity, lane: RefCell::new(None), given_back: Cell::new(None) }
    }

    /// Acts on it; `None` where there is none to be had.
    pub(crate) fn with<T>(&self, now_ms: u64, act: impl FnOnce(&mut Lane) -> T) -> Option<T> {
        self.keep(now_ms);
        self.lane.borrow_mut().as_mut().map(act)
    }

    /// Sees to it that this VM has a lane.
    #[inline(never)]
    fn keep(&self, now_ms: u64) {
        let mut lane = self.lane.borrow_mut();
        if let Some(capacity) = self.capacity
            && lane.as_mut().is_none_or(|lane| !lane.beat(now_ms))
        {
            *lane = Lane::claim(self.vm, capacity, now_ms)
                .map(|lane| Lane { given_back: self.given_back.get(), ..lane });
        }
    }

    /// Which it is, where it has one.
    pub(crate) fn id(&self) -> Option<LaneId> {
        self.lane.borrow().as_ref().map(Lane::id)
    }

    /// Shows that this VM lives, where it has a lane.
    pub(crate) fn beat(&self, now_ms: u64) {
        let mut lane = self.lane.borrow_mut();
        if lane.as_mut().is_some_and(|lane| !lane.beat(now_ms)) {
            *lane = None;
        }
    }

    /// Gives it back.
    pub(crate) fn release(&self) {
        if let Some(lane) = self.lane.borrow_mut().take() {
            lane.release();
            self.given_back.set(Some(lane.id()));
        }
    }
}
