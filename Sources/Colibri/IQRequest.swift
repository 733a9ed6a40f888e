// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// What must be kept of an IQ of type get or set to answer it (RFC 6120 section 8.2.3). Each of them gets exactly one
/// answer; results and errors get none.
public struct IQRequest: Hashable, Sendable {
    /// Nil if the sender broke the rule that every IQ has one; the answer then has none, either.
    public let id: String?
    /// As it was written, because the answer goes there literally. Nil: the server itself.
    public let from: String?
    /// Our address as the sender wrote it.
    public let to: String?

    /// - Returns: nil if the stanza is no IQ, or one that must not be answered. An unknown type is answered.
    public init?(_ stanza: XMLElement) {
        guard stanza.matches("iq", XMLNamespace.client) else { return nil }
        let type = stanza["type"]
        guard type != "result", type != "error" else { return nil }
        id = stanza["id"]
        from = stanza["from"]
        to = stanza["to"]
    }

    /// The answer that it is done, with what was asked for.
    public func result(_ payload: XMLElement? = nil) -> XMLElement {
        reply("result", payload.map { [$0] } ?? [])
    }

    /// The answer that it is not done. The request is not echoed.
    public func error(_ error: ColibriError) -> XMLElement { reply("error", [error.xml()]) }

    private func reply(_ type: String, _ children: [XMLElement]) -> XMLElement {
        XMLElement(
            "iq", namespace: XMLNamespace.client, ["type": type, "id": id, "from": to, "to": from], children: children)
    }
}
