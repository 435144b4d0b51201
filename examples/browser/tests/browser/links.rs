//! What becomes of messages when links are cut: they arrive once and in order, in both windows.

use serde_json::json;

use crate::DESKTOP;
use crate::stage::{Browser, Stage, Tab, perform};

const LIVE: &str = "#status[data-state=live]";

pub(crate) async fn two_windows_talk(browser: Browser) {
    perform(browser, DESKTOP, async |stage| {
        let (ada, grace) = two_members(stage).await;
        let stranger = stage.join("Stranger", "elsewhere").await;
        stranger.waits_for_members(&["Stranger you"]).await;

        ada.say("hello").await;
        grace.waits_for_messages(&["hello"]).await;
        ada.waits_until("the message has its ticks", &has_ticks("handled", 1)).await;
        grace.say("<b>not bold</b> & \"quoted\" ✓").await;
        for tab in [&ada, &grace] {
            tab.waits_for_messages(&["hello", "<b>not bold</b> & \"quoted\" ✓"]).await;
        }
        assert_eq!(stranger.messages().await, [""; 0]);
    })
    .await;
}

pub(crate) async fn a_window_that_is_cut_in_every_way_misses_nothing_and_gets_nothing_twice(
    browser: Browser,
) {
    perform(browser, DESKTOP, async |stage| {
        let (ada, grace) = two_members(stage).await;
        ada.talk("ada").await;
        grace.talk("grace").await;
        for _ in 0..2 {
            for button in ["#close", "#reset", "#close", "#reset"] {
                ada.forget_shown().await;
                ada.click(button).await;
                ada.has_shown("Connection lost").await;
                ada.waits_for_status("live", "Live again").await;
            }
            a_short_silence(&ada, &grace).await;
            a_long_silence(&ada, &grace).await;
            a_reset_in_a_silence(&ada, &grace).await;
            ada.click("#silence").await;
            ada.waits_until("the silence is over", "document.getElementById('network').checked")
                .await;
        }
        nothing_is_missed_or_twice(&ada, &grace).await;
    })
    .await;
}

/// So short that nobody notices: what waited goes on by the same connection.
async fn a_short_silence(ada: &Tab, grace: &Tab) {
    ada.network(false).await;
    ada.waits_until("messages are on their way", &has_ticks_at_least("sent", 3)).await;
    let of_ada = heard_by(grace, "ada").await;
    let of_grace = heard_by(grace, "grace").await;
    let condition = format!("{} > {of_grace} + 3", heard("grace"));
    grace.waits_until("Grace has gone on", &condition).await;
    assert_eq!(heard_by(grace, "ada").await, of_ada, "something went through the silence");
    ada.network(true).await;
}

/// Both ends notice by themselves.
async fn a_long_silence(ada: &Tab, grace: &Tab) {
    ada.forget_shown().await;
    ada.network(false).await;
    ada.has_shown("Connection lost").await;
    ada.waits_until("messages wait", &has_ticks_at_least("waiting", 3)).await;
    grace.waits_for_members(&["Ada away", "Grace you"]).await;
    ada.network(true).await;
    ada.waits_for_status("live", "Live again").await;
    grace.waits_for_members(&["Ada", "Grace you"]).await;
}

/// Both ends notice at once, and attempts to come back hear nothing.
async fn a_reset_in_a_silence(ada: &Tab, grace: &Tab) {
    ada.forget_shown().await;
    ada.network(false).await;
    ada.click("#reset").await;
    ada.has_shown("Attempt 2").await;
    grace.waits_for_members(&["Ada away", "Grace you"]).await;
    ada.network(true).await;
    ada.waits_for_status("live", "Live again").await;
}

pub(crate) async fn a_window_that_is_cut_again_before_it_is_back_loses_nothing(browser: Browser) {
    perform(browser, DESKTOP, async |stage| {
        let (ada, grace) = two_members(stage).await;
        ada.talk("ada").await;
        grace.talk("grace").await;
        for round in 0..40 {
            let tab = if round % 3 == 0 { &grace } else { &ada };
            tab.click(if round % 2 == 0 { "#reset" } else { "#close" }).await;
            // A silence in the middle of a handshake, now and then.
            ada.network(round % 5 != 0).await;
        }
        ada.network(true).await;
        nothing_is_missed_or_twice(&ada, &grace).await;
    })
    .await;
}

