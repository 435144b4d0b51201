//! What happens when two things befall a session at once.

use wspulse_core::TransportLost;

use crate::rig::{Rig, kicked};

#[test]
fn a_transport_that_comes_after_the_last_was_lost_is_told_of_the_end() {
    let mut rig = Rig::connected_without_window();
    rig.start_upgrade();
    rig.lose(TransportLost::EndOfStream);
    assert!(rig.asked_end().is_some());
    rig.attach();
    assert!(rig.session.is_writable(), "it is there to be told");

    rig.actions.clear();
    rig.end(kicked());
    rig.flush();
    assert_eq!(rig.close_told(), Some((1000, "kicked".to_owned())));
    rig.finish_all();
    assert_eq!(
        rig.calls(),
        ["Opened", "Suspended", "Resumed", "Closed"],
        "its own messages would come after the former transport's"
    );
}
