//! What a slow link shows of a board full of cursors: with conflation where they are, without it where
//! they were.

use std::time::{Duration, Instant};

use crate::stage::{Browser, Example, Stage, Tab, perform_in};
use crate::{DESKTOP, PHONE};

/// Of the dial: 16 KiB/s, where the cursors need some 300.
const SLOW: u32 = 3;
/// Twenty times what a round of all cursors' newest positions takes there is far less than a backlog
/// of 4,096 frames does. In milliseconds, as a slow machine's page shows them.
const LAG_MAX: u64 = 5_000;
/// How long a backlog has to grow.
const WATCHED: Duration = Duration::from_secs(15);

pub(crate) async fn a_slow_link_shows_where_cursors_are_and_not_where_they_were(browser: Browser) {
    perform_in(Example::Cursors, browser, DESKTOP, async |stage| {
        let page = board(stage).await;
        turn_dial(&page, SLOW).await;
        let (watched_from, mut longest) = (Instant::now(), 0);
        while watched_from.elapsed() < WATCHED {
            longest = longest.max(lag(&page).await);
        }
        assert!(longest < LAG_MAX, "{longest} ms late");
        // All others go on: the newest position comes through, and it is the newest.
        page.click("#hold").await;
        let held_at = Instant::now();
        let arrived = "document.getElementById('seen').textContent
            === document.getElementById('own').textContent";
        page.waits_until("the newest position is shown", arrived).await;
        assert!(held_at.elapsed() < Duration::from_millis(LAG_MAX), "{:?}", held_at.elapsed());
        assert_eq!(page.text("#status").await, "Live");
    })
    .await;
}

pub(crate) async fn without_conflation_a_slow_link_shows_an_ever_older_board(browser: Browser) {
    perform_in(Example::Cursors, browser, DESKTOP, async |stage| {
        let page = board(stage).await;
        page.click("#conflate").await;
        page.waits_for_status("live", "Live").await;
        page.waits_until("it has come back", COMES_BACK).await;
        turn_dial(&page, SLOW).await;
        let is_late = format!("Number(document.getElementById('lag').dataset.ms) > {LAG_MAX}");
        page.waits_until("a backlog has grown", &is_late).await;
        // The switch helps at once.
        page.click("#conflate").await;
        page.waits_for_status("live", "Live").await;
        let is_quick = format!("Number(document.getElementById('lag').dataset.ms) < {LAG_MAX}");
        page.waits_until("it has come back", COMES_BACK).await;
        page.waits_until("no backlog is left", &is_quick).await;
    })
    .await;
}

pub(crate) async fn the_board_fits_on_a_phone(browser: Browser) {
    perform_in(Example::Cursors, browser, PHONE, async |stage| {
        let page = board(stage).await;
        let too_wide = "return [...document.querySelectorAll('*')]
            .filter((e) => e.getBoundingClientRect().right > 360.5 || e.scrollWidth > 361)
            .map((e) => e.outerHTML.slice(0, 80))";
        assert_eq!(page.eval(too_wide).await, serde_json::json!([]), "wider than the screen");
        let nameless = "return [...document.querySelectorAll('input')]
            .filter((input) => !input.labels.length).length";
        assert_eq!(page.eval(nameless).await, 0);
        let foreign = "return performance.getEntriesByType('resource')
            .filter((entry) => !entry.name.startsWith(location.origin)).length";
        assert_eq!(page.eval(foreign).await, 0, "no request goes elsewhere");
    })
    .await;
}

/// Not so much a test as the maker of the picture in the docs.
pub(crate) async fn screenshot_of_the_board(browser: Browser) {
    perform_in(Example::Cursors, browser, DESKTOP, async |stage| {
        let page = board(stage).await;
        let is_lively = "Number(document.getElementById('rate').textContent) > 1000";
        page.waits_until("all move", is_lively).await;
        turn_dial(&page, SLOW).await;
        let is_slow = "Number(document.getElementById('rate').textContent) < 1000";
        page.waits_until("the link is slow", is_slow).await;
        page.screenshot("cursors.png").await;
    })
    .await;
}

const COMES_BACK: &str = "document.getElementById('seen').textContent !== '–'";

/// The page, once its own cursor has come back.
async fn board(stage: &mut Stage) -> Tab {
    let page = stage.open_tab().await;
    page.waits_for_status("live", "Live").await;
    page.waits_until("it has come back", COMES_BACK).await;
    page
}

async fn turn_dial(page: &Tab, place: u32) {
    let script = format!(
        "const dial = document.getElementById('dial');
        dial.value = {place};
        dial.dispatchEvent(new Event('input'))"
    );
    page.eval(&script).await;
}

async fn lag(page: &Tab) -> u64 {
    let lag = page.eval("return Number(document.getElementById('lag').dataset.ms)").await;
    lag.as_u64().expect("a number")
}
