//! What is kept in Envoy's shared data, which all VMs of one Envoy see, and outlives each of them.
//!
//! | module | keeps |
//! | --- | --- |
//! | [`layout`] | every key, and small values |
//! | [`lane`] | a VM's journal, reservations and outbox |
//! | [`journal`] | what is noted of a call under way |
//! | [`counters`] | the table of counters |
//! | [`values`] | how many values each budget has counters for |
//! | [`runs`] | what runs did so far, and how often requests came |
//! | [`deferred`] | who started work that is fetched later |
//! | [`leader`] | which VM of this Envoy talks to the collector |

pub(crate) mod counters;
pub(crate) mod deferred;
pub(crate) mod journal;
pub(crate) mod lane;
pub(crate) mod layout;
pub(crate) mod leader;
pub(crate) mod runs;
pub(crate) mod values;
