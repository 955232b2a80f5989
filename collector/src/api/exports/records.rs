//! `GET /api/v1/exports/records`: calls one by one.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::sending::{Form, Rows, send};
use super::{Asked, form};
use crate::api::error::ApiError;
use crate::api::params::Params;
use crate::model::clock::MS_PER_HOUR;
use crate::model::table::export::Export;
use crate::store::{Exported, Priced};
use crate::work::app::App;
use crate::work::exports::records::{cells, columns};

/// Answers the calls of a time, oldest first.
///
/// # Errors
/// For parameters that cannot be used.
pub async fn records(State(app): State<Arc<App>>, mut params: Params) -> Result<Response, ApiError> {
    let export = form(&mut params)?;
    let Asked { hours, filters } = Asked::read(params)?;
    let ms = |hour: i64| hour.saturating_mul(MS_PER_HOUR);
    let (span, name) = ((ms(hours.0), ms(hours.1)), super::name("records", hours));
    if export == Export::Jsonl {
        return Ok(send(Form::Lines, &name, |rows| async move {
            let take = |rows: &mut Rows, one: Exported| rows.line(one.record.to_json());
            app.store.export_records(span, (filters, Priced::AsItCame), rows, take).await
        }));
    }
    Ok(send(Form::Table(export, columns()), &name, |rows| async move {
        let take = |rows: &mut Rows, one: Exported| rows.row(&cells(&one.record, one.recorded));
        app.store.export_records(span, (filters, Priced::AsCounted), rows, take).await
    }))
}
