//! `nextbest serve`: answers over gRPC and HTTP until it is told to stop.

use std::process::ExitCode;

use anyhow::{Context, bail};
use tokio::net::TcpListener;

use super::flags::SettingsFlags;
use crate::config::{self, Settings};
use crate::server::Service;
use crate::telemetry;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The settings.
    #[command(flatten)]
    pub settings: SettingsFlags,
    /// Address and port (server.listen); port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Address and port of HTTP (server.http_address); port 0 takes a free one, "" is none
    #[arg(long, value_name = "ADDRESS")]
    pub http: Option<String>,
}

/// Serves until Ctrl-C or SIGTERM.
///
/// # Errors
/// Faulty settings or recipes, a data folder that cannot be opened, an address that cannot be taken.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut flags = args.settings.clone();
    flags.set.extend(
        args.listen
            .iter()
            .map(|address| format!("server.listen={address}")),
    );
    let http = args.http.iter();
    flags
        .set
        .extend(http.map(|address| format!("server.http_address={address}")));
    let settings = flags.load()?.settings;
    telemetry::install(&settings.log);
    let recipes = config::recipes(settings.models.folder.as_deref())?;
    let service = Service::open(&settings, &recipes)?;
    serve(service, &settings, |_| Ok(()))?;
    Ok(ExitCode::SUCCESS)
}

/// Serves an open shop until Ctrl-C or SIGTERM, then closes it. `listening` is told the address.
///
/// # Errors
/// An address that cannot be taken; a wire that breaks; a checkpoint that cannot be written.
pub fn serve(
    service: Service,
    settings: &Settings,
    listening: impl FnOnce(std::net::SocketAddr) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let address = settings.server.listen;
    let http_address = settings.server.http_address;
    let may_be_remote = settings.server.allow_remote_without_authentication;
    for address in std::iter::once(address).chain(http_address) {
        if address.ip().is_loopback() || may_be_remote {
            continue;
        }
        bail!(
            "{address} can be reached from other machines and there is no authentication; listen \
             on 127.0.0.1 or set server.allow_remote_without_authentication = true"
        );
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the machine gives no threads")?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address}"))?;
        let bound = listener.local_addr()?;
        let http = match http_address {
            None => None,
            Some(address) => {
                let listener = TcpListener::bind(address).await;
                let name = "server.http_address";
                Some(listener.with_context(|| format!("cannot listen on {address} ({name})"))?)
            }
        };
        if let Some(listener) = &http {
            let address = listener.local_addr()?;
            println!("HTTP on http://{address}");
            println!("dashboard on http://{address}/dashboard");
        }
        // tests and scripts wait for this line
        println!("listening on {bound}");
        listening(bound)?;
        service.serve(listener, http, stop_signal()).await?;
        anyhow::Ok(())
    })?;
    tracing::info!("stopped; writing the checkpoint");
    service.close()?;
    Ok(())
}

/// Ends with Ctrl-C or SIGTERM.
async fn stop_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                tokio::select! {
                    _ = tokio::signal::ctrl_c() => {}
                    _ = terminate.recv() => {}
                }
                return;
            }
            Err(error) => tracing::warn!(%error, "SIGTERM is not heard"),
        }
    }
    if let Err(error) = tokio::signal::ctrl_c().await {
        tracing::error!(%error, "Ctrl-C is not heard; stop the process otherwise");
        std::future::pending::<()>().await;
    }
}
