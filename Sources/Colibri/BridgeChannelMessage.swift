// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The JSON messages between a client and the bridge, on the data channel or the WebSocket. One object per message; its
/// `colibriClass` tells which.
public enum BridgeChannelMessage {}

/// Why a message of a client was dropped. The channel goes on.
public enum BridgeChannelError: Error, Hashable, Sendable {
    case notJSON(JSONError)
    /// No object, or no `colibriClass` in it.
    case noClass
    /// A field is missing though required, has the wrong type or an impossible value.
    case invalidField(String)
    /// A list or map has more than 512 names.
    case tooManyNames(String)
}

/// A message that is passed on as it is: the fields a client put in, whatever they are.
public struct ForwardedMessage: Hashable, Sendable {
    /// All fields, `colibriClass` included.
    public var fields: JSONObject

    public init(fields: JSONObject) { self.fields = fields }

    /// The endpoint it is for; empty for everybody.
    public var to: String { fields["to"]?.string ?? "" }

    /// The endpoint it is from, which only the bridge can say truly.
    public var from: String? {
        get { fields["from"]?.string }
        set { fields["from"] = newValue.map { .string($0) } }
    }

    /// The same message with the true sender, whatever it claimed.
    public func stamped(from endpointID: String) -> ForwardedMessage {
        var message = self
        message.from = endpointID
        return message
    }
}

/// Typed access to the fields of a message. Null counts as absent.
struct MessageFields {
    static let maximumNames = 512
    static let maximumNameLength = ColibriLimits.identifier

    private let object: JSONObject

    init(_ object: JSONObject) { self.object = object }

    func value(_ field: String) -> JSONValue? {
        guard let value = object[field], value != .null else { return nil }
        return value
    }

    /// A whole number; browsers compute heights, so a fraction is cut off.
    func integer(_ field: String, _ range: ClosedRange<Int64>) throws(BridgeChannelError) -> Int64? {
        guard let value = value(field) else { return nil }
        let whole = value.int64 ?? value.double.flatMap { Int64(exactly: $0.rounded(.towardZero)) }
        guard let whole, range.contains(whole) else { throw .invalidField(field) }
        return whole
    }

    func lastN() throws(BridgeChannelError) -> Int? {
        try integer("lastN", -1...Int64(Int32.max)).map { Int($0) }
    }

    func flag(_ field: String) throws(BridgeChannelError) -> Bool? {
        guard let value = value(field) else { return nil }
        guard let flag = value.bool else { throw .invalidField(field) }
        return flag
    }

    func name(_ field: String) throws(BridgeChannelError) -> String {
        guard let name = value(field)?.string, name.utf8.count <= Self.maximumNameLength else {
            throw .invalidField(field)
        }
        return name
    }

    func names(_ field: String, formerly: String? = nil) throws(BridgeChannelError) -> [String]? {
        guard let value = value(field) ?? formerly.flatMap({ value($0) }) else { return nil }
        guard let array = value.array else { throw .invalidField(field) }
        guard array.count <= Self.maximumNames else { throw .tooManyNames(field) }
        var names: [String] = []
        for element in array {
            guard let name = element.string, name.utf8.count <= Self.maximumNameLength else {
                throw .invalidField(field)
            }
            names.append(name)
        }
        return names
    }

    func videoType() throws(BridgeChannelError) -> VideoType {
        guard let type = value("videoType")?.string.flatMap({ VideoType($0) }) else {
            throw .invalidField("videoType")
        }
        return type
    }
}
