// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import ICE

/// ICE candidates as the `candidate` element of XEP-0176 and as JSON.
extension Candidate {
    /// Reads a `candidate` element; nil if it lacks what a connectivity check needs or names its host instead of giving
    /// the address. One odd candidate is no reason to refuse the others.
    init?(xml element: XMLElement) {
        let defaults = ["component": "1", "protocol": "udp"]
        do {
            try self.init(attributes: { element[$0] ?? defaults[$0] })
        } catch {
            return nil
        }
    }

    /// Names and values of the attributes, in the order they are printed.
    private var attributes: [(name: String, value: JSONValue)] {
        var attributes: [(name: String, value: JSONValue)] = [
            ("component", .integer(Int64(component))), ("foundation", .string(foundation)),
            ("generation", .integer(Int64(generation))), ("id", .string(id)),
            ("network", .integer(Int64(network))), ("priority", .integer(Int64(priority))),
            ("protocol", .string(transport.rawValue)), ("type", .string(kind.rawValue)),
            ("ip", .string(address.ip.description)), ("port", .integer(Int64(address.port))),
        ]
        if let related {
            attributes.append(("rel-addr", .string(related.ip.description)))
            attributes.append(("rel-port", .integer(Int64(related.port))))
        }
        if let tcpType { attributes.append(("tcptype", .string(tcpType))) }
        return attributes
    }

    func xml() -> XMLElement {
        XMLElement(
            name: "candidate", namespace: XMLNamespace.iceUDP,
            attributes: attributes.map { .init(name: $0.name, value: $0.value.string ?? $0.value.description) })
    }

    func json() -> JSONValue {
        .object(JSONObject(attributes.map { .init(key: $0.name, value: $0.value) }))
    }
}
