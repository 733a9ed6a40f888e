// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Reads JSON text (RFC 8259) strictly and with limits, because it comes from any browser on the Internet.

/// Why a text is not JSON, or not JSON we are willing to hold.
public enum JSONError: Error, Hashable, Sendable {
    /// The text has more bytes than allowed.
    case tooLarge
    /// Arrays and objects are nested deeper than allowed.
    case tooDeep
    /// The grammar is violated at this byte offset, the end included.
    case malformed(offset: Int)
    /// A string that ends at this byte offset is not UTF-8.
    case invalidUTF8(offset: Int)
    /// An object has the same key twice; which of the two a reader sees is anybody's guess.
    case duplicateKey(offset: Int)
    /// A number too large for a Double.
    case numberOutOfRange(offset: Int)
}

extension JSONValue {
    /// Reads one value with nothing but white space around it. `maximumSize` is in bytes; a value inside n arrays and
    /// objects has depth n. A `\u` escape of half a surrogate pair, which browsers produce by cutting strings, becomes
    /// U+FFFD.
    public init(
        parsing text: Span<UInt8>, maximumSize: Int = 65_536, maximumDepth: Int = 16
    ) throws(JSONError) {
        guard text.count <= maximumSize else { throw .tooLarge }
        var reader = JSONReader(remainingDepth: maximumDepth)
        self = try reader.document(text)
    }
}

/// The position in a text. The text itself is passed along, since a span cannot be stored.
private struct JSONReader {
    var position = 0
    var remainingDepth: Int

    init(remainingDepth: Int) { self.remainingDepth = remainingDepth }

    mutating func document(_ text: Span<UInt8>) throws(JSONError) -> JSONValue {
        let value = try value(text)
        skipWhiteSpace(text)
        guard position == text.count else { throw malformed }
        return value
    }

    private var malformed: JSONError { .malformed(offset: position) }

    /// The byte at the position, 0 at the end: no token starts with NUL.
    private func peek(_ text: Span<UInt8>) -> UInt8 { position < text.count ? text[position] : 0 }

    private mutating func skipWhiteSpace(_ text: Span<UInt8>) {
        while position < text.count {
            switch text[position] {
            case 0x20, 0x09, 0x0A, 0x0D: position += 1
            default: return
            }
        }
    }

    private mutating func take(_ byte: Unicode.Scalar, _ text: Span<UInt8>) -> Bool {
        guard position < text.count, text[position] == UInt8(ascii: byte) else { return false }
        position += 1
        return true
    }

    private mutating func value(_ text: Span<UInt8>) throws(JSONError) -> JSONValue {
        skipWhiteSpace(text)
        switch peek(text) {
        case UInt8(ascii: "{"): return .object(try nested(text, Self.object))
        case UInt8(ascii: "["): return .array(try nested(text, Self.array))
        case UInt8(ascii: "\""): return .string(try string(text))
        case UInt8(ascii: "t"): return try literal("true", .bool(true), text)
        case UInt8(ascii: "f"): return try literal("false", .bool(false), text)
        case UInt8(ascii: "n"): return try literal("null", .null, text)
        default: return try number(text)
        }
    }

    private mutating func literal(
        _ word: StaticString, _ value: JSONValue, _ text: Span<UInt8>
    ) throws(JSONError) -> JSONValue {
        for byte in word.description.utf8 {
            guard peek(text) == byte else { throw malformed }
            position += 1
        }
        return value
    }

    private mutating func nested<Value>(
        _ text: Span<UInt8>, _ body: (inout Self, Span<UInt8>) throws(JSONError) -> Value
    ) throws(JSONError) -> Value {
        guard remainingDepth > 0 else { throw .tooDeep }
        remainingDepth -= 1
        position += 1
        let value = try body(&self, text)
        remainingDepth += 1
        return value
    }

    private static func array(_ reader: inout Self, _ text: Span<UInt8>) throws(JSONError) -> [JSONValue] {
        var elements: [JSONValue] = []
        reader.skipWhiteSpace(text)
        if reader.take("]", text) { return elements }
        while true {
            elements.append(try reader.value(text))
            reader.skipWhiteSpace(text)
            if reader.take("]", text) { return elements }
            guard reader.take(",", text) else { throw reader.malformed }
        }
    }

