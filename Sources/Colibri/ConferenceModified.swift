// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The COLIBRI2 reply (`conference-modified`), printed as XML for XMPP and as JSON for REST.
public struct ConferenceModified: Hashable, Sendable {
    /// One for each endpoint of the request, in its order.
    public var endpoints: [EndpointModified]
    /// The bridge's feedback sources; nil if the request created nothing.
    public var sources: [MediaSource]?

    public init(endpoints: [EndpointModified] = [], sources: [MediaSource]? = nil) {
        self.endpoints = endpoints
        self.sources = sources
    }

    /// The payload of an `<iq type="result">`.
    public func xml() -> XMLElement {
        var element = XMLElement("conference-modified", namespace: XMLNamespace.colibri2)
        for endpoint in endpoints { element.append(endpoint.xml()) }
        if let sources {
            element.append(
                XMLElement("sources", namespace: XMLNamespace.colibri2, children: sources.map { $0.xml() }))
        }
        return element
    }

    /// The body of the HTTP answer.
    public func json() -> JSONValue {
        var object = JSONObject()
        object["endpoints"] = endpoints.isEmpty ? nil : .array(endpoints.map { $0.json() })
        object["sources"] = sources.map { .array($0.map { $0.json() }) }
        return .object(object)
    }
}

/// What became of one endpoint.
public struct EndpointModified: Hashable, Sendable {
    public var id: String
    /// The request was an expiry, of something known or not.
    public var expired: Bool
    /// Given on create and when an ICE restart was started or is pending; never echoed otherwise.
    public var transport: TransportModified?

    public init(id: String, expired: Bool = false, transport: TransportModified? = nil) {
        self.id = id
        self.expired = expired
        self.transport = transport
    }

    func xml() -> XMLElement {
        XMLElement(
            "endpoint", namespace: XMLNamespace.colibri2, ["id": id, "expire": expired ? "true" : nil],
            children: transport.map { [$0.xml()] } ?? [])
    }

    func json() -> JSONValue {
        var object = JSONObject([.init(key: "id", value: .string(id))])
        object["expire"] = expired ? true : nil
        object["transport"] = transport?.json()
        return .object(object)
    }
}
