// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// What the payload types of one endpoint mean, and which header extensions it uses: the negotiated half of RTP.

import Colibri
import RTP

struct PayloadFormat: BitwiseCopyable {
    enum Codec: UInt8, BitwiseCopyable {
        case opus, redundantAudio, telephoneEvent, vp8, vp9, h264, h265, av1, retransmission, otherAudio, otherVideo
    }

    var codec: Codec
    var kind: MediaKind
    /// Ticks per second of the RTP timestamp.
    var clockRate: UInt32
    /// Of a retransmission format: the payload type that it repairs (`apt`, RFC 4588 section 8.1).
    var repairs: PayloadType?
}

/// Formats by payload type and extensions by meaning. Signalling only ever adds (JVB does the same).
struct PayloadFormats {
    private var formats = [PayloadFormat?](repeating: nil, count: 128)
    private(set) var extensions = ExtensionMap()
    /// RTX payload type by the payload type it repairs; 0: none.
    private(set) var retransmissionTypes = InlineArray<128, UInt8>(repeating: 0)
    private(set) var acceptsAudio = false
    private(set) var acceptsVideo = false
    /// Feedback that the endpoint understands about what it sends.
    private(set) var usesTransportFeedback = false

    subscript(_ type: PayloadType) -> PayloadFormat? { formats[Int(type.rawValue)] }

    mutating func add(_ media: MediaDescription) {
        for type in media.payloadTypes { add(type, kind: media.kind) }
        for element in media.headerExtensions {
            guard let meaning = HeaderExtension(uri: element.uri) else { continue }
            extensions[meaning] = element.id
        }
        usesTransportFeedback = usesTransportFeedback || extensions[.transportSequenceNumber] != nil
    }

    private mutating func add(_ type: PayloadTypeDescription, kind: MediaKind) {
        var format = PayloadFormat(
            codec: kind == .audio ? .otherAudio : .otherVideo, kind: kind, clockRate: type.clockRate, repairs: nil)
        switch type.name.lowercased() {
        case "opus": format.codec = .opus
        case "red" where kind == .audio: format.codec = .redundantAudio
        case "telephone-event": format.codec = .telephoneEvent
        case "vp8": format.codec = .vp8
        case "vp9": format.codec = .vp9
        case "h264": format.codec = .h264
        case "h265": format.codec = .h265
        case "av1": format.codec = .av1
        case "rtx":
            format.codec = .retransmission
            guard let repaired = type.parameter("apt").flatMap({ UInt8($0) }).flatMap(PayloadType.init(rawValue:))
            else {
                return
            }
            format.repairs = repaired
            retransmissionTypes[Int(repaired.rawValue)] = type.id.rawValue
        default: break
        }
        formats[Int(type.id.rawValue)] = format
        if kind == .audio { acceptsAudio = true } else { acceptsVideo = true }
    }
}
