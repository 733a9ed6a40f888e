// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Prints JSON values as compact UTF-8 text (RFC 8259).
private struct JSONWriter {
    var bytes: [UInt8] = []

    mutating func write(_ value: JSONValue) {
        switch value {
        case .null: write(raw: "null")
        case .bool(let flag): write(raw: flag ? "true" : "false")
        case .integer(let integer): write(raw: String(integer))
        // JSON has no word for infinity; whoever computes one has nothing to say.
        case .number(let number): write(raw: number.isFinite ? number.description : "null")
        case .string(let string): write(quoting: string)
        case .array(let elements):
            write(raw: "[")
            for (index, element) in elements.enumerated() {
                if index > 0 { write(raw: ",") }
                write(element)
            }
            write(raw: "]")
        case .object(let object):
            write(raw: "{")
            for (index, member) in object.members.enumerated() {
                if index > 0 { write(raw: ",") }
                write(quoting: member.key)
                write(raw: ":")
                write(member.value)
            }
            write(raw: "}")
        }
    }

    private mutating func write(raw text: String) { bytes.append(contentsOf: text.utf8) }

    private mutating func write(quoting string: String) {
        bytes.append(UInt8(ascii: "\""))
        for byte in string.utf8 {
            switch byte {
            case UInt8(ascii: "\""): write(raw: "\\\"")
            case UInt8(ascii: "\\"): write(raw: "\\\\")
            case UInt8(ascii: "\n"): write(raw: "\\n")
            case UInt8(ascii: "\r"): write(raw: "\\r")
            case UInt8(ascii: "\t"): write(raw: "\\t")
            case 0x00..<0x20:
                write(raw: byte < 0x10 ? "\\u000" : "\\u00")
                write(raw: String(byte, radix: 16))
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}

extension JSONValue: CustomStringConvertible {
    /// The value as compact UTF-8 JSON text, members in their order.
    public func serialized() -> [UInt8] {
        var writer = JSONWriter()
        writer.write(self)
        return writer.bytes
    }

    public var description: String { String(decoding: serialized(), as: UTF8.self) }
}
