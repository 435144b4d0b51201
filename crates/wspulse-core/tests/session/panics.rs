//! A panic in a message callback costs the transport that brought the message, and nothing else.

use wspulse_core::TransportLost;

use crate::rig::{Rig, kicked};

#[test]
fn a_panic_closes_the_transport_with_1011_and_suspends() {
    let mut rig = Rig::connected();
    rig.frame();
    rig.panic();

    assert_eq!(rig.close_told(), Some((1011, "internal error".to_owned())));
    assert!(rig.session.is_suspended());
}

#[test]
fn a_panic_discards_and_declares_the_messages_behind_it() {
    let mut rig = Rig::connected();
    rig.frame();
    rig.frame();
    rig.frame();
    rig.panic();

    assert_eq!(rig.discarded, 2);
    rig.finish_all();
    assert_eq!(rig.calls(), ["Opened", "Message", "Suspended"]);
}

#[test]
fn a_panic_during_the_last_flush_leaves_the_end_as_it_is() {
    let mut rig = Rig::connected();
    rig.frame();
    rig.end(kicked());
    rig.panic();

    assert_eq!(rig.dismissal(), None, "what was accepted is still flushed");
    rig.flush();
    assert_eq!(rig.close_told(), Some((1000, "kicked".to_owned())));
}

#[test]
fn a_panic_over_a_message_of_the_former_transport_spares_the_current_one() {
    let mut rig = Rig::connected();
    rig.frame();
    rig.lose(TransportLost::EndOfStream);
    rig.attach();
    rig.frame();
    rig.dismissal();
    rig.panic();

    assert_eq!(rig.dismissal(), None);
    assert!(rig.session.is_writable());
    rig.finish_all();
    let calls = rig.calls();
    assert_eq!(calls[1..], ["Message", "Suspended", "Resumed", "Message"]);
}
