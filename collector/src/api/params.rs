//! Query parameters, taken one by one, so that none is silently ignored.

use std::fmt::Display;
use std::str::FromStr;

use axum::Json;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::model::answers::Page;
use crate::model::dimension::Dimension;
use crate::store::Filters;

use super::error::ApiError;

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

    /// The filters by dimension.
    pub fn filters(&mut self) -> Filters {
        let mut filters = Filters::default();
        for dimension in Dimension::ALL {
            for value in self.all(dimension.name()) {
                filters.accept(dimension, value);
            }
        }
        filters
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// When there is a parameter that nobody asked for.
    pub fn finish(self) -> Result<(), ApiError> {
        match self.left.first() {
            None => Ok(()),
            Some((unknown, _)) => Err(ApiError::parameter(format!(
                "`{unknown}` is not a parameter here; there are {}",
                listed(self.known)
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

impl<C: FromStr<Err: Display>> Paging<C> {
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
        let wrong = |text: &str, error| ApiError::parameter(format!("`cursor` is `{text}`, {error}"));
        let after = params.one("cursor")?;
        let after =
            after.map(|text| text.parse().map_err(|error: C::Err| wrong(&text, error))).transpose()?;
        Ok(Self { limit, after })
    }
}

/// A page of a list, and where the next one starts, unless this was the last.
pub fn page<T: Serialize>(rows: Vec<T>, next: Option<impl Display>) -> Response {
    Json(Page { rows, next_cursor: next.map(|next| next.to_string()) }).into_response()
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::from_request_parts(parts, state).await;
        let Query(left) = query.map_err(|error| ApiError::parameter(error.body_text()))?;
        Ok(Self { left, known: Vec::new() })
    }
}

/// Names for a message: `a`, `b`, `c`.
pub fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// Rows of a page unless others are asked for.
const LIMIT: usize = 100;
/// Most rows of a page.
const LIMIT_MAX: usize = 1000;
