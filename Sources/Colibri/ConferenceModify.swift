// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The COLIBRI2 request (`conference-modify`), checked as far as that is possible without knowing the conference. The
/// one way into the bridge: the XMPP form and the JSON form lead to the same value.
public struct ConferenceModify: Hashable, Sendable {
    /// Key of the conference on this bridge, at most 128 bytes.
    public var meetingID: String
    /// The chat room, a bare JID; a checked one when `create` is set.
    public var name: String?
    public var create: Bool
    public var expire: Bool
    /// Read on create.
    public var rtcstatsEnabled: Bool
    /// In the order of the request, at most 100.
    public var endpoints: [EndpointModify]

    public init(
        meetingID: String, name: String? = nil, create: Bool = false, expire: Bool = false,
        rtcstatsEnabled: Bool = true, endpoints: [EndpointModify] = []
    ) {
        self.meetingID = meetingID
        self.name = name
        self.create = create
        self.expire = expire
        self.rtcstatsEnabled = rtcstatsEnabled
        self.endpoints = endpoints
    }

    /// Unknown endpoints are then answered with just their id instead of an error: the request only mutes or expires.
    public var toleratesUnknownEndpoints: Bool { !endpoints.contains { $0.describesSession } }

    /// The reply carries the bridge's feedback sources.
    public var wantsFeedbackSources: Bool { create || endpoints.contains { $0.create } }

    /// Reads a `conference-modify` element. Elements and attributes nobody knows are ignored.
    public init(xml element: XMLElement) throws(ColibriError) {
        guard element.matches("conference-modify", XMLNamespace.colibri2) else {
            throw .badRequest("Not a COLIBRI2 conference-modify")
        }
        self.init(
            meetingID: try element.identifier("meeting-id"),
            name: try element.bounded("name", ColibriLimits.conferenceName), create: element.flag("create"),
            expire: element.flag("expire"), rtcstatsEnabled: element.flag("rtcstats-enabled", default: true))
        if create, let name, !Self.isBareJID(name) { throw .badRequest("Invalid conference name") }

        let endpoints = element.all("endpoint", XMLNamespace.colibri2)
        try ColibriLimits.check(endpoints.count, ColibriLimits.endpoints, "endpoints")
        try Self.refuseRelays(element, besideEndpoints: !endpoints.isEmpty)
        for child in endpoints { self.endpoints.append(try EndpointModify(xml: child)) }
        if endpoints.count > 1, !toleratesUnknownEndpoints {
            throw .notImplemented(
                "Creating or updating more than one endpoint in a request", reason: .featureNotImplemented)
        }
    }

    private static func refuseRelays(_ element: XMLElement, besideEndpoints: Bool) throws(ColibriError) {
        if element.first("relay", XMLNamespace.colibri2) != nil {
            // Like JVB with relays switched off, and like JVB with any setting if both are in a request.
            throw .notImplemented(
                "Relays are not supported", reason: besideEndpoints ? .featureNotImplemented : nil)
        }
        let connects = element.first("connects", XMLNamespace.colibri2)
        // Taking away what was never there is no reason to end a meeting.
        if connects?.all("connect", XMLNamespace.colibri2).contains(where: { !$0.flag("expire") }) == true {
            throw .notImplemented("Exporting media is not supported", reason: .featureNotImplemented)
        }
    }

    /// `local@domain` without resource.
    private static func isBareJID(_ text: String) -> Bool {
        guard let jid = JID(text) else { return false }
        return jid.local != nil && jid.resource == nil
    }
}
