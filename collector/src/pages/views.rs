//! The pages themselves, one file for each kind.

pub(super) mod agents;
pub(super) mod alerts;
pub(super) mod api;
pub(super) mod budgets;
pub(super) mod compare;
pub(super) mod estimate;
pub(super) mod governance;
pub(super) mod overview;
pub(super) mod prices;
pub(super) mod prompts;
pub(super) mod records;
pub(super) mod runs;
pub(super) mod search;
pub(super) mod spend;
pub(super) mod statements;
pub(super) mod system;
pub(super) mod what_if;
