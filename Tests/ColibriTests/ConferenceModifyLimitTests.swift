// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Colibri
import Testing

@Suite struct ConferenceModifyLimitTests {
    /// Something that may occur so and so often.
    struct Row: CustomTestStringConvertible {
        var name: String
        var limit: Int
        /// A request with that many.
        var element: @Sendable (Int) -> XMLElement
        var testDescription: String { name }
    }

    private static func media(_ children: [XMLElement]) -> XMLElement {
        Sample.modify(
            Sample.endpoint([
                XMLElement("media", namespace: XMLNamespace.colibri2, ["type": "video"], children: children)
            ]))
    }

    private static func payloadType(_ children: [XMLElement] = []) -> XMLElement {
        XMLElement("payload-type", namespace: XMLNamespace.rtp, ["id": "100", "name": "VP8"], children: children)
    }

    private static func ssrc(_ number: Int) -> XMLElement {
        XMLElement("source", namespace: XMLNamespace.sourceAttributes, ["ssrc": String(number)])
    }

    private static func group(_ size: Int) -> XMLElement {
        XMLElement(
            "ssrc-group", namespace: XMLNamespace.sourceAttributes, ["semantics": "SIM"],
            children: (0..<size).map(ssrc))
    }

    private static func sources(_ children: [XMLElement]) -> XMLElement {
        Sample.modify(Sample.endpoint([Sample.sources(children)]))
    }

    private static func text(_ count: Int) -> String { String(repeating: "x", count: count) }

    static let rows: [Row] = [
        Row(name: "endpoints", limit: 100) { count in
            var element = Sample.modify()
            element.children = (0..<count).map { Sample.endpoint([], ["id": "e\($0)"]) }
            return element
        },
        Row(name: "media descriptions", limit: 8) { count in
            Sample.modify(
                Sample.endpoint(
                    (0..<count).map { _ in
                        XMLElement("media", namespace: XMLNamespace.colibri2, ["type": "audio"])
                    }))
        },
        Row(name: "payload types", limit: 64) { media((0..<$0).map { _ in payloadType() }) },
        Row(name: "parameters", limit: 32) { count in
            media([
                payloadType(
                    (0..<count).map { XMLElement("parameter", namespace: XMLNamespace.rtp, ["name": "p\($0)"]) })
            ])
        },
        Row(name: "feedback kinds", limit: 32) { count in
            media([
                payloadType(
                    (0..<count).map { XMLElement("rtcp-fb", namespace: XMLNamespace.rtcpFeedback, ["type": "t\($0)"]) })
            ])
        },
        Row(name: "header extensions", limit: 32) { count in
            media(
                (0..<count).map {
                    XMLElement("rtp-hdrext", namespace: XMLNamespace.headerExtension, ["id": "\($0 + 1)", "uri": "u"])
                })
        },
        Row(name: "media sources", limit: 64) { count in
            sources((0..<count).map { Sample.mediaSource([], id: "s\($0)") })
        },
        Row(name: "SSRCs", limit: 64) { count in
            // Spread over two sources, as the limit is the endpoint's.
            sources([Sample.mediaSource((0..<32).map(ssrc)), Sample.mediaSource((32..<count).map(ssrc))])
        },
        Row(name: "SSRC groups", limit: 64) { count in
            sources([
                Sample.mediaSource((0..<32).map { _ in group(2) }),
                Sample.mediaSource((32..<count).map { _ in group(2) }),
            ])
        },
        Row(name: "SSRCs of a group", limit: 16) { sources([Sample.mediaSource([group($0)])]) },
        Row(name: "capabilities", limit: 64) { count in
            Sample.modify(
                Sample.endpoint(
                    (0..<count).map {
                        XMLElement("capability", namespace: XMLNamespace.colibri2, ["name": "c\($0)"])
                    }))
        },
        Row(name: "bytes of a meeting", limit: 128) { count in
            var element = Sample.modify()
            element["meeting-id"] = text(count)
            return element
        },
        Row(name: "bytes of an endpoint", limit: 128) { Sample.modify(Sample.endpoint([], ["id": text($0)])) },
        Row(name: "bytes of a source name", limit: 128) { sources([Sample.mediaSource([], id: text($0))]) },
        Row(name: "bytes of a capability", limit: 128) { count in
            Sample.modify(
                Sample.endpoint([XMLElement("capability", namespace: XMLNamespace.colibri2, ["name": text(count)])]))
        },
        Row(name: "bytes of a conference name", limit: 2047) { count in
            var element = Sample.modify()
            element["name"] = text(count)
            return element
        },
        Row(name: "bytes of an encoding name", limit: 1024) { count in
            media([XMLElement("payload-type", namespace: XMLNamespace.rtp, ["id": "100", "name": text(count)])])
        },
        Row(name: "bytes of a parameter", limit: 1024) { count in
            media([
                payloadType([
                    XMLElement("parameter", namespace: XMLNamespace.rtp, ["name": "p", "value": text(count)])
                ])
            ])
        },
        Row(name: "bytes of a URI", limit: 1024) { count in
            media([XMLElement("rtp-hdrext", namespace: XMLNamespace.headerExtension, ["id": "1", "uri": text(count)])])
        },
    ]

    @Test(arguments: rows)
    func `the limit is allowed, one more is refused`(_ row: Row) throws {
        #expect(Sample.error(row.element(row.limit)) == nil)
        let error = try #require(Sample.error(row.element(row.limit + 1)))
        #expect(error.condition == .badRequest && error.reason == nil)
    }

    @Test func `the surplus of a transport is ignored`() throws {
        let fingerprint = XMLElement(
            "fingerprint", namespace: XMLNamespace.dtls, ["hash": "sha-1"],
            text: Array(repeating: "AB", count: 20).joined(separator: ":"))
        let webSocket = XMLElement("web-socket", namespace: XMLNamespace.colibri1, ["url": "wss://x"])
        let candidate = XMLElement(
            "candidate", namespace: XMLNamespace.iceUDP,
            ["foundation": "1", "priority": "1", "ip": "10.0.0.1", "port": "1", "type": "host"])
        let children = [fingerprint, webSocket, candidate].flatMap { Array(repeating: $0, count: 70) }
        let ice = XMLElement("transport", namespace: XMLNamespace.iceUDP, children: children)
        let request = try ConferenceModify(xml: Sample.modify(Sample.endpoint([Sample.transport([ice])])))
        let description = try #require(request.endpoints.first?.transport?.ice)
        #expect(description.fingerprints.count == 8)
        #expect(description.webSockets.count == 16)
        #expect(description.candidates.count == 64)
    }

    @Test func `a long statistics name is cut between characters`() throws {
        func statsID(_ text: String) throws -> String? {
            try ConferenceModify(xml: Sample.modify(Sample.endpoint([], ["id": "e", "stats-id": text]))).endpoints
                .first?
                .statsID
        }
        #expect(try statsID(Self.text(128)) == Self.text(128))
        #expect(try statsID(Self.text(127) + "ä") == Self.text(127))
        #expect(try statsID("") == "")
    }

    @Test func `the feedback of the last N is an Int32`() throws {
        func lastN(_ value: String) throws -> Int? {
            let child = XMLElement("initial-last-n", namespace: XMLNamespace.colibri2, ["value": value])
            return try ConferenceModify(xml: Sample.modify(Sample.endpoint([child]))).endpoints.first?.initialLastN
        }
        #expect(try lastN("2147483647") == 2_147_483_647)
        #expect(try lastN("-5") == -1)
        #expect(throws: ColibriError.self) { try lastN("2147483648") }
    }
}
