//! The options of full send buffers.

use bytestring::ByteString;
use wspulse_core::{CloseCode, CloseFrame, Overflow};

use super::ServerBuilder;

impl ServerBuilder {
    /// What becomes of a broadcast for which a member's send buffer has no room, unless the frame
    /// [says it](crate::Frame::on_overflow). Default: [`Overflow::DropOldest`]; under a
    /// [promise of delivery](Self::delivery) the session ends with close code 4410, and of these
    /// only [`Overflow::Disconnect`] is allowed.
    ///
    /// Direct sends fail at a full buffer unless their frame says otherwise, so this is not for
    /// them.
    ///
    /// ```
    /// # fn configure(builder: wspulse::ServerBuilder) -> wspulse::ServerBuilder {
    /// builder.overflow(wspulse::Overflow::Disconnect)
    /// # }
    /// ```
    pub const fn overflow(mut self, overflow: Overflow) -> Self {
        self.options.overflow.default = Some(overflow);
        self
    }

    /// What a client is told whose connection ends by [`Overflow::Disconnect`]. Default 4408 `slow
    /// consumer`; 4000 to 4999 but 4410, or 1013. Up to 123 bytes of the reason are sent. After 4000
    /// to 4999 this project's clients do not come back by themselves; after 1013 they do, and find
    /// a new session.
    pub fn slow_consumer_close(mut self, code: CloseCode, reason: impl Into<ByteString>) -> Self {
        self.options.overflow.close = CloseFrame::new(code, reason);
        self
    }
}
