// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The namespaces of the control plane: XMPP (RFC 6120), Jingle (XEP-0166 and its family) and COLIBRI2.
public enum XMLNamespace {
    public static let client = "jabber:client"
    /// Namespace of stanza error conditions (RFC 6120 section 8.3).
    public static let stanzas = "urn:ietf:params:xml:ns:xmpp-stanzas"
    public static let colibri2 = "jitsi:colibri2"
    /// COLIBRI version 1: only `stats`, `web-socket` and, now and then, `parameter` still live in it.
    public static let colibri1 = "http://jitsi.org/protocol/colibri"
    /// Jingle ICE-UDP transport (XEP-0176).
    public static let iceUDP = "urn:xmpp:jingle:transports:ice-udp:1"
    /// Use of DTLS-SRTP in Jingle (XEP-0320).
    public static let dtls = "urn:xmpp:jingle:apps:dtls:0"
    /// Jingle RTP sessions (XEP-0167).
    public static let rtp = "urn:xmpp:jingle:apps:rtp:1"
    /// RTCP feedback negotiation (XEP-0293).
    public static let rtcpFeedback = "urn:xmpp:jingle:apps:rtp:rtcp-fb:0"
    /// RTP header extension negotiation (XEP-0294).
    public static let headerExtension = "urn:xmpp:jingle:apps:rtp:rtp-hdrext:0"
    /// Source-specific media attributes (XEP-0339).
    public static let sourceAttributes = "urn:xmpp:jingle:apps:rtp:ssma:0"
}
