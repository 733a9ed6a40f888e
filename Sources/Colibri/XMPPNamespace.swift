// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The namespaces of the stream itself (RFC 6120), of rooms (XEP-0045) and of the small requests every client answers.
extension XMLNamespace {
    static let stream = "http://etherx.jabber.org/streams"
    /// Conditions of `<stream:error/>` (RFC 6120 section 4.9.3).
    static let streamErrors = "urn:ietf:params:xml:ns:xmpp-streams"
    static let tls = "urn:ietf:params:xml:ns:xmpp-tls"
    static let sasl = "urn:ietf:params:xml:ns:xmpp-sasl"
    static let bind = "urn:ietf:params:xml:ns:xmpp-bind"
    static let ping = "urn:xmpp:ping"
    static let version = "jabber:iq:version"
    static let discoInfo = "http://jabber.org/protocol/disco#info"
    static let health = "http://jitsi.org/protocol/healthcheck"
    static let muc = "http://jabber.org/protocol/muc"
    static let mucUser = "http://jabber.org/protocol/muc#user"
    static let mucOwner = "http://jabber.org/protocol/muc#owner"
    /// Data forms (XEP-0004).
    static let dataForm = "jabber:x:data"
}
