//! The inspector of the chat, as an operator sees it.

use fantoccini::key::Key;

use crate::stage::{Browser, Stage, Tab, perform};
use crate::{DESKTOP, PHONE};

pub(crate) async fn the_inspector_lists_who_is_in_the_chat(browser: Browser) {
    perform(browser, DESKTOP, async |stage| {
        let _ada = stage.join("Ada", "lobby").await;
        let _grace = stage.join("Grace", "tea").await;
        let page = inspect(stage).await;
        waits_for_rows(&page, 2).await;
        assert_eq!(column(&page, "Person").await, ["Ada", "Grace"]);
        assert_eq!(column(&page, "State").await, ["connected", "connected"]);
        waits_for_number(&page, "Connections", "2").await;

        page.click("[data-list=rooms]").await;
        page.waits_until("rooms are shown", &rows_are("Room", &["lobby", "tea"])).await;
        assert_eq!(column(&page, "Here").await, ["1", "1"]);
        page.click("[data-list=users]").await;
        page.waits_until("people are shown", &rows_are("Person", &["Ada", "Grace"])).await;
    })
    .await;
}

pub(crate) async fn a_search_finds_people_and_rooms_narrow_the_list(browser: Browser) {
    perform(browser, DESKTOP, async |stage| {
        let _ada = stage.join("Ada", "lobby").await;
        let _grace = stage.join("Grace", "tea").await;
        let page = inspect(stage).await;
        waits_for_rows(&page, 2).await;
        page.fill("#needle", "gRa").await;
        page.waits_until("one is found", &rows_are("Person", &["Grace"])).await;
        page.fill("#needle", "nobody").await;
        waits_for_rows(&page, 0).await;
        page.click("[data-list=rooms]").await;
        page.waits_until("rooms are shown", &rows_are("Room", &["lobby", "tea"])).await;
        page.click("[data-key='room tea']").await;
        page.waits_until("its members are shown", &rows_are("Person", &["Grace"])).await;
        page.click("#leave").await;
        waits_for_rows(&page, 2).await;
    })
    .await;
}

pub(crate) async fn what_clients_call_themselves_is_never_markup(browser: Browser) {
    perform(browser, DESKTOP, async |stage| {
        let _client = stage.join("<img id=evil src=x>", "<b>tea</b>").await;
        let page = inspect(stage).await;
        page.waits_until("it is listed", &rows_are("Person", &["<img id=evil src=x>"])).await;
        open_detail(&page, "<img").await;
        page.click("#close").await;
        page.click("[data-list=rooms]").await;
        page.waits_until("it is listed", &rows_are("Room", &["<b>tea</b>"])).await;
        assert_eq!(page.count("#evil, #table b, #facts b").await, 0);
    })
    .await;
}

pub(crate) async fn a_tail_shows_what_passes(browser: Browser) {
    perform(browser, DESKTOP, async |stage| {
        let ada = stage.join("Ada", "lobby").await;
        let page = inspect(stage).await;
        open_detail(&page, "Ada").await;
        ada.say("to be seen").await;
        let is_seen = |way: &str| {
            format!(
                "[...document.querySelectorAll('#messages tr.{way}')]
                    .some((row) => row.textContent.includes('to be seen'))"
            )
        };
        page.waits_until("it is seen to come", &is_seen("in")).await;
        page.waits_until("it is seen to go", &is_seen("out")).await;
        page.click("#close").await;
        page.waits_until("it is closed", "!document.getElementById('detail').open").await;
    })
    .await;
}

