//! What other servers ask this one, beside what they lack of what it has said.

use bytes::Bytes;

use crate::app::server::Server;
use crate::cluster::Reply;

impl Server {
    /// Another server asks. Who asks what is not known here, as of a later version, gets no answer.
    pub(super) fn serve_node(&self, request: Bytes, reply: Reply) {
        let _ = (self, request, reply);
    }
}
