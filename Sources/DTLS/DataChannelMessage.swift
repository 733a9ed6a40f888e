// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The Data Channel Establishment Protocol (RFC 8832) and the payload types of data channels (RFC 8831) as values.

/// SCTP payload protocol identifiers of WebRTC data channels (RFC 8831 section 8).
public enum DataChannelPayload: UInt32, Hashable, Sendable {
    case establishment = 50
    case string = 51
    case binary = 53
    case emptyString = 56
    case emptyBinary = 57
}

/// Why bytes are no DCEP message.
public enum DataChannelError: Error, Hashable, Sendable {
    case truncated
    case trailingBytes
    case unknownMessage(UInt8)
    case unknownChannelType(UInt8)
    case invalidUTF8
    /// Label or protocol longer than `DataChannelOpen.textLimit`.
    case textTooLong
}

/// Whether and how a channel retransmits and orders (RFC 8832 section 5.1).
public enum DataChannelType: UInt8, Hashable, Sendable, CaseIterable {
    case reliable = 0x00
    case reliableUnordered = 0x80
    case partialReliableRetransmissions = 0x01
    case partialReliableRetransmissionsUnordered = 0x81
    case partialReliableTimed = 0x02
    case partialReliableTimedUnordered = 0x82

    public var isOrdered: Bool { rawValue & 0x80 == 0 }
}

/// What the opener of a channel asks for.
public struct DataChannelOpen: Hashable, Sendable {
    /// Longest label or protocol that is accepted, bytes of UTF-8.
    public static let textLimit = 1024

    public var channelType: DataChannelType
    public var priority: UInt16
    /// Retransmissions or milliseconds, by the type; ignored for reliable channels.
    public var reliability: UInt32
    public var label: String
    /// Sub-protocol; Jitsi's is `http://jitsi.org/protocols/colibri`.
    public var subprotocol: String

    public init(
        channelType: DataChannelType = .reliable, priority: UInt16 = 0, reliability: UInt32 = 0, label: String,
        subprotocol: String
    ) {
        self.channelType = channelType
        self.priority = priority
        self.reliability = reliability
        self.label = label
        self.subprotocol = subprotocol
    }
}

/// A DCEP message; travels with payload type 50 on the stream it is about.
public enum DataChannelMessage: Hashable, Sendable {
    case open(DataChannelOpen)
    case acknowledge

    private static let acknowledgeType: UInt8 = 0x02
    private static let openType: UInt8 = 0x03
    private static let openHeaderLength = 12

    //  0                   1                   2                   3
    //  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    // +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    // |  Message Type |  Channel Type |            Priority           |
    // +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    // |                    Reliability Parameter                      |
    // +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    // |         Label Length          |       Protocol Length         |
    // +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    // |                       Label, then Protocol                    |

    public init(parsing bytes: Span<UInt8>) throws(DataChannelError) {
        guard bytes.count >= 1 else { throw .truncated }
        switch bytes[0] {
        case Self.acknowledgeType:
            guard bytes.count == 1 else { throw .trailingBytes }
            self = .acknowledge
        case Self.openType:
            guard bytes.count >= Self.openHeaderLength else { throw .truncated }
            guard let type = DataChannelType(rawValue: bytes[1]) else { throw .unknownChannelType(bytes[1]) }
            let labelLength = Int(bytes[8]) << 8 | Int(bytes[9])
            let protocolLength = Int(bytes[10]) << 8 | Int(bytes[11])
            let labelEnd = Self.openHeaderLength + labelLength
            guard bytes.count >= labelEnd + protocolLength else { throw .truncated }
            guard bytes.count == labelEnd + protocolLength else { throw .trailingBytes }
            guard max(labelLength, protocolLength) <= DataChannelOpen.textLimit else { throw .textTooLong }
            self = .open(
                DataChannelOpen(
                    channelType: type,
                    priority: UInt16(bytes[2]) << 8 | UInt16(bytes[3]),
                    reliability: UInt32(bytes[4]) << 24 | UInt32(bytes[5]) << 16 | UInt32(bytes[6]) << 8
                        | UInt32(bytes[7]),
                    label: try Self.text(bytes, Self.openHeaderLength..<labelEnd),
                    subprotocol: try Self.text(bytes, labelEnd..<bytes.count)))
        default:
            throw .unknownMessage(bytes[0])
        }
    }

    /// The message's bytes. Label and protocol must not be longer than `DataChannelOpen.textLimit`: more is cut off.
    public func encoded() -> [UInt8] {
        switch self {
        case .acknowledge: return [Self.acknowledgeType]
        case .open(let open):
            let label = Self.bounded(open.label)
            let subprotocol = Self.bounded(open.subprotocol)
            var bytes: [UInt8] = [Self.openType, open.channelType.rawValue]
            bytes.append(UInt8(truncatingIfNeeded: open.priority >> 8))
            bytes.append(UInt8(truncatingIfNeeded: open.priority))
            for shift in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: open.reliability >> shift)) }
            for length in [label.count, subprotocol.count] {
                bytes.append(UInt8(truncatingIfNeeded: length >> 8))
                bytes.append(UInt8(truncatingIfNeeded: length))
            }
            return bytes + label + subprotocol
        }
    }

    private static func text(_ bytes: Span<UInt8>, _ range: Range<Int>) throws(DataChannelError) -> String {
        var copy: [UInt8] = []
        copy.reserveCapacity(range.count)
        for index in range { copy.append(bytes[index]) }
        guard let text = String(validating: copy, as: UTF8.self) else { throw .invalidUTF8 }
        return text
    }

    /// Cuts between characters, so that what is left is UTF-8.
    private static func bounded(_ text: String) -> [UInt8] {
        var bytes: [UInt8] = []
        for scalar in text.unicodeScalars {
            let encoded = UTF8.encode(scalar).map(Array.init) ?? []
            if bytes.count + encoded.count > DataChannelOpen.textLimit { break }
            bytes += encoded
        }
        return bytes
    }
}
