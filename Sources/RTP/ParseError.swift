// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Why bytes from the wire are not the message that they claim to be.

/// Error of every parser of this module. The text names the rule that was broken and never contains bytes of the packet.
public enum ParseError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The bytes end before the message does.
    case truncated
    /// The version field of RTP or RTCP is not 2.
    case badVersion
    /// A field contradicts another one or the RFC.
    case malformed(StaticString)
    /// Legal on the wire, but more than this implementation is willing to handle.
    case limitExceeded(StaticString)

    public var description: String {
        switch self {
        case .truncated: "truncated"
        case .badVersion: "bad version"
        case .malformed(let rule): "malformed: \(rule)"
        case .limitExceeded(let limit): "limit exceeded: \(limit)"
        }
    }

    public static func == (a: Self, b: Self) -> Bool { a.description == b.description }

    public func hash(into hasher: inout Hasher) { hasher.combine(description) }
}
