// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Reads environment variables as typed values, remembers where each came from, and collects every complaint instead of
/// stopping at the first.

import ICE

/// One value in force and where it came from, as `jvbd config` prints it.
struct Setting: Sendable, Equatable {
    enum Origin: String, Sendable {
        case environment
        case builtIn = "default"
    }

    let name: String
    /// What to print; never a secret.
    let value: String
    let origin: Origin
}

/// A value that the process cannot start with: the variable, what is wrong with it and how to mend it, in one line.
struct ConfigurationProblem: Error, Sendable, Equatable, CustomStringConvertible {
    let variable: String
    let complaint: String
    let mend: String

    var description: String { "\(variable): \(complaint); \(mend)" }
}

/// A value that is never printed.
struct Secret: Sendable, Equatable, CustomStringConvertible {
    let value: String
    var description: String { "(hidden)" }
}

/// Host and port of a server; the host is a name or a literal address without brackets.
struct HostPort: Sendable, Hashable, CustomStringConvertible {
    let host: String
    let port: Int

    var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// The host is this machine talking to itself.
    var isLoopback: Bool { host.lowercased() == "localhost" || IPAddress(host)?.isLoopback == true }

    /// The host is an address, not a name.
    var isLiteral: Bool { IPAddress(host) != nil }

    init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// `host`, `host:port`, `[v6]`, `[v6]:port` or a bare IPv6 literal; nil when it is none of these.
    init?(_ text: String, defaultPort: Int?) {
        var host = text[...]
        var port = defaultPort
        if text.first == "[" {
            guard let end = text.firstIndex(of: "]") else { return nil }
            host = text[text.index(after: text.startIndex)..<end]
            let rest = text[text.index(after: end)...]
            if !rest.isEmpty {
                guard rest.first == ":", let number = HostPort.port(rest.dropFirst()) else { return nil }
                port = number
            }
            guard IPAddress(String(host)) != nil else { return nil }
        } else if text.filter({ $0 == ":" }).count == 1, let colon = text.firstIndex(of: ":") {
            host = text[..<colon]
            guard let number = HostPort.port(text[text.index(after: colon)...]) else { return nil }
            port = number
        } else if text.contains(":"), IPAddress(text) == nil {
            return nil
        }
        let allowed = host.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-._:".contains($0)) }
        guard let port, !host.isEmpty, host.count <= 253, allowed else { return nil }
        self.init(host: String(host), port: port)
    }

    private static func port(_ text: Substring) -> Int? {
        guard let number = Int(text), (1...65535).contains(number) else { return nil }
        return number
    }
}

struct ConfigurationReader {
    private let environment: [String: String]
    private(set) var settings: [Setting] = []
    private(set) var problems: [ConfigurationProblem] = []
    /// Names that were asked for, set or not.
    private(set) var known: Set<String> = []

    init(environment: [String: String]) {
        self.environment = environment
    }

    /// The trimmed value; nil when unset or empty, which compose files make of every variable they pass on.
    mutating func raw(_ name: String) -> String? {
        known.insert(name)
        guard let value = environment[name] else { return nil }
        let trimmed = value.trimmed
        return trimmed.isEmpty ? nil : trimmed
    }

    mutating func note(_ name: String, _ value: String, _ origin: Setting.Origin) {
        settings.append(Setting(name: name, value: value, origin: origin))
    }

    mutating func complain(_ name: String, _ complaint: String, _ mend: String) {
        problems.append(ConfigurationProblem(variable: name, complaint: complaint, mend: mend))
    }

    /// Parses the value of `name`, or takes `standard`; a value that `parse` refuses is a problem that says `wanted`.
    mutating func value<Value>(
        _ name: String, default standard: Value, wanted: String, show: (Value) -> String,
        parse: (String) -> Value?
    ) -> Value {
        guard let text = raw(name) else {
            note(name, show(standard), .builtIn)
            return standard
        }
        guard let value = parse(text) else {
            complain(name, "\"\(text)\" is not valid", "give \(wanted)")
            return standard
        }
        note(name, show(value), .environment)
        return value
    }

    mutating func text(_ name: String, default standard: String) -> String {
        value(name, default: standard, wanted: "a text", show: { $0 }, parse: { $0 })
    }

    mutating func optionalText(_ name: String) -> String? {
        optional(name, default: nil, wanted: "a text", parse: { $0 })
    }

    /// A text that need not be set.
    mutating func optional(
        _ name: String, default standard: String?, wanted: String, parse: (String) -> String?
    ) -> String? {
        let value = value(name, default: standard ?? "", wanted: wanted, show: { $0 }, parse: parse)
        return value.isEmpty ? nil : value
    }

    mutating func flag(_ name: String, default standard: Bool) -> Bool {
        value(name, default: standard, wanted: "1 or 0 (or true or false)", show: { $0 ? "1" : "0" }) { text in
            switch text.lowercased() {
            case "1", "t", "true", "yes", "on": true
            case "0", "f", "false", "no", "off": false
            default: nil
            }
        }
    }

    mutating func number(_ name: String, in range: ClosedRange<Int>, default standard: Int) -> Int {
        value(
            name, default: standard, wanted: "a number from \(range.lowerBound) to \(range.upperBound)",
            show: { String($0) },
            parse: { text in Int(text).flatMap { range.contains($0) ? $0 : nil } })
    }

    /// A comma-separated list; blanks round the items and empty items are dropped. One bad item is a problem.
    mutating func list<Item>(
        _ name: String, default standard: [Item], wanted: String, show: (Item) -> String, parse: (String) -> Item?
    ) -> [Item] {
        value(
            name, default: standard, wanted: wanted,
            show: { $0.map(show).joined(separator: ",") },
            parse: { text in
                var items: [Item] = []
                for part in text.split(separator: ",") {
                    let item = String(part).trimmed
                    if item.isEmpty { continue }
                    guard let parsed = parse(item) else { return nil }
                    items.append(parsed)
                }
                return items
            })
    }

    /// A value that is shown only as set or not set.
    mutating func secret(_ name: String) -> Secret? {
        guard let text = raw(name) else {
            note(name, "(not set)", .builtIn)
            return nil
        }
        note(name, "(hidden)", .environment)
        return Secret(value: text)
    }
}

extension String {
    var trimmed: String {
        var slice = self[...]
        while slice.first?.isWhitespace == true { slice.removeFirst() }
        while slice.last?.isWhitespace == true { slice.removeLast() }
        return String(slice)
    }
}
