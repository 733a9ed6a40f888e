// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Why an XMPP stream ended otherwise than by being closed. After each of them the connection is closed and made anew.
public enum XMPPError: Error, Hashable, Sendable {
    /// Not XML, or XML that no stream may carry.
    case xml(XMLParserError)
    /// The root element is not a stream of version 1.0.
    case notAStream
    /// An element that has no place in this step of the login.
    case unexpectedElement(String)
    /// Bytes where none may be: behind `<proceed/>` or before TLS is up (somebody puts words into the server's mouth),
    /// or behind `<success/>`.
    case unexpectedBytes
    /// TLS is required here, but the server does not offer it.
    case tlsNotOffered
    /// TLS is disabled here, but the server requires it.
    case tlsRequiredByServer
    /// The server offered TLS and then refused it.
    case tlsRefused
    case sasl(SASLError)
    /// The server refused the login; `condition` is that of RFC 6120 section 6.5.
    case authenticationFailed(condition: String)
    /// The server gave no usable address.
    case bindFailed(condition: String)
    /// `<stream:error/>` with a condition of RFC 6120 section 4.9.3.
    case streamError(condition: String)
    /// Not logged in 15 s after the connection was made.
    case loginTimeout
    /// The server did not answer a ping.
    case pingTimeout

    /// The name of the first child in that namespace, short enough to be logged.
    static func condition(of element: XMLElement, in namespace: String) -> String {
        let child = element.children.first { $0.namespace == namespace && $0.name != "text" }
        return String((child?.name ?? "undefined-condition").prefix(64))
    }
}

extension XMPPError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .xml(let error): "XML error: \(error)"
        case .notAStream: "the server does not speak XMPP 1.0"
        case .unexpectedElement(let name): "unexpected element \(name)"
        case .unexpectedBytes: "unexpected bytes behind the end of a negotiation step"
        case .tlsNotOffered: "TLS is required, but the server does not offer it"
        case .tlsRequiredByServer: "TLS is disabled, but the server requires it"
        case .tlsRefused: "the server refused TLS"
        case .sasl(let error): "SASL error: \(error)"
        case .authenticationFailed(let condition): "the server refused the login: \(condition)"
        case .bindFailed(let condition): "the server refused to bind a resource: \(condition)"
        case .streamError(let condition): "the server ended the stream: \(condition)"
        case .loginTimeout: "not logged in in time"
        case .pingTimeout: "the server did not answer a ping"
        }
    }
}
