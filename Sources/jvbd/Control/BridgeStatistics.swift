// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The statistics under the names that JVB gave them, for presence, `/colibri/stats` and those who watch: sums over the
/// shards, rates between two samples.

import Bridge
import Colibri
import NIOCore

final class BridgeStatistics: Sendable {
    private struct State {
        var latest: [ShardSnapshot] = []
        var rates = Rates()
        var before: (time: NIODeadline, sum: ShardSnapshot)?
        var load = HostLoad()
        var stress = 0.0
    }

    /// Per second.
    private struct Rates: Sendable {
        var packetsReceived = 0.0
        var packetsSent = 0.0
        var bitsReceived = 0.0
        var bitsSent = 0.0
    }

    private let state = Guarded(State())
    private let status: BridgeStatus
    private let version: String

    init(status: BridgeStatus, version: String) {
        self.status = status
        self.version = version
    }

    /// Takes one snapshot of every shard.
    /// - Parameter expected: number of shards; one that does not answer makes the bridge unhealthy.
    func take(_ snapshots: [ShardSnapshot], expected: Int, now: NIODeadline, loadLine: String?) {
        let sum = snapshots.reduce(into: ShardSnapshot()) { $0.add($1) }
        state.withLock { state in
            state.latest = snapshots
            if let stress = state.load.stress(sample: loadLine) { state.stress = stress }
            if let before = state.before {
                let seconds = Double((now - before.time).nanoseconds) / 1e9
                func rate(_ count: (ShardSnapshot) -> Int) -> Double {
                    seconds > 0 ? max(0, Double(count(sum) - count(before.sum)) / seconds) : 0
                }
                state.rates = Rates(
                    packetsReceived: rate(\.packetsReceived), packetsSent: rate(\.packetsSent),
                    bitsReceived: rate(\.bytesReceived) * 8, bitsSent: rate(\.bytesSent) * 8)
            }
            state.before = (now, sum)
        }
        status.update {
            $0.complaint =
                snapshots.count < expected ? "\(expected - snapshots.count) media threads do not answer" : nil
        }
    }

    var endpoints: Int { state.withLock { state in state.latest.reduce(0) { $0 + $1.endpoints } } }

    var meetings: [(meetingID: String, conferenceID: String, name: String?, endpoints: Int)] {
        state.withLock { $0.latest.flatMap(\.meetings) }
    }

    var drops: [(reason: String, count: Int)] {
        state.withLock { state in state.latest.reduce(into: ShardSnapshot()) { $0.add($1) } }.drops
    }

    /// All statistics, flat.
    /// - Parameter timestamp: `yyyy-MM-dd HH:mm:ss.SSS` in UTC.
    func values(timestamp: String) -> [(name: String, value: JSONValue)] {
        let (snapshots, rates, stress) = state.withLock { ($0.latest, $0.rates, $0.stress) }
        let sum = snapshots.reduce(into: ShardSnapshot()) { $0.add($1) }
        let now = status.current
        func count(_ number: Int) -> JSONValue { .integer(Int64(number)) }
        func whole(_ number: Double) -> JSONValue { .integer(Int64(number.rounded())) }
        return [
            // What Jicofo reads.
            ("stress_level", .number((stress * 10000).rounded() / 10000)),
            ("average_participant_stress", .number(0.01)),
            ("drain", .bool(now.drain)),
            ("graceful_shutdown", .bool(now.shutdown == .graceful)),
            ("shutting_down", .bool(now.shutdown == .shuttingDown)),
            ("version", .string(version)),
            ("healthy", .bool(now.complaint == nil)),
            ("colibri2", true),
            ("current_timestamp", .string(timestamp)),
            // What operators read.
            ("conferences", count(sum.conferences)),
            ("largest_conference", count(sum.largestConference)),
            ("endpoints", count(sum.endpoints)),
            ("participants", count(sum.endpoints)),
            ("local_endpoints", count(sum.endpoints)),
            ("octo_endpoints", 0),
            ("endpoints_sending_audio", count(sum.endpointsSendingAudio)),
            ("endpoints_sending_video", count(sum.endpointsSendingVideo)),
            ("bit_rate_download", whole(rates.bitsReceived / 1000)),
            ("bit_rate_upload", whole(rates.bitsSent / 1000)),
            ("packet_rate_download", whole(rates.packetsReceived)),
            ("packet_rate_upload", whole(rates.packetsSent)),
            ("total_conferences_created", count(sum.conferencesCreated)),
            ("total_conferences_completed", count(sum.conferencesCompleted)),
            ("total_participants", count(sum.endpointsCreated)),
            ("total_ice_succeeded", count(sum.iceSucceeded)),
            ("total_ice_failed", count(sum.iceFailed)),
            ("endpoints_ice_failed", count(sum.iceFailed)),
            ("dtls_failed_endpoints", count(sum.dtlsFailed)),
            ("total_dominant_speaker_changes", count(sum.dominantSpeakerChanges)),
            ("total_bytes_received", count(sum.bytesReceived)),
            ("total_bytes_sent", count(sum.bytesSent)),
            ("total_packets_received", count(sum.packetsReceived)),
            ("total_packets_sent", count(sum.packetsSent)),
            ("total_data_channel_messages_received", count(sum.channelMessagesReceived)),
            ("total_data_channel_messages_sent", count(sum.channelMessagesSent)),
            ("muc_clients_configured", count(now.xmppConfigured)),
            ("muc_clients_connected", count(now.xmppConnected)),
            ("mucs_configured", count(now.xmppConfigured)),
            ("mucs_joined", count(now.roomsJoined)),
            ("threads", count(snapshots.count)),
        ]
    }
}

extension ShardSnapshot {
    /// Adds up counters and gauges; the largest conference is the larger one.
    fileprivate mutating func add(_ other: ShardSnapshot) {
        conferences += other.conferences
        endpoints += other.endpoints
        endpointsSendingAudio += other.endpointsSendingAudio
        endpointsSendingVideo += other.endpointsSendingVideo
        largestConference = max(largestConference, other.largestConference)
        conferencesCreated += other.conferencesCreated
        conferencesCompleted += other.conferencesCompleted
        endpointsCreated += other.endpointsCreated
        iceSucceeded += other.iceSucceeded
        iceFailed += other.iceFailed
        dtlsFailed += other.dtlsFailed
        dominantSpeakerChanges += other.dominantSpeakerChanges
        keyframeRequests += other.keyframeRequests
        packetsReceived += other.packetsReceived
        bytesReceived += other.bytesReceived
        packetsSent += other.packetsSent
        bytesSent += other.bytesSent
        channelMessagesReceived += other.channelMessagesReceived
        channelMessagesSent += other.channelMessagesSent
        for drop in other.drops {
            if let index = drops.firstIndex(where: { $0.reason == drop.reason }) {
                drops[index].count += drop.count
            } else {
                drops.append(drop)
            }
        }
        meetings += other.meetings
    }
}
