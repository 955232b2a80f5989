//! Query parameters, taken one by one, so that none is silently ignored.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRef, FromRequestParts, Query};
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::model::answers::Page;
use crate::model::dimension::Dimension;
pub use crate::model::nearest::listed;
use crate::model::nearest::or_rather;
use crate::model::table::export::Export;
use crate::store::{Filters, Month};
use crate::work::app::App;

use super::error::ApiError;
use super::months::no_month;

/// The parameters of a request.
#[derive(Clone, Debug, Default)]
pub struct Params {
    left: Vec<(String, String)>,
    known: Vec<&'static str>,
}

impl Params {
    /// The value of a parameter that may be given once.
    ///
    /// # Errors
    /// When it is given more than once.
    pub fn one(&mut self, name: &'static str) -> Result<Option<String>, ApiError> {
        let mut values = self.all(name);
        if values.len() > 1 {
            return Err(ApiError::parameter(format!("`{name}` is given more than once")));
        }
        Ok(values.pop())
    }

    /// All values of a parameter that may be repeated.
    pub fn all(&mut self, name: &'static str) -> Vec<String> {
        self.known.push(name);
        self.left.extract_if(.., |(key, _)| key == name).map(|(_, value)| value).collect()
    }

    /// The value of a parameter, which is still to be taken.
    pub fn peek(&self, name: &str) -> Option<&str> {
        self.left.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether something is switched on: `true` or `1`, `false` or `0`.
    ///
    /// # Errors
    /// For another value, and when it is given more than once.
    pub fn flag(&mut self, name: &'static str) -> Result<bool, ApiError> {
        match self.one(name)?.as_deref() {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(other) => Err(ApiError::parameter(format!("`{name}` is `{other}`, not `true` or `false`"))),
        }
    }

    /// One of these words; the first one where it is not given.
    ///
    /// # Errors
    /// For another value, and when it is given more than once.
    pub fn word(&mut self, name: &'static str, words: &[&'static str]) -> Result<&'static str, ApiError> {
        let Some(text) = self.one(name)? else { return Ok(words.first().copied().unwrap_or_default()) };
        words.iter().find(|word| **word == text).copied().ok_or_else(|| {
            let names = or_rather(&text, words.iter().copied());
            ApiError::parameter(format!("`{name}` is `{text}`, not one of {names}"))
        })
    }

    /// The form that is asked for by `format`, else by the header `Accept`; none for JSON.
    ///
    /// # Errors
    /// For a form that there is not.
    pub fn export(&mut self, headers: &HeaderMap) -> Result<Option<Export>, ApiError> {
        let Some(name) = self.one("format")? else {
            let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
            return Ok(accept.and_then(Export::accepted));
        };
        if name == "json" {
            return Ok(None);
        }
        Export::ALL.into_iter().find(|export| export.name() == name).map(Some).ok_or_else(|| {
            let names = std::iter::once("json").chain(Export::ALL.map(Export::name));
            ApiError::parameter(format!("`format` is `{name}`, not one of {}", listed(names)))
        })
    }

    /// The filters by dimension: values to keep, values to leave out (`not=agent:x`), and `unattributed`.
    ///
    /// # Errors
    /// For a dimension that there is not.
    pub fn filters(&mut self) -> Result<Filters, ApiError> {
        let mut filters = Filters::default();
        for dimension in Dimension::ALL {
            for value in self.all(dimension.name()) {
                filters.accept(dimension, value);
            }
        }
        for value in self.all("key") {
            filters.accept(Dimension::KeyId, value);
        }
        let mut refused: Vec<(Dimension, BTreeSet<String>)> = Vec::new();
        for text in self.all("not") {
            let (dimension, value) = refusal(&text)?;
            match refused.iter_mut().find(|(known, _)| *known == dimension) {
                Some((_, values)) => drop(values.insert(value)),
                None => refused.push((dimension, BTreeSet::from([value]))),
            }
        }
        refused.into_iter().for_each(|(dimension, values)| filters.refuse(dimension, values));
        if self.flag("unattributed")? {
            filters.only_unattributed();
        }
        Ok(filters)
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// When there is a parameter that nobody asked for.
    pub fn finish(self) -> Result<(), ApiError> {
        match self.left.first() {
            None => Ok(()),
            Some((unknown, _)) if self.known.is_empty() => {
                Err(ApiError::parameter(format!("`{unknown}` is not a parameter here; there are none")))
            }
            Some((unknown, _)) => Err(ApiError::parameter(format!(
                "`{unknown}` is not a parameter here; there are {}",
                or_rather(unknown, self.known.iter().copied())
            ))),
        }
    }
}

/// Which page of a list is asked for.
#[derive(Clone, Debug)]
pub struct Paging<C> {
    /// Most rows.
    pub limit: usize,
    /// Where the page before ended.
    pub after: Option<C>,
}

impl<C: FromStr> Paging<C> {
    /// Reads `limit` and `cursor`.
    ///
    /// # Errors
    /// For those that cannot be used.
    pub fn read(params: &mut Params) -> Result<Self, ApiError> {
        let limit = match params.one("limit")? {
            None => LIMIT,
            Some(text) => {
                text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit)).ok_or_else(|| {
                    ApiError::parameter(format!("`limit` is `{text}`, not a number from 1 to {LIMIT_MAX}"))
                })?
            }
        };
        let wrong = |text: &str| {
            ApiError::parameter(format!("`cursor` is `{text}`, not one that an earlier page gave"))
        };
        let after = params.one("cursor")?;
        let after = after.map(|text| text.parse().map_err(|_| wrong(&text))).transpose()?;
        Ok(Self { limit, after })
    }
}

/// A page of a list, and where the next one starts, unless this was the last.
pub fn page<T: Serialize>(rows: Vec<T>, next: Option<impl Display>) -> Response {
    Json(Page { rows, next_cursor: next.map(|next| next.to_string()) }).into_response()
}

impl<S: Send + Sync> FromRequestParts<S> for Params
where
    Arc<App>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::from_request_parts(parts, state).await;
        let Query(left) = query.map_err(|error| ApiError::parameter(error.body_text()))?;
        let params = Self { left, known: Vec::new() };
        // Here, as only here the months that there are can be looked up for everybody.
        if let Some(month) = params.peek("month").filter(|month| month.parse::<Month>().is_err()) {
            return Err(no_month(&Arc::<App>::from_ref(state).store, month).await?);
        }
        Ok(params)
    }
}

/// `agent:x` or `agent=x`.
fn refusal(text: &str) -> Result<(Dimension, String), ApiError> {
    let (name, value) = text.split_once([':', '=']).ok_or_else(|| {
        ApiError::parameter(format!(
            "`not` is `{text}`, not a dimension and its value such as `agent:triage`"
        ))
    })?;
    let dimension = Dimension::asked(name).ok_or_else(|| {
        let names = or_rather(name, Dimension::ALL.iter().map(|dimension| dimension.name()));
        ApiError::parameter(format!("`not` is `{text}`, and `{name}` is not one of {names}"))
    })?;
    Ok((dimension, value.to_owned()))
}

/// Rows of a page unless others are asked for.
const LIMIT: usize = 100;
/// Most rows of a page.
const LIMIT_MAX: usize = 1000;
