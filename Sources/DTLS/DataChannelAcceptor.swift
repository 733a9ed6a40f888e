// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The rules by which the bridge answers what arrives on an endpoint's SCTP association: the peer opens one channel
/// (RFC 8832), only its text is colibri; more channels are refused without an answer, as Jitsi's bridge does.
public struct DataChannelAcceptor: Sendable {
    /// What to do with a message.
    public enum Action: Hashable, Sendable {
        /// The channel is open: send `DataChannelMessage.acknowledge` on this stream, then it is ready for use.
        case sendAck(stream: UInt16)
        /// A message of the bridge channel.
        case text(stream: UInt16, [UInt8])
        /// Against the rules; counted and dropped.
        case reject(Rejection)
        /// In order, but without effect.
        case ignore(Ignored)
    }

    public enum Rejection: Hashable, Sendable {
        /// An OPEN while a channel is open already (or again on the same stream).
        case tooManyChannels
        case malformed(DataChannelError)
        /// Data on a stream that carries no channel.
        case unknownStream
        case tooLong
        case unknownPayload(UInt32)
        /// Stream 65535 does not exist (RFC 8832 section 6).
        case invalidStream
    }

    public enum Ignored: Hashable, Sendable {
        case binary
        case empty
        /// We open no channels, so nothing waits for it.
        case acknowledge
    }

    /// The channel that the peer opened: its stream and what it asked for. Label and reliability are not enforced; we
    /// send reliably and in order.
    public struct Channel: Hashable, Sendable {
        public let stream: UInt16
        public let request: DataChannelOpen
    }

    /// Nil until the peer has opened one.
    public private(set) var channel: Channel?
    /// OPENs beyond the first one (`rejected_data_channels`).
    public private(set) var rejectedChannels: UInt64 = 0
    /// Longest text that is passed on, bytes.
    public let maximumLength: Int

    /// - Parameter maximumLength: 262144 is what WebRTC peers offer by default as a message's size.
    public init(maximumLength: Int = 262_144) { self.maximumLength = maximumLength }

    /// - Parameters:
    ///   - bytes: a whole SCTP user message.
    ///   - payload: its payload protocol identifier.
    ///   - stream: on which it came.
    public mutating func receive(_ bytes: [UInt8], payload: UInt32, stream: UInt16) -> Action {
        guard stream != .max else { return .reject(.invalidStream) }
        guard let kind = DataChannelPayload(rawValue: payload) else { return .reject(.unknownPayload(payload)) }
        if kind == .establishment { return receiveEstablishment(bytes, stream: stream) }
        guard let channel, channel.stream == stream else { return .reject(.unknownStream) }
        switch kind {
        case .string:
            guard bytes.count <= maximumLength else { return .reject(.tooLong) }
            return bytes.isEmpty ? .ignore(.empty) : .text(stream: stream, bytes)
        case .emptyString: return .ignore(.empty)
        case .binary, .emptyBinary, .establishment: return .ignore(.binary)
        }
    }

    /// The peer has reset its outgoing stream, which closes the channel (RFC 8831 section 6.7); it may then open a new
    /// one.
    /// - Returns: whether it was the channel's stream.
    public mutating func streamWasReset(_ stream: UInt16) -> Bool {
        guard channel?.stream == stream else { return false }
        channel = nil
        return true
    }

    private mutating func receiveEstablishment(_ bytes: [UInt8], stream: UInt16) -> Action {
        do throws(DataChannelError) {
            switch try DataChannelMessage(parsing: bytes.span) {
            case .acknowledge: return .ignore(.acknowledge)
            case .open(let request):
                guard channel == nil else {
                    rejectedChannels += 1
                    return .reject(.tooManyChannels)
                }
                channel = Channel(stream: stream, request: request)
                return .sendAck(stream: stream)
            }
        } catch {
            return .reject(.malformed(error))
        }
    }
}
