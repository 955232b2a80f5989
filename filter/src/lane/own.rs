//! The lane that one VM owns.

use std::cell::RefCell;

use tollgate_core::gateway::GatewayConfig;

use super::{Lane, LaneId};

/// A VM's lane, taken where it has none or has lost it. Without a collector there is none.
#[derive(Debug)]
pub struct OwnLane {
    vm: u64,
    /// Records that its outbox holds; `None` without a collector.
    capacity: Option<u64>,
    lane: RefCell<Option<Lane>>,
}

impl OwnLane {
    /// Of a VM that has just started.
    pub fn new(vm: u64, config: &GatewayConfig) -> Self {
        let capacity = config.collector.as_ref().map(|_| config.outbox_records);
        Self { vm, capacity, lane: RefCell::new(None) }
    }

    /// Acts on it; `None` where there is none to be had.
    pub fn with<T>(&self, now_ms: u64, act: impl FnOnce(&mut Lane) -> T) -> Option<T> {
        let capacity = self.capacity?;
        let mut lane = self.lane.borrow_mut();
        if lane.as_mut().is_none_or(|lane| !lane.beat(now_ms)) {
            *lane = Lane::claim(self.vm, capacity, now_ms);
        }
        lane.as_mut().map(act)
    }

    /// Which it is, where it has one.
    pub fn id(&self) -> Option<LaneId> {
        self.lane.borrow().as_ref().map(Lane::id)
    }

    /// Shows that this VM lives, where it has a lane.
    pub fn beat(&self, now_ms: u64) {
        let mut lane = self.lane.borrow_mut();
        if lane.as_mut().is_some_and(|lane| !lane.beat(now_ms)) {
            *lane = None;
        }
    }

    /// Gives it back.
    pub fn release(&self) {
        if let Some(lane) = self.lane.borrow_mut().take() {
            lane.release();
        }
    }
}
