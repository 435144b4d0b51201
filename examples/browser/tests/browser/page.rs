//! What the page looks like, and what its other buttons and its keys do.

use fantoccini::key::Key;

use crate::stage::{Browser, Stage, Tab, perform};
use crate::{DESKTOP, PHONE};

pub(crate) async fn a_kicked_tab_stays_away_until_its_user_comes_back(browser: Browser) {
    perform(browser, DESKTOP, async |stage| {
        let ada = stage.join("Ada", "lobby").await;
        let grace = stage.join("Grace", "lobby").await;
        grace.waits_for_members(&["Ada", "Grace you"]).await;

        grace.click("[aria-label='Kick Ada']").await;
        ada.waits_for_status("closed", "1000 “kicked”").await;
        grace.waits_for_members(&["Grace you"]).await;
        // Nothing is under way that could bring her back: no attempt, no timer behind a countdown.
        assert_eq!(ada.count("#countdown:not([hidden])").await, 0);

        ada.click("#retry").await;
        ada.waits_for_status("live", "Live").await;
        ada.click("#kick-me").await;
        ada.waits_for_status("closed", "1000 “kicked”").await;
    })
    .await;
}

pub(crate) async fn a_tab_that_leaves_is_gone_at_once(browser: Browser) {
    perform(browser, DESKTOP, async |stage| {
        let ada = stage.join("Ada", "lobby").await;
        let grace = stage.join("Grace", "lobby").await;
        grace.waits_for_members(&["Ada", "Grace you"]).await;
        ada.click("#leave").await;
        ada.waits_until("the form is back", "!document.getElementById('lobby').hidden").await;
        grace.waits_for_members(&["Grace you"]).await;
    })
    .await;
}

pub(crate) async fn a_phone_scrolls_in_one_direction_only(browser: Browser) {
    perform(browser, PHONE, async |stage| {
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
        ada.network(false).await;
        ada.click("#reset").await;
        ada.waits_for_status("waiting", "Connection lost").await;
        fits_the_width(&ada).await;
        ada.network(true).await;
        ada.waits_for_status("live", "Live again").await;
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

pub(crate) async fn the_keyboard_is_enough(browser: Browser) {
    perform(browser, DESKTOP, async |stage| {
        let ada = stage.open_tab().await;
        ada.press(Key::Tab).await;
        assert_eq!(ada.focused().await, "name");
        ada.type_text("Ada").await;
        ada.press(Key::Tab).await;
        assert_eq!(ada.focused().await, "room-name");
        ada.press(Key::Enter).await;
        ada.waits_for_status("live", "Live").await;

        assert_eq!(ada.focused().await, "text");
        assert_ne!(ada.eval("return getComputedStyle(text).outlineStyle").await, "none");
        ada.type_text("no mouse").await;
        ada.press(Key::Enter).await;
        ada.waits_for_messages(&["no mouse"]).await;
        assert_eq!(ada.focused().await, "text");

        for expected in
            ["Send", "network", "silence", "close", "reset", "kick-me", "deploy", "codec"]
        {
            ada.press(Key::Tab).await;
            assert_eq!(ada.focused().await, expected);
        }
        for expected in
            ["deploy", "kick-me", "reset", "close", "silence", "network", "Send", "text", "log"]
        {
            ada.press_shifted(Key::Tab).await;
            assert_eq!(ada.focused().await, expected);
        }
        for _ in 0..7 {
            ada.press(Key::Tab).await;
        }
        assert_eq!(ada.focused().await, "kick-me");
        ada.press(Key::Enter).await;
        ada.waits_for_status("closed", "1000 “kicked”").await;
        assert_eq!(ada.focused().await, "kick-me");
        ada.press(Key::Tab).await;
        assert_eq!(ada.focused().await, "retry");
        ada.press(Key::Enter).await;
        ada.waits_for_status("live", "Live").await;
        assert_eq!(ada.focused().await, "text");
    })
    .await;
}

pub(crate) async fn every_field_and_region_has_a_name(browser: Browser) {
    perform(browser, DESKTOP, async |stage| {
        let ada = stage.join("Ada", "lobby").await;
        let nameless = "return [...document.querySelectorAll('input, select')]
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

pub(crate) async fn ctrl_c_says_goodbye_and_ends_the_process(browser: Browser) {
    perform(browser, DESKTOP, async |stage| {
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
pub(crate) async fn screenshot(browser: Browser) {
    perform(browser, DESKTOP, async |stage| {
        let ada = conversation(stage).await;
        ada.screenshot("chat.png").await;
    })
    .await;
    perform(browser, PHONE, async |stage| {
        let lobby = stage.open_tab().await;
        lobby.screenshot("lobby-phone.png").await;
        let ada = conversation(stage).await;
        ada.screenshot("chat-phone.png").await;
    })
    .await;
}

/// Ada has been away and is back, then Grace has gone away. Others have written elsewhere.
async fn conversation(stage: &mut Stage) -> Tab {
    let ada = stage.join("Ada", "engine-room").await;
    ada.enters("tea").await;
    ada.turns_to("engine-room").await;
    let grace = stage.join("Grace", "engine-room").await;
    let margaret = stage.join("Margaret", "engine-room").await;
    grace.say("The train is about to enter the tunnel, isn't it?").await;
    ada.waits_for_messages(&["The train is about to enter the tunnel, isn't it?"]).await;
    ada.say("Any moment now. Just keep writing!").await;
    ada.waits_until("it is sent", "document.querySelectorAll('[data-seq]').length == 2").await;
    ada.network(false).await;
    ada.click("#reset").await;
    ada.has_shown("Connection lost").await;
    ada.say("Is anybody there?").await;
    grace.say("And there she goes.").await;
    margaret.say("The server keeps her session for her.").await;
    grace.say("In order, and once each.").await;
    ada.network(true).await;
    ada.waits_for_status("live", "Live again").await;
    ada.say("Out of the tunnel, and I have not missed a word.").await;
    let all = "document.querySelectorAll('[data-seq]').length == 7";
    for tab in [&margaret, &grace] {
        tab.waits_until("all is there", all).await;
    }
    grace.network(false).await;
    grace.click("#reset").await;
    ada.waits_for_members(&["Ada you", "Grace away", "Margaret"]).await;
    margaret.enters("tea").await;
    for text in ["The kettle is on.", "Who wants a cup?"] {
        margaret.say(text).await;
    }
    margaret.turns_to("engine-room").await;
    margaret.click("[aria-label='Write to Ada']").await;
    margaret.say("Tea in five minutes?").await;
    ada.waits_for_unread("@Margaret", 1).await;
    margaret.turns_to("engine-room").await;
    margaret.fill("#text", "Welcome b").await;
    ada.waits_until("Margaret types", "typing.textContent.includes('Margaret')").await;
    ada
}
