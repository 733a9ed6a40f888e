// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

public import RTP

/// What one client stream needs to know before it starts.
public struct XMPPStreamConfiguration: Sendable {
    /// When to use STARTTLS (RFC 6120 section 5).
    public enum Security: String, Sendable, CaseIterable {
        /// Without TLS the login is not attempted.
        case required
        /// Use it if it is offered. Anybody on the way can take the offer away: for loopback only.
        case ifPossible = "ifpossible"
        case disabled
    }

    /// The XMPP domain, which need not be the name of the host. Its local part and resource are not used.
    public var domain: JID
    public var credentials: XMPPCredentials
    public var security: Security
    /// From the connection to the end of the login.
    public var loginTimeout: Interval = .seconds(15)
    /// From one ping to the server to the next (XEP-0199).
    public var pingInterval: Interval = .seconds(30)
    /// From a ping to its answer; less than `pingInterval`.
    public var pingTimeout: Interval = .seconds(15)
    /// From our closing tag to the server's.
    public var closeTimeout: Interval = .seconds(2)
    public var limits = XMLParser.Limits()

    public init(domain: JID, credentials: XMPPCredentials, security: Security = .required) {
        self.domain = domain
        self.credentials = credentials
        self.security = security
    }
}
