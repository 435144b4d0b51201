//! The numbers as Prometheus reads them.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::Unit;
use wspulse::metrics::{ClusterReadings, Readings};

use crate::Shared;
use crate::series::{REASONS, Rooms, Series};

type Labels<'a> = Vec<(&'a str, &'a str)>;

/// No exemplars are kept.
const NO_EXEMPLAR: Option<&Exemplar<Vec<(String, String)>, u64>> = None;

struct Writer<'a, 'b> {
    encoder: &'a mut DescriptorEncoder<'b>,
    prefix: &'a str,
    rooms: &'a Rooms,
}

impl Writer<'_, '_> {
    fn family(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        write: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result,
    ) -> fmt::Result {
        let name = format!("{}{name}", self.prefix);
        let (name, unit) = without_unit(&name);
        write(&mut self.encoder.encode_descriptor(name, help, unit.as_ref(), kind)?)
    }

    /// A counter with one value for each room.
    fn counter(&mut self, name: &str, help: &str, get: impl Fn(&Series) -> u64) -> fmt::Result {
        let rooms = self.rooms;
        self.family(name, help, MetricType::Counter, |metric| {
            rooms.each(|room, series| count(metric, &labels(room, None), get(series)))
        })
    }

    /// A counter with some values for each room.
    fn counters(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        get: impl Fn(&Series) -> Vec<(&'static str, u64)>,
    ) -> fmt::Result {
        let rooms = self.rooms;
        self.family(name, help, MetricType::Counter, |metric| {
            rooms.each(|room, series| {
                get(series).into_iter().try_for_each(|(value, amount)| {
                    count(metric, &labels(room, Some((label, value))), amount)
                })
            })
        })
    }

    fn histogram(
        &mut self,
        name: &str,
        help: &str,
        write: impl Fn(&mut MetricEncoder<'_>, Option<&str>, &Series) -> fmt::Result,
    ) -> fmt::Result {
        let rooms = self.rooms;
        self.family(name, help, MetricType::Histogram, |metric| {
            rooms.each(|room, series| write(metric, room, series))
        })
    }

    /// A gauge that knows no rooms.
    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.family(name, help, MetricType::Gauge, |metric| metric.encode_gauge(&value))
    }

    /// A counter that knows no rooms.
    fn total(&mut self, name: &str, help: &str, values: &[(Labels<'_>, u64)]) -> fmt::Result {
        self.family(name, help, MetricType::Counter, |metric| {
            values.iter().try_for_each(|(labels, amount)| count(metric, labels, *amount))
        })
    }
}

/// A name's last word is its unit, if it is one: `OpenMetrics` wants to be told, and the encoder puts
/// it back.
fn without_unit(name: &str) -> (&str, Option<Unit>) {
    let units = [("_seconds", Unit::Seconds), ("_bytes", Unit::Bytes)];
    let found = units.into_iter().find_map(|(word, unit)| Some((name.strip_suffix(word)?, unit)));
    found.map_or((name, None), |(name, unit)| (name, Some(unit)))
}

fn labels<'a>(room: Option<&'a str>, more: Option<(&'a str, &'a str)>) -> Labels<'a> {
    room.map(|room| ("room_id", room)).into_iter().chain(more).collect()
}

fn count(metric: &mut MetricEncoder<'_>, labels: &Labels<'_>, amount: u64) -> fmt::Result {
    metric.encode_family(labels)?.encode_counter(&amount, NO_EXEMPLAR)
}

impl Collector for Shared {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer { encoder: &mut encoder, prefix: &self.prefix, rooms: &self.rooms };
        self.write_server(&mut writer)?;
        write_connections(&mut writer)?;
        write_messages(&mut writer)?;
        write_compression(&mut writer)?;
        write_delivery(&mut writer)?;
        write_presence(&mut writer)?;
        let now = self.servers.read();
        write_readings(&mut writer, &now)?;
        self.write_cluster(&mut writer, &now.cluster)
    }
}

