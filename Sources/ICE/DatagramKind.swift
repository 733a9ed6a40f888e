// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Sorting of the protocols that share one port, by the first bytes of a datagram (RFC 7983; RTCP by RFC 5761).

/// What a datagram claims to be. Nothing beyond what is written at each case has been checked.
public enum DatagramKind: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
    /// First byte 0...3, the magic cookie, and room for a header.
    case stun
    /// First byte 20...63 and room for a record header.
    case dtls
    /// First byte 128...191 and room for the fixed header.
    case rtp
    /// As RTP, with a second byte of 192...223.
    case rtcp
    /// ZRTP, TURN channels, QUIC, short or empty datagrams: nothing this bridge speaks.
    case unknown

    /// Sorts a datagram of any length.
    public init(_ bytes: Span<UInt8>) {
        guard bytes.count >= 8 else {
            self = .unknown
            return
        }
        switch bytes[0] {
        case 0...3:
            self =
                bytes.count >= STUNMessage.headerLength && bytes.bigEndian32(at: 4) == STUNMessage.magicCookie
                ? .stun : .unknown
        case 20...63:
            self = bytes.count >= 13 ? .dtls : .unknown
        case 128...191:
            if (192...223).contains(bytes[1]) {
                self = .rtcp
            } else {
                self = bytes.count >= 12 ? .rtp : .unknown
            }
        default:
            self = .unknown
        }
    }
}
