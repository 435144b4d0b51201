//! Clients come under one id to two servers at once: it is at one of them afterwards.

use std::collections::HashMap;
use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use shuttle::future::block_on;
use shuttle::sync::atomic::{AtomicUsize, Ordering};
use shuttle::thread;
use tokio::sync::oneshot;
use wspulse_core::cluster::{Beat, NodeState};

use super::stage::{Client, advance, close, explore, join, join_prepared, server};
use crate::cluster::{
    Engine, EngineError, EngineFuture, NodeId, Reply, RequestFailed, Sink, Topic, TopicFilter,
    Unavailable,
};
use crate::membership::registry::Refused;
use crate::{DuplicatePolicy, Server};

/// Carries what servers ask each other. They never begin, so that they say nothing by themselves.
#[derive(Clone, Default)]
struct Wire(Arc<Mutex<HashMap<NodeId, Arc<dyn Sink>>>>);

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}

impl Wire {
    fn sink(&self, node: NodeId) -> Option<Arc<dyn Sink>> {
        self.0.lock().expect("no panic").get(&node).cloned()
    }

    /// Servers that know each other.
    fn servers(&self, policy: DuplicatePolicy) -> [Server; 2] {
        let servers = [(); 2].map(|()| {
            server(|builder| {
                let builder = builder.resume_window(Duration::from_mins(1));
                builder.duplicates(policy).cluster(self.clone())
            })
        });
        while self.0.lock().expect("no panic").len() < servers.len() {
            thread::yield_now();
        }
        let nodes = servers.each_ref().map(|it| it.cluster().expect("it has one").id());
        for (to, origin) in [(nodes[0], nodes[1]), (nodes[1], nodes[0])] {
            let state = NodeState::Serving;
            let beat = Beat { origin, number: 1, state, connections: 0, moved: Vec::new() };
            self.sink(to).expect("it is there").message(Topic::Beats, beat.encode());
        }
        servers
    }
}

impl Engine for Wire {
    fn start(
        &self,
        node: NodeId,
        sink: Arc<dyn Sink>,
    ) -> EngineFuture<'_, Result<(), EngineError>> {
        self.0.lock().expect("no panic").insert(node, sink);
        Box::pin(pending())
    }

    fn publish(&self, _: Topic, _: Bytes) -> Result<(), Unavailable> {
        Err(Unavailable)
    }

    fn subscribe(&self, _: TopicFilter) -> EngineFuture<'_, Result<(), EngineError>> {
        Box::pin(async { Ok(()) })
    }

    fn unsubscribe(&self, _: TopicFilter) {}

    fn request(
        &self,
        to: NodeId,
        message: Bytes,
        _: Duration,
    ) -> EngineFuture<'_, Result<Bytes, RequestFailed>> {
        Box::pin(async move {
            // Others have their turn on the way there and back.
            shuttle::future::yield_now().await;
            let sink = self.sink(to).ok_or(RequestFailed::Unavailable(Unavailable))?;
            let (done, answer) = oneshot::channel();
            sink.request(message, Reply::new(|answer| drop(done.send(answer))));
            let answer = answer.await.map_err(|_| RequestFailed::Unavailable(Unavailable))?;
            shuttle::future::yield_now().await;
            Ok(answer)
        })
    }

    fn message_bytes_max(&self) -> usize {
        1024 * 1024
    }

    fn close(&self) -> EngineFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// A thread on which Ann comes to a server.
fn come(server: &Server) -> thread::JoinHandle<Result<Client, Refused>> {
    let server = server.clone();
    thread::spawn(move || block_on(join_prepared(&server, "room", "ann")))
}

/// At how many servers Ann is, after she has come to both at once; she may have been at one before.
fn come_to_both(policy: DuplicatePolicy, was_there: bool) {
    let wire = Wire::default();
    let servers = wire.servers(policy);
    let _before = was_there.then(|| join(&servers[0], "room", "ann").expect("it is open"));
    let coming = servers.each_ref().map(come);
    let came = coming.map(|it| it.join().expect("no panic"));
    assert!(came.iter().any(Result::is_ok), "one is let in");
    let has_her = servers.iter().filter(|it| it.connection("ann").is_some()).count();
    assert_eq!(has_her, 1);
    close_both(servers);
    // The sinks have the servers.
    wire.0.lock().expect("no panic").clear();
}

/// As time passes: a session that has come waits for a moment until its rooms are heard.
fn close_both(servers: [Server; 2]) {
    let closed = Arc::new(AtomicUsize::new(0));
    let closing = servers.map(|server| {
        let closed = Arc::clone(&closed);
        thread::spawn(move || {
            close(&server);
            closed.fetch_add(1, Ordering::SeqCst);
        })
    });
    while closed.load(Ordering::SeqCst) < closing.len() {
        advance(Duration::from_secs(1));
        thread::yield_now();
    }
    closing.into_iter().for_each(|it| it.join().expect("no panic"));
}

#[test]
fn of_two_that_come_to_two_servers_at_once_one_stays() {
    explore(|| come_to_both(DuplicatePolicy::Replace, false));
    explore(|| come_to_both(DuplicatePolicy::Resume, false));
}

#[test]
fn so_it_is_if_she_was_at_one_before() {
    explore(|| come_to_both(DuplicatePolicy::Replace, true));
    explore(|| come_to_both(DuplicatePolicy::Resume, true));
}
