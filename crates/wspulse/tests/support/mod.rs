//! What the tests share: servers, clients, links, eyes and ears, each in a file of its own.

#![allow(dead_code, reason = "every binary uses a part of it")]

pub(crate) mod bounds;
pub(crate) mod certificates;
pub(crate) mod clients;
pub(crate) mod clock;
pub(crate) mod codecs;
pub(crate) mod dispatch;
pub(crate) mod house;
pub(crate) mod http;
pub(crate) mod links;
pub(crate) mod listener;
pub(crate) mod logs;
pub(crate) mod pages;
pub(crate) mod reconnecting;
pub(crate) mod speaker;
pub(crate) mod stage;
pub(crate) mod taker;
