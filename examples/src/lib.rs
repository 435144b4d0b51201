//! Examples of servers on `wspulse`; see `chat/`.
