// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// A refused COLIBRI2 request, printed as the error of an IQ or as an HTTP answer. Jicofo reacts to each of them with a
/// different repair, most of which interrupt a meeting, so the pairs of condition and reason matter.
public struct ColibriError: Error, Hashable, Sendable {
    /// The `reason` of the COLIBRI2 `error` element.
    public enum Reason: String, Hashable, Sendable, CaseIterable {
        case conferenceNotFound = "conference_not_found"
        case conferenceAlreadyExists = "conference_already_exists"
        case featureNotImplemented = "feature_not_implemented"
        case gracefulShutdown = "graceful_shutdown"
        case unknownEndpoint = "unknown_endpoint"
        case unspecified
    }

    public var condition: StanzaErrorCondition
    /// Nil: no COLIBRI2 `error` element is sent.
    public var reason: Reason?
    /// For people, English.
    public var text: String
    /// The endpoint meant by `unknownEndpoint`.
    public var endpointID: String?

    public init(
        _ condition: StanzaErrorCondition, reason: Reason? = nil, text: String, endpointID: String? = nil
    ) {
        self.condition = condition
        self.reason = reason
        self.text = text
        self.endpointID = endpointID
    }

    /// The request breaks the grammar, a limit or a rule.
    public static func badRequest(_ text: String) -> Self { Self(.badRequest, text: text) }

    /// `create` for a meeting that is known.
    public static func conferenceAlreadyExists(_ meetingID: String) -> Self {
        Self(.conflict, reason: .conferenceAlreadyExists, text: "Conference already exists: \(meetingID)")
    }

    /// A request without `create` for a meeting that is not known.
    public static func conferenceNotFound(_ meetingID: String) -> Self {
        Self(.itemNotFound, reason: .conferenceNotFound, text: "Conference not found: \(meetingID)")
    }

    /// An update of an endpoint that is not there. Jicofo re-invites just that one.
    public static func unknownEndpoint(_ id: String) -> Self {
        Self(.itemNotFound, reason: .unknownEndpoint, text: "Unknown endpoint: \(id)", endpointID: id)
    }

    /// `create` for an endpoint that is there.
    public static func endpointAlreadyExists(_ id: String) -> Self {
        Self(.conflict, text: "Endpoint already exists: \(id)")
    }

    /// No new conferences: the process is about to stop. Jicofo invites elsewhere at once and without pause, so this
    /// must never be said for another reason.
    public static let gracefulShutdown = Self(
        .serviceUnavailable, reason: .gracefulShutdown, text: "In graceful shutdown")

    /// Something this bridge does not do.
    public static func notImplemented(_ text: String, reason: Reason? = nil) -> Self {
        Self(.featureNotImplemented, reason: reason, text: text)
    }

    /// The only child of an `<iq type="error">`; the request is not echoed.
    public func xml() -> XMLElement {
        var error = XMLElement("error", namespace: XMLNamespace.client, ["type": condition.type])
        error.append(XMLElement(condition.rawValue, namespace: XMLNamespace.stanzas))
        if !text.isEmpty {
            error.append(XMLElement("text", namespace: XMLNamespace.stanzas, ["xml:lang": "en"], text: text))
        }
        if let reason {
            error.append(XMLElement("error", namespace: XMLNamespace.colibri2, ["reason": reason.rawValue]))
        }
        if let endpointID {
            error.append(XMLElement("endpoint", namespace: XMLNamespace.colibri2, ["id": endpointID]))
        }
        return error
    }

    /// The body of the HTTP answer.
    public func json() -> JSONValue {
        var object = JSONObject([.init(key: "condition", value: .string(condition.rawValue))])
        object["reason"] = reason.map { .string($0.rawValue) }
        object["endpoint"] = endpointID.map { .string($0) }
        object["text"] = .string(text)
        return .object(object)
    }

    /// The status of the HTTP answer. JVB knows just these two.
    public var httpStatus: Int { reason == .conferenceNotFound ? 404 : 400 }
}
