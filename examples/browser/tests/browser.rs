//! The chat, as its users see it: headless Chromium against the example's binary.
//!
//! ```text
//! cargo test -p wspulse-browser -- --ignored
//! ```
//!
//! Needs `chromium` and `chromedriver` (Debian: `chromium-driver`) in the PATH. With
//! `UPDATE_SCREENSHOT=1` it also writes `docs/chat.png`.
#![cfg(unix)] // The end of the server is a signal.

mod stage;

use fantoccini::key::Key;
use stage::{Stage, Tab, Viewport, perform};

const DESKTOP: Viewport = Viewport { width: 1200, height: 800 };
const PHONE: Viewport = Viewport { width: 360, height: 740 };

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn two_tabs_talk() {
    perform(DESKTOP, async |stage| {
        let ada = stage.join("Ada", "lobby").await;
        let grace = stage.join("Grace", "lobby").await;
        let stranger = stage.join("Stranger", "elsewhere").await;
        ada.waits_for_members(&["Ada you", "Grace"]).await;
        grace.waits_for_members(&["Ada", "Grace you"]).await;
        stranger.waits_for_members(&["Stranger you"]).await;

        ada.say("hello").await;
        grace.waits_for_messages(&["hello"]).await;
        grace.say("<b>not bold</b> & \"quoted\" ✓").await;
        for tab in [&ada, &grace] {
            tab.waits_for_messages(&["hello", "<b>not bold</b> & \"quoted\" ✓"]).await;
        }
        assert_eq!(stranger.messages().await, [""; 0]);
    })
    .await;
}

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn a_cut_tab_comes_back_and_has_missed_nothing() {
    perform(DESKTOP, async |stage| {
        let ada = stage.join("Ada", "lobby").await;
        let grace = stage.join("Grace", "lobby").await;
        grace.say("before").await;
        ada.waits_for_messages(&["before"]).await;

        ada.click("#cut").await;
        ada.has_shown("Connection lost: 1006").await;
        grace.waits_for_members(&["Ada away", "Grace you"]).await;
        for text in ["one", "two", "three"] {
            grace.say(text).await;
        }
        ada.say("from afar").await;
        grace.waits_for_messages(&["before", "one", "two", "three"]).await;

        ada.waits_for_status("connected", "Resumed").await;
        // One attempt at least was refused, since the cut lasts longer than the first wait.
        ada.has_shown("Reconnecting, attempt 2").await;
        // What Ada wrote meanwhile goes out once, behind what was replayed.
        let all = ["before", "one", "two", "three", "from afar"];
        for tab in [&ada, &grace] {
            tab.waits_for_messages(&all).await;
            assert_eq!(tab.sequence().await, [1, 2, 3, 4, 5]);
            assert_eq!(tab.count(".message.unsent, .notice.bad").await, 0);
        }
        grace.waits_for_members(&["Ada", "Grace you"]).await;
        assert_eq!(ada.count(".message.replayed").await, 3);
        let status = ada.text("#status").await;
        assert!(status.contains("3 messages"), "{status}");
        // Ada's own going away was announced to her as well.
        assert!(status.contains("4 frames replayed"), "{status}");
    })
    .await;
}

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn a_tab_is_told_what_did_not_fit_into_its_buffer() {
    perform(DESKTOP, async |stage| {
        let ada = stage.join("Ada", "lobby").await;
        let grace = stage.join("Grace", "lobby").await;
        grace.say("before").await;
        ada.waits_for_messages(&["before"]).await;
        ada.stay_offline().await;
        ada.click("#cut").await;
        grace.waits_for_members(&["Ada away", "Grace you"]).await;
        let write_a_lot = "for (let i = 0; i < 300; i++) {
            document.getElementById('text').value = `line ${i}`;
            document.getElementById('compose').requestSubmit();
        }";
        grace.eval(write_a_lot).await;
        grace
            .waits_until("all is written", "document.querySelectorAll('[data-seq]').length == 301")
            .await;
        ada.may_go_online().await;
        // The buffer holds 256 frames.
        ada.waits_for_status("connected", "256 frames replayed (256 messages)").await;
        assert_eq!(ada.count("#log .bad").await, 1);
        assert_eq!(ada.sequence().await, (1..=1).chain(46..=301).collect::<Vec<_>>());
    })
    .await;
}

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn a_kicked_tab_stays_away_until_its_user_comes_back() {
    perform(DESKTOP, async |stage| {
        let ada = stage.join("Ada", "lobby").await;
        let grace = stage.join("Grace", "lobby").await;
        grace.waits_for_members(&["Ada", "Grace you"]).await;

        grace.click("[aria-label='Kick Ada']").await;
        ada.waits_for_status("closed", "1000 “kicked”").await;
        grace.waits_for_members(&["Grace you"]).await;
        // Nothing is under way that could bring her back: no attempt, no timer behind a countdown.
        assert_eq!(ada.count("#countdown:not([hidden])").await, 0);

        ada.click("#retry").await;
        ada.waits_for_status("connected", "Connected").await;
        ada.click("#kick-me").await;
        ada.waits_for_status("closed", "1000 “kicked”").await;
    })
    .await;
}

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn a_tab_that_leaves_is_gone_at_once() {
    perform(DESKTOP, async |stage| {
        let ada = stage.join("Ada", "lobby").await;
        let grace = stage.join("Grace", "lobby").await;
        grace.waits_for_members(&["Ada", "Grace you"]).await;
        ada.click("#leave").await;
        ada.waits_until("the form is back", "!document.getElementById('lobby').hidden").await;
        grace.waits_for_members(&["Grace you"]).await;
    })
    .await;
}

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn a_reload_resumes_the_session() {
    perform(DESKTOP, async |stage| {
        let ada = stage.join("Ada", "lobby").await;
        ada.say("before").await;
        ada.waits_for_messages(&["before"]).await;
        ada.reload().await;
        ada.waits_for_status("connected", "Resumed").await;
        ada.say("after").await;
        ada.waits_for_messages(&["after"]).await;
        assert_eq!(ada.count(".notice.bad").await, 0);
    })
    .await;
}

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn a_phone_scrolls_in_one_direction_only() {
    perform(PHONE, async |stage| {
        let lobby = stage.open_tab().await;
        fits_the_width(&lobby).await;
        let unbroken = "W".repeat(24);
        let ada = stage.join(&unbroken, &"R".repeat(32)).await;
        fits_the_width(&ada).await;
        ada.say(&"m".repeat(500)).await;
        ada.say("a message of some words that has to go on in a second line").await;
        ada.waits_until("both are there", "document.querySelectorAll('[data-seq]').length == 2")
            .await;
        fits_the_width(&ada).await;
        ada.click("#cut").await;
        ada.has_shown("Connection lost").await;
        fits_the_width(&ada).await;
        ada.waits_for_status("connected", "Resumed").await;
        fits_the_width(&ada).await;
    })
    .await;
}

