//! What a connection is made with.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use async_nats::ServerAddr;

/// Who to be for the server.
#[derive(Clone)]
pub(crate) enum Login {
    Nobody,
    User {
        name: String,
        password: String,
    },
    Token(String),
    #[cfg(feature = "nkeys")]
    Nkey {
        seed: String,
    },
    #[cfg(feature = "nkeys")]
    Credentials {
        text: String,
    },
}

/// Without what is secret.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str("Nobody"),
            Self::User { name, password: _ } => {
                f.debug_struct("User").field("name", name).finish_non_exhaustive()
            }
            Self::Token(_) => f.write_str("Token"),
            #[cfg(feature = "nkeys")]
            Self::Nkey { seed: _ } => f.write_str("Nkey"),
            #[cfg(feature = "nkeys")]
            Self::Credentials { text: _ } => f.write_str("Credentials"),
        }
    }
}

/// What a connection is made with.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) servers: Vec<Address>,
    pub(crate) name: String,
    pub(crate) login: Login,
    pub(crate) tls: Tls,
    pub(crate) root_certificates: Option<PathBuf>,
    pub(crate) client_certificate: Option<(PathBuf, PathBuf)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tls {
    /// With each server.
    Required,
    /// With those that want it.
    AsTheServerSays,
}

/// A server's address.
#[derive(Debug, Clone)]
pub(crate) struct Address(pub(super) ServerAddr);

impl Address {
    /// Without a user in it: URLs end up in logs.
    pub(crate) fn parse(url: &str) -> Result<Self, io::Error> {
        let address: ServerAddr = url.parse()?;
        let wrong = |what| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        if address.has_user_pass() || address.password().is_some() {
            return wrong("the user and the password belong into `user_and_password`");
        }
        if address.is_websocket() {
            return wrong("NATS over WebSockets is not supported: use nats:// or tls://");
        }
        if address.host().is_empty() {
            return wrong("there is no host in it");
        }
        Ok(Self(address))
    }

    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.0.host();
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0.host(), self.0.port())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_no_user() {
        for url in ["nats://127.0.0.1:4222", "tls://nats.example.com", "localhost", "nats://[::1]"]
        {
            assert!(Address::parse(url).is_ok(), "{url}");
        }
        for url in ["nats://ann:secret@host", "ws://host", "http://host", "nats://", "a b"] {
            let error = Address::parse(url).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn loopback_is_told_from_the_network() {
        for (url, loopback) in [
            ("nats://127.0.0.1", true),
            ("nats://localhost:1", true),
            ("nats://[::1]:4222", true),
            ("nats://10.0.0.1", false),
            ("nats://localhost.example.com", false),
        ] {
            assert_eq!(Address::parse(url).unwrap().is_loopback(), loopback, "{url}");
        }
    }
}
