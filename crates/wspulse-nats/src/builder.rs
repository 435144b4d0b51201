//! Options, and what is wrong with them.

use std::io;
use std::path::PathBuf;

use crate::client::{Address, Login, Settings, Tls};
use crate::engine::NatsEngine;
use crate::log::LogOptions;
use crate::subjects::{NAME_BYTES_MAX, Subjects, is_name};

/// Options of a [`NatsEngine`].
#[derive(Debug, Clone)]
#[must_use]
pub struct Builder {
    servers: Vec<String>,
    cluster: String,
    login: Login,
    wanted: Wanted,
    root_certificates: Option<PathBuf>,
    client_certificate: Option<(PathBuf, PathBuf)>,
    log: Option<LogOptions>,
}

/// What was said of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// Nothing: with it, unless all servers are on this machine.
    OffLoopback,
    Always,
    AsTheServerSays,
}

impl Builder {
    pub(crate) fn new(server: String) -> Self {
        Self {
            servers: vec![server],
            cluster: "wspulse".into(),
            login: Login::Nobody,
            wanted: Wanted::OffLoopback,
            root_certificates: None,
            client_certificate: None,
            log: None,
        }
    }

    /// One more NATS server of the same NATS cluster, to connect to if another one is not there. Those
    /// that the servers name are found by themselves, unless all that are named here are on this
    /// machine.
    pub fn server(mut self, url: impl Into<String>) -> Self {
        self.servers.push(url.into());
        self
    }

    /// Which cluster the server belongs to: those with one name hear each other. It is part of all
    /// subjects, `wsp.<cluster>.…`, so one to 64 letters, digits, `-` and `_`. Default: `wspulse`.
    pub fn cluster(mut self, name: impl Into<String>) -> Self {
        self.cluster = name.into();
        self
    }

    /// Who the server is for NATS, by name and password. The last of the methods that say who it is
    /// counts.
    pub fn user_and_password(
        mut self,
        user: impl Into<String>,
        password: impl Into<String>,
    ) -> Self {
        self.login = Login::User { name: user.into(), password: password.into() };
        self
    }

    /// Who the server is for NATS, by a token.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.login = Login::Token(token.into());
        self
    }

    /// Who the server is for NATS, by the seed of an `NKey` (`SU…`), which stays here: it signs what
    /// the NATS server asks.
    #[cfg(feature = "nkeys")]
    pub fn nkey(mut self, seed: impl Into<String>) -> Self {
        self.login = Login::Nkey { seed: seed.into() };
        self
    }

    /// Who the server is for NATS, by the text of a credentials file, which has a JWT and the seed of
    /// its `NKey`. [`credentials_file`](Self::credentials_file) reads one.
    #[cfg(feature = "nkeys")]
    pub fn credentials(mut self, text: impl Into<String>) -> Self {
        self.login = Login::Credentials { text: text.into() };
        self
    }

    /// Who the server is for NATS, by a credentials file (`.creds`), which is read here and now, by
    /// blocking.
    ///
    /// # Errors
    ///
    /// [`OptionError::Credentials`] if the file cannot be read.
    #[cfg(feature = "nkeys")]
    pub fn credentials_file(self, path: impl Into<PathBuf>) -> Result<Self, OptionError> {
        let path = path.into();
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(self.credentials(text)),
            Err(source) => Err(OptionError::Credentials { path, source }),
        }
    }

    /// Whom to trust with TLS: a PEM file of certificates. Default: whom the system trusts.
    pub fn root_certificates(mut self, pem: impl Into<PathBuf>) -> Self {
        self.root_certificates = Some(pem.into());
        self
    }

    /// Who the server is for NATS, by a certificate and its private key, a PEM file each.
    pub fn client_certificate(
        mut self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.client_certificate = Some((certificate.into(), key.into()));
        self
    }

    /// Connects with TLS only, also to servers on this machine.
    pub fn require_tls(mut self) -> Self {
        self.wanted = Wanted::Always;
        self
    }

    /// Connects without TLS to servers that do not ask for it. Default: only if all servers are on
    /// this machine. Whoever can read the network then reads what all clients of the cluster are
    /// sent, and whoever can write to it says what he likes to them.
    pub fn allow_plaintext(mut self) -> Self {
        self.wanted = Wanted::AsTheServerSays;
        self
    }

    /// Keeps the logs of rooms that [have one](wspulse::ServerBuilder::logged_rooms), in a stream of
    /// `JetStream`, of which the NATS servers must have version 2.11 or newer. The stream is made when
    /// it is first needed. Default: no room can have one.
    pub fn log(mut self, options: LogOptions) -> Self {
        self.log = Some(options);
        self
    }

    /// Makes the engine. It connects when it is started.
    ///
    /// # Errors
    ///
    /// [`OptionError`] if a URL, the name of the cluster or an option of the log cannot be.
    pub fn build(self) -> Result<NatsEngine, OptionError> {
        if !is_name(&self.cluster) {
            return Err(OptionError::Cluster { name: self.cluster });
        }
        if let Some(Err(rule)) = self.log.as_ref().map(LogOptions::check) {
            return Err(OptionError::Log { rule });
        }
        let mut servers = Vec::new();
        for url in self.servers {
            match Address::parse(&url) {
                Ok(address) => servers.push(address),
                Err(source) => return Err(OptionError::Server { place: servers.len(), source }),
            }
        }
        let tls = match self.wanted {
            Wanted::OffLoopback if servers.iter().all(Address::is_loopback) => Tls::AsTheServerSays,
            Wanted::OffLoopback | Wanted::Always => Tls::Required,
            Wanted::AsTheServerSays => Tls::AsTheServerSays,
        };
        let settings = Settings {
            servers,
            name: format!("wspulse {}", self.cluster),
            login: self.login,
            tls,
            root_certificates: self.root_certificates,
            client_certificate: self.client_certificate,
        };
        Ok(NatsEngine::new(settings, Subjects::new(&self.cluster), self.log))
    }
}

/// An option that cannot be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OptionError {
    /// The name of the cluster is no plain token.
    #[error(
        "invalid cluster {name:?}: it must be 1 to {NAME_BYTES_MAX} letters, digits, `-` and `_`, \
         as it is a part of NATS subjects"
    )]
    Cluster {
        /// The name.
        name: String,
    },
    /// The URL of a server cannot be. It is not shown, since there may be a password in it.
    #[error("invalid URL of NATS server {place}, counted from 0: it must be like nats://host:4222")]
    Server {
        /// Which one, in the order in which they were given, from 0 on.
        place: usize,
        /// What is wrong with it.
        source: io::Error,
    },
    /// An option of the log is out of its range.
    #[error("invalid LogOptions: {rule}")]
    Log {
        /// What must hold.
        rule: &'static str,
    },
    /// The credentials file cannot be read.
    #[error("cannot read the credentials file {}", path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}