pub(crate) async fn a_cut_client_comes_back_and_a_kicked_one_does_not(browser: Browser) {
    perform(browser, DESKTOP, async |stage| {
        let ada = stage.join("Ada", "lobby").await;
        let page = inspect(stage).await;
        open_detail(&page, "Ada").await;
        ada.forget_shown().await;
        // A no does nothing, and so does Escape.
        page.click("#cut").await;
        page.click("#no").await;
        page.click("#cut").await;
        page.press(Key::Escape).await;
        assert_eq!(page.count("#confirm[open]").await, 0);
        page.click("#cut").await;
        page.click("#yes").await;
        ada.has_shown("Connection lost").await;
        ada.waits_for_status("live", "Live again").await;
        let is_told =
            "document.getElementById('gone').textContent.includes('cut by the application')";
        page.waits_until("the cause is told", is_told).await;

        page.click("#kick").await;
        page.click("#yes").await;
        ada.waits_for_status("closed", "1000 “kicked”").await;
        page.waits_until(
            "it has ended",
            "document.getElementById('tail-state').textContent === 'It has ended.'",
        )
        .await;
        page.click("#close").await;
        page.click("[data-list=departures]").await;
        page.waits_until("both are told", &rows_are("What", &["kick", "suspended"])).await;
    })
    .await;
}

pub(crate) async fn a_drain_sends_all_away(browser: Browser) {
    perform(browser, DESKTOP, async |stage| {
        let ada = stage.join("Ada", "lobby").await;
        let page = inspect(stage).await;
        ada.forget_shown().await;
        page.click("#drain").await;
        page.fill("#window", "0").await;
        page.click("#yes").await;
        ada.has_shown("Connection lost").await;
        let is_draining = "document.getElementById('drain').textContent === 'Draining'";
        page.waits_until("it is told", is_draining).await;
        waits_for_rows(&page, 0).await;
    })
    .await;
}

pub(crate) async fn the_inspector_fits_on_a_phone(browser: Browser) {
    perform(browser, PHONE, async |stage| {
        let _ada = stage.join(&"W".repeat(24), &"R".repeat(32)).await;
        let page = inspect(stage).await;
        waits_for_rows(&page, 1).await;
        waits_for_number(&page, "Connections", "1").await;
        fits(&page).await;
        for list in ["rooms", "users", "departures", "connections"] {
            page.click(&format!("[data-list={list}]")).await;
            let is_shown =
                format!("document.querySelector('[data-list={list}]').ariaPressed === 'true'");
            page.waits_until("it is shown", &is_shown).await;
            fits(&page).await;
        }
        open_detail(&page, "W").await;
        fits(&page).await;
        page.click("#kick").await;
        fits(&page).await;
    })
    .await;
}

pub(crate) async fn the_inspector_needs_no_mouse_and_nothing_from_elsewhere(browser: Browser) {
    perform(browser, DESKTOP, async |stage| {
        let _ada = stage.join("Ada", "lobby").await;
        let page = inspect(stage).await;
        waits_for_rows(&page, 1).await;
        let key = page.eval("return document.querySelector('[data-key^=id]').dataset.key").await;
        let key = key.as_str().expect("a key").to_owned();
        for expected in ["drain", "Connections", "Rooms", "People", "Gone", "needle", "order", "state", &key["id ".len()..]] {
            page.press(Key::Tab).await;
            assert_eq!(page.focused().await, expected);
            let outline = "return getComputedStyle(document.activeElement).outlineStyle";
            assert_ne!(page.eval(outline).await, "none", "{expected}");
        }
        // The list is made anew meanwhile, and the focus stays.
        page.eval("window.old = document.querySelector('#table tbody tr')").await;
        page.waits_until("it is made anew", "!document.contains(old)").await;
        assert_eq!(page.focused().await, &key["id ".len()..]);
        page.press(Key::Enter).await;
        page.waits_until("it is open", "document.getElementById('detail').open").await;
        page.press(Key::Escape).await;
        page.waits_until("it is closed", "!document.getElementById('detail').open").await;

        let nameless = "return [...document.querySelectorAll('input, select')]
            .filter((input) => !input.labels.length).length";
        assert_eq!(page.eval(nameless).await, 0);
        let foreign = "return performance.getEntriesByType('resource')
            .filter((entry) => !entry.name.startsWith(location.origin) && !entry.name.startsWith('data:')).length";
        assert_eq!(page.eval(foreign).await, 0, "no request goes elsewhere");
    })
    .await;
}

