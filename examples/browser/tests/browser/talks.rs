//! Rooms, people, marks and deploys, as those who talk see them.

use crate::stage::{Browser, Stage, Tab, perform};
use crate::{DESKTOP, PHONE};

pub(crate) async fn what_is_said_in_another_room_is_counted_until_it_is_seen(browser: Browser) {
    perform(browser, DESKTOP, async |stage| {
        let ada = stage.join("Ada", "lobby").await;
        ada.enters("tea").await;
        ada.turns_to("lobby").await;
        let grace = stage.join("Grace", "tea").await;
        for text in ["one", "two", "three"] {
            grace.say(text).await;
        }
        ada.waits_for_unread("tea", 3).await;
        ada.waits_until("the title says so", "document.title.startsWith('(3) lobby')").await;
        assert_eq!(ada.messages().await, [""; 0]);

        ada.turns_to("tea").await;
        ada.waits_for_messages(&["one", "two", "three"]).await;
        ada.waits_for_unread("tea", 0).await;
        // What she has read stays read.
        ada.turns_to("lobby").await;
        ada.reload().await;
        ada.waits_for_status("live", "Live").await;
        grace.say("four").await;
        ada.waits_for_unread("tea", 1).await;
    })
    .await;
}

pub(crate) async fn two_windows_under_one_name_are_one_person(browser: Browser) {
    perform(browser, DESKTOP, async |stage| {
        let (ada, grace) = two_people(stage).await;
        let second = stage.join("Ada", "lobby").await;
        second.waits_for_members(&["Ada you", "Grace"]).await;
        grace.say("to both").await;
        for tab in [&ada, &second] {
            tab.waits_for_messages(&["to both"]).await;
        }
        second.say("from the second").await;
        let own = "document.querySelectorAll('.message.own[data-seq]').length === 1";
        ada.waits_until("it is hers in the first window, too", own).await;

        // One of them is cut, and she is here. Both are, and she is away.
        cut(&second).await;
        grace.say("still here?").await;
        ada.waits_until("it has come", &has_messages(3)).await;
        grace.waits_for_members(&["Ada", "Grace you"]).await;
        cut(&ada).await;
        grace.waits_for_members(&["Ada away", "Grace you"]).await;
        ada.network(true).await;
        grace.waits_for_members(&["Ada", "Grace you"]).await;
        second.network(true).await;
        second.waits_for_messages(&["to both", "from the second", "still here?"]).await;
    })
    .await;
}

pub(crate) async fn who_writes_is_seen_typing(browser: Browser) {
    perform(browser, DESKTOP, async |stage| {
        let (ada, grace) = two_people(stage).await;
        grace.fill("#text", "I am").await;
        ada.waits_until("Grace types", "typing.textContent === 'Grace is typing…'").await;
        assert_eq!(grace.text("#typing").await, "");
        grace.say("done").await;
        ada.waits_for_messages(&["done"]).await;
        ada.waits_until("she types no more", "typing.textContent === ''").await;
    })
    .await;
}

pub(crate) async fn a_message_to_a_person_reaches_their_windows_and_nobody_else(browser: Browser) {
    perform(browser, DESKTOP, async |stage| {
        let (ada, grace) = two_people(stage).await;
        let second = stage.join("Grace", "elsewhere").await;
        let eve = stage.join("Eve", "lobby").await;
        ada.waits_for_members(&["Ada you", "Eve", "Grace"]).await;
        ada.click("[aria-label='Write to Grace']").await;
        ada.say("only for you").await;
        for tab in [&grace, &second] {
            tab.waits_for_unread("@Ada", 1).await;
            tab.turns_to("@Ada").await;
            tab.waits_for_messages(&["only for you"]).await;
        }
        grace.say("understood").await;
        for tab in [&ada, &grace, &second] {
            tab.waits_for_messages(&["only for you", "understood"]).await;
        }
        ada.turns_to("lobby").await;
        ada.say("to all").await;
        eve.waits_for_messages(&["to all"]).await;
        assert_eq!(eve.count("#talks li").await, 1);
    })
    .await;
}

pub(crate) async fn a_message_tells_how_many_have_read_it(browser: Browser) {
    perform(browser, DESKTOP, async |stage| {
        let (ada, grace) = two_people(stage).await;
        grace.enters("elsewhere").await;
        let mary = stage.join("Mary", "lobby").await;
        ada.waits_for_members(&["Ada you", "Grace", "Mary"]).await;
        ada.network(false).await;
        ada.say("hello").await;
        ada.waits_until("it is sent", &has_mark("sent")).await;
        ada.network(true).await;
        ada.waits_until("one has read it", &has_mark("read by 1")).await;
        grace.turns_to("lobby").await;
        ada.waits_until("both have", &has_mark("read by 2")).await;
        mary.say("a second one").await;
        ada.waits_for_messages(&["hello", "a second one"]).await;
        assert_eq!(ada.count(".tick").await, 1, "others' messages have no marks");
    })
    .await;
}

