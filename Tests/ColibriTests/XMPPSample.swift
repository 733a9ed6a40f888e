// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP
import Testing

@testable import Colibri

/// What the tests of the XMPP side share: a seeded generator, text to bytes, and a login as Prosody 0.12 conducts it.

/// SplitMix64: reproducible, good enough for tests.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

extension Instant {
    static func at(_ seconds: Double) -> Instant { Instant(nanoseconds: UInt64(seconds * 1e9)) }
}

extension XMLParser {
    func feed(_ text: String) -> [Output] { feed(Array(text.utf8).span) }
}

extension XMPPStream {
    func receive(_ text: String, at seconds: Double = 0) -> [XMPPAction] {
        receive(Array(text.utf8).span, now: .at(seconds))
    }
}

extension [XMPPAction] {
    /// All bytes to send, in order.
    var sent: String {
        var sent: [UInt8] = []
        for case .send(let bytes) in self { sent += bytes }
        return String(decoding: sent, as: UTF8.self)
    }

    var failure: XMPPError? {
        for case .failed(let error) in self { return error }
        return nil
    }

    var stanzas: [XMLElement] {
        var stanzas: [XMLElement] = []
        for case .stanza(let element) in self { stanzas.append(element) }
        return stanzas
    }

    /// The same with neighbouring sends joined, so that runs fed in different pieces can be compared.
    var joined: [XMPPAction] {
        reduce(into: []) { result, action in
            if case .send(let bytes) = action, case .send(let before)? = result.last {
                result[result.count - 1] = .send(before + bytes)
            } else {
                result.append(action)
            }
        }
    }
}

extension XMLElement {
    /// The element that the text is; nil if it is not exactly one.
    init?(parsing text: String) {
        let outputs = XMLParser().feed(
            "<stream:stream xmlns='jabber:client' xmlns:stream='\(XMLNamespace.stream)'>" + text)
        guard outputs.count == 2, case .stanza(let element) = outputs[1].event else { return nil }
        self = element
    }
}

extension String {
    /// What stands between the first `start` and the `end` after it.
    func between(_ start: String, _ end: Character) -> String? {
        guard let head = ranges(of: start).first else { return nil }
        return self[head.upperBound...].split(separator: end, maxSplits: 1, omittingEmptySubsequences: false).first.map(
            String.init)
    }
}

enum XMPPSample {
    enum Step {
        case bytes(String)
        case secured
    }

    static let header =
        "<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' id='2f4e1f' "
        + "xmlns='jabber:client' version='1.0' from='auth.meet.lab' xml:lang='en'>"
    static let proceed = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
    static let startTLSFeatures = features(
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>" + mechanisms("SCRAM-SHA-1"))
    static let bindFeatures = features(
        "<c xmlns='http://jabber.org/protocol/caps' node='http://prosody.im' ver='wBr6DNC6Vxj+iDPS/AmhkECMTr8=' hash='sha-1'/>"
            + "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><required/></bind>"
            + "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session>")
    static let success = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
    static let address = "jvb@auth.meet.lab/IpT2hgD7Dhk7"

    /// Stanzas as the bridge of the lab got them.
    static let traffic = [
        "<presence xml:lang='en' from='jvbbrewery@internal.auth.meet.lab/focus' to='\(address)' id='B2HJZ-3'><priority>0</priority>"
            + "<x xmlns='http://jabber.org/protocol/muc#user'><item jid='focus@auth.meet.lab/focus' affiliation='owner' "
            + "role='moderator'/></x></presence>",
        "<iq type='get' from='jvbbrewery@internal.auth.meet.lab/focus' id='anZiQGF1' to='\(address)' xml:lang='en'>"
            + "<healthcheck xmlns='http://jitsi.org/protocol/healthcheck'/></iq>",
        "<message type='groupchat' from='jvbbrewery@internal.auth.meet.lab' to='\(address)'><subject>a &amp; \u{E4}\u{1F3A5}"
            + "</subject></message>",
        "<iq type='get' from='auth.meet.lab' id='p1' to='\(address)'><ping xmlns='urn:xmpp:ping'/></iq>",
    ]

    static func features(_ content: String) -> String { "<stream:features>" + content + "</stream:features>" }

    static func mechanisms(_ names: String...) -> String {
        "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>" + names.map { "<mechanism>\($0)</mechanism>" }.joined()
            + "</mechanisms>"
    }

    static func bound(_ id: String) -> String {
        "<iq type='result' id='\(id)'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>\(address)</jid></bind></iq>"
    }

    static func configuration(_ security: XMPPStreamConfiguration.Security = .required) throws
        -> XMPPStreamConfiguration
    {
        let domain = try #require(JID(domain: "auth.meet.lab"))
        return XMPPStreamConfiguration(
            domain: domain, credentials: XMPPCredentials(username: "jvb", password: "passw0rd"), security: security)
    }

    static func stream(_ security: XMPPStreamConfiguration.Security = .required) throws -> XMPPStream {
        var random = SeededGenerator(state: 7)
        return XMPPStream(try configuration(security), random: &random)
    }

    /// Everything that the server says to a stream made by `stream()`: a login with PLAIN, then `traffic`.
    static func session() throws -> [Step] {
        let stream = try stream()
        var steps: [Step] = [
            .bytes(header + startTLSFeatures), .bytes(proceed), .secured,
            .bytes(header + features(mechanisms("PLAIN"))), .bytes(success), .bytes(header + bindFeatures),
        ]
        let actions = play(steps, on: stream)
        let id = try #require(actions.sent.between("type=\"set\" id=\"", "\""))
        steps.append(.bytes(bound(id)))
        steps.append(.bytes(traffic.joined(separator: "\n")))
        return steps
    }

    /// Connects the stream and plays the steps, each of which may be taken apart.
    static func play(
        _ steps: [Step], on stream: XMPPStream, pieces: (String, Int) -> [[UInt8]] = { text, _ in [Array(text.utf8)] }
    )
        -> [XMPPAction]
    {
        var actions = stream.connected(now: .at(0))
        for (index, step) in steps.enumerated() {
            switch step {
            case .secured: actions += stream.secured(now: .at(0))
            case .bytes(let text):
                for piece in pieces(text, index) { actions += stream.receive(piece.span, now: .at(0)) }
            }
        }
        return actions
    }

    /// A stream that is logged in, and what it did to get there.
    static func readyStream() throws -> XMPPStream {
        let stream = try stream()
        _ = play(try session().dropLast(), on: stream)
        _ = try #require(stream.isReady ? stream : nil)
        return stream
    }

    static func play(
        _ steps: ArraySlice<Step>, on stream: XMPPStream
    ) -> [XMPPAction] { play(Array(steps), on: stream) }
}
