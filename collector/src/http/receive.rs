//! Bodies: each has a time in which it must have come, and all together a bound of memory.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::api::error::ApiError;
use crate::work::app::App;
use crate::work::doors::{BODY_WAITS, Visit};

/// A request whose body is bounded; its memory is held until it is answered.
pub(super) async fn receive(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let visit = request.extensions().get::<Arc<Visit>>().cloned();
    let intake = Arc::new(Intake { visit, memory: Arc::clone(&app.doors.memory), state: Mutex::default() });
    let (parts, body) = request.into_parts();
    if body.is_end_stream() {
        intake.whole();
    }
    let deadline = Box::pin(sleep_until(Instant::now() + BODY_WAITS));
    let body = Body::new(Incoming { body, deadline, intake: Arc::clone(&intake) });
    let mut response = next.run(Request::from_parts(parts, body)).await;
    match intake.ended() {
        Some(Ended::Late) => response = ApiError::late_body(BODY_WAITS).into_response(),
        Some(Ended::NoRoom) => response = ApiError::busy().into_response(),
        None => {}
    }
    if let Some(visit) = &intake.visit {
        visit.answered(response.status().is_success());
    }
    response
}

/// What is known of a body while it comes.
#[derive(Debug)]
struct Intake {
    visit: Option<Arc<Visit>>,
    memory: Arc<Semaphore>,
    state: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    permit: Option<OwnedSemaphorePermit>,
    bytes: usize,
    ended: Option<Ended>,
}

/// Why a body was given up.
#[derive(Clone, Copy, Debug, thiserror::Error)]
enum Ended {
    #[error("the body took too long")]
    Late,
    #[error("more bodies are on their way than there is room for")]
    NoRoom,
}

impl Intake {
    fn whole(&self) {
        if let Some(visit) = &self.visit {
            visit.said();
        }
    }

    fn give_up(&self, ended: Ended) -> axum::Error {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).ended = Some(ended);
        axum::Error::new(ended)
    }

    fn ended(&self) -> Option<Ended> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).ended
    }

    /// Whether there is room for so many bytes more.
    fn take(&self, more: usize) -> bool {
        let mut held = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        held.bytes = held.bytes.saturating_add(more);
        let has = held.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let Ok(lacks) = u32::try_from(held.bytes.div_ceil(1024).saturating_sub(has)) else { return false };
        if lacks == 0 {
            return true;
        }
        let Ok(taken) = Arc::clone(&self.memory).try_acquire_many_owned(lacks) else { return false };
        match &mut held.permit {
            Some(permit) => permit.merge(taken),
            permit => *permit = Some(taken),
        }
        true
    }
}

/// A body on its way.
struct Incoming {
    body: Body,
    deadline: Pin<Box<Sleep>>,
    intake: Arc<Intake>,
}

impl HttpBody for Incoming {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        if self.deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(self.intake.give_up(Ended::Late))));
        }
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(None) => self.intake.whole(),
            Poll::Ready(Some(Ok(frame))) => {
                let more = frame.data_ref().map_or(0, Bytes::len);
                if !self.intake.take(more) {
                    return Poll::Ready(Some(Err(self.intake.give_up(Ended::NoRoom))));
                }
                if self.body.is_end_stream() {
                    self.intake.whole();
                }
            }
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}
