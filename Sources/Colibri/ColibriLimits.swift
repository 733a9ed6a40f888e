// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP

/// How much one request may hold, and the readers of attributes that enforce it. Beyond a limit a request is refused as
/// a whole: half a session description is worse than none. Only surplus parts of a transport are ignored instead.
enum ColibriLimits {
    /// Endpoints of one request.
    static let endpoints = 100
    /// Bytes of a meeting, endpoint or source identifier.
    static let identifier = 128
    /// Bytes of a conference name: two parts of a JID and the @ (RFC 7622 section 3).
    static let conferenceName = 1023 + 1 + 1023
    /// Bytes of a codec name, parameter, URI, URL or credential.
    static let text = 1024
    /// `media` elements of an endpoint.
    static let media = 8
    /// Payload types of one `media`.
    static let payloadTypes = 64
    /// Parameters, and feedback kinds, of one payload type.
    static let parameters = 32
    /// Header extensions of one `media`.
    static let headerExtensions = 32
    /// `media-source` elements, SSRCs in them, and groups in them, each for one endpoint.
    static let sources = 64
    /// SSRCs of one group.
    static let groupMembers = 16
    static let capabilities = 64
    static let fingerprints = 8
    static let candidates = 64
    static let webSockets = 16

    /// Refuses a list that is too long.
    static func check(_ count: Int, _ limit: Int, _ what: String) throws(ColibriError) {
        guard count <= limit else { throw .badRequest("More than \(limit) \(what)") }
    }
}

extension XMLElement {
    /// A boolean as Java reads it: `true` in any case is true, anything else is false.
    func flag(_ attribute: String, default absent: Bool = false) -> Bool {
        guard let value = self[attribute] else { return absent }
        return value.lowercased() == "true"
    }

    /// An attribute that must be there, must not be blank, and names something.
    func identifier(_ attribute: String) throws(ColibriError) -> String {
        guard let value = self[attribute], value.contains(where: { !$0.isWhitespace }) else {
            throw .badRequest("Missing \(attribute) of <\(name)>")
        }
        guard value.utf8.count <= ColibriLimits.identifier else {
            throw .badRequest("\(attribute) of <\(name)> is longer than \(ColibriLimits.identifier) bytes")
        }
        return value
    }

    /// An attribute of bounded length.
    func bounded(_ attribute: String, _ limit: Int = ColibriLimits.text) throws(ColibriError) -> String? {
        guard let value = self[attribute] else { return nil }
        guard value.utf8.count <= limit else {
            throw .badRequest("\(attribute) of <\(name)> is longer than \(limit) bytes")
        }
        return value
    }

    /// A number that may be missing but must not be garbage.
    func integer<Number: FixedWidthInteger>(
        _ attribute: String, as type: Number.Type = Number.self
    ) throws(ColibriError) -> Number? {
        guard let value = self[attribute] else { return nil }
        guard let number = Number(value) else { throw .badRequest("Invalid \(attribute) of <\(name)>: not a number") }
        return number
    }

    /// `type` as audio or video; nil for the media types of Jingle that a bridge has no use for.
    func mediaKind() throws(ColibriError) -> MediaKind? {
        switch self["type"] {
        case "audio": return .audio
        case "video": return .video
        case "application", "data", "image", "message", "presentation", "text": return nil
        case nil: throw .badRequest("Missing type of <\(name)>")
        case .some: throw .badRequest("Invalid type of <\(name)>")
        }
    }
}

extension MediaKind {
    /// The word for it in SDP, Jingle and COLIBRI2.
    var name: String {
        switch self {
        case .audio: "audio"
        case .video: "video"
        }
    }
}
