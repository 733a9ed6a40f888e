// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Colibri

/// Who may ask the bridge for what, and that every question gets exactly one answer.
@Suite struct XMPPBridgeRequestTests {
    static let focus = "jvbbrewery@internal.auth.meet.lab/focus"

    static func dispatcher() throws -> BridgeRequestDispatcher {
        let room = try #require(JID("JvbBrewery@internal.auth.meet.lab"))
        return BridgeRequestDispatcher(rooms: [room], version: "2.3.105-g1234567")
    }

    static func iq(_ payload: String, type: String = "get", from: String = focus) -> String {
        "<iq type='\(type)' from='\(from)' id='q1' to='\(XMPPSample.address)' xml:lang='en'>\(payload)</iq>"
    }

    /// The reply to a stanza given as text; nil if there is none.
    static func reply(_ text: String, health: BridgeHealth = .healthy) throws -> XMLElement? {
        let stanza = try #require(XMLElement(parsing: text))
        switch try dispatcher().dispatch(stanza, health: health) {
        case .none: return nil
        case .reply(let reply): return reply
        case .modify: return nil
        }
    }

    static func condition(_ reply: XMLElement?) -> String? {
        guard let reply, reply["type"] == "error" else { return nil }
        return XMPPError.condition(of: reply.children.first ?? reply, in: XMLNamespace.stanzas)
    }

    /// Payload, type of the IQ, and the condition of the error; nil for a result.
    static let table: [(String, String, String?)] = [
        ("<healthcheck xmlns='http://jitsi.org/protocol/healthcheck'/>", "get", nil),
        ("<healthcheck xmlns='http://jitsi.org/protocol/healthcheck'/>", "set", nil),
        ("<query xmlns='jabber:iq:version'/>", "get", nil),
        ("<query xmlns='http://jabber.org/protocol/disco#info'/>", "get", nil),
        ("<query xmlns='http://jabber.org/protocol/disco#info'/>", "set", "feature-not-implemented"),
        ("<query xmlns='http://jabber.org/protocol/disco#items'/>", "get", "feature-not-implemented"),
        ("<ping xmlns='urn:xmpp:ping'/>", "get", nil),
        ("<ping xmlns='urn:xmpp:ping'/>", "set", "feature-not-implemented"),
        ("<graceful-shutdown xmlns='http://jitsi.org/protocol/colibri'/>", "set", "service-unavailable"),
        ("<force-shutdown xmlns='http://jitsi.org/protocol/colibri'/>", "set", "service-unavailable"),
        ("<conference xmlns='http://jitsi.org/protocol/colibri'/>", "get", "feature-not-implemented"),
        ("<conference-modify xmlns='jitsi:colibri2'/>", "get", "bad-request"),
        ("<conference-modify xmlns='urn:other' meeting-id='m'/>", "get", "feature-not-implemented"),
        ("<jingle xmlns='urn:xmpp:jingle:1'/>", "set", "feature-not-implemented"),
        ("", "get", "bad-request"),
        ("<ping xmlns='urn:xmpp:ping'/>", "other", "bad-request"),
    ]

    @Test(arguments: table)
    func everyRequestGetsOneAnswer(_ payload: String, _ type: String, _ condition: String?) throws {
        let reply = try #require(try Self.reply(Self.iq(payload, type: type)))
        #expect(reply.matches("iq", XMLNamespace.client))
        #expect(reply["type"] == (condition == nil ? "result" : "error"))
        #expect(Self.condition(reply) == condition)
        #expect(reply["id"] == "q1" && reply["to"] == Self.focus && reply["from"] == XMPPSample.address)
        #expect(reply.children.filter { $0.name == "error" }.count == (condition == nil ? 0 : 1))
    }

    @Test(arguments: table)
    func strangersAreForbidden(_ payload: String, _ type: String, _ condition: String?) throws {
        for stranger in [
            "jvb@auth.meet.lab/r", "other@internal.auth.meet.lab/focus", "internal.auth.meet.lab", "@@", "",
        ] {
            #expect(Self.condition(try Self.reply(Self.iq(payload, type: type, from: stranger))) == "forbidden")
        }
        let anonymous = "<iq type='get' id='1'>\(payload)</iq>"
        let reply = try #require(try Self.reply(anonymous))
        #expect(Self.condition(reply) == "forbidden")
        #expect(reply["to"] == nil && reply["from"] == nil)
    }

    @Test func theRoomIsComparedWithoutCase() throws {
        let ping = Self.iq("<ping xmlns='urn:xmpp:ping'/>", from: "JVBBREWERY@Internal.Auth.Meet.LAB/Focus")
        let reply = try Self.reply(ping)
        #expect(reply?["type"] == "result")
        #expect(reply?["to"] == "JVBBREWERY@Internal.Auth.Meet.LAB/Focus", "the address goes back as it came")
    }