pub(crate) async fn what_was_read_in_one_room_is_told_although_more_was_read_in_another(
    browser: Browser,
) {
    perform(browser, DESKTOP, async |stage| {
        let (ada, grace) = two_people(stage).await;
        grace.enters("elsewhere").await;
        ada.say("hello").await;
        ada.enters("tea").await;
        ada.say("tea?").await;
        ada.waits_for_messages(&["tea?"]).await;
        ada.network(false).await;
        grace.turns_to("lobby").await;
        grace.waits_for_members(&["Ada away", "Grace you"]).await;
        // From here on, what Ada is to be told waits at the server.
        ada.turns_to("lobby").await;
        let mary = stage.join("Mary", "lobby").await;
        mary.waits_for_messages(&["hello"]).await;
        mary.enters("tea").await;
        mary.waits_for_messages(&["tea?"]).await;
        ada.network(true).await;
        ada.waits_until("both have read it", &has_mark("read by 2")).await;
    })
    .await;
}

pub(crate) async fn who_comes_later_sees_what_was_said(browser: Browser) {
    perform(browser, DESKTOP, async |stage| {
        let ada = stage.join("Ada", "lobby").await;
        ada.say("first").await;
        ada.say("second").await;
        ada.waits_for_messages(&["first", "second"]).await;
        let grace = stage.join("Grace", "lobby").await;
        grace.waits_for_messages(&["first", "second"]).await;
        ada.waits_until("she has read both", &has_mark("read by 1")).await;
        ada.say("third").await;
        grace.waits_for_messages(&["first", "second", "third"]).await;
        assert_eq!(grace.count(".notice.bad").await, 0);
    })
    .await;
}

pub(crate) async fn a_deploy_brings_all_back_and_loses_nothing(browser: Browser) {
    perform(browser, DESKTOP, async |stage| {
        let (ada, grace) = two_people(stage).await;
        ada.talk("ada").await;
        grace.talk("grace").await;
        for _ in 0..2 {
            for tab in [&ada, &grace] {
                tab.forget_shown().await;
            }
            ada.click("#deploy").await;
            for tab in [&ada, &grace] {
                tab.has_shown("1012").await;
                tab.waits_for_status("live", "Live").await;
            }
            grace.waits_for_members(&["Ada", "Grace you"]).await;
        }
        let said = [("ada", ada.fall_silent().await), ("grace", grace.fall_silent().await)];
        let all: u64 = said.iter().map(|(_, count)| count).sum();
        for tab in [&ada, &grace] {
            tab.waits_until("all is here", &has_messages(all)).await;
            assert_eq!(tab.sequence().await, (1..=all).collect::<Vec<_>>());
            assert_eq!(tab.count(".notice.bad, [data-tick=lost]").await, 0);
        }
        assert_eq!(ada.messages().await, grace.messages().await);
        for (name, count) in said {
            let messages = ada.messages().await;
            let mut of_one: Vec<_> =
                messages.iter().filter(|text| text.starts_with(name)).cloned().collect();
            // What was sent and not heard of is sent again, behind what was not sent.
            of_one.sort_by_key(|text| text[name.len() + 1..].parse::<u64>().expect("a number"));
            let expected: Vec<_> = (0..count).map(|number| format!("{name} {number}")).collect();
            assert_eq!(of_one, expected, "each once");
        }
    })
    .await;
}

pub(crate) async fn a_phone_reaches_everything(browser: Browser) {
    perform(browser, PHONE, async |stage| {
        let ada = stage.join("Ada", "lobby").await;
        let grace = stage.join("Grace", "lobby").await;
        ada.waits_for_members(&["Ada you", "Grace"]).await;
        for room in ["tea", "a-room-with-a-longer-name", "one-more"] {
            ada.enters(room).await;
        }
        grace.click("[aria-label='Write to Ada']").await;
        grace.say("found you").await;
        ada.waits_for_unread("@Grace", 1).await;
        ada.turns_to("@Grace").await;
        ada.waits_for_messages(&["found you"]).await;
        // Each control can be brought into view, and pressed: nothing covers it.
        let covered = "return [...document.querySelectorAll('button, input')]
            .filter((control) => control.offsetParent !== null)
            .filter((control) => {
                control.scrollIntoView({ block: 'center' });
                const { x, y, width, height } = control.getBoundingClientRect();
                const top = document.elementFromPoint(x + width / 2, y + height / 2);
                return !control.contains(top) || x < 0 || x + width > innerWidth || height < 24;
            })
            .map((control) => control.outerHTML.slice(0, 80))";
        assert_eq!(ada.eval(covered).await, serde_json::json!([]), "out of reach");
    })
    .await;
}

async fn two_people(stage: &mut Stage) -> (Tab, Tab) {
    let ada = stage.join("Ada", "lobby").await;
    let grace = stage.join("Grace", "lobby").await;
    ada.waits_for_members(&["Ada you", "Grace"]).await;
    grace.waits_for_members(&["Ada", "Grace you"]).await;
    (ada, grace)
}

/// Both ends notice at once, and the window does not come back.
async fn cut(tab: &Tab) {
    tab.network(false).await;
    tab.click("#reset").await;
    tab.waits_for_status("waiting", "Connection lost").await;
}

fn has_messages(count: u64) -> String {
    format!("document.querySelectorAll('[data-seq]').length === {count}")
}

fn has_mark(words: &str) -> String {
    format!(
        "[...document.querySelectorAll('.tick')].some((tick) => tick.textContent.includes('{words}'))"
    )
}
