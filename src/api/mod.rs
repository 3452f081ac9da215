//! HTTP in: routes, what they read, what they answer. Whether a trigger may come in is decided in
//! `admission`; where a delivery is and why is known to the engine. Nothing here decides either.

mod batch;
mod braze;
mod browser;
mod caller;
mod compose;
mod deliveries;
mod depth;
pub mod document;
mod door;
mod hosts;
mod keys;
mod listener;
mod live;
mod meaning;
mod metrics;
mod noting;
mod page;
mod problem;
mod redrives;
mod request;
pub mod scopes;
mod secrets;
mod session;
mod states;
mod stats;
mod tracing;
mod triggers;
mod view;
mod why;
mod workspaces;

use std::sync::Arc;

pub use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::{HttpRequest, Resource, web};

pub use listener::server;
pub use live::{Live, Sampler};
pub use problem::Problem;

use crate::access::Access;
use crate::admission::Admission;
use crate::clock::Clock;
use crate::compose::Composers;
use crate::config::Settings;
use crate::delivery::Engine;
use crate::delivery::spans::Tracer;
use crate::model::Moment;
use crate::store::Store;
use metrics::Requests;
use redrives::Redrives;

/// What every route may use. Made once, shared by all front-end threads.
pub struct Api {
    store: Arc<dyn Store>,
    engine: Arc<dyn Engine>,
    settings: Arc<Settings>,
    clock: Clock,
    admission: Arc<Admission>,
    composers: Arc<Composers>,
    access: Arc<Access>,
    redrives: Redrives,
    requests: Requests,
    tracer: Tracer,
    live: Arc<Live>,
    /// Held while a host's controls are read, changed and written.
    controlling: tokio::sync::Mutex<()>,
    started: Moment,
}

impl Api {
    /// The front end of `store` and `engine`.
    pub fn new(
        store: Arc<dyn Store>,
        engine: Arc<dyn Engine>,
        settings: Arc<Settings>,
        clock: Clock,
    ) -> web::Data<Self> {
        Self::traced((store, engine), settings, clock, Tracer::default())
    }

    /// The same, with a span for each trigger.
    pub fn traced(
        (store, engine): (Arc<dyn Store>, Arc<dyn Engine>),
        settings: Arc<Settings>,
        clock: Clock,
        tracer: Tracer,
    ) -> web::Data<Self> {
        let admission =
            Admission::new(store.clone(), engine.clone(), settings.clone(), clock.clone());
        let admission = Arc::new(admission);
        let composers = Composers::new(
            admission.clone(),
            store.clone(),
            engine.clone(),
            settings.clone(),
            clock.clone(),
        );
        let composers = Arc::new(composers);
        let auth = settings.auth.clone();
        let access = Access::new(store.clone(), Some(engine.clone()), clock.clone(), auth);
        let access = Arc::new(access);
        let live = Arc::new(Live::new(store.clone(), engine.clone(), clock.clone()));
        let started = clock.moment();
        web::Data::new(Self {
            store,
            engine,
            settings,
            clock,
            admission,
            composers,
            access,
            redrives: Redrives::default(),
            requests: Requests::default(),
            tracer,
            live,
            controlling: tokio::sync::Mutex::default(),
            started,
        })
    }

    /// Who compose webhooks. The one of a workspace has to be opened before anything is asked, and
    /// all have to be conducted.
    pub fn composers(&self) -> &Arc<Composers> {
        &self.composers
    }

    /// The totals over time, which have to be run, and the streams of events, which have to be ended
    /// at a stop.
    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// Who may come in. It has to be opened before anything is asked, and its uses to be kept.
    pub fn access(&self) -> &Arc<Access> {
        &self.access
    }
}

/// Adds every route behind the door, and the answers to requests that meet none.
pub fn configure(api: web::Data<Api>) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        let metrics_here = api.settings.server.admin_listen.is_none();
        config.app_data(api);
        config.app_data(web::PathConfig::default().error_handler(|_, _| {
            Problem::parameter("path", "is not valid UTF-8 once it is decoded").into()
        }));
        // The last wrap is the first that a request meets.
        let routes = web::scope("").wrap(from_fn(tracing::follow)).wrap(from_fn(door::stand));
        let routes = routes.configure(|config| {
            triggers_and_deliveries(config);
            compose::configure(config);
            hosts_and_stats(config);
            if metrics_here {
                metrics_route(config);
            }
            keys_and_workspaces(config);
            page_and_session(config);
            braze::configure(config);
            secrets::configure(config);
        });
        config.service(routes.default_service(web::to(|request: HttpRequest| async move {
            Problem::no_route(request.path()).response()
        })));
    }
}

