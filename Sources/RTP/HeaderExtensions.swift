// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Header extensions by meaning: the URIs that are negotiated and the local identifiers that stand for them (RFC 8285).

/// Local identifier of a header extension, 1...255. Those up to 14 fit the one-byte form.
public struct ExtensionID: RawRepresentable, Hashable, Sendable, BitwiseCopyable, CustomStringConvertible {
    public let rawValue: UInt8

    /// Returns nil for 0, which is padding on the wire.
    @inlinable
    public init?(rawValue: UInt8) {
        guard rawValue != 0 else { return nil }
        self.rawValue = rawValue
    }

    /// True for 1...14.
    @inlinable
    public var fitsOneByteForm: Bool { rawValue < 15 }

    public var description: String { String(rawValue) }
}

/// The header extensions that the bridge knows by meaning.
public enum HeaderExtension: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
    /// Client-to-mixer audio level (RFC 6464).
    case ssrcAudioLevel
    /// Media identification (RFC 9143).
    case mid
    /// Encoding of a simulcast stream (RFC 8852).
    case rid
    /// Encoding that a retransmission stream repairs (RFC 8852).
    case repairedRid
    /// Transmission time offset (RFC 5450).
    case transmissionOffset
    /// Rotation of the camera (3GPP TS 26.114).
    case videoOrientation
    /// 24-bit send time in 6.18 fixed point seconds.
    case absSendTime
    /// Transport-wide sequence number (draft-holmer-rmcat-transport-wide-cc-extensions-01).
    case transportSequenceNumber
    /// Dependency descriptor (AV1 RTP specification, appendix A).
    case dependencyDescriptor
    /// Target bitrates and sizes of the sent layers.
    case videoLayersAllocation
    case absCaptureTime
    case playoutDelay
    case videoContentType
    case videoTiming
    case colorSpace

    /// The URI of the negotiation.
    public var uri: String {
        switch self {
        case .ssrcAudioLevel: "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
        case .mid: "urn:ietf:params:rtp-hdrext:sdes:mid"
        case .rid: "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
        case .repairedRid: "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
        case .transmissionOffset: "urn:ietf:params:rtp-hdrext:toffset"
        case .videoOrientation: "urn:3gpp:video-orientation"
        case .absSendTime: "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
        case .transportSequenceNumber:
            "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
        case .dependencyDescriptor:
            "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
        case .videoLayersAllocation: "http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00"
        case .absCaptureTime: "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
        case .playoutDelay: "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
        case .videoContentType: "http://www.webrtc.org/experiments/rtp-hdrext/video-content-type"
        case .videoTiming: "http://www.webrtc.org/experiments/rtp-hdrext/video-timing"
        case .colorSpace: "http://www.webrtc.org/experiments/rtp-hdrext/color-space"
        }
    }

    /// Returns nil for a URI that the bridge does not know. Case matters, as in the negotiation.
    public init?(uri: String) {
        guard let known = Self.allCases.first(where: { $0.uri == uri }) else { return nil }
        self = known
    }
}

/// Which local identifier stands for which header extension with one peer. A fixed table, trivial to copy.
public struct ExtensionMap: BitwiseCopyable, Sendable, Equatable {
    private static var capacity: Int { 16 }
    private var identifiers = InlineArray<16, UInt8>(repeating: 0)

    /// A map without entries.
    public init() {}

    /// The identifier of `meaning`. Giving an identifier that another extension holds takes it away from that one.
    public subscript(_ meaning: HeaderExtension) -> ExtensionID? {
        get { ExtensionID(rawValue: identifiers[Int(meaning.rawValue)]) }
        set {
            if let newValue, let holder = self[newValue] { identifiers[Int(holder.rawValue)] = 0 }
            identifiers[Int(meaning.rawValue)] = newValue?.rawValue ?? 0
        }
    }

    /// The extension that `id` stands for, nil when none was negotiated.
    public subscript(_ id: ExtensionID) -> HeaderExtension? {
        for index in 0..<Self.capacity where identifiers[index] == id.rawValue {
            return HeaderExtension(rawValue: UInt8(truncatingIfNeeded: index))
        }
        return nil
    }

    public static func == (a: Self, b: Self) -> Bool {
        for index in 0..<capacity where a.identifiers[index] != b.identifiers[index] { return false }
        return true
    }
}
