//! The conversation with the collector, and what is told it of VMs that have died.
//!
//! | module | does |
//! | --- | --- |
//! | [`sync`] | what the leader sends, and what it does with the answer |
//! | [`question`] | what is asked for calls that wait |
//! | [`recovery`] | what dead VMs have left |
//! | [`advice`] | why a call-out was no use, in words |

pub(crate) mod advice;
pub(crate) mod question;
pub(crate) mod recovery;
pub(crate) mod sync;
