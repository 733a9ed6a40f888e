// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// What the control side tells a shard and what a shard tells the control side: values only, nothing shared.

public import Colibri
public import ICE

/// Names an endpoint for the life of the process; the top byte is the index of its shard.
public struct EndpointHandle: RawRepresentable, Hashable, Sendable {
    public let rawValue: UInt64

    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// Index of the shard that owns the endpoint.
    public var shard: Int { Int(rawValue >> 56) }
}

/// Pairs a request to a shard with its one answer.
public struct RequestID: RawRepresentable, Hashable, Sendable {
    public let rawValue: UInt64

    public init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// The two carriers of the bridge channel; the messages are the same on both.
public enum ChannelTransport: Hashable, Sendable {
    case sctp
    case webSocket
}

/// A message from the control side. Commands of one sender are performed in the order they were posted.
public enum ShardCommand: Sendable {
    /// Answered by `ShardEvent.modified`.
    case modify(ConferenceModify, RequestID)
    /// An SCTP packet for the peer, to be sent as DTLS application data (RFC 8261).
    case sctpPacket(EndpointHandle, [UInt8])
    case channelOpened(EndpointHandle, ChannelTransport)
    case channelClosed(EndpointHandle, ChannelTransport)
    /// UTF-8 JSON text from the client.
    case channelMessage(EndpointHandle, ChannelTransport, [UInt8])
    /// Answered by `ShardEvent.webSocketAuthorized`. `conference` is the bridge's own id of it, not the meeting-id.
    case authorizeWebSocket(conference: String, endpoint: String, password: String, RequestID)
    /// Address discovery learned something: what endpoints created from now on are told.
    case advertise([AdvertisedCandidate])
    /// Answered by `ShardEvent.snapshot`.
    case snapshot(RequestID)
    /// Answered by `ShardEvent.conferenceDetails`.
    case conferenceDetails(meetingID: String, RequestID)
}

/// A message to the control side.
public enum ShardEvent: Sendable {
    case modified(RequestID, Result<ConferenceModified, ColibriError>)
    /// DTLS is up: the peer may start its SCTP association.
    case sctpOpen(EndpointHandle)
    /// DTLS application data from the peer.
    case sctpPacket(EndpointHandle, [UInt8])
    case sctpClose(EndpointHandle)
    /// UTF-8 JSON text for the client.
    case channelSend(EndpointHandle, ChannelTransport, [UInt8])
    /// The endpoint is gone: its WebSocket closes with 1001 "endpoint closed".
    case channelExpired(EndpointHandle)
    /// nil: no such conference or endpoint, or the wrong password; which one is not said.
    case webSocketAuthorized(RequestID, EndpointHandle?)
    case snapshot(RequestID, ShardSnapshot)
    /// nil: no such conference on this shard.
    case conferenceDetails(RequestID, ConferenceDetails?)
    case log(LogEvent)
}

/// One line for the operator's log; how it looks is the process's business.
public struct LogEvent: Sendable {
    public enum Level: Sendable {
        case debug, info, warning
    }

    public var level: Level
    public var message: String
    public var conference: String?
    public var endpoint: String?
    /// Further facts in the order to print them.
    public var facts: [(name: String, value: LogFact)]

    public init(
        _ level: Level, _ message: String, conference: String? = nil, endpoint: String? = nil,
        facts: [(name: String, value: LogFact)] = []
    ) {
        self.level = level
        self.message = message
        self.conference = conference
        self.endpoint = endpoint
        self.facts = facts
    }
}

/// A fact of a log line; addresses are kept apart so that they can be redacted by type.
public enum LogFact: Sendable {
    case text(String)
    case address(TransportAddress)
    case count(Int)
}

/// A local or mapped address that endpoints are told (RFC 8445 section 5.1.1).
public struct AdvertisedCandidate: Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
        /// An address of this machine.
        case host
        /// An address at which a NAT maps to `base`: configured, or discovered by STUN.
        case mapped(base: TransportAddress)
    }

    public var address: TransportAddress
    public var kind: Kind

    public init(address: TransportAddress, kind: Kind) {
        self.address = address
        self.kind = kind
    }
}
