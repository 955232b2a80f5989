//! Months that there are, for whoever asks for another.

use jiff::tz::TimeZone;

use super::error::ApiError;
use crate::model::nearest::listed;
use crate::store::{Month, Store};

/// The answer to a month that is none.
///
/// # Errors
/// When the store fails.
pub(super) async fn no_month(store: &Store, month: &str) -> Result<ApiError, ApiError> {
    let months = store.months_seen(TimeZone::UTC).await?;
    Ok(ApiError::parameter(format!(
        "`month` is `{month}`, not a month such as `2026-10`; {}",
        of_months(&months)
    )))
}

/// Which months have calls, in words.
pub(super) fn of_months(months: &[Month]) -> String {
    if months.is_empty() {
        return "there are no calls at all yet".to_owned();
    }
    // The latest are those that are asked for.
    let shown: Vec<String> = months.iter().rev().take(MONTHS_SHOWN).rev().map(ToString::to_string).collect();
    let earlier = if months.len() > shown.len() { ", and earlier ones" } else { "" };
    format!("months with calls: {}{earlier}", listed(shown.iter().map(String::as_str)))
}

/// Months that are listed in a sentence.
const MONTHS_SHOWN: usize = 12;
