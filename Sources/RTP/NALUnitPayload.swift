// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Which NAL units an H.264 or H.265 packet holds or starts, to find the points where a decoder can begin (RFC 6184,
/// RFC 7798).

/// What one H.264 packet contains (RFC 6184 sections 5.4, 5.7.1 and 5.8). A fragment counts where its NAL unit starts.
public struct H264Payload: BitwiseCopyable, Sendable {
    public private(set) var hasSequenceParameterSet = false
    public private(set) var hasPictureParameterSet = false
    /// A slice of an IDR picture.
    public private(set) var hasIDRSlice = false

    /// The decoder can begin with the frame of this packet. True in the packets that carry a parameter set of the
    /// sequence or start an IDR slice, not in the later fragments of the slice.
    public var isKeyframe: Bool { hasSequenceParameterSet || hasIDRSlice }

    private static let aggregation: UInt8 = 24  // STAP-A
    private static let fragmentA: UInt8 = 28
    private static let fragmentB: UInt8 = 29

    /// - Returns: nil for an empty payload, an aggregate whose units do not fill it, or a fragment without header.
    public init?(parsing payload: Span<UInt8>) {
        guard payload.count >= 1 else { return nil }
        switch payload[0] & 0x1F {
        case Self.aggregation:
            var position = 1
            guard payload.count >= 4 else { return nil }
            while position < payload.count {
                guard position + 2 <= payload.count else { return nil }
                let length = Int(payload.bigEndian16(at: position))
                position += 2
                guard length > 0, position + length <= payload.count else { return nil }
                note(payload[position] & 0x1F)
                position += length
            }
        case Self.fragmentA, Self.fragmentB:
            guard payload.count >= 2 else { return nil }
            if payload[1] & 0x80 != 0 { note(payload[1] & 0x1F) }
        case let type:
            note(type)
        }
    }

    private mutating func note(_ type: UInt8) {
        switch type {
        case 5: hasIDRSlice = true
        case 7: hasSequenceParameterSet = true
        case 8: hasPictureParameterSet = true
        default: break
        }
    }
}

/// What one H.265 packet contains (RFC 7798 sections 4.4.1 to 4.4.3). A fragment counts where its NAL unit starts.
/// Packets must not carry decoding order numbers, as in WebRTC.
public struct H265Payload: BitwiseCopyable, Sendable {
    /// A video, sequence or picture parameter set.
    public private(set) var hasParameterSet = false
    /// A slice of an intra random access point: BLA, IDR or CRA.
    public private(set) var hasRandomAccessSlice = false

    /// The decoder can begin with the frame of this packet. True in the packets that carry a parameter set or start
    /// such a slice.
    public var isKeyframe: Bool { hasParameterSet || hasRandomAccessSlice }

    private static let aggregation: UInt8 = 48
    private static let fragment: UInt8 = 49

    /// - Returns: nil for a payload shorter than its headers or an aggregate whose units do not fill it.
    public init?(parsing payload: Span<UInt8>) {
        guard payload.count >= 2 else { return nil }
        switch payload[0] >> 1 & 0x3F {
        case Self.aggregation:
            var position = 2
            guard payload.count >= 6 else { return nil }
            while position < payload.count {
                guard position + 2 <= payload.count else { return nil }
                let length = Int(payload.bigEndian16(at: position))
                position += 2
                guard length > 0, position + length <= payload.count else { return nil }
                note(payload[position] >> 1 & 0x3F)
                position += length
            }
        case Self.fragment:
            guard payload.count >= 3 else { return nil }
            if payload[2] & 0x80 != 0 { note(payload[2] & 0x3F) }
        case let type:
            note(type)
        }
    }

    private mutating func note(_ type: UInt8) {
        switch type {
        case 16...21: hasRandomAccessSlice = true
        case 32...34: hasParameterSet = true
        default: break
        }
    }
}
