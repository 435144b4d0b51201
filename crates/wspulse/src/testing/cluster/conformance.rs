//! What every engine must do, as a suite.

mod interruptions;
mod logs;
mod messages;
mod node;
mod requests;

use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;

use wspulse_core::PanicError;

use crate::cluster::{Engine, EngineFuture};

/// Engines of one cluster, for [`conformance`]. A closure that makes them is one, without an
/// [`Interruption`].
pub trait Engines: Sync {
    /// Makes one, which is not started yet.
    fn engine(&self) -> Arc<dyn Engine>;

    /// The way to take the connections of all engines, if there is one.
    fn interruption(&self) -> Option<&dyn Interruption> {
        None
    }
}

impl<F: Fn() -> Arc<dyn Engine> + Sync> Engines for F {
    fn engine(&self) -> Arc<dyn Engine> {
        self()
    }
}

/// Takes the connections of all engines of a cluster, those that are made later too, and gives them
/// back: such as by ending a broker and starting it again.
pub trait Interruption: Sync {
    /// Takes them.
    fn interrupt(&self) -> EngineFuture<'_, ()>;

    /// Gives them back.
    fn restore(&self) -> EngineFuture<'_, ()>;
}

impl fmt::Debug for dyn Interruption + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Interruption")
    }
}

/// Holds engines to what [`Engine`] asks of them, and what [`Log`](crate::cluster::Log) asks of those
/// that have one, over a network without faults. Each check has
/// engines of its own, made and closed by it. Where the network is a real one, it waits for half a
/// minute before it gives up what does not come.
///
/// Run it on a runtime of one thread: there, an engine that waits in [`publish`](Engine::publish) for
/// its own tasks is found out, since they have no turn meanwhile.
///
/// ```
/// use wspulse::testing::cluster::{MemoryNetwork, conformance};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// conformance(&MemoryNetwork::new()).await;
/// # }
/// ```
///
/// # Panics
///
/// If an engine does something else; the text names the rule, and says what was expected and what has
/// happened.
pub async fn conformance(engines: &impl Engines) {
    macro_rules! hold {
        ($($rules:ident::$check:ident($($argument:expr),+);)+) => {
            $(named(stringify!($check), $rules::$check($($argument),+)).await;)+
        };
    }
    hold! {
        messages::a_message_reaches_all_who_are_subscribed_to_its_topic_and_says_which(engines);
        messages::what_one_publishes_to_one_topic_arrives_in_order(engines);
        messages::a_subscription_is_in_force_once_it_is_ready(engines);
        messages::a_filter_of_a_shard_hears_all_of_its_groups(engines);
        messages::a_topic_that_two_filters_cover_stays_in_order(engines);
        messages::an_ended_subscription_falls_silent(engines);
        messages::the_smallest_and_the_largest_message_arrive_whole(engines);
        messages::publish_never_waits(engines);
        requests::a_request_reaches_the_node_it_is_for_and_the_reply_its_asker(engines);
        requests::the_largest_request_and_reply_arrive_whole(engines);
        requests::a_node_that_never_was_is_told_from_one_that_does_not_answer(engines);
        requests::a_node_that_has_closed_is_not_there(engines);
        requests::a_closed_engine_says_nothing_more(engines);
    }
    let has_log = engines.engine().log().is_some();
    if has_log {
        hold! {
            logs::what_is_acknowledged_is_in_the_log_under_rising_numbers(engines);
            logs::what_two_append_at_once_has_one_order_for_all(engines);
            logs::an_id_that_was_appended_is_not_appended_again(engines);
            logs::a_log_is_read_from_any_place_on(engines);
            logs::what_is_appended_is_told_to_all_who_are_subscribed(engines);
        }
    }
    if let Some(interruption) = engines.interruption() {
        hold! {
            interruptions::after_an_interruption_all_subscriptions_are_in_force(engines, interruption);
            interruptions::an_engine_begins_without_a_network(engines, interruption);
        }
        if has_log {
            hold! {
                logs::a_log_that_cannot_be_reached_says_so_in_time(engines, interruption);
            }
        }
    }
}

/// Runs a check; if it fails, its name is told as well.
async fn named(name: &str, check: impl Future<Output = ()>) {
    let mut check = pin!(check);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| check.as_mut().poll(context))) {
        Ok(poll) => poll,
        Err(payload) => panic!("{name}: {}", PanicError::new(&*payload)),
    })
    .await;
}
