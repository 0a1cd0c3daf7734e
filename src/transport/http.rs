//! The HTTP/JSON face, for what is rendered elsewhere: emails, landing pages, scripts. It parses into the same messages
//! as gRPC and hands them to the same code.

mod answer;
pub mod dashboard;
mod export;
mod json;
pub mod limits;
mod query;
mod route;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};

use crate::transport::grpc::UseCases;
use crate::transport::http::dashboard::Dashboard;
use crate::transport::http::limits::{HttpLimits, MAX_HEADER_BYTES, MAX_HEADERS};
use crate::transport::http::route::Face;

/// How long to wait after a connection could not be taken: the process may have too many files open.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// Serves until `shutdown`, then lets running requests end for at most `limits.drain`, and returns. Connections that
/// are open even then end with the runtime.
///
/// `ready` says when questions can be answered.
///
/// # Errors
/// None yet; taking connections is tried again for as long as it takes.
pub async fn serve(
    listener: TcpListener,
    use_cases: UseCases,
    dashboard: Dashboard,
    limits: &HttpLimits,
    ready: watch::Receiver<bool>,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let (stop, stopping) = watch::channel(false);
    let board = (dashboard, listener.local_addr().ok());
    let face = Arc::new(Face::new(use_cases, board, limits, ready, stopping.clone()));
    let connections = Arc::new(Semaphore::new(limits.connections));
    // every connection holds a sender: when all are gone, so are the connections
    let (open, mut all_closed) = mpsc::channel::<Infallible>(1);
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = async {
            let place = connections.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = &mut shutdown => break,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let (face, open) = (face.clone(), open.clone());
                let (limits, stopping) = (limits.clone(), stopping.clone());
                tokio::spawn(async move {
                    connection(stream, face, &limits, stopping).await;
                    drop((place, open));
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
    drop((listener, open));
    stop.send_replace(true);
    if tokio::time::timeout(limits.drain, all_closed.recv())
        .await
        .is_err()
    {
        let drain_ms = limits.drain.as_millis() as u64;
        tracing::warn!(
            drain_ms,
            "requests were still running when the time to drain was over"
        );
    }
    Ok(())
}

/// Answers the requests of one connection; what is under way when the service ends is answered.
async fn connection(
    stream: TcpStream,
    face: Arc<Face>,
    limits: &HttpLimits,
    mut stopping: watch::Receiver<bool>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection will be slow");
    }
    let service = service_fn(move |request| {
        let face = face.clone();
        async move { Ok::<_, Infallible>(face.respond(request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        // also the time between two requests of a connection
        .header_read_timeout(limits.header_read)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut served = pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = async {
            // an error means that `serve` is being dropped
            let _ = stopping.wait_for(|stopping| *stopping).await;
        } => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        // slow, broken or gone: nobody is left to hear of it
        tracing::debug!(%error, "a connection ended early");
    }
}
