// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Colibri
import DTLS
import ICE
import RTP
import Testing

@Suite struct ConferenceModifiedTests {
    /// The values behind the captures.
    private static func reply(_ name: String) throws -> ConferenceModified {
        switch name {
        case "update": return ConferenceModified(endpoints: [EndpointModified(id: "b357184c")])
        case "expire-endpoint": return ConferenceModified(endpoints: [EndpointModified(id: "f20f26bb", expired: true)])
        case "expire-conference": return ConferenceModified()
        default: break
        }
        let fingerprint = try #require(
            Fingerprint(
                hash: "sha-256",
                value: "CD:3B:5B:36:A7:EA:C2:49:AE:9B:5C:30:D1:E3:D7:23:81:9C:E0:6D:EE:C9:8C:48:38:B9:B0:10:BC:25:4E:55"
            ))
        let candidate = Candidate(
            foundation: "1", priority: 2_130_706_431,
            address: TransportAddress(ip: .v4(0x0A4D_0001), port: 10_000), kind: .host, id: "34a17b87333d796603995b04b")
        let ice = ICETransportDescription(
            ufrag: UsernameFragment(rawValue: "9kdpv1k82pivob"),
            pwd: ICEPassword(rawValue: "5pco677p1266qpjcn0os2h2p34"),
            fingerprints: [.init(fingerprint: fingerprint, setup: .actpass)],
            webSockets: [
                "ws://127.0.0.1:9090/colibri-ws/jvb1/c469898531002baf/7e924d62?pwd=5pco677p1266qpjcn0os2h2p34"
            ], candidates: [candidate])
        return ConferenceModified(
            endpoints: [EndpointModified(id: "7e924d62", transport: TransportModified(ice: ice, sctp: .server))],
            sources: [
                .feedback(.audio, ssrc: SSRC(rawValue: 789_270_754)),
                .feedback(.video, ssrc: SSRC(rawValue: 929_327_400)),
            ])
    }

    @Test(arguments: ["create", "update", "expire-endpoint", "expire-conference"])
    func `prints the XML that JVB prints`(_ name: String) throws {
        let captured = try Fixture.payload("conference-modified-" + name)
        let printed = try Self.reply(name).xml()
        #expect(printed.canonical == captured.canonical)
        // Through bytes and back.
        let stanza = XMLElement("iq", namespace: XMLNamespace.client, ["type": "result"], children: [printed])
        let parsed = try Fixture.parse(stanza.serialized(parentNamespace: XMLNamespace.client))
        #expect(parsed == stanza)
    }

    @Test(arguments: ["create", "update", "expire-endpoint", "expire-conference"])
    func `prints the JSON that JVB prints`(_ name: String) throws {
        #expect(try Self.reply(name).json() == Fixture.json("conference-modified-" + name))
    }

    @Test func `the children of a transport are in the order of JVB`() throws {
        let transport = try #require(try Self.reply("create").xml().children.first?.children.first)
        #expect(transport.children.map(\.name) == ["transport", "sctp"])
        #expect(
            transport.children.first?.children.map(\.name) == ["rtcp-mux", "fingerprint", "web-socket", "candidate"])
    }

    /// The description of one bridge is the request to another one.
    @Test func `a printed transport reads back as it was`() throws {
        var ice = try #require(try Self.reply("create").endpoints.first?.transport?.ice)
        ice.generation = 3
        ice.fingerprints[0].cryptex = true
        ice.candidates.append(
            Candidate(
                foundation: "2", priority: 7, address: TransportAddress(ip: .v6(0x2001_0DB8 << 32, 1), port: 4443),
                kind: .serverReflexive, related: TransportAddress(ip: .v4(0), port: 9), id: "c2"))
        let reply = ConferenceModified(endpoints: [
            EndpointModified(id: "e", transport: TransportModified(ice: ice, sctp: .server))
        ])
        var request = reply.xml()
        request.name = "conference-modify"
        request["meeting-id"] = "m"
        let transport = try ConferenceModify(xml: request).endpoints.first?.transport
        #expect(transport?.ice == ice && transport?.sctp == .server)

        var json = try #require(reply.json().object)
        json["meeting-id"] = "m"
        #expect(try ConferenceModify(json: .object(json)).endpoints.first?.transport == transport)
    }

    @Test func `printed sources read back as they were`() throws {
        let source = MediaSource(
            kind: .video, name: "e-v1", isSynthetic: true,
            sources: [
                SSRCDescription(ssrc: SSRC(rawValue: 1), name: "e-v1", videoType: .desktop, rid: Rid("q")),
                SSRCDescription(ssrc: SSRC(rawValue: 2), videoType: .desktopHighFPS),
                SSRCDescription(ssrc: SSRC(rawValue: .max), msid: "a b"), SSRCDescription(ssrc: SSRC(rawValue: 4)),
            ],
            groups: [
                SSRCGroup(semantics: .simulcast, ssrcs: [SSRC(rawValue: 1), SSRC(rawValue: 2)]),
                SSRCGroup(semantics: .forwardErrorCorrection, ssrcs: [SSRC(rawValue: 4), SSRC(rawValue: .max)]),
            ])
        let reply = ConferenceModified(sources: [source])
        let element = try #require(reply.xml().children.first)
        #expect(
            try ConferenceModify(xml: Sample.modify(Sample.endpoint([element]))).endpoints.first?.sources == [source])
        let json = JSONValue.object([
            "meeting-id": "m",
            "endpoints": .array([.object(["id": "e", "sources": try #require(reply.json()["sources"])])]),
        ])
        #expect(try ConferenceModify(json: json).endpoints.first?.sources == [source])
    }

    @Test func `secrets do not appear in descriptions of the value`() throws {
        let text = String(describing: try Self.reply("create").endpoints.first?.transport?.ice?.pwd)
        #expect(!text.contains("5pco677p"))
    }
}
