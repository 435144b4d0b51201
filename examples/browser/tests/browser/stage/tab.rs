//! One tab, and what its user does and sees.

use std::path::Path;
use std::time::{Duration, Instant};

use fantoccini::actions::{InputSource as _, KeyAction, KeyActions};
use fantoccini::key::Key;
use fantoccini::wd::WindowHandle;
use fantoccini::{Client, Locator};
use serde_json::Value;

use super::DEADLINE;
use super::driver::{Browser, DevTools, Network};

const POLL_INTERVAL: Duration = Duration::from_millis(25);

/// Those that the docs show.
const IN_DOCS: [&str; 6] = [
    "chat.png",
    "cluster.png",
    "cursors.png",
    "inspector.png",
    "inspector-dark.png",
    "inspector-phone.png",
];

pub(crate) struct Tab {
    browser: Browser,
    client: Client,
    window: WindowHandle,
}

impl Tab {
    pub(super) const fn new(browser: Browser, client: Client, window: WindowHandle) -> Self {
        Self { browser, client, window }
    }

    pub(super) async fn open(&self, url: &str) {
        self.client().await.goto(url).await.expect("the page loads");
        self.record().await;
    }

    pub(crate) async fn reload(&self) {
        self.client().await.refresh().await.expect("the page loads");
        self.record().await;
    }

    /// Chooses another codec, with which the page loads itself anew.
    pub(crate) async fn chooses_codec(&self, codec: &str) {
        let choose = format!(
            "const select = document.getElementById('codec');
            select.value = '{codec}';
            select.dispatchEvent(new Event('change'))"
        );
        self.eval(&choose).await;
        // The page before has recorded what it has shown.
        let is_new = "document.getElementById('codec') && !window.shown";
        self.waits_until("the page is loaded anew", is_new).await;
        self.record().await;
    }

    /// What is shown for a moment only could be missed by looking now and then.
    async fn record(&self) {
        let script = "window.shown = [];
            new MutationObserver(() => shown.push(document.getElementById('status').textContent))
                .observe(document.getElementById('status'), { childList: true })";
        self.eval(script).await;
    }

    pub(crate) async fn fill(&self, css: &str, text: &str) {
        let input = self.client().await.find(Locator::Css(css)).await.expect(css);
        input.clear().await.expect(css);
        input.send_keys(text).await.expect(css);
    }

    pub(crate) async fn click(&self, css: &str) {
        let button = self.client().await.find(Locator::Css(css)).await.expect(css);
        button.click().await.expect(css);
    }

    pub(crate) async fn say(&self, text: &str) {
        self.fill("#text", text).await;
        self.press(Key::Enter).await;
    }

    /// Joins another room, and turns to it.
    pub(crate) async fn enters(&self, room: &str) {
        self.fill("#new-room", room).await;
        self.click("#enter button").await;
        self.waits_until("it is entered", &is_current(room)).await;
    }

    /// Shows a talk, by what the page calls it: a room's name, or `@` and a person's.
    pub(crate) async fn turns_to(&self, talk: &str) {
        self.click(&format!("[data-to='{talk}']")).await;
        self.waits_until("it is shown", &is_current(talk)).await;
    }

    pub(crate) async fn waits_for_unread(&self, talk: &str, count: usize) {
        let condition = format!(
            "document.querySelector(`[data-to='{talk}'] .unread`)?.textContent
                === '{count}'.replace(/^0$/, '')"
        );
        self.waits_until(&format!("{count} are unread in {talk}"), &condition).await;
    }

    /// Turns the page's network off or on.
    pub(crate) async fn network(&self, is_on: bool) {
        let turned = format!("document.getElementById('network').checked === {is_on}");
        if self.eval(&format!("return {turned}")).await == false {
            self.click("#network").await;
        }
        self.waits_until("the network is turned", &turned).await;
    }

    /// Sends a command of the `DevTools` protocol; Chromium alone knows it.
    pub(crate) async fn dev_tools(&self, command: &'static str, parameters: Value) {
        let client = self.client().await;
        client.issue_cmd(DevTools { command, parameters }).await.expect(command);
    }

    /// Takes the browser's network away from the page, which is told so.
    pub(crate) async fn goes_offline(&self) {
        self.browser.set_network(self.client().await, &self.window, Network::Off).await;
        self.waits_until("it is offline", "!navigator.onLine").await;
    }

    pub(crate) async fn comes_online(&self) {
        self.browser.set_network(self.client().await, &self.window, Network::On).await;
        self.waits_until("it is online", "navigator.onLine").await;
    }

    pub(crate) async fn minimize(&self) {
        self.client().await.minimize_window().await.expect("the window is minimized");
    }

    /// Has the page say `NAME 0`, `NAME 1` and so on, until [`fall_silent`](Self::fall_silent). What
    /// it notes is in the document, since in Firefox each script has variables of its own.
    pub(crate) async fn talk(&self, name: &str) {
        let script = format!(
            "const notes = document.body.dataset;
            notes.said = 0;
            notes.talking = setInterval(() => {{
                document.getElementById('text').value = `{name} ${{notes.said++}}`;
                document.getElementById('compose').requestSubmit();
            }}, 250)"
        );
        self.eval(&script).await;
    }

    /// Stops talking, waits until all that was said is handled, and tells how much it was.
    pub(crate) async fn fall_silent(&self) -> u64 {
        let stop = "const notes = document.body.dataset;
            clearInterval(notes.talking);
            return Number(notes.said)";
        let said = self.eval(stop).await;
        let said = said.as_u64().expect("a number");
        let own = ".message.own[data-seq][data-tick=handled]";
        let condition = format!("document.querySelectorAll('{own}').length === {said}");
        self.waits_until(&format!("all {said} that were said are handled"), &condition).await;
        said
    }

