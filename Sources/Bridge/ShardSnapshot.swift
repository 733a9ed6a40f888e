// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// What a shard tells about itself: counters and gauges for statistics and presence, details of one meeting for a person.

public import Colibri

/// Counters since the start and gauges of now, of one shard; the process adds the shards up.
public struct ShardSnapshot: Sendable {
    public var conferences = 0
    public var endpoints = 0
    public var endpointsSendingAudio = 0
    public var endpointsSendingVideo = 0
    public var largestConference = 0
    public var conferencesCreated = 0
    public var conferencesCompleted = 0
    public var endpointsCreated = 0
    public var iceSucceeded = 0
    public var iceFailed = 0
    public var dtlsFailed = 0
    public var dominantSpeakerChanges = 0
    public var keyframeRequests = 0
    /// Packets sent again by RTX to endpoints that are here now.
    public var retransmissionsSent = 0
    /// Sequence numbers that senders were asked for again.
    public var nacksSent = 0
    public var packetsReceived = 0
    public var bytesReceived = 0
    public var packetsSent = 0
    public var bytesSent = 0
    public var channelMessagesReceived = 0
    public var channelMessagesSent = 0
    /// Every discarded packet by its reason; only reasons that occurred.
    public var drops: [(reason: String, count: Int)] = []
    /// Meeting-ids with the bridge's own id of each and the number of endpoints.
    public var meetings: [(meetingID: String, conferenceID: String, name: String?, endpoints: Int)] = []

    public init() {}
}

/// One meeting as it stands, for the demo page and `/debug`.
public struct ConferenceDetails: Sendable {
    public struct Endpoint: Sendable {
        public var id: String
        public var statsID: String?
        /// ICE has a selected path and DTLS is up.
        public var connected: Bool
        /// The bridge channel that is open, if any.
        public var channel: ChannelTransport?
        public var sources: [MediaSource]
        /// Names of the video sources that are forwarded to this endpoint now.
        public var forwardedSources: [String]
    }

    public var meetingID: String
    public var conferenceID: String
    public var name: String?
    public var dominantSpeaker: String?
    public var endpoints: [Endpoint]
}
