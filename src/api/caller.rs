//! Who asks, as the routes get to know it.

use std::convert::Infallible;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest};

use crate::access::Caller;

/// The caller of a request, put there by the one who let it in.
pub(super) struct Asking(pub(super) Caller);

impl std::ops::Deref for Asking {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.0
    }
}

impl FromRequest for Asking {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = request.extensions().get::<Caller>().cloned();
        ready(Ok(Self(caller.unwrap_or_else(Caller::local))))
    }
}
