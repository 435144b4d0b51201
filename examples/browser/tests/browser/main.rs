//! The chat, the board of cursors and the examples to copy, as their users see them: headless Chromium
//! and Firefox against the examples' binaries.
//!
//! ```text
//! cargo test -p wspulse-browser -- --ignored [chromium | firefox]
//! ```
//!
//! Needs `chromium` with `chromedriver` (Debian: `chromium-driver`) and `firefox-esr` with
//! `geckodriver` in the PATH. With `UPDATE_SCREENSHOT=1` it also writes the pictures in `docs`.
#![cfg(unix)] // The end of the server is a signal.

mod cluster;
mod codecs;
mod cursors;
mod inspector;
mod links;
mod page;
mod stage;
mod talks;
mod to_copy;

use stage::{Browser, Viewport};

const DESKTOP: Viewport = Viewport { width: 1200, height: 800 };
const PHONE: Viewport = Viewport { width: 360, height: 740 };

/// Makes tests of functions that take a browser: one in each.
macro_rules! in_browsers {
    ($($module:ident: $browser:ident { $($file:ident::$name:ident,)* })*) => {
        $(mod $module {
            use super::*;
            $(
                #[tokio::test]
                #[ignore = "needs a browser and its driver"]
                async fn $name() {
                    $file::$name(Browser::$browser).await;
                }
            )*
        })*
    };
}

in_browsers! {
    chromium: Chromium {
        links::two_windows_talk,
        links::a_window_that_is_cut_in_every_way_misses_nothing_and_gets_nothing_twice,
        links::a_window_that_is_cut_again_before_it_is_back_loses_nothing,
        links::what_is_said_without_a_network_waits_and_arrives_once,
        links::a_window_whose_session_ended_is_told_so,
        links::a_reload_begins_a_new_session_without_what_was_on_its_way,
        links::a_copy_of_a_tab_takes_its_place,
        links::a_page_in_the_background_misses_nothing,
        links::a_frozen_page_misses_nothing,
        links::a_browser_that_is_offline_misses_nothing,
        page::a_kicked_tab_stays_away_until_its_user_comes_back,
        page::a_tab_that_leaves_is_gone_at_once,
        page::a_phone_scrolls_in_one_direction_only,
        page::the_keyboard_is_enough,
        page::every_field_and_region_has_a_name,
        page::ctrl_c_says_goodbye_and_ends_the_process,
        page::screenshot,
        talks::what_is_said_in_another_room_is_counted_until_it_is_seen,
        talks::two_windows_under_one_name_are_one_person,
        talks::who_writes_is_seen_typing,
        talks::a_message_to_a_person_reaches_their_windows_and_nobody_else,
        talks::a_message_tells_how_many_have_read_it,
        talks::what_was_read_in_one_room_is_told_although_more_was_read_in_another,
        talks::who_comes_later_sees_what_was_said,
        talks::a_deploy_brings_all_back_and_loses_nothing,
        talks::a_phone_reaches_everything,
        codecs::windows_of_every_codec_hear_each_other,
        cursors::a_slow_link_shows_where_cursors_are_and_not_where_they_were,
        cursors::without_conflation_a_slow_link_shows_an_ever_older_board,
        cursors::the_board_fits_on_a_phone,
        cursors::screenshot_of_the_board,
        to_copy::a_page_renews_its_token_and_ends_with_it_otherwise,
        to_copy::a_notice_is_shown_on_all_devices_and_read_on_all,
        to_copy::a_page_talks_to_plain_hyper,
        to_copy::a_page_that_came_over_http_2_has_its_websocket_in_that_connection,
        to_copy::a_page_shows_who_is_here_away_and_typing,
        to_copy::a_page_draws_a_game_and_its_player_moves,
        to_copy::two_pages_edit_one_text,
        cluster::a_page_misses_nothing_while_nodes_are_killed_stopped_and_drained,
        cluster::the_cluster_fits_on_a_phone,
        cluster::screenshot_of_the_cluster,
        inspector::the_inspector_lists_who_is_in_the_chat,
        inspector::a_search_finds_people_and_rooms_narrow_the_list,
        inspector::what_clients_call_themselves_is_never_markup,
        inspector::a_tail_shows_what_passes,
        inspector::a_cut_client_comes_back_and_a_kicked_one_does_not,
        inspector::a_drain_sends_all_away,
        inspector::the_inspector_fits_on_a_phone,
        inspector::the_inspector_needs_no_mouse_and_nothing_from_elsewhere,
        inspector::screenshots_of_the_inspector,
    }
    // What is left out is about the page's looks, or done by Chromium's own protocol: Firefox has no
    // command that freezes a page.
    firefox: Firefox {
        links::two_windows_talk,
        links::a_window_that_is_cut_in_every_way_misses_nothing_and_gets_nothing_twice,
        links::a_window_that_is_cut_again_before_it_is_back_loses_nothing,
        links::what_is_said_without_a_network_waits_and_arrives_once,
        links::a_window_whose_session_ended_is_told_so,
        links::a_reload_begins_a_new_session_without_what_was_on_its_way,
        links::a_copy_of_a_tab_takes_its_place,
        links::a_page_in_the_background_misses_nothing,
        links::a_browser_that_is_offline_misses_nothing,
        page::a_kicked_tab_stays_away_until_its_user_comes_back,
        page::a_tab_that_leaves_is_gone_at_once,
        page::every_field_and_region_has_a_name,
        page::ctrl_c_says_goodbye_and_ends_the_process,
        talks::what_is_said_in_another_room_is_counted_until_it_is_seen,
        talks::two_windows_under_one_name_are_one_person,
        talks::who_writes_is_seen_typing,
        talks::a_message_to_a_person_reaches_their_windows_and_nobody_else,
        talks::a_message_tells_how_many_have_read_it,
        talks::what_was_read_in_one_room_is_told_although_more_was_read_in_another,
        talks::a_deploy_brings_all_back_and_loses_nothing,
        codecs::windows_of_every_codec_hear_each_other,
        to_copy::a_page_that_came_over_http_2_has_its_websocket_in_that_connection,
        cursors::a_slow_link_shows_where_cursors_are_and_not_where_they_were,
        cursors::without_conflation_a_slow_link_shows_an_ever_older_board,
    }
}
