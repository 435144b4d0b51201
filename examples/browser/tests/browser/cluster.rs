//! Three servers as one, which a page kills, stops and drains: it says honestly what it lacks.

use serde_json::json;

use crate::stage::{Browser, Example, Stage, Tab, perform_in};
use crate::{DESKTOP, PHONE};

const EXAMPLE: Example = Example::ToCopy("example-cluster");

pub(crate) async fn a_page_misses_nothing_while_nodes_are_killed_stopped_and_drained(
    browser: Browser,
) {
    perform_in(EXAMPLE, browser, DESKTOP, async |stage| {
        let page = opened(stage).await;
        let first = node(&page).await;
        // Its session goes with it, and it need not be told of anything.
        act(&page, &first, "cut").await;
        waits_to_leave(&page, &first).await;
        assert_eq!(last_move(&page).await, "resumed");
        waits_to_hear_all(&page).await;
        assert_eq!(told(&page).await, 0);

        // One that stands still for longer than the balancer waits, and goes on after that.
        let second = node(&page).await;
        act(&page, &second, "stop").await;
        waits_to_leave(&page, &second).await;
        act(&page, &second, "continue").await;
        waits_for(&page, &second, "running").await;
        waits_to_hear_all(&page).await;

        let third = node(&page).await;
        act(&page, &third, "kill").await;
        waits_to_leave(&page, &third).await;
        assert_eq!(last_move(&page).await, "new");
        waits_for(&page, &third, "gone").await;
        act(&page, &third, "restart").await;
        waits_for(&page, &third, "running").await;
        waits_to_hear_all(&page).await;

        let fourth = node(&page).await;
        act(&page, &fourth, "drain").await;
        waits_to_leave(&page, &fourth).await;
        assert_eq!(last_move(&page).await, "resumed");
        waits_for(&page, &fourth, "gone").await;
        act(&page, &fourth, "restart").await;
        waits_for(&page, &fourth, "running").await;
        waits_to_hear_all(&page).await;

        let before = told(&page).await;
        act(&page, "nats", "kill").await;
        waits_for(&page, "nats", "gone").await;
        act(&page, "nats", "restart").await;
        waits_to_hear_all(&page).await;
        assert_eq!(told(&page).await, before, "what was said without NATS is kept");
        is_accounted_for(&page).await;
    })
    .await;
}

pub(crate) async fn the_cluster_fits_on_a_phone(browser: Browser) {
    perform_in(EXAMPLE, browser, PHONE, async |stage| {
        let page = opened(stage).await;
        let too_wide = "return [...document.querySelectorAll('*')]
            .filter((e) => e.getBoundingClientRect().right > 360.5 || e.scrollWidth > 361)
            .map((e) => e.outerHTML.slice(0, 80))";
        assert_eq!(page.eval(too_wide).await, json!([]), "wider than the screen");
        page.screenshot("cluster-phone.png").await;
    })
    .await;
}

/// Not so much a test as the maker of the picture in the docs.
pub(crate) async fn screenshot_of_the_cluster(browser: Browser) {
    perform_in(EXAMPLE, browser, DESKTOP, async |stage| {
        let page = opened(stage).await;
        for action in ["cut", "kill"] {
            let node = node(&page).await;
            act(&page, &node, action).await;
            waits_to_leave(&page, &node).await;
        }
        waits_to_hear(&page, "heard", 100).await;
        page.screenshot("cluster.png").await;
    })
    .await;
}

/// The page, once it is on a node and hears all of them.
async fn opened(stage: &mut Stage) -> Tab {
    let page = stage.open_tab().await;
    page.waits_until("it is on a node", "document.querySelector('[aria-current]') !== null").await;
    waits_to_hear_all(&page).await;
    page
}

async fn node(page: &Tab) -> String {
    page.waits_until("it is on a node", "document.querySelector('[aria-current]') !== null").await;
    let node = page.eval("return document.querySelector('[aria-current]').id").await;
    node.as_str().expect("a name").to_owned()
}

async fn act(page: &Tab, name: &str, action: &str) {
    let button = format!("#{name} [name={action}]");
    page.waits_until(&button, &format!("!document.querySelector('{button}').disabled")).await;
    page.click(&button).await;
}

async fn waits_for(page: &Tab, name: &str, state: &str) {
    let condition = format!("document.getElementById('{name}').dataset.state === '{state}'");
    page.waits_until(&format!("{name} is {state}"), &condition).await;
}

async fn waits_to_leave(page: &Tab, node: &str) {
    let left = format!(
        "document.querySelector('#moves td').textContent.startsWith('{node} → ')
        && document.querySelector('[aria-current]')?.id !== '{node}'"
    );
    let moves = "document.querySelector('#moves td') !== null";
    page.waits_until(&format!("it has left {node}"), &format!("{moves} && {left}")).await;
}

async fn last_move(page: &Tab) -> String {
    let session = page.eval("return document.querySelector('#moves tr').dataset.session").await;
    session.as_str().expect("a word").to_owned()
}

/// Of all nodes that run, so many more than now.
async fn waits_to_hear(page: &Tab, what: &str, more: u64) {
    let counts =
        "document.querySelectorAll('section[data-state=running] [data-of=heard]').length > 0";
    page.waits_until("it counts", counts).await;
    let before = "const notes = document.body.dataset;
        notes.heard = JSON.stringify([...document.querySelectorAll('section[data-state=running] [data-of=WHAT]')]
            .map((count) => [count.closest('section').id, Number(count.textContent)]))";
    page.eval(&before.replace("WHAT", what)).await;
    let condition = format!(
        "JSON.parse(document.body.dataset.heard).every(([node, heard]) =>
            Number(document.querySelector(`#${{node}} [data-of={what}]`).textContent) >= heard + {more})"
    );
    page.waits_until("it hears all nodes", &condition).await;
}

/// Waits until each node that runs is heard, and what the page has said is back or told as lost; nothing is
/// missing without a word, and nothing has come twice.
async fn waits_to_hear_all(page: &Tab) {
    waits_to_hear(page, "heard", 10).await;
    let condition = "document.querySelector('#own [data-of=\"not yet\"]').textContent <= 3";
    page.waits_until("what it has said is back", condition).await;
    is_accounted_for(page).await;
}

async fn is_accounted_for(page: &Tab) {
    let wrong = "return [...document.querySelectorAll('[data-of=missing], [data-of=twice]')]
        .filter((count) => count.textContent !== '0')
        .map((count) => `${count.closest('section').id}: ${count.textContent} ${count.dataset.of}`)";
    assert_eq!(page.eval(wrong).await, json!([]), "{}", page.text("body").await);
}

/// How many frames the page was told that it lacks, its own included.
async fn told(page: &Tab) -> u64 {
    let sum = "return [...document.querySelectorAll('[data-of=told]')]
        .reduce((sum, count) => sum + Number(count.textContent), 0)";
    page.eval(sum).await.as_u64().expect("a number")
}