/// Not so much a test as the maker of the pictures in the docs.
pub(crate) async fn screenshots_of_the_inspector(browser: Browser) {
    perform(browser, DESKTOP, async |stage| {
        let page = busy(stage).await;
        page.screenshot("inspector.png").await;
        let media = serde_json::json!({ "features": [{ "name": "prefers-color-scheme", "value": "dark" }] });
        page.dev_tools("Emulation.setEmulatedMedia", media).await;
        open_detail(&page, "Ada").await;
        page.waits_until("much has passed", "document.querySelectorAll('#messages tr').length > 8").await;
        page.screenshot("inspector-dark.png").await;
    })
    .await;
    perform(browser, PHONE, async |stage| {
        let page = busy(stage).await;
        page.screenshot("inspector-phone.png").await;
    })
    .await;
}

/// A chat in which something happens, and a look at it.
async fn busy(stage: &mut Stage) -> Tab {
    let mut tabs = Vec::new();
    for (name, room) in
        [("Ada", "lobby"), ("Grace", "lobby"), ("Margaret", "engine-room"), ("Edsger", "tea")]
    {
        let tab = stage.join(name, room).await;
        tab.talk(name).await;
        tabs.push(tab);
    }
    tabs[1].network(false).await;
    tabs[1].click("#reset").await;
    let page = inspect(stage).await;
    let is_drawn =
        "(document.querySelector('.line')?.getAttribute('d').match(/L/g) ?? []).length > 20";
    page.waits_until("the charts have something to show", is_drawn).await;
    page
}

/// The inspector, in a window of its own.
async fn inspect(stage: &mut Stage) -> Tab {
    let page = stage.open_tab_at("inspector").await;
    page.waits_for_status("live", "Live").await;
    page
}

async fn open_detail(page: &Tab, person: &str) {
    let row = format!(
        "[...document.querySelectorAll('#table tbody tr')]
            .find((row) => row.cells[1]?.textContent.startsWith('{person}'))"
    );
    page.waits_until("it is listed", &format!("{row} !== undefined")).await;
    page.eval(&format!("{row}.querySelector('button').click()")).await;
    page.waits_until("it is shown", "document.getElementById('facts').children.length > 5").await;
}

async fn waits_for_rows(page: &Tab, count: usize) {
    let condition = format!(
        "document.getElementById('table').tBodies[0].rows.length === {count}
            && document.getElementById('caption').textContent !== ''"
    );
    page.waits_until(&format!("there are {count} rows"), &condition).await;
}

async fn waits_for_number(page: &Tab, name: &str, value: &str) {
    let condition = format!(
        "[...document.querySelectorAll('#numbers dl')]
            .some((one) => one.children[0].textContent === '{name}'
                && one.children[1].textContent === '{value}')"
    );
    page.waits_until(&format!("{name} is {value}"), &condition).await;
}

const CELLS: &str = "[...document.querySelectorAll('#table tbody td')]";

/// What is in a column, whatever the order.
async fn column(page: &Tab, name: &str) -> Vec<String> {
    let script = format!(
        "return {CELLS}.filter((cell) => cell.dataset.name === '{name}')
            .map((cell) => cell.textContent).sort()"
    );
    serde_json::from_value(page.eval(&script).await).expect("strings")
}

fn rows_are(name: &str, expected: &[&str]) -> String {
    let expected = serde_json::to_string(expected).expect("strings");
    format!(
        "JSON.stringify({CELLS}.filter((cell) => cell.dataset.name === '{name}')
            .map((cell) => cell.textContent).sort()) === JSON.stringify({expected})"
    )
}

async fn fits(page: &Tab) {
    let too_wide = page
        .eval(
            "return [...document.querySelectorAll('body *')]
                .filter((e) => !e.closest('.scroll, thead, svg') && e.checkVisibility()
                    && (e.getBoundingClientRect().right > 360.5 || e.scrollWidth > 361))
                .map((e) => e.outerHTML.slice(0, 80))",
        )
        .await;
    assert_eq!(too_wide, serde_json::json!([]), "wider than the screen");
}