    private static func object(_ reader: inout Self, _ text: Span<UInt8>) throws(JSONError) -> JSONObject {
        var members: [JSONObject.Member] = []
        var keys: Set<String> = []
        reader.skipWhiteSpace(text)
        if reader.take("}", text) { return JSONObject() }
        while true {
            reader.skipWhiteSpace(text)
            guard reader.peek(text) == UInt8(ascii: "\"") else { throw reader.malformed }
            let key = try reader.string(text)
            guard keys.insert(key).inserted else { throw .duplicateKey(offset: reader.position) }
            reader.skipWhiteSpace(text)
            guard reader.take(":", text) else { throw reader.malformed }
            members.append(JSONObject.Member(key: key, value: try reader.value(text)))
            reader.skipWhiteSpace(text)
            if reader.take("}", text) { return JSONObject(members) }
            guard reader.take(",", text) else { throw reader.malformed }
        }
    }

    // MARK: Numbers

    private mutating func digits(_ text: Span<UInt8>) -> Int {
        let start = position
        while position < text.count, (0x30...0x39).contains(text[position]) { position += 1 }
        return position - start
    }

    private mutating func number(_ text: Span<UInt8>) throws(JSONError) -> JSONValue {
        let start = position
        _ = take("-", text)
        let leadingZero = peek(text) == UInt8(ascii: "0")
        let integerDigits = digits(text)
        guard integerDigits > 0, !leadingZero || integerDigits == 1 else { throw malformed }
        var isIntegral = true
        if take(".", text) {
            isIntegral = false
            guard digits(text) > 0 else { throw malformed }
        }
        if take("e", text) || take("E", text) {
            isIntegral = false
            if !take("+", text) { _ = take("-", text) }
            guard digits(text) > 0 else { throw malformed }
        }
        var literal = ""
        for offset in start..<position { literal.unicodeScalars.append(Unicode.Scalar(text[offset])) }
        if isIntegral, let integer = Int64(literal) { return .integer(integer) }
        guard let value = Double(literal), value.isFinite else { throw .numberOutOfRange(offset: start) }
        return .number(value)
    }

    // MARK: Strings

    private mutating func string(_ text: Span<UInt8>) throws(JSONError) -> String {
        position += 1
        var bytes: [UInt8] = []
        while position < text.count {
            let byte = text[position]
            switch byte {
            case UInt8(ascii: "\""):
                position += 1
                guard let string = String(validating: bytes, as: UTF8.self) else {
                    throw .invalidUTF8(offset: position)
                }
                return string
            case UInt8(ascii: "\\"):
                position += 1
                let scalar = try escape(text)
                bytes.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
            case 0x00..<0x20:
                throw malformed
            default:
                bytes.append(byte)
                position += 1
            }
        }
        throw malformed
    }

    private mutating func escape(_ text: Span<UInt8>) throws(JSONError) -> Unicode.Scalar {
        let letter = peek(text)
        position += 1
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(letter)
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): return try unicodeEscape(text)
        default:
            position -= 1
            throw malformed
        }
    }

    private mutating func unicodeEscape(_ text: Span<UInt8>) throws(JSONError) -> Unicode.Scalar {
        let unit = try codeUnit(text)
        guard UTF16.isLeadSurrogate(unit) else { return Unicode.Scalar(unit) ?? "\u{FFFD}" }
        let afterLead = position
        guard take("\\", text), take("u", text) else {
            position = afterLead
            return "\u{FFFD}"
        }
        let trail = try codeUnit(text)
        guard UTF16.isTrailSurrogate(trail) else {
            // Not the other half: it stands for itself and is read again.
            position = afterLead
            return "\u{FFFD}"
        }
        let value = 0x10000 + (UInt32(unit) - 0xD800) << 10 + (UInt32(trail) - 0xDC00)
        return Unicode.Scalar(value) ?? "\u{FFFD}"
    }

    private mutating func codeUnit(_ text: Span<UInt8>) throws(JSONError) -> UInt16 {
        var unit: UInt16 = 0
        for _ in 0..<4 {
            let byte = peek(text)
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
            default: throw malformed
            }
            unit = unit << 4 | UInt16(digit)
            position += 1
        }
        return unit
    }
}
