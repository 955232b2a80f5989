//! What the collector does with what it keeps: it admits, prices, decides, tells and keeps house.
//!
//! | module | does |
//! | --- | --- |
//! | [`app`] | what handlers share |
//! | [`ingest`] | checks and prices what gateways send |
//! | [`policy`] | budgets that hold now, and what gateways are told of them |
//! | [`rules`], [`registry`] | who may call what; agents that are registered, and those that were seen |
//! | [`stopping`] | stops runs that pass a limit on all gateways together |
//! | [`alerts`], [`anomalies`] | what is decided from what is kept, and how it is told |
//! | [`mailed`] | reports by mail: when one is due, and how it is sent |
//! | [`baseline`] | what agents used when they began |
//! | [`prices`] | the price book: built from files and configuration |
//! | [`estimate`] | what calls and agents will cost, counted with every public encoding |
//! | [`meter`] | meters recorded exchanges offline |
//! | [`what_if`] | what recorded calls would cost at other models |
//! | [`prompts`] | what prompts are made of, and what that costs |
//! | [`reconcile`] | bills of providers against what gateways saw |
//! | [`reprice`] | prices records again after a correction |
//! | [`reload`] | takes a changed configuration while the collector runs |
//! | [`access`], [`doors`], [`tls`] | which token allows what; who may come in; encryption |
//! | [`following`] | adds new records to the sums by facet |
//! | [`housekeeping`] | what the collector does by itself |
//! | [`metrics`] | the collector's own metrics |
//! | [`demo`] | sample data |
//! | [`exports`] | rows of exports |
//! | [`chargeback`] | a month as statements of those who pay |

pub mod access;
pub mod alerts;
pub mod anomalies;
pub mod app;
pub mod baseline;
pub mod chargeback;
pub mod demo;
pub mod doors;
pub mod estimate;
pub mod explain;
pub mod exports;
pub mod fleet;
pub mod following;
pub mod housekeeping;
pub mod ingest;
pub mod mailed;
pub mod meter;
pub mod metrics;
pub mod news;
pub mod policy;
pub mod prices;
pub mod prompts;
pub mod reconcile;
pub mod registry;
pub mod reload;
pub mod reprice;
pub mod rules;
pub mod stopping;
pub mod tls;
pub mod what_if;
