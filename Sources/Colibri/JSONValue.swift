// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// JSON (RFC 8259) as a plain value, with accessors that answer nil instead of converting between types.
public enum JSONValue: Hashable, Sendable {
    case null
    case bool(Bool)
    /// A number written without fraction and exponent that fits; exact.
    case integer(Int64)
    /// Every other number; always finite when it came from the reader.
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object(JSONObject)

    /// The truth value, nil for anything but `true` and `false`.
    public var bool: Bool? {
        if case .bool(let value) = self { value } else { nil }
    }

    /// The string, nil for anything else.
    public var string: String? {
        if case .string(let value) = self { value } else { nil }
    }

    /// The elements, nil for anything but an array.
    public var array: [JSONValue]? {
        if case .array(let value) = self { value } else { nil }
    }

    /// The members, nil for anything but an object.
    public var object: JSONObject? {
        if case .object(let value) = self { value } else { nil }
    }

    /// A number without fractional part that fits, however it was written (`3`, `3.0`, `3e0`).
    public var int64: Int64? {
        switch self {
        case .integer(let value): value
        case .number(let value): Int64(exactly: value)
        default: nil
        }
    }

    /// Any number, rounded to the nearest Double.
    public var double: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }

    /// The member of that name; nil if there is none or if this is no object.
    public subscript(key: String) -> JSONValue? { object?[key] }

    /// An object of these members. The keys must differ.
    public static func object(_ members: KeyValuePairs<String, JSONValue>) -> JSONValue {
        .object(JSONObject(members.map { JSONObject.Member(key: $0, value: $1) }))
    }
}

/// The members of a JSON object, in the order they were written. Two objects are equal when they have the same members
/// in any order.
public struct JSONObject: Sendable {
    /// A name and its value.
    public struct Member: Hashable, Sendable {
        public var key: String
        public var value: JSONValue

        public init(key: String, value: JSONValue) {
            self.key = key
            self.value = value
        }
    }

    /// In order. The reader refuses duplicate keys, so each occurs once.
    public private(set) var members: [Member]

    /// Takes members with distinct keys.
    public init(_ members: [Member] = []) { self.members = members }

    /// The value of the member. Setting nil removes it; a new one goes to the end.
    public subscript(key: String) -> JSONValue? {
        get { members.first { $0.key == key }?.value }
        set {
            let index = members.firstIndex { $0.key == key }
            switch (index, newValue) {
            case (let index?, let value?): members[index].value = value
            case (let index?, nil): members.remove(at: index)
            case (nil, let value?): members.append(Member(key: key, value: value))
            case (nil, nil): break
            }
        }
    }
}

extension JSONObject: Hashable {
    public static func == (a: Self, b: Self) -> Bool {
        a.members.count == b.members.count && Set(a.members) == Set(b.members)
    }

    public func hash(into hasher: inout Hasher) { hasher.combine(Set(members)) }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral {
    public init(stringLiteral value: String) { self = .string(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(integerLiteral value: Int64) { self = .integer(value) }
}
