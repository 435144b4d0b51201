//! The pages of the examples to copy: each does what its server has tests of its own for.

use crate::DESKTOP;
use crate::stage::{Browser, Example, Stage, Tab, perform_in};

async fn perform(package: &'static str, browser: Browser, scenario: impl AsyncFnOnce(&mut Stage)) {
    perform_in(Example::ToCopy(package), browser, DESKTOP, scenario).await;
}

/// Waits until an element says so.
async fn waits_for(page: &Tab, css: &str, words: &str) {
    let (css, words) = (serde_json::Value::from(css), serde_json::Value::from(words));
    let condition =
        format!("document.querySelector({css})?.textContent.includes({words}) === true");
    page.waits_until(&format!("{css} says {words}"), &condition).await;
}

pub(crate) async fn a_page_renews_its_token_and_ends_with_it_otherwise(browser: Browser) {
    perform("example-jwt", browser, async |stage| {
        let page = stage.open_tab().await;
        page.fill("#name", "ann").await;
        page.click("#login button").await;
        waits_for(&page, "#status", "You are in").await;
        page.say("hello").await;
        waits_for(&page, "#said", "ann: hello").await;
        page.say(" ").await;
        waits_for(&page, "#status", "say something").await;
        // A token lives for 30 s, and its end is announced 10 s before.
        waits_for(&page, "#status", "Your token was renewed").await;
        page.click("#renewing").await;
        waits_for(&page, "#status", "Your token ends").await;
        waits_for(&page, "#status", "Your token is over").await;
    })
    .await;
}

pub(crate) async fn a_notice_is_shown_on_all_devices_and_read_on_all(browser: Browser) {
    perform("example-notify", browser, async |stage| {
        let (phone, laptop) = (stage.open_tab().await, stage.open_tab().await);
        waits_for(&phone, "#status", "a device of ann").await;
        waits_for(&laptop, "#status", "a device of ann").await;
        laptop.fill("#text", "Your parcel is here").await;
        laptop.click("#notify button").await;
        waits_for(&laptop, "#told", "2 devices have it").await;
        waits_for(&phone, "#notices", "Your parcel is here").await;
        phone.click("#notices button").await;
        laptop.waits_until("it is read", "document.querySelector('#notices .read') !== null").await;
    })
    .await;
}

pub(crate) async fn a_page_talks_to_plain_hyper(browser: Browser) {
    perform("example-hyper", browser, async |stage| {
        let (ann, bob) = (stage.open_tab().await, stage.open_tab().await);
        waits_for(&bob, "#status", "Live").await;
        waits_for(&ann, "#status", "Live").await;
        ann.say("hello").await;
        waits_for(&bob, "#said", "hello").await;
    })
    .await;
}

pub(crate) async fn a_page_that_came_over_http_2_has_its_websocket_in_that_connection(
    browser: Browser,
) {
    perform("example-tls", browser, async |stage| {
        let (ann, bob) = (stage.open_tab().await, stage.open_tab().await);
        waits_for(&ann, "#status", "Live, over wss: and HTTP/2.0").await;
        waits_for(&bob, "#status", "Live, over wss: and HTTP/2.0").await;
        ann.say("hello").await;
        waits_for(&bob, "#said", "hello").await;
    })
    .await;
}

pub(crate) async fn a_page_shows_who_is_here_away_and_typing(browser: Browser) {
    perform("example-presence", browser, async |stage| {
        let (ann, bob) = (stage.open_tab().await, stage.open_tab().await);
        for (page, name) in [(&ann, "ann"), (&bob, "bob")] {
            page.fill("#name", name).await;
            page.click("#enter button").await;
        }
        waits_for(&ann, "#people", "bob").await;
        bob.fill("#text", "hm").await;
        waits_for(&ann, "#people", "bob is typing").await;
        bob.click("#tunnel").await;
        waits_for(&ann, "#people", "bob is away").await;
        let is_back = "document.querySelectorAll('#people [data-state=here]').length === 2";
        ann.waits_until("bob is back", is_back).await;
    })
    .await;
}

pub(crate) async fn a_page_draws_a_game_and_its_player_moves(browser: Browser) {
    perform("example-game", browser, async |stage| {
        let (ann, bob) = (stage.open_tab().await, stage.open_tab().await);
        for page in [&ann, &bob] {
            page.waits_until("both play", "field.dataset.players === '2'").await;
        }
        // The first dot is up and to the left of where all begin.
        for key in ["ArrowUp", "ArrowLeft"] {
            let press =
                format!("void dispatchEvent(new KeyboardEvent('keydown', {{ key: '{key}' }}))");
            ann.eval(&press).await;
        }
        ann.waits_until("the dot is eaten", "score.value === '1'").await;
        bob.waits_until("states come", "Number(rate.value) > 0").await;
        assert_eq!(bob.eval("return score.value").await, "0");
    })
    .await;
}

pub(crate) async fn two_pages_edit_one_text(browser: Browser) {
    perform("example-text", browser, async |stage| {
        let (ann, bob) = (stage.open_tab().await, stage.open_tab().await);
        waits_for(&ann, "#status", "Live").await;
        waits_for(&bob, "#status", "Live").await;
        ann.fill("#name", "ann").await;
        ann.fill("#text", "tea").await;
        bob.waits_until("the text is there", &holds("tea")).await;
        waits_for(&bob, "#people", "ann is at character 3").await;
        // What both write while one of them is away is in the text of both.
        bob.click("#link").await;
        waits_for(&bob, "#status", "Offline").await;
        write(&bob, "tea for two").await;
        write(&ann, "green tea").await;
        bob.click("#link").await;
        let both = "green tea for two";
        ann.waits_until("both have written", &holds(both)).await;
        bob.waits_until("both have written", &holds(both)).await;
    })
    .await;
}

/// Has the box hold this, as if it had been typed into what was there.
async fn write(page: &Tab, text: &str) {
    let script = format!(
        "const box = document.getElementById('text');
        box.value = '{text}';
        box.dispatchEvent(new Event('input'))"
    );
    page.eval(&script).await;
}

fn holds(text: &str) -> String {
    format!("document.getElementById('text').value === '{text}'")
}
