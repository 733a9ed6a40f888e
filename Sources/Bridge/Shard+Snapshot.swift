// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// What a shard says about itself when it is asked.

import RTP
import SRTP

extension Shard {
    func snapshot() -> ShardSnapshot {
        var snapshot = ShardSnapshot()
        snapshot.conferences = conferences.count
        for conference in conferences.values {
            snapshot.endpoints += conference.endpoints.count
            snapshot.largestConference = max(snapshot.largestConference, conference.endpoints.count)
            for endpoint in conference.endpoints {
                snapshot.retransmissionsSent += endpoint.outputs?.retransmissions ?? 0
                if endpoint.sources.contains(where: { $0.kind == .audio && $0.isActive }) {
                    snapshot.endpointsSendingAudio += 1
                }
                if endpoint.sources.contains(where: { $0.kind == .video && $0.isActive }) {
                    snapshot.endpointsSendingVideo += 1
                }
            }
            snapshot.meetings.append(
                (conference.meetingID, conference.id, conference.name, conference.endpoints.count))
        }
        snapshot.conferencesCreated = statistics.conferencesCreated
        snapshot.conferencesCompleted = statistics.conferencesCompleted
        snapshot.endpointsCreated = statistics.endpointsCreated
        snapshot.iceSucceeded = statistics.iceSucceeded
        snapshot.iceFailed = statistics.iceFailed
        snapshot.dtlsFailed = statistics.dtlsFailed
        snapshot.dominantSpeakerChanges = statistics.dominantSpeakerChanges
        snapshot.keyframeRequests = statistics.keyframeRequests
        snapshot.nacksSent = statistics.nacksSent
        snapshot.packetsReceived = statistics.packetsReceived
        snapshot.bytesReceived = statistics.bytesReceived
        snapshot.packetsSent = batch.packetsSent
        snapshot.bytesSent = batch.bytesSent
        snapshot.channelMessagesReceived = statistics.channelMessagesReceived
        snapshot.channelMessagesSent = statistics.channelMessagesSent
        for reason in DropReason.allCases {
            let count = statistics.drops[reason.rawValue] + (reason == .sealRefused ? batch.sealsRefused : 0)
            if count > 0 { snapshot.drops.append(("\(reason)", count)) }
        }
        return snapshot
    }
}

extension Conference {
    var details: ConferenceDetails {
        ConferenceDetails(
            meetingID: meetingID, conferenceID: id, name: name, dominantSpeaker: speakers.dominant,
            endpoints: endpoints.map { endpoint in
                ConferenceDetails.Endpoint(
                    id: endpoint.id, statsID: endpoint.statsID, connected: endpoint.transport.isConnected,
                    channel: endpoint.channel, sources: endpoint.sources.map(\.description),
                    forwardedSources: endpoint.forwarded)
            })
    }

    func decideSpeaker(now: Instant) {
        guard speakers.decide(endpoints, now: now) else { return }
        shard.statistics.dominantSpeakerChanges += 1
        announceSpeaker()
        needsAllocation = true
    }
}

extension OpenFailure {
    /// The counter of a packet that SRTP did not let through.
    var dropReason: DropReason {
        switch self {
        case .none, .malformed: .rtpMalformed
        case .replayed, .tooOld: .replayed
        case .authentication, .keyExhausted: .authentication
        case .tooManyStreams: .tooManyStreams
        }
    }
}
