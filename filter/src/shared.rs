//! What is kept in Envoy's shared data, which all VMs of one Envoy see, and outlives each of them.
//!
//! | module | keeps |
//! | --- | --- |
//! | [`layout`] | every key, and small values |
//! | [`lane`] | a VM's journal, reservations and outbox |
//! | [`journal`] | what is noted of a call under way |
//! | [`counters`] | the table of counters |
//! | [`values`] | how many values each budget has counters for |
//! | [`deferred`] | who started work that is fetched later |
//! | [`leader`] | which VM of this Envoy talks to the collector |

pub mod counters;
pub mod deferred;
pub mod journal;
pub mod lane;
pub mod layout;
pub mod leader;
pub mod values;
