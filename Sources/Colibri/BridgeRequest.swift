// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// What an incoming stanza asks of the bridge.
public enum BridgeRequest: Sendable {
    /// Nothing: no IQ, or an answer to one.
    case none
    /// All there is to say; send it.
    case reply(XMLElement)
    /// A checked COLIBRI2 request. Whoever gets it owes the `IQRequest` one answer.
    case modify(ConferenceModify, IQRequest)
}

/// The result of the last health check.
public enum BridgeHealth: Hashable, Sendable {
    case healthy
    /// Jicofo stops using the bridge and moves its participants; the text is for people.
    case unhealthy(String)
}

/// Sorts the IQs of one stream by who may ask and what is asked.
public struct BridgeRequestDispatcher: Sendable {
    /// Bare addresses of the brewery rooms; their occupants, whoever they are, may command the bridge.
    public var rooms: [JID]
    /// The version string, the same as that in the statistics.
    public var version: String

    /// What disco#info (XEP-0030) tells, in the order of the list.
    static let features = [
        XMLNamespace.discoInfo, XMLNamespace.health, XMLNamespace.dtls, XMLNamespace.iceUDP, XMLNamespace.ping,
        XMLNamespace.version,
    ]

    public init(rooms: [JID], version: String) {
        self.rooms = rooms.map(\.bare)
        self.version = version
    }

    /// Decides about one stanza of a stream.
    public func dispatch(_ stanza: XMLElement, health: BridgeHealth) -> BridgeRequest {
        guard let request = IQRequest(stanza) else { return .none }
        do throws(ColibriError) {
            return try answer(request, stanza, health)
        } catch {
            return .reply(request.error(error))
        }
    }

    private func answer(
        _ request: IQRequest, _ stanza: XMLElement, _ health: BridgeHealth
    ) throws(ColibriError) -> BridgeRequest {
        guard let sender = request.from.flatMap({ JID($0) }), rooms.contains(sender.bare) else {
            throw ColibriError(.forbidden, text: "Only occupants of the brewery may ask")
        }
        guard request.id != nil else { throw .badRequest("Missing id of <iq>") }
        guard let type = stanza["type"], type == "get" || type == "set" else {
            throw .badRequest("Invalid type of <iq>")
        }
        guard let payload = stanza.children.first else { throw .badRequest("Empty <iq>") }

        switch (payload.name, payload.namespace) {
        case ("conference-modify", XMLNamespace.colibri2):
            // Jicofo: says get, although it means set.
            return .modify(try ConferenceModify(xml: payload), request)
        case ("healthcheck", XMLNamespace.health):
            switch health {
            case .healthy: return .reply(request.result())
            case .unhealthy(let reason): throw ColibriError(.internalServerError, text: reason)
            }
        case ("query", XMLNamespace.version):
            return .reply(request.result(softwareVersion))
        case ("query", XMLNamespace.discoInfo) where type == "get":
            return .reply(request.result(information(node: payload["node"])))
        case ("ping", XMLNamespace.ping) where type == "get":
            return .reply(request.result())
        case ("graceful-shutdown", XMLNamespace.colibri1), ("force-shutdown", XMLNamespace.colibri1):
            // Shutting down is for signals and the private HTTP server; the stanza is only recognised.
            throw ColibriError(.serviceUnavailable, text: "Unsupported IQ request \(payload.name)")
        default:
            throw .notImplemented("Unsupported IQ request")
        }
    }

    /// XEP-0092. The name is what monitoring of existing deployments looks for.
    private var softwareVersion: XMLElement {
        let fields = [("name", "JVB"), ("version", version), ("os", "Linux")]
        return XMLElement(
            "query", namespace: XMLNamespace.version,
            children: fields.map { XMLElement($0, namespace: XMLNamespace.version, text: $1) })
    }

    private func information(node: String?) -> XMLElement {
        let namespace = XMLNamespace.discoInfo
        let identity = XMLElement(
            "identity", namespace: namespace, ["category": "client", "type": "bot", "name": "jvbd"])
        let features = Self.features.map { XMLElement("feature", namespace: namespace, ["var": $0]) }
        return XMLElement("query", namespace: namespace, ["node": node], children: [identity] + features)
    }
}
