//! Alerts: what is decided ([`conditions`]), how it is said ([`message`] and one module for each kind of
//! channel), and how it arrives ([`run`]).
//!
//! A decision is made once for each rule, scope, window and threshold, by a unique key in the store; in the
//! same transaction one delivery for each channel goes into the outbox. Deliveries are tried until they
//! arrive or are given up, each time with the same id, so that a receiver can tell a repeat.

pub mod conditions;
pub mod deliver;
pub mod email;
pub mod message;
mod observe;
pub mod pagerduty;
pub mod run;
pub mod schedule;
pub mod slack;
pub mod target;
pub mod webhook;
pub mod window;
