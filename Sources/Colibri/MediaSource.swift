// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

public import RTP

/// A source of an endpoint, one microphone, camera or screen, with the SSRCs it is sent in (XEP-0339).
public struct MediaSource: Hashable, Sendable {
    public var kind: MediaKind
    /// The name of the source, unique in the conference, such as `abcd1234-v0`. At most 128 bytes.
    public var name: String
    /// Made by a bridge, not by a person; heard only by those who ask for it.
    public var isSynthetic: Bool
    public var sources: [SSRCDescription]
    public var groups: [SSRCGroup]

    public init(
        kind: MediaKind, name: String, isSynthetic: Bool = false, sources: [SSRCDescription] = [],
        groups: [SSRCGroup] = []
    ) {
        self.kind = kind
        self.name = name
        self.isSynthetic = isSynthetic
        self.sources = sources
        self.groups = groups
    }

    /// What the first SSRC that says so shows; nil if none does.
    public var videoType: VideoType? { sources.lazy.compactMap(\.videoType).first }

    /// Reads a `media-source` element; nil for a media type that means nothing to a bridge.
    init?(xml element: XMLElement) throws(ColibriError) {
        guard let kind = try element.mediaKind() else { return nil }
        self.init(kind: kind, name: try element.identifier("id"), isSynthetic: element.flag("synthetic"))
        for source in element.all("source", XMLNamespace.sourceAttributes) {
            guard let description = try SSRCDescription(xml: source) else { continue }
            sources.append(description)
        }
        for group in element.all("ssrc-group", XMLNamespace.sourceAttributes) {
            guard let group = try SSRCGroup(xml: group) else { continue }
            groups.append(group)
        }
    }

    /// Reads a `sources` element: the full set of an endpoint.
    static func list(xml element: XMLElement) throws(ColibriError) -> [MediaSource] {
        let elements = element.all("media-source", XMLNamespace.colibri2)
        try ColibriLimits.check(elements.count, ColibriLimits.sources, "media sources")
        var list: [MediaSource] = []
        var sources = 0
        var groups = 0
        for element in elements {
            guard let source = try MediaSource(xml: element) else { continue }
            sources += source.sources.count
            groups += source.groups.count
            try ColibriLimits.check(sources, ColibriLimits.sources, "SSRCs of an endpoint")
            try ColibriLimits.check(groups, ColibriLimits.sources, "SSRC groups of an endpoint")
            list.append(source)
        }
        return list
    }

    func xml() -> XMLElement {
        XMLElement(
            "media-source", namespace: XMLNamespace.colibri2,
            ["type": kind.name, "id": name, "synthetic": isSynthetic ? "true" : nil],
            children: sources.map { $0.xml() } + groups.map { $0.xml() })
    }

    func json() -> JSONValue {
        var object = JSONObject([
            .init(key: "type", value: .string(kind.name)), .init(key: "id", value: .string(name)),
        ])
        object["synthetic"] = isSynthetic ? true : nil
        object["sources"] = sources.isEmpty ? nil : .array(sources.map { $0.json() })
        object["ssrc-groups"] = groups.isEmpty ? nil : .array(groups.map { $0.json() })
        return .object(object)
    }
}

/// One SSRC of a source and what was said about it.
public struct SSRCDescription: Hashable, Sendable {
    public var ssrc: SSRC
    /// The source name once more; clients of 2022 leave it out.
    public var name: String?
    public var videoType: VideoType?
    /// The RtpStreamId, where simulcast encodings are told apart by it (RFC 8852).
    public var rid: Rid?
    /// Media stream and track identifiers (RFC 8830); only the bridge's own feedback sources need them.
    public var msid: String?

    public init(
        ssrc: SSRC, name: String? = nil, videoType: VideoType? = nil, rid: Rid? = nil, msid: String? = nil
    ) {
        self.ssrc = ssrc
        self.name = name
        self.videoType = videoType
        self.rid = rid
        self.msid = msid
    }

