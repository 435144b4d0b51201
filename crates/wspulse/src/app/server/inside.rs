//! What the rest of the crate has of a server.

use std::sync::Arc;

use wspulse_core::session::SessionConfig;

use super::Server;
use crate::app::cluster::Attachment;
use crate::app::handler::{Callbacks, ConnectFn};
use crate::app::handoff::{Overlaps, Shelf};
use crate::app::request::RequestCounter;
use crate::ground::queued_bytes::QueuedBytes;
use crate::ground::runtimes::Runtimes;
use crate::ground::sync::Mutex;
use crate::ground::throttle::Throttle;
use crate::membership::folding::Folding;
use crate::membership::ping_groups::PingGroups;
use crate::membership::registry::Registry;
use crate::membership::{Group, Kind, Outfit};
use crate::observe::meter::Meter;
use crate::settings::codecs::Codecs;
use crate::settings::options::Options;
use crate::settings::token::TokenKey;

impl Server {
    #[inline]
    pub(crate) fn requests(&self) -> &RequestCounter {
        &self.inner.requests
    }

    /// Tells this server from others, as long as it lives.
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.inner).addr()
    }

    pub(crate) fn ping_groups(&self) -> &PingGroups {
        &self.inner.ping_groups
    }

    /// The group of this kind and name, if it has members.
    pub(crate) fn group(&self, kind: Kind, name: &str) -> Option<Arc<Group>> {
        self.inner.registry.groups().find(kind, name)
    }

    /// What new rooms get.
    pub(crate) fn outfit(&self) -> &Outfit {
        self.inner.registry.groups().outfit()
    }

    pub(crate) fn folding(&self) -> &Folding {
        self.outfit().folding()
    }

    pub(crate) fn presence_failures(&self) -> &Mutex<Throttle> {
        &self.inner.presence_failures
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    pub(crate) fn everybody(&self) -> &Mutex<()> {
        &self.inner.everybody
    }

    pub(crate) fn gaps(&self) -> &Mutex<Throttle> {
        &self.inner.gaps
    }

    pub(crate) fn attachment(&self) -> Option<&Attachment> {
        self.inner.attachment.as_ref()
    }

    pub(crate) fn shelf(&self) -> &Shelf {
        &self.inner.shelf
    }

    pub(crate) fn overlaps(&self) -> &Overlaps {
        &self.inner.overlaps
    }

    pub(crate) fn token_key(&self) -> &TokenKey {
        &self.inner.token_key
    }

    pub(crate) fn is_open(&self) -> bool {
        self.inner.registry.is_open()
    }

    pub(crate) fn connect_fn(&self) -> &ConnectFn {
        &self.inner.connect
    }

    pub(crate) fn callbacks(&self) -> &Callbacks {
        &self.inner.callbacks
    }

    pub(crate) fn options(&self) -> &Options {
        &self.inner.options
    }

    pub(crate) fn codecs(&self) -> &Codecs {
        &self.inner.options.codecs
    }

    pub(crate) fn session_config(&self) -> &Arc<SessionConfig> {
        &self.inner.session_config
    }

    pub(crate) fn metrics(&self) -> &Meter {
        &self.inner.meter
    }

    pub(crate) fn runtimes(&self) -> &Runtimes {
        &self.inner.runtimes
    }

    pub(crate) fn queued_bytes(&self) -> Option<&QueuedBytes> {
        self.inner.queued_bytes.as_ref()
    }
}