    /// Forgets what [`has_shown`](Self::has_shown) knows.
    pub(crate) async fn forget_shown(&self) {
        self.eval("shown.length = 0").await;
    }

    pub(crate) async fn press(&self, key: Key) {
        self.perform_keys(&[press(key), release(key)]).await;
    }

    pub(crate) async fn press_shifted(&self, key: Key) {
        let shift = Key::Shift;
        self.perform_keys(&[press(shift), press(key), release(key), release(shift)]).await;
    }

    /// Types into whatever has the focus.
    pub(crate) async fn type_text(&self, text: &str) {
        let keys: Vec<_> = text
            .chars()
            .flat_map(|value| [KeyAction::Down { value }, KeyAction::Up { value }])
            .collect();
        self.perform_keys(&keys).await;
    }

    /// The id of what has the focus, or its text if it has none.
    pub(crate) async fn focused(&self) -> String {
        let script = "return document.activeElement.id || document.activeElement.textContent";
        self.eval(script).await.as_str().expect("a string").to_owned()
    }

    /// The texts that the server has numbered, in the order in which they are shown.
    pub(crate) async fn messages(&self) -> Vec<String> {
        let script = "return [...document.querySelectorAll('[data-seq] .bubble')]
            .map((bubble) => bubble.textContent)";
        serde_json::from_value(self.eval(script).await).expect("strings")
    }

    pub(crate) async fn sequence(&self) -> Vec<u64> {
        let script = "return [...document.querySelectorAll('[data-seq]')]
            .map((message) => Number(message.dataset.seq))";
        serde_json::from_value(self.eval(script).await).expect("numbers")
    }

    pub(crate) async fn text(&self, css: &str) -> String {
        let element = self.client().await.find(Locator::Css(css)).await.expect(css);
        element.text().await.expect(css)
    }

    pub(crate) async fn count(&self, css: &str) -> usize {
        self.client().await.find_all(Locator::Css(css)).await.expect(css).len()
    }

    pub(crate) async fn waits_for_messages(&self, expected: &[&str]) {
        let expected = serde_json::to_string(expected).expect("strings");
        let condition = format!(
            "JSON.stringify([...document.querySelectorAll('[data-seq] .bubble')]
                .map((bubble) => bubble.textContent)) === JSON.stringify({expected})"
        );
        self.waits_until(&format!("messages are {expected}"), &condition).await;
    }

    /// Waits for exactly these members, each with what is noted behind the name.
    pub(crate) async fn waits_for_members(&self, expected: &[&str]) {
        let expected = serde_json::to_string(expected).expect("strings");
        let condition = format!(
            "JSON.stringify([...document.querySelectorAll('#members .who')]
                .map((who) => [...who.childNodes].map((node) => node.textContent).join(' ').trim()))
                === JSON.stringify({expected})"
        );
        self.waits_until(&format!("members are {expected}"), &condition).await;
    }

    pub(crate) async fn waits_for_status(&self, state: &str, words: &str) {
        let words = Value::from(words);
        let condition = format!(
            "document.getElementById('status').dataset.state === '{state}'
                && document.getElementById('status').textContent.includes({words})"
        );
        self.waits_until(&format!("it is {state}, with {words}"), &condition).await;
    }

    /// Waits for a status that need not last. It counts from when the tab was opened.
    pub(crate) async fn has_shown(&self, words: &str) {
        let condition = format!("shown.some((status) => status.includes({}))", Value::from(words));
        self.waits_until(&format!("{words:?} has been shown"), &condition).await;
    }

    pub(crate) async fn waits_until(&self, what: &str, condition: &str) {
        let script = format!("return {condition}");
        let started = Instant::now();
        while self.eval(&script).await != true {
            if started.elapsed() > DEADLINE {
                let page = self.text("body").await;
                panic!("waited in vain until {what}; the page says:\n{page}");
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    pub(crate) async fn eval(&self, script: &str) -> Value {
        self.client().await.execute(script, Vec::new()).await.expect(script)
    }

    /// Writes a picture to cargo's directory for tests, and on demand where the docs show it.
    pub(crate) async fn screenshot(&self, name: &str) {
        let png = self.client().await.screenshot().await.expect("a picture");
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, &png).expect("it can be written");
        println!("wrote {}", path.display());
        if std::env::var_os("UPDATE_SCREENSHOT").is_some() && IN_DOCS.contains(&name) {
            let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
            std::fs::create_dir_all(&docs).expect("it can be made");
            std::fs::write(docs.join(name), &png).expect("it can be written");
        }
    }

    async fn perform_keys(&self, keys: &[KeyAction]) {
        let actions = keys
            .iter()
            .fold(KeyActions::new("keyboard".into()), |actions, key| actions.then(key.clone()));
        self.client().await.perform_actions(actions).await.expect("keys work");
    }

    /// The browser, turned to this tab.
    async fn client(&self) -> &Client {
        self.client.switch_to_window(self.window.clone()).await.expect("the tab is open");
        &self.client
    }
}

fn is_current(talk: &str) -> String {
    format!("document.querySelector(`[data-to='{talk}'][aria-current]`) !== null")
}

fn press(key: Key) -> KeyAction {
    KeyAction::Down { value: key.into() }
}

fn release(key: Key) -> KeyAction {
    KeyAction::Up { value: key.into() }
}
