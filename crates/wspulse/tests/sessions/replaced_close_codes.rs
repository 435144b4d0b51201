//! A client can tell by a close code of the application's that it was replaced, and not closed.

use wspulse::{CloseCode, CloseFrame, DuplicatePolicy, ServerBuilder};

use crate::support::bounds::{assert_refused, assert_valid};
use crate::support::clients::dial;
use crate::support::clock::WINDOW;
use crate::support::stage::Stage;

fn replaced() -> CloseCode {
    CloseCode::new(4408).unwrap()
}

#[tokio::test(start_paused = true)]
async fn who_is_replaced_is_told_so_by_the_code_that_the_application_has_chosen() {
    for policy in [DuplicatePolicy::Replace, DuplicatePolicy::Resume] {
        let stage = |builder: ServerBuilder| {
            builder.resume_window(WINDOW).duplicates(policy).duplicate_close_code(replaced())
        };
        let mut stage = Stage::new(stage);
        let (mut first, _) = stage.join("ann").await;
        let _second = dial(&stage.server, "ann").await;
        let told = CloseFrame::new(replaced(), "duplicate connection id");
        assert_eq!(first.closed().await.unwrap(), Some(told));
    }
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_is_displaced_on_its_way_is_told_so_as_well() {
    let mut stage =
        Stage::new(|builder| builder.resume_window(WINDOW).duplicate_close_code(replaced()));
    drop(stage.join("ann").await);
    stage.dropped().await;
    // Both come without the session's task running in between.
    let mut second = dial(&stage.server, "ann").await;
    let _third = dial(&stage.server, "ann").await;
    assert_eq!(second.closed().await.unwrap().map(|frame| frame.code()), Some(replaced()));
}

#[test]
fn who_is_replaced_is_not_told_to_come_back() {
    let (option, rule) = ("duplicate_close_code", "must be 1000, or 4000 to 4999 but not 4410");
    for code in [1000, 4000, 4999] {
        assert_valid(|builder| builder.duplicate_close_code(CloseCode::new(code).unwrap()));
    }
    for code in [1001, 3999, 4410] {
        let code = CloseCode::new(code).unwrap();
        let chosen = |builder: ServerBuilder| builder.duplicate_close_code(code);
        assert_refused(chosen, option, &format!("{code:?}"), rule);
    }
}
