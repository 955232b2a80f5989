//! Anomalies: what an agent does now that it usually does not ([`detect`], pure), and why ([`drivers`]).
//!
//! Each minute the detector looks at the last hour by minutes and at the weeks before by hours. A finding
//! lasts while it is found again; it becomes an alert through rules with `when = "anomaly"`. What agents
//! cost in the last week is compared with their first one ([`drift`], pure).

pub mod baseline;
pub mod detect;
pub mod drift;
pub mod drivers;
pub mod newcomers;
pub mod run;