impl Shared {
    fn write_server(&self, to: &mut Writer<'_, '_>) -> fmt::Result {
        let destroyed = self.rooms_destroyed.get();
        let created = self.rooms_created.get();
        let active = created.saturating_sub(destroyed);
        to.total("rooms_created", "Rooms that got a first member", &[(vec![], created)])?;
        to.total("rooms_destroyed", "Rooms that lost their last member", &[(vec![], destroyed)])?;
        to.gauge("rooms_active", "Rooms that have members", active)?;
        let draining = u64::from(self.drains.get() > 0);
        let help = "Whether the server takes no more clients: 1 from the start of a drain on";
        to.gauge("draining", help, draining)?;
        let limits = self.limits.seen().map(|(limit, n)| (vec![("limit", limit)], n));
        to.total("limits_reached", "Limits that were reached", &limits.collect::<Vec<_>>())?;
        let groups = self.groups.seen().map(|(group, n)| (vec![("group", group)], n));
        let help = "Broadcasts, by whom they were for";
        to.total("messages_broadcast_by_group", help, &groups.collect::<Vec<_>>())?;
        let refused: Vec<_> = self.refused.seen().collect();
        let refused = refused.iter().map(|(status, n)| (vec![("status", &**status)], *n));
        let help = "Clients that were refused, by HTTP status";
        to.total("upgrades_refused", help, &refused.collect::<Vec<_>>())
    }
}

impl Shared {
    /// The part of servers in their cluster.
    fn write_cluster(&self, to: &mut Writer<'_, '_>, now: &ClusterReadings) -> fmt::Result {
        to.gauge("cluster_servers", "Servers that are of a cluster", now.servers as u64)?;
        let help = "Of these, those that are connected to what carries messages";
        to.gauge("cluster_servers_connected", help, now.connected as u64)?;
        let help = "Other servers, by whether they are heard";
        to.family("cluster_peers", help, MetricType::Gauge, |metric| {
            for (state, peers) in [("heard", now.peers), ("silent", now.silent_peers)] {
                metric.encode_family(&[("state", state)])?.encode_gauge(&(peers as u64))?;
            }
            Ok(())
        })?;
        let help = "How long the other server has said nothing that is silent for longest";
        to.family("cluster_longest_silence_seconds", help, MetricType::Gauge, |metric| {
            metric.encode_gauge(&now.longest_silence.as_secs_f64())
        })?;
        let help = "Subscriptions to rooms, users and parts of them that are in force";
        to.gauge("cluster_subscriptions", help, now.subscriptions as u64)?;
        let help = "Bytes of what was said that are kept for servers that lack it";
        to.gauge("cluster_kept_bytes", help, now.kept_bytes as u64)?;
        let help = "Bytes of what was heard that are held for what lies before it";
        to.gauge("cluster_held_bytes", help, now.held_bytes as u64)?;
        for (name, help, value) in [
            ("cluster_messages_sent", "Messages to other servers", now.messages_sent),
            (
                "cluster_messages_unsent",
                "Messages to other servers for which there was no connection",
                now.messages_unsent,
            ),
            ("cluster_messages_unreadable", "Messages that could not be read", now.unreadable),
            ("cluster_frames_heard", "Frames of other servers", now.frames_heard),
            (
                "cluster_frames_foreign",
                "Frames of other servers for rooms that nobody is in here",
                now.frames_foreign,
            ),
            (
                "cluster_frames_repaired",
                "Frames that other servers have said again, as they were lacking",
                now.frames_repaired,
            ),
            ("cluster_questions", "Questions for frames that were lacking", now.asked),
            (
                "cluster_requests_refused",
                "Requests of other servers that were refused, as too many were being answered",
                now.requests_refused,
            ),
            (
                "cluster_people_refused",
                "People of other servers that were not taken, as one has too many in a room",
                now.people_refused,
            ),
        ] {
            to.total(name, help, &[(vec![], value)])?;
        }
        write_moved_sessions(to, now)?;
        let missed = self.missed.seen().map(|(group, n)| (vec![("group", group)], n));
        let help =
            "Frames of other servers that are lost, by who lacks them, as far as they are known";
        to.total("cluster_frames_missed", help, &missed.collect::<Vec<_>>())?;
        let gaps = self.gaps.seen().map(|(group, n)| (vec![("group", group)], n));
        let help = "How often frames of other servers are lost, by who lacks them";
        to.total("cluster_gaps", help, &gaps.collect::<Vec<_>>())
    }
}