    /// Reads a `source` element; nil if it has no SSRC.
    init?(xml element: XMLElement) throws(ColibriError) {
        guard let ssrc = try element.integer("ssrc", as: UInt32.self) else { return nil }
        let msid = element.all("parameter", XMLNamespace.rtp).first { $0["name"] == "msid" }?["value"]
        let name = element["name"]
        self.init(
            ssrc: SSRC(rawValue: ssrc), name: name.flatMap { $0.utf8.count <= ColibriLimits.identifier ? $0 : nil },
            videoType: element["videoType"].flatMap { VideoType($0) }, rid: element["rid"].flatMap { Rid($0) },
            msid: msid.flatMap { $0.utf8.count <= ColibriLimits.text ? $0 : nil })
    }

    func xml() -> XMLElement {
        var element = XMLElement(
            "source", namespace: XMLNamespace.sourceAttributes,
            [
                "ssrc": ssrc.description, "name": name, "videoType": videoType?.rawValue.lowercased(),
                "rid": rid?.description,
            ])
        if let msid {
            element.append(XMLElement("parameter", namespace: XMLNamespace.rtp, ["name": "msid", "value": msid]))
        }
        return element
    }

    /// A bare number if there is nothing else to say, as before sources had names.
    func json() -> JSONValue {
        let number = JSONValue.integer(Int64(ssrc.rawValue))
        guard name != nil || videoType != nil || rid != nil || msid != nil else { return number }
        var object = JSONObject([.init(key: "ssrc", value: number)])
        object["name"] = name.map { .string($0) }
        object["videoType"] = videoType.map { .string($0.rawValue.lowercased()) }
        object["rid"] = rid.map { .string($0.description) }
        object["parameters"] = msid.map { .object(["msid": .string($0)]) }
        return .object(object)
    }
}

/// SSRCs that belong together, in an order that matters (RFC 5576 section 4.2).
public struct SSRCGroup: Hashable, Sendable {
    /// How they belong together.
    public enum Semantics: String, Hashable, Sendable, CaseIterable {
        /// Encodings of the same picture, low to high.
        case simulcast = "SIM"
        /// A stream and its retransmissions (RFC 4588).
        case retransmission = "FID"
        /// A stream and its forward error correction (RFC 5956).
        case forwardErrorCorrection = "FEC-FR"
    }

    public var semantics: Semantics
    /// Two or more.
    public var ssrcs: [SSRC]

    public init(semantics: Semantics, ssrcs: [SSRC]) {
        self.semantics = semantics
        self.ssrcs = ssrcs
    }

    /// Reads an `ssrc-group` element; nil for other semantics and for less than two SSRCs, which say nothing.
    init?(xml element: XMLElement) throws(ColibriError) {
        guard let word = element["semantics"], let semantics = Semantics(rawValue: word.uppercased()) else {
            return nil
        }
        let sources = element.all("source", XMLNamespace.sourceAttributes)
        try ColibriLimits.check(sources.count, ColibriLimits.groupMembers, "SSRCs of a group")
        var ssrcs: [SSRC] = []
        for source in sources {
            guard let ssrc = try source.integer("ssrc", as: UInt32.self) else { continue }
            ssrcs.append(SSRC(rawValue: ssrc))
        }
        guard ssrcs.count >= 2 else { return nil }
        self.init(semantics: semantics, ssrcs: ssrcs)
    }

    func xml() -> XMLElement {
        XMLElement(
            "ssrc-group", namespace: XMLNamespace.sourceAttributes, ["semantics": semantics.rawValue],
            children: ssrcs.map {
                XMLElement("source", namespace: XMLNamespace.sourceAttributes, ["ssrc": $0.description])
            })
    }

    func json() -> JSONValue {
        .object([
            "semantics": .string(semantics.rawValue),
            "sources": .array(ssrcs.map { .integer(Int64($0.rawValue)) }),
        ])
    }
}
