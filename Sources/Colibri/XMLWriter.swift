// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Prints elements as XML 1.0 text: every special character escaped, a namespace declared where it changes.
public struct XMLWriter: Sendable {
    /// The UTF-8 written so far.
    public private(set) var bytes: [UInt8] = []

    public init() {}

    /// Appends an element. `parentNamespace` is the default namespace in force where the text will stand, for a stanza
    /// that of the stream; the element's own is declared only when it differs.
    public mutating func write(_ element: XMLElement, parentNamespace: String = "") {
        bytes.append(UInt8(ascii: "<"))
        bytes.append(contentsOf: element.name.utf8)
        if element.namespace != parentNamespace { write(attribute: "xmlns", element.namespace) }
        for attribute in element.attributes { write(attribute: attribute.name, attribute.value) }
        guard !(element.children.isEmpty && element.text.isEmpty) else {
            bytes.append(contentsOf: "/>".utf8)
            return
        }
        bytes.append(UInt8(ascii: ">"))
        write(escaping: element.text, inAttribute: false)
        for child in element.children { write(child, parentNamespace: element.namespace) }
        bytes.append(contentsOf: "</".utf8)
        bytes.append(contentsOf: element.name.utf8)
        bytes.append(UInt8(ascii: ">"))
    }

    private mutating func write(attribute name: String, _ value: String) {
        bytes.append(UInt8(ascii: " "))
        bytes.append(contentsOf: name.utf8)
        bytes.append(contentsOf: "=\"".utf8)
        write(escaping: value, inAttribute: true)
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func write(escaping text: String, inAttribute: Bool) {
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": bytes.append(contentsOf: "&amp;".utf8)
            case "<": bytes.append(contentsOf: "&lt;".utf8)
            case ">": bytes.append(contentsOf: "&gt;".utf8)
            case "\"" where inAttribute: bytes.append(contentsOf: "&quot;".utf8)
            case "'" where inAttribute: bytes.append(contentsOf: "&apos;".utf8)
            // A parser turns a raw carriage return into a line feed, and every white space of an attribute into a
            // blank.
            case "\r": bytes.append(contentsOf: "&#13;".utf8)
            case "\n" where inAttribute: bytes.append(contentsOf: "&#10;".utf8)
            case "\t" where inAttribute: bytes.append(contentsOf: "&#9;".utf8)
            default:
                let allowed = Self.isCharacter(scalar) ? scalar : "\u{FFFD}"
                bytes.append(contentsOf: UTF8.encode(allowed) ?? UTF8.encodedReplacementCharacter)
            }
        }
    }

    /// Production [2] Char of XML 1.0: what is not in it cannot be written at all, not even as a reference, and would
    /// make the peer close the stream.
    private static func isCharacter(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x9, 0xA, 0xD, 0x20...0xD7FF, 0xE000...0xFFFD, 0x10000...0x10FFFF: true
        default: false
        }
    }
}

extension XMLElement {
    /// The element as UTF-8 XML, to stand where `parentNamespace` is the default namespace.
    public func serialized(parentNamespace: String = "") -> [UInt8] {
        var writer = XMLWriter()
        writer.write(self, parentNamespace: parentNamespace)
        return writer.bytes
    }
}

extension XMLElement: CustomStringConvertible {
    public var description: String { String(decoding: serialized(), as: UTF8.self) }
}
