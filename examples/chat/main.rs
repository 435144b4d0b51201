//! A chat room to open in a browser.

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use std::time::Duration;
use wspulse::{Admission, Rejection, Server};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt::init();
    let server = Server::builder(|request| async move {
        let name = request.query("name").ok_or_else(Rejection::unauthorized)?;
        let room = request.query("room").unwrap_or("lobby".into());
        Ok(Admission::room(&*room).id(&*name))
    })
    .on_message(|conn, frame| {
        if let Err(error) = conn.room().broadcast(frame) {
            tracing::warn!("{error}");
        }
    })
    .resume_window(Duration::from_secs(30))
    .build()?;
    let app = Router::new()
        .route("/", get(|| async { Html("hello") }))
        .route_service("/ws", server.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("open http://{}", listener.local_addr()?);
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            tokio::signal::ctrl_c().await.ok();
            server.close().await;
        })
        .await?;
    Ok(())
}