/// What has become of the sessions of servers that were drained.
fn write_moved_sessions(to: &mut Writer<'_, '_>, now: &ClusterReadings) -> fmt::Result {
    for (name, help, value) in [
        (
            "cluster_sessions_handed_over",
            "Sessions of a server that was drained, which another one keeps since",
            now.sessions_handed_over,
        ),
        (
            "cluster_sessions_left_behind",
            "Sessions of a server that was drained, which none has taken in time",
            now.sessions_left_behind,
        ),
        (
            "cluster_sessions_inherited",
            "Sessions of servers that were drained, which were taken to be kept",
            now.sessions_inherited,
        ),
        (
            "cluster_sessions_refused",
            "Sessions of servers that were drained, which were not taken",
            now.sessions_refused,
        ),
    ] {
        to.total(name, help, &[(vec![], value)])?;
    }
    Ok(())
}

fn write_connections(to: &mut Writer<'_, '_>) -> fmt::Result {
    let rooms = to.rooms;
    to.counter("connections_opened", "Connections that were registered", |s| s.opened.get())?;
    let help = "Connections that ended";
    to.counters("connections_closed", help, "reason", |s| s.closed().collect())?;
    let help = "Connections that are registered, suspended ones included";
    to.family("connections_active", help, MetricType::Gauge, |metric| {
        rooms.each(|room, series| {
            metric.encode_family(&labels(room, None))?.encode_gauge(&series.active())
        })
    })?;
    to.counter("sessions_suspended", "Sessions that waited", |s| s.suspended.get())?;
    to.family(
        "connections_suspended",
        "Of the active connections, those whose session waits for its client",
        MetricType::Gauge,
        |metric| {
            rooms.each(|room, series| {
                metric.encode_family(&labels(room, None))?.encode_gauge(&series.waiting())
            })
        },
    )?;
    to.counter("resume_attempts", "Sessions that got a new transport", |s| s.resumed.get())?;
    let help = "How long connections lasted, suspended times included";
    to.histogram("connection_duration_seconds", help, |metric, room, series| {
        let used = REASONS.iter().zip(&series.durations).filter(|(_, times)| times.count() > 0);
        for (reason, durations) in used {
            let labels = labels(room, Some(("reason", *reason)));
            durations.encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    })?;
    to.counter("pong_timeouts", "Transports given up for silence", |s| s.pong_timeouts.get())?;
    let help = "Panics that were caught";
    to.counters("callbacks_panicked", help, "callback", |s| s.panics.seen().collect())?;
    let help = "Callbacks that held their thread for more than 100 ms";
    to.counters("callbacks_blocked", help, "callback", |s| s.blocked.seen().collect())
}

fn write_messages(to: &mut Writer<'_, '_>) -> fmt::Result {
    to.counter("messages_received", "Messages that arrived", |s| s.received.get())?;
    let help = "Payload bytes of the messages that arrived";
    to.counter("messages_received_bytes", help, |s| s.received_bytes.get())?;
    let help = "Messages that the codec could not decode";
    to.counter("messages_undecodable", help, |s| s.undecodable.get())?;
    let help = "Messages that were decoded and never handled";
    to.counter("messages_discarded", help, |s| s.discarded.get())?;
    to.counter("messages_broadcast", "Broadcasts", |s| s.broadcast.get())?;
    to.histogram("broadcast_fanout", "Members per broadcast", |metric, room, series| {
        series.fanout.encode(metric.encode_family(&labels(room, None))?)
    })?;
    to.counter("messages_sent", "Frames that a socket has taken", |s| s.sent.get())?;
    let help = "Payload bytes of the frames that a socket has taken";
    to.counter("messages_sent_bytes", help, |s| s.sent_bytes.get())?;
    let help = "Share of the send buffer that waits, after each write";
    to.histogram("send_buffer_utilization", help, |metric, room, series| {
        series.utilization.encode(metric.encode_family(&labels(room, None))?)
    })?;
    to.counter("frames_dropped", "Frames that will never be sent", |s| s.dropped.sum())?;
    let help = "Frames that will never be sent, by reason";
    to.counters("frames_dropped_by_reason", help, "reason", |s| s.dropped.seen().collect())?;
    let help = "Frames that a newer one with the same key has replaced";
    to.counter("frames_conflated", help, |s| s.conflated.get())
}

fn write_compression(to: &mut Writer<'_, '_>) -> fmt::Result {
    let help = "Messages that went or came compressed, by direction";
    to.counters("compression_messages", help, "direction", |s| {
        s.compression.messages.seen().collect()
    })?;
    let help = "Payload bytes of the messages that went or came compressed, as they are";
    to.counters("compression_plain_bytes", help, "direction", |s| {
        s.compression.plain_bytes.seen().collect()
    })?;
    let help = "Payload bytes of the messages that went or came compressed, on the wire";
    to.counters("compression_compressed_bytes", help, "direction", |s| {
        s.compression.compressed_bytes.seen().collect()
    })
}

fn write_delivery(to: &mut Writer<'_, '_>) -> fmt::Result {
    let help = "Frames that clients have acknowledged";
    to.counter("frames_acknowledged", help, |s| s.acknowledged.get())?;
    let help = "Time from the first write of the oldest acknowledged frame to the acknowledgement";
    to.histogram("acknowledgement_age_seconds", help, |metric, room, series| {
        series.acknowledgement_age.encode(metric.encode_family(&labels(room, None))?)
    })?;
    let help = "Frames that were promised to clients, who do not get them";
    to.counter("frames_lost", help, |s| s.lost.get())?;
    write_requests(to)
}

fn write_requests(to: &mut Writer<'_, '_>) -> fmt::Result {
    let help = "Requests to clients, by outcome";
    to.counters("requests", help, "outcome", |s| s.requests.seen().collect())?;
    let help = "Time from a request to its reply";
    to.histogram("request_duration_seconds", help, |metric, room, series| {
        series.request_duration.encode(metric.encode_family(&labels(room, None))?)
    })?;
    to.counter("replies_unmatched", "Replies for which nobody waits", |s| s.unmatched.get())
}

fn write_presence(to: &mut Writer<'_, '_>) -> fmt::Result {
    let help = "People of whom a room was told something new: here, away, gone, other metadata";
    to.counter("presence_changes", help, |s| s.presence_changes.get())?;
    let help = "Members who got everybody who is there, as they have come or come back";
    to.counter("presence_snapshots", help, |s| s.presence_snapshots.get())?;
    let help = "Members who were told changes or everybody";
    to.counter("presence_told", help, |s| s.presence_told.get())
}

/// What servers had when they were asked, just now.
fn write_readings(to: &mut Writer<'_, '_>, now: &Readings) -> fmt::Result {
    let help = "Connections that have ended and still flush or run callbacks";
    to.gauge("connections_ending", help, now.ending as u64)?;
    to.gauge("users_active", "Users who have connections", now.users as u64)?;
    to.gauge("room_members", "Members of all rooms, once for each room", now.room_members as u64)?;
    let help = "Members of the largest room";
    to.gauge("largest_room_members", help, now.largest_room_members as u64)?;
    let help = "People in rooms with presence, once for each room, by what was told last";
    to.family("presence_people", help, MetricType::Gauge, |metric| {
        for (state, people) in [("here", now.people_here), ("away", now.people_away)] {
            metric.encode_family(&[("state", state)])?.encode_gauge(&(people as u64))?;
        }
        Ok(())
    })?;
    to.gauge("waiting_frames", "Frames that wait in send buffers", now.waiting_frames)?;
    let help = "Bytes of the frames that wait in send buffers, a broadcast's once for each";
    to.gauge("waiting_bytes", help, now.waiting_bytes)?;
    let help = "Frames that were written and are kept until they are acknowledged";
    to.gauge("unacknowledged_frames", help, now.unacknowledged_frames)?;
    let help = "Bytes of the frames that are kept until they are acknowledged";
    to.gauge("unacknowledged_bytes", help, now.unacknowledged_bytes)?;
    to.gauge("history_bytes", "Bytes of all rooms' histories", now.history_bytes as u64)
}
