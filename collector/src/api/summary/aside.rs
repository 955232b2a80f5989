//! What rows say beside their sums: what retries cost, and what cheaper models saved.

use super::question::Question;
use crate::api::error::ApiError;
use crate::store::{Asides, Store};

/// Asks for it; none where rows are told apart by what these sums do not know, or the time is long and no
/// column asks for it: they are kept by the hour.
///
/// # Errors
/// When the store fails.
pub(super) async fn ask(store: &Store, question: &Question) -> Result<Option<Asides>, ApiError> {
    let is_long = question.to_hour.saturating_sub(question.from_hour) > HOURS_UNASKED_MAX;
    let columns = question.metrics.iter().flatten().map(|metric| metric.name);
    let is_asked = columns.chain(question.sorted_by()).any(|name| ASIDE.contains(&name));
    if question.is_of_a_facet() || is_long && !is_asked {
        return Ok(None);
    }
    Ok(Some(store.asides(question.query()).await?))
}

/// The columns that are made of it.
const ASIDE: [&str; 3] = ["retried", "retried_usd", "saved_usd"];
/// The longest time of which it is said unasked: a month.
const HOURS_UNASKED_MAX: i64 = 31 * 24 + 1;
