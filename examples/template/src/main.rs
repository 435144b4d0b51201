//! Serves the chat on port 3000.

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let app = my_chat::app(my_chat::builder().build()?);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    wspulse::serve(listener, app).await?;
    Ok(())
}
