// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Colibri
import Foundation
import Testing

/// Captures of a real deployment (jicofo 1.0-911 and JVB 2.2), one stanza or one list of JSON lines per file.
enum Fixture {
    static func bytes(_ name: String) throws -> [UInt8] {
        let url = try #require(Bundle.module.url(forResource: "Fixtures/" + name, withExtension: nil))
        return try Array(Data(contentsOf: url))
    }

    /// The stanza in the file, as the stream parser sees it.
    static func stanza(_ name: String) throws -> XMLElement { try parse(try bytes(name + ".xml")) }

    /// The COLIBRI2 child of the stanza.
    static func payload(_ name: String) throws -> XMLElement {
        try #require(try stanza(name).children.first { $0.namespace == XMLNamespace.colibri2 })
    }

    /// The same as JSON.
    static func json(_ name: String) throws -> JSONValue {
        try JSONValue(bytes: try bytes(name + ".json"))
    }

    static func parse(_ stanza: [UInt8]) throws -> XMLElement {
        let header = "<s:stream xmlns='jabber:client' xmlns:s='http://etherx.jabber.org/streams'>"
        let parser = XMLParser()
        let stream = Array(header.utf8) + stanza
        let outputs = parser.feed(stream.span)
        let found = outputs.lazy.compactMap { output -> XMLElement? in
            if case .stanza(let element) = output.event { element } else { nil }
        }.first
        return try #require(found, "\(outputs)")
    }
}

extension JSONValue {
    init(bytes: [UInt8]) throws(JSONError) { try self.init(parsing: bytes.span) }

    init(text: String) throws(JSONError) { try self.init(bytes: Array(text.utf8)) }
}

extension BridgeChannelMessage.FromClient {
    init(bytes: [UInt8]) throws(BridgeChannelError) { try self.init(parsing: bytes.span) }
}

extension XMLElement {
    /// The same element with its attributes in alphabetical order, to compare what different writers printed.
    var canonical: XMLElement {
        var copy = self
        copy.attributes.sort { $0.name < $1.name }
        copy.children = children.map(\.canonical)
        return copy
    }
}