pub(crate) async fn what_is_said_without_a_network_waits_and_arrives_once(browser: Browser) {
    perform(browser, DESKTOP, async |stage| {
        let (ada, grace) = two_members(stage).await;
        grace.say("before").await;
        ada.waits_for_messages(&["before"]).await;

        ada.network(false).await;
        ada.click("#reset").await;
        ada.waits_for_status("waiting", "Connection lost").await;
        grace.waits_for_members(&["Ada away", "Grace you"]).await;
        for text in ["one", "two", "three"] {
            grace.say(text).await;
        }
        ada.say("from afar").await;
        ada.waits_until("it waits", &has_ticks("waiting", 1)).await;
        grace.waits_for_messages(&["before", "one", "two", "three"]).await;

        ada.network(true).await;
        ada.waits_for_status("live", "Live again").await;
        let all = ["before", "one", "two", "three", "from afar"];
        for tab in [&ada, &grace] {
            tab.waits_for_messages(&all).await;
            assert_eq!(tab.sequence().await, [1, 2, 3, 4, 5]);
            assert_eq!(tab.count(".notice.bad").await, 0);
        }
        ada.waits_until("it is handled", &has_ticks("handled", 1)).await;
        grace.waits_for_members(&["Ada", "Grace you"]).await;
        assert_eq!(ada.count(".message.replayed").await, 3);
        let notice = ada.text(".notice.good").await;
        assert!(notice.starts_with("Resumed: "), "{notice}");
    })
    .await;
}

pub(crate) async fn a_window_whose_session_ended_is_told_so(browser: Browser) {
    perform(browser, DESKTOP, async |stage| {
        let (ada, grace) = two_members(stage).await;
        grace.say("before").await;
        ada.waits_for_messages(&["before"]).await;
        ada.network(false).await;
        ada.click("#reset").await;
        ada.waits_for_status("waiting", "Connection lost").await;
        ada.say("from afar").await;
        grace.waits_for_members(&["Ada away", "Grace you"]).await;
        // The send buffer holds 256 frames.
        let write_a_lot = "for (let i = 0; i < 300; i++) {
            document.getElementById('text').value = `line ${i}`;
            document.getElementById('compose').requestSubmit();
        }";
        grace.eval(write_a_lot).await;
        grace
            .waits_until("all is written", "document.querySelectorAll('[data-seq]').length == 301")
            .await;
        grace.waits_for_members(&["Grace you"]).await;
        ada.network(true).await;
        ada.waits_for_status("live", "Live").await;
        // What was never sent goes out in the new session; the server keeps the last 100.
        ada.waits_until("it is handled", &has_ticks("handled", 1)).await;
        // That is told ahead of what the talk has been told meanwhile.
        ada.waits_until("it is told so", "document.querySelectorAll('#log .bad').length == 1")
            .await;
        ada.waits_until("all is there", "document.querySelectorAll('[data-seq]').length == 101")
            .await;
        let expected: Vec<_> = [1].into_iter().chain(203..=302).collect();
        assert_eq!(ada.sequence().await, expected);
    })
    .await;
}

pub(crate) async fn a_reload_begins_a_new_session_without_what_was_on_its_way(browser: Browser) {
    perform(browser, DESKTOP, async |stage| {
        let (ada, grace) = two_members(stage).await;
        ada.say("before").await;
        grace.waits_for_messages(&["before"]).await;
        ada.network(false).await;
        ada.say("into the silence").await;
        ada.waits_until("it is on its way", &has_ticks("sent", 1)).await;
        ada.click("#reset").await;
        ada.say("never sent").await;
        ada.waits_until("both wait", &has_ticks("waiting", 2)).await;

        ada.reload().await;
        ada.waits_for_status("live", "Live").await;
        grace.waits_for_members(&["Ada", "Grace you"]).await;
        ada.waits_for_messages(&["before"]).await;
        assert_eq!(ada.count(".notice").await, 0);
        ada.say("after").await;
        for tab in [&ada, &grace] {
            tab.waits_for_messages(&["before", "after"]).await;
        }
    })
    .await;
}

pub(crate) async fn a_copy_of_a_tab_takes_its_place(browser: Browser) {
    perform(browser, DESKTOP, async |stage| {
        let (ada, grace) = two_members(stage).await;
        let user = ada.eval("return sessionStorage.user").await;
        let copy = stage.open_tab().await;
        copy.eval(&format!("sessionStorage.user = {user}")).await;
        copy.reload().await;
        copy.waits_for_status("live", "Live").await;
        ada.waits_for_status("closed", "1000 “duplicate connection id”").await;
        copy.say("in its place").await;
        grace.waits_for_messages(&["in its place"]).await;
        grace.waits_for_members(&["Ada", "Grace you"]).await;
        // It does not come back, and so they do not throw each other out for ever.
        assert_eq!(ada.count("#countdown:not([hidden])").await, 0);
    })
    .await;
}

pub(crate) async fn a_page_in_the_background_misses_nothing(browser: Browser) {
    perform(browser, DESKTOP, async |stage| {
        let (ada, grace) = two_members(stage).await;
        ada.talk("ada").await;
        grace.talk("grace").await;
        ada.minimize().await;
        ada.waits_until("the page is hidden", "document.hidden").await;
        let then = heard_by(&grace, "ada").await;
        grace.waits_until("it goes on", &format!("{} > {then} + 3", heard("ada"))).await;
        ada.eval("document.getElementById('reset').click()").await;
        ada.has_shown("Live again").await;
        nothing_is_missed_or_twice(&ada, &grace).await;
    })
    .await;
}