async fn fits_the_width(tab: &Tab) {
    let too_wide = tab
        .eval(
            "return [...document.querySelectorAll('*')]
                .filter((e) => e.getBoundingClientRect().right > 360.5 || e.scrollWidth > 361)
                .map((e) => e.outerHTML.slice(0, 80))",
        )
        .await;
    assert_eq!(too_wide, serde_json::json!([]), "wider than the screen");
}

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn the_keyboard_is_enough() {
    perform(DESKTOP, async |stage| {
        let ada = stage.open_tab().await;
        ada.press(Key::Tab).await;
        assert_eq!(ada.focused().await, "name");
        ada.type_text("Ada").await;
        ada.press(Key::Tab).await;
        assert_eq!(ada.focused().await, "room-name");
        ada.press(Key::Enter).await;
        ada.waits_for_status("connected", "Connected").await;

        assert_eq!(ada.focused().await, "text");
        assert_ne!(ada.eval("return getComputedStyle(text).outlineStyle").await, "none");
        ada.type_text("no mouse").await;
        ada.press(Key::Enter).await;
        ada.waits_for_messages(&["no mouse"]).await;
        assert_eq!(ada.focused().await, "text");

        for expected in ["Send", "cut", "kick-me", "leave"] {
            ada.press(Key::Tab).await;
            assert_eq!(ada.focused().await, expected);
        }
        for expected in ["kick-me", "cut", "Send", "text", "log"] {
            ada.press_shifted(Key::Tab).await;
            assert_eq!(ada.focused().await, expected);
        }
        for _ in 0..4 {
            ada.press(Key::Tab).await;
        }
        assert_eq!(ada.focused().await, "kick-me");
        ada.press(Key::Enter).await;
        ada.waits_for_status("closed", "1000 “kicked”").await;
        assert_eq!(ada.focused().await, "kick-me");
        ada.press(Key::Tab).await;
        assert_eq!(ada.focused().await, "retry");
        ada.press(Key::Enter).await;
        ada.waits_for_status("connected", "Connected").await;
        assert_eq!(ada.focused().await, "text");
    })
    .await;
}

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn every_field_and_region_has_a_name() {
    perform(DESKTOP, async |stage| {
        let ada = stage.join("Ada", "lobby").await;
        let nameless = "return [...document.querySelectorAll('input')]
            .filter((input) => !input.labels.length).length";
        assert_eq!(ada.eval(nameless).await, 0);
        for landmark in ["header", "main", "aside[aria-label]", "footer"] {
            assert_ne!(ada.count(landmark).await, 0, "{landmark}");
        }
        assert_eq!(ada.count("#log[role=log][aria-live=polite][aria-label]").await, 1);
        assert_eq!(ada.count("#status[role=status]").await, 1);
    })
    .await;
}

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn ctrl_c_says_goodbye_and_ends_the_process() {
    perform(DESKTOP, async |stage| {
        let ada = stage.join("Ada", "lobby").await;
        let grace = stage.join("Grace", "lobby").await;
        stage.interrupt_server().await;
        for tab in [&ada, &grace] {
            tab.has_shown("1001 “server shutting down”").await;
        }
        let status = stage.server_ended().await;
        assert!(status.success(), "{status}");
    })
    .await;
}

