// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The aggregation header of an AV1 packet (RTP Payload Format For AV1, section 4.4), for streams whose packets carry no
/// dependency descriptor.

/// Facts of the first byte of an AV1 payload.
///
/// ```
/// |Z|Y| W |N|-|-|-|
/// ```
public struct AV1PayloadDescriptor: BitwiseCopyable, Sendable {
    /// Z: the first OBU element continues one of the packet before.
    public let continuesUnit: Bool
    /// Y: the last OBU element goes on in the next packet.
    public let isContinued: Bool
    /// W: number of OBU elements, 0 when each is preceded by its length.
    public let unitCount: UInt8
    /// N: first packet of a coded video sequence, the start of a keyframe.
    public let startsSequence: Bool

    /// - Returns: nil for an empty payload, or when a sequence would start inside an OBU.
    public init?(parsing payload: Span<UInt8>) {
        guard payload.count >= 1 else { return nil }
        let first = payload[0]
        continuesUnit = first & 0x80 != 0
        isContinued = first & 0x40 != 0
        unitCount = first >> 4 & 0x03
        startsSequence = first & 0x08 != 0
        if continuesUnit && startsSequence { return nil }
    }
}