    @Test(arguments: [
        "<iq type='result' id='1' from='\(focus)'/>", "<iq type='error' id='1' from='\(focus)'><error/></iq>",
        "<iq type='error' id='1' from='a@b'/>", "<presence from='\(focus)'/>", "<message from='\(focus)'/>",
        "<iq xmlns='urn:x' type='get' id='1' from='\(focus)'/>",
    ])
    func whatIsNoQuestionGetsNoAnswer(_ text: String) throws {
        #expect(try Self.reply(text) == nil)
    }

    @Test func aRequestWithoutIdentifierIsMalformed() throws {
        let reply = try Self.reply("<iq type='get' from='\(Self.focus)'><ping xmlns='urn:xmpp:ping'/></iq>")
        #expect(Self.condition(reply) == "bad-request")
        #expect(reply?["id"] == nil)
    }

    @Test func anUnhealthyBridgeSaysSo() throws {
        let reply = try Self.reply(
            Self.iq("<healthcheck xmlns='http://jitsi.org/protocol/healthcheck'/>"), health: .unhealthy("no address"))
        #expect(Self.condition(reply) == "internal-server-error")
        #expect(reply?.children.first?.first("text", XMLNamespace.stanzas)?.text == "no address")
    }

    @Test func aHealthyBridgeAnswersAsJVBDoes() throws {
        let reply = try Self.reply(Self.iq("<healthcheck xmlns='http://jitsi.org/protocol/healthcheck'/>"))
        #expect(
            reply.map { String(decoding: $0.serialized(parentNamespace: XMLNamespace.client), as: UTF8.self) }
                == "<iq type=\"result\" id=\"q1\" from=\"\(XMPPSample.address)\" to=\"\(Self.focus)\"/>")
    }

    @Test func tellsItsVersion() throws {
        let query = try Self.reply(Self.iq("<query xmlns='jabber:iq:version'/>"))?.first("query", XMLNamespace.version)
        #expect(query?.children.map(\.name) == ["name", "version", "os"])
        #expect(query?.children.map(\.text) == ["JVB", "2.3.105-g1234567", "Linux"])
    }

    @Test func tellsItsFeatures() throws {
        let request = Self.iq("<query xmlns='http://jabber.org/protocol/disco#info' node='n#1'/>")
        let query = try #require(try Self.reply(request)?.first("query", XMLNamespace.discoInfo))
        #expect(query["node"] == "n#1")
        #expect(query.all("identity", XMLNamespace.discoInfo).count == 1)
        let features = Set(query.all("feature", XMLNamespace.discoInfo).compactMap { $0["var"] })
        #expect(
            features.isSuperset(of: [
                "http://jitsi.org/protocol/healthcheck", "urn:xmpp:jingle:apps:dtls:0",
                "urn:xmpp:jingle:transports:ice-udp:1", "jabber:iq:version", "http://jabber.org/protocol/disco#info",
                "urn:xmpp:ping",
            ]))
    }

    @Test(arguments: ["get", "set"])
    func passesOnAConferenceModify(_ type: String) throws {
        let text = Self.iq("<conference-modify xmlns='jitsi:colibri2' meeting-id='m1' expire='true'/>", type: type)
        let stanza = try #require(XMLElement(parsing: text))
        guard case .modify(let modify, let request) = try Self.dispatcher().dispatch(stanza, health: .healthy) else {
            Issue.record("not passed on")
            return
        }
        #expect(modify.meetingID == "m1" && modify.expire)
        let reply = request.result(XMLElement("conference-modified", namespace: XMLNamespace.colibri2))
        #expect(reply["type"] == "result" && reply["id"] == "q1" && reply["to"] == Self.focus)
        let error = request.error(.conferenceNotFound("m1"))
        #expect(Self.condition(error) == "item-not-found")
        #expect(error.children.count == 1)
    }

    @Test func mutatedRequestsGetOneAnswerEach() throws {
        let text = Self.iq(
            "<conference-modify xmlns='jitsi:colibri2' meeting-id='m1' create='true' name='r@c'><endpoint id='e1' create='true'>"
                + "<transport ice-controlling='true'/></endpoint></conference-modify>")
        let bytes = Array(text.utf8)
        let dispatcher = try Self.dispatcher()
        for index in bytes.indices {
            for flip: UInt8 in [0x01, 0x02, 0x20] {
                var mutated = bytes
                mutated[index] ^= flip
                guard let stanza = XMLElement(parsing: String(decoding: mutated, as: UTF8.self)) else { continue }
                switch dispatcher.dispatch(stanza, health: .healthy) {
                case .none: #expect(stanza.name != "iq" || stanza["type"] == "result" || stanza["type"] == "error")
                case .reply(let reply): #expect(reply["type"] == "error" && reply["id"] == stanza["id"])
                case .modify:
                    #expect(stanza["from"] == Self.focus || JID(stanza["from"] ?? "")?.bare == JID(Self.focus)?.bare)
                }
            }
        }
    }
}