/// Not so much a test as the maker of the picture in the README.
#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn screenshot() {
    perform(DESKTOP, async |stage| {
        let ada = conversation(stage).await;
        ada.screenshot("chat.png").await;
    })
    .await;
    perform(PHONE, async |stage| {
        let lobby = stage.open_tab().await;
        lobby.screenshot("lobby-phone.png").await;
        let ada = conversation(stage).await;
        ada.screenshot("chat-phone.png").await;
    })
    .await;
}

/// Ada has been away and is back, then Grace has gone away.
async fn conversation(stage: &mut Stage) -> Tab {
    let ada = stage.join("Ada", "engine-room").await;
    let grace = stage.join("Grace", "engine-room").await;
    let linus = stage.join("Margaret", "engine-room").await;
    grace.say("The train is about to enter the tunnel, isn't it?").await;
    ada.waits_for_messages(&["The train is about to enter the tunnel, isn't it?"]).await;
    ada.say("Any moment now. Just keep writing!").await;
    ada.waits_until("it is sent", "document.querySelectorAll('[data-seq]').length == 2").await;
    ada.click("#cut").await;
    ada.has_shown("Connection lost").await;
    grace.say("And there she goes.").await;
    linus.say("Same id, same session: the server keeps it for her.").await;
    grace.say("In order, and once each.").await;
    ada.waits_for_status("connected", "Resumed").await;
    ada.say("Out of the tunnel, and I have not missed a word.").await;
    linus.waits_until("all is there", "document.querySelectorAll('[data-seq]').length == 6").await;
    grace.click("#cut").await;
    ada.waits_for_members(&["Ada you", "Grace away", "Margaret"]).await;
    ada
}
