//! Asks the API, inside this process: the same routes, guards and handlers as over the network.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, Request, StatusCode};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde::de::DeserializeOwned;

use super::query::Query;
use crate::model::answers::collector::Failure;
use crate::work::access::Presented;

/// The API, asked by whoever showed this; nothing for what is open.
#[derive(Clone, Debug)]
pub(super) struct Api {
    router: Router,
    shown: Option<Presented>,
}

/// An answer that is none.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    /// As the API has it.
    pub(super) status: StatusCode,
    /// What is wrong, and what would be right.
    pub(super) message: String,
}

impl Refused {
    /// With the API's words for it.
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }
}

impl Api {
    pub(super) const fn new(router: Router, shown: Option<Presented>) -> Self {
        Self { router, shown }
    }

    /// The typed answer to a question.
    pub(super) async fn get<T: DeserializeOwned>(&self, query: &Query) -> Result<T, Refused> {
        read(&self.send(Method::GET, &query.address(), String::new()).await?)
    }

    /// An answer as text.
    pub(super) async fn text(&self, query: &Query) -> Result<String, Refused> {
        let bytes = self.send(Method::GET, &query.address(), String::new()).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The typed answer to a change, or to a question with a body.
    pub(super) async fn change<T: DeserializeOwned>(
        &self,
        method: Method,
        query: &Query,
        body: String,
    ) -> Result<T, Refused> {
        read(&self.send(method, &query.address(), body).await?)
    }

    async fn send(&self, method: Method, address: &str, body: String) -> Result<Vec<u8>, Refused> {
        let broken = |error: &dyn std::fmt::Display| Refused::new(StatusCode::BAD_REQUEST, error.to_string());
        let mut request = Request::builder()
            .method(method)
            .uri(address)
            .header(CONTENT_TYPE, "application/json")
            .body(Body::from(body))
            .map_err(|error| broken(&error))?;
        if let Some(shown) = &self.shown {
            request.extensions_mut().insert(shown.clone());
        }
        let answer = TowerToHyperService::new(self.router.clone()).call(request).await;
        let answer = answer.map_err(|error| broken(&error))?;
        let status = answer.status();
        let bytes = to_bytes(answer.into_body(), usize::MAX).await.map_err(|error| broken(&error))?;
        if status.is_success() {
            return Ok(bytes.into());
        }
        let failure: Option<Failure> = serde_json::from_slice(&bytes).ok();
        let said = failure.map(|failure| failure.error.message);
        Err(Refused::new(status, said.unwrap_or_else(|| String::from_utf8_lossy(&bytes).into_owned())))
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(bytes).map_err(|error| {
        Refused::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the answer cannot be read: {error}"))
    })
}
