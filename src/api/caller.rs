//! Who asks, and what a route may use for the caller.

use std::ops::Deref;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use futures::future::{Either, LocalBoxFuture, Ready, ready};

use super::Api;
use super::problem::Problem;
use crate::access::Caller;
use crate::compose::Composer;
use crate::model::{DEFAULT_WORKSPACE, DeliveryId};
use crate::store::DeliveryRecord;

/// What a route may use on behalf of one caller: all that is everyone's, and what is of the
/// caller's workspace.
#[derive(Clone)]
pub(super) struct Asking {
    /// What is everyone's.
    pub(super) api: web::Data<Api>,
    /// Who asks.
    pub(super) caller: Caller,
    /// Composes for the workspace.
    pub(super) composer: Arc<Composer>,
}

impl Asking {
    /// The workspace that sees hosts in part: its own lane. `None` for the default one, which is
    /// the operators': host actors are everyone's, and it sees and controls them whole.
    pub(super) fn guest(&self) -> Option<u32> {
        Some(self.caller.workspace).filter(|workspace| *workspace != DEFAULT_WORKSPACE)
    }

    /// Wants a caller of the default workspace, for what concerns all workspaces.
    pub(super) fn vet_operator(&self) -> Result<(), Problem> {
        match self.guest() {
            None => Ok(()),
            Some(_) => Err(Problem::of_operators()),
        }
    }

    /// Whether the caller would be let in again: for what goes on after the door.
    pub(super) fn is_still_let_in(&self) -> bool {
        self.access.still_admits(&self.caller)
    }

    /// A delivery of the caller's workspace. Others are not there for it.
    pub(super) async fn delivery(&self, id: DeliveryId) -> Result<DeliveryRecord, Problem> {
        let found = self.store.find(id).await?;
        let own = found.filter(|record| record.workspace == self.caller.workspace);
        own.ok_or_else(|| {
            Problem::not_found("unknown-delivery", format!("there is no delivery {id}"))
        })
    }
}

impl Deref for Asking {
    type Target = Api;

    fn deref(&self) -> &Api {
        &self.api
    }
}

impl FromRequest for Asking {
    type Error = Problem;
    type Future =
        Either<Ready<Result<Self, Problem>>, LocalBoxFuture<'static, Result<Self, Problem>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let api = request.app_data::<web::Data<Api>>().expect("every app has it").clone();
        // Put there by the one who let it in.
        let caller = request.extensions().get::<Caller>().cloned().unwrap_or_else(Caller::local);
        if let Some(composer) = api.composers.of(caller.workspace) {
            return Either::Left(ready(Ok(Self { api, caller, composer })));
        }
        Either::Right(Box::pin(async move {
            let composer = api.composers.open(caller.workspace).await?;
            Ok(Self { api, caller, composer })
        }))
    }
}
