// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

public import RTP

/// What an endpoint may send and receive of one media kind: codecs and header extensions, as agreed in Jingle
/// (XEP-0167, XEP-0293, XEP-0294).
public struct MediaDescription: Hashable, Sendable {
    public var kind: MediaKind
    /// At most 64, in order of preference.
    public var payloadTypes: [PayloadTypeDescription]
    /// At most 32.
    public var headerExtensions: [HeaderExtensionDescription]
    /// One-byte and two-byte header extensions may alternate (RFC 8285 section 4.1.2).
    public var extmapAllowMixed: Bool

    public init(
        kind: MediaKind, payloadTypes: [PayloadTypeDescription] = [],
        headerExtensions: [HeaderExtensionDescription] = [], extmapAllowMixed: Bool = false
    ) {
        self.kind = kind
        self.payloadTypes = payloadTypes
        self.headerExtensions = headerExtensions
        self.extmapAllowMixed = extmapAllowMixed
    }

    /// Reads a `media` element; nil for a media type that means nothing to a bridge.
    init?(xml element: XMLElement) throws(ColibriError) {
        guard let kind = try element.mediaKind() else { return nil }
        self.init(kind: kind)
        let payloadTypes = element.all("payload-type", XMLNamespace.rtp)
        try ColibriLimits.check(payloadTypes.count, ColibriLimits.payloadTypes, "payload types")
        for payloadType in payloadTypes {
            guard let description = try PayloadTypeDescription(xml: payloadType, kind: kind) else { continue }
            self.payloadTypes.append(description)
        }
        let extensions = element.all("rtp-hdrext", XMLNamespace.headerExtension)
        try ColibriLimits.check(extensions.count, ColibriLimits.headerExtensions, "header extensions")
        for headerExtension in extensions {
            guard let id = headerExtension["id"].flatMap({ UInt8($0) }).flatMap(ExtensionID.init(rawValue:)),
                let uri = try headerExtension.bounded("uri")
            else { continue }
            headerExtensions.append(HeaderExtensionDescription(id: id, uri: uri))
        }
        extmapAllowMixed = element.first("extmap-allow-mixed", XMLNamespace.headerExtension) != nil
    }
}

/// One payload type number and the format behind it.
public struct PayloadTypeDescription: Hashable, Sendable {
    /// A format parameter (`a=fmtp` of SDP).
    public struct Parameter: Hashable, Sendable {
        public var name: String
        public var value: String

        public init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    /// A kind of feedback (`a=rtcp-fb` of SDP, RFC 4585 section 4.2), such as `nack` with or without `pli`.
    public struct Feedback: Hashable, Sendable {
        public var type: String
        public var subtype: String?

        public init(type: String, subtype: String? = nil) {
            self.type = type
            self.subtype = subtype
        }
    }

    public var id: PayloadType
    /// The encoding name as signalled; compare it without regard to case. Empty if none was given.
    public var name: String
    /// Ticks per second of the RTP timestamp, at least 1. When not signalled 48000 for audio and 90000 for video.
    public var clockRate: UInt32
    /// Audio channels, at least 1.
    public var channels: UInt8
    public var parameters: [Parameter]
    public var feedback: [Feedback]

    public init(
        id: PayloadType, name: String, clockRate: UInt32, channels: UInt8 = 1, parameters: [Parameter] = [],
        feedback: [Feedback] = []
    ) {
        self.id = id
        self.name = name
        self.clockRate = clockRate
        self.channels = channels
        self.parameters = parameters
        self.feedback = feedback
    }

    /// The value of a parameter, for instance `apt` of a retransmission format (RFC 4588 section 8.1).
    public func parameter(_ name: String) -> String? { parameters.first { $0.name == name }?.value }

    /// Reads a `payload-type` element; nil if it has no usable number.
    init?(xml element: XMLElement, kind: MediaKind) throws(ColibriError) {
        guard let id = element["id"].flatMap({ UInt8($0) }).flatMap(PayloadType.init(rawValue:)) else { return nil }
        let clockRate = element["clockrate"].flatMap { UInt32($0) } ?? 0
        let channels = element["channels"].flatMap { UInt8($0) } ?? 1
        self.init(
            id: id, name: try element.bounded("name") ?? "",
            clockRate: clockRate > 0 ? clockRate : kind == .audio ? 48_000 : 90_000, channels: max(channels, 1))

        // Some senders put the parameters into the namespace of COLIBRI version 1.
        let parameters = element.children.filter {
            $0.matches("parameter", XMLNamespace.rtp) || $0.matches("parameter", XMLNamespace.colibri1)
        }
        try ColibriLimits.check(parameters.count, ColibriLimits.parameters, "parameters of a payload type")
        for parameter in parameters {
            guard let name = try parameter.bounded("name") else { continue }
            self.parameters.append(Parameter(name: name, value: try parameter.bounded("value") ?? ""))
        }
        let feedback = element.all("rtcp-fb", XMLNamespace.rtcpFeedback)
        try ColibriLimits.check(feedback.count, ColibriLimits.parameters, "feedback kinds of a payload type")
        for kind in feedback {
            guard let type = try kind.bounded("type") else { continue }
            self.feedback.append(Feedback(type: type, subtype: try kind.bounded("subtype")))
        }
    }
}

/// The number a header extension has on the wire (RFC 8285) and its meaning.
public struct HeaderExtensionDescription: Hashable, Sendable {
    public var id: ExtensionID
    /// As signalled; many are unknown to the bridge.
    public var uri: String

    public init(id: ExtensionID, uri: String) {
        self.id = id
        self.uri = uri
    }
}