pub(crate) async fn a_frozen_page_misses_nothing(browser: Browser) {
    perform(browser, DESKTOP, async |stage| {
        let (ada, grace) = two_members(stage).await;
        ada.talk("ada").await;
        grace.talk("grace").await;
        ada.dev_tools("Page.setWebLifecycleState", json!({ "state": "frozen" })).await;
        // It does not answer, so the server takes it for gone.
        grace.waits_for_members(&["Ada away", "Grace you"]).await;
        ada.dev_tools("Page.setWebLifecycleState", json!({ "state": "active" })).await;
        ada.has_shown("Live again").await;
        nothing_is_missed_or_twice(&ada, &grace).await;
    })
    .await;
}

pub(crate) async fn a_browser_that_is_offline_misses_nothing(browser: Browser) {
    perform(browser, DESKTOP, async |stage| {
        let (ada, grace) = two_members(stage).await;
        ada.talk("ada").await;
        grace.talk("grace").await;
        let reset = address_of_reset(&ada).await;
        for _ in 0..3 {
            ada.waits_for_status("live", "Live").await;
            ada.goes_offline().await;
            // A WebSocket that is open may stay so: this one is cut, from where there is a network.
            grace.eval(&format!("fetch('{reset}', {{ method: 'POST' }})")).await;
            ada.waits_until("it is cut", &format!("!document.querySelector('{LIVE}')")).await;
            // Time enough for attempts to come back.
            let then = heard_by(&grace, "grace").await;
            grace.waits_until("Grace goes on", &format!("{} > {then} + 8", heard("grace"))).await;
            assert_eq!(ada.count(LIVE).await, 0);
            ada.comes_online().await;
        }
        nothing_is_missed_or_twice(&ada, &grace).await;
    })
    .await;
}

/// Resets a window's connection, and tells the address by which others may do that as well.
async fn address_of_reset(tab: &Tab) -> String {
    tab.click("#reset").await;
    let address = "performance.getEntriesByType('resource').map(({ name }) => name)
        .find((name) => name.endsWith('/reset'))";
    tab.waits_until("it has asked for a reset", &format!("Boolean({address})")).await;
    tab.has_shown("Live again").await;
    tab.eval(&format!("return {address}")).await.as_str().expect("an address").to_owned()
}

async fn two_members(stage: &mut Stage) -> (Tab, Tab) {
    let ada = stage.join("Ada", "lobby").await;
    let grace = stage.join("Grace", "lobby").await;
    ada.waits_for_members(&["Ada you", "Grace"]).await;
    grace.waits_for_members(&["Ada", "Grace you"]).await;
    (ada, grace)
}

/// Lets both finish, and looks at what they have: all that was said, once, in the order of each
/// speaker, in one order for both.
async fn nothing_is_missed_or_twice(ada: &Tab, grace: &Tab) {
    let said = [("ada", ada.fall_silent().await), ("grace", grace.fall_silent().await)];
    let all: u64 = said.iter().map(|(_, count)| count).sum();
    let here = format!("document.querySelectorAll('[data-seq]').length >= {all}");
    for tab in [ada, grace] {
        tab.waits_until("all is here", &here).await;
        assert_eq!(tab.sequence().await, (1..=all).collect::<Vec<_>>());
        let messages = tab.messages().await;
        for (name, count) in said {
            let of_one: Vec<_> = messages.iter().filter(|text| text.starts_with(name)).collect();
            let expected: Vec<_> = (0..count).map(|number| format!("{name} {number}")).collect();
            assert_eq!(of_one, expected.iter().collect::<Vec<_>>());
        }
        assert_eq!(tab.count(".notice.bad, [data-tick=lost]").await, 0);
    }
    assert_eq!(ada.messages().await, grace.messages().await);
    println!("{said:?}: once and in order, {} resumptions", ada.count(".notice.good").await);
}

fn has_ticks(tick: &str, count: usize) -> String {
    format!("document.querySelectorAll('[data-tick={tick}]').length === {count}")
}

fn has_ticks_at_least(tick: &str, count: usize) -> String {
    format!("document.querySelectorAll('[data-tick={tick}]').length >= {count}")
}

/// How many messages of this speaker a window shows, numbered ones alone.
fn heard(name: &str) -> String {
    format!(
        "[...document.querySelectorAll('[data-seq] .bubble')]
            .filter((bubble) => bubble.textContent.startsWith('{name} ')).length"
    )
}

async fn heard_by(tab: &Tab, name: &str) -> u64 {
    tab.eval(&format!("return {}", heard(name))).await.as_u64().expect("a number")
}