fn triggers_and_deliveries(config: &mut web::ServiceConfig) {
    config
        .service(resource("/v1/triggers", "POST").route(web::post().to(triggers::create)))
        .service(resource("/v1/triggers/batch", "POST").route(web::post().to(batch::create)))
        .service(resource("/v1/deliveries", "GET").route(web::get().to(deliveries::list)))
        .service(
            resource("/v1/deliveries/{id}", "GET, DELETE")
                .route(web::get().to(deliveries::show))
                .route(web::delete().to(deliveries::cancel)),
        )
        .service(
            resource("/v1/deliveries/{id}/redrive", "POST")
                .route(web::post().to(deliveries::redrive)),
        )
        .service(
            resource("/v1/deliveries/{id}/skip", "POST").route(web::post().to(deliveries::skip)),
        )
        .service(resource("/v1/redrives", "POST").route(web::post().to(redrives::create)))
        .service(resource("/v1/redrives/{id}", "GET").route(web::get().to(redrives::show)));
}

fn hosts_and_stats(config: &mut web::ServiceConfig) {
    config
        .service(resource("/v1/hosts", "GET").route(web::get().to(hosts::list)))
        .service(
            resource("/v1/hosts/{host}", "GET, PATCH")
                .route(web::get().to(hosts::show))
                .route(web::patch().to(hosts::patch)),
        )
        .service(resource("/v1/hosts/{host}/series", "GET").route(web::get().to(live::host_series)))
        .service(resource("/v1/hosts/{host}/pause", "POST").route(web::post().to(hosts::pause)))
        .service(resource("/v1/hosts/{host}/resume", "POST").route(web::post().to(hosts::resume)))
        .service(resource("/v1/hosts/{host}/drain", "POST").route(web::post().to(hosts::drain)))
        .service(resource("/v1/hosts/{host}/purge", "POST").route(web::post().to(hosts::purge)))
        .service(resource("/v1/stats", "GET").route(web::get().to(stats::stats)))
        .service(resource("/v1/series", "GET").route(web::get().to(live::series)))
        .service(resource("/v1/live", "GET").route(web::get().to(live::live)))
        .service(resource("/healthz", "GET").route(web::get().to(stats::healthz)))
        .service(resource("/readyz", "GET").route(web::get().to(stats::readyz)));
}

/// Adds the metrics, which belong to the administration's address where there is one.
fn metrics_route(config: &mut web::ServiceConfig) {
    config.service(resource("/metrics", "GET").route(web::get().to(metrics::metrics)));
}

/// Adds what the administration's address serves.
fn configure_admin(api: web::Data<Api>) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        config
            .app_data(api)
            .service(resource("/healthz", "GET").route(web::get().to(stats::healthz)))
            .service(resource("/readyz", "GET").route(web::get().to(stats::readyz)));
        metrics_route(config);
        config.default_service(web::to(|request: HttpRequest| async move {
            Problem::no_route(request.path()).response()
        }));
    }
}

fn keys_and_workspaces(config: &mut web::ServiceConfig) {
    config
        .service(
            resource("/v1/keys", "GET, POST")
                .route(web::get().to(keys::list))
                .route(web::post().to(keys::create)),
        )
        .service(
            resource("/v1/keys/{id}", "GET, DELETE")
                .route(web::get().to(keys::show))
                .route(web::delete().to(keys::revoke)),
        )
        .service(resource("/v1/keys/{id}/rotate", "POST").route(web::post().to(keys::rotate)))
        .service(resource("/v1/audit", "GET").route(web::get().to(keys::audit)))
        .service(
            resource("/v1/workspaces", "GET, POST")
                .route(web::get().to(workspaces::list))
                .route(web::post().to(workspaces::create)),
        )
        .service(
            resource("/v1/workspaces/{workspace}", "GET, PATCH")
                .route(web::get().to(workspaces::show))
                .route(web::patch().to(workspaces::patch)),
        );
}

fn page_and_session(config: &mut web::ServiceConfig) {
    config
        .service(resource("/", "GET").route(web::get().to(page::index)))
        .service(resource("/openapi.json", "GET").route(web::get().to(document::show)))
        .service(resource("/docs", "GET").route(web::get().to(document::docs)))
        .service(resource("/ui/{path:.*}", "GET").route(web::get().to(page::file)))
        .service(
            resource("/v1/session", "GET, POST, DELETE")
                .route(web::get().to(session::show))
                .route(web::post().to(session::create))
                .route(web::delete().to(session::delete)),
        );
}

/// A resource that answers a method it does not take with those that it does. What it takes has to
/// be in the table of scopes, else nobody but an admin would reach it.
fn resource(path: &str, allow: &'static str) -> Resource {
    debug_assert!(scopes::covers(path, allow), "{allow} {path} is not in the table of scopes");
    web::resource(path).default_service(web::to(move |request: HttpRequest| async move {
        Problem::method(request.method().as_str(), allow).response()
    }))
}
