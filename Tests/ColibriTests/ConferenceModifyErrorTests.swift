// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Colibri
import Testing

@Suite struct ConferenceModifyErrorTests {
    /// A request and what is wrong with it.
    struct Row: CustomTestStringConvertible {
        var name: String
        var element: XMLElement
        var condition = StanzaErrorCondition.badRequest
        var reason: ColibriError.Reason?
        var testDescription: String { name }
    }

    private static func modify(_ attributes: KeyValuePairs<String, String?>, _ children: [XMLElement] = [])
        -> XMLElement
    {
        XMLElement("conference-modify", namespace: XMLNamespace.colibri2, attributes, children: children)
    }

    private static func inEndpoint(_ children: XMLElement...) -> XMLElement { Sample.modify(Sample.endpoint(children)) }

    private static func created(_ children: XMLElement...) -> XMLElement {
        Sample.modify(Sample.endpoint(children, ["id": "e", "create": "true"]))
    }

    private static func c2(
        _ name: String, _ attributes: KeyValuePairs<String, String?> = [:], _ children: [XMLElement] = []
    )
        -> XMLElement
    {
        XMLElement(name, namespace: XMLNamespace.colibri2, attributes, children: children)
    }

    private static let source = XMLElement("source", namespace: XMLNamespace.sourceAttributes, ["ssrc": "4294967296"])

    static let rows: [Row] = [
        Row(name: "another element", element: c2("conference-modified", ["meeting-id": "m"])),
        Row(name: "another namespace", element: XMLElement("conference-modify", namespace: "x", ["meeting-id": "m"])),
        Row(name: "no meeting", element: modify([:])),
        Row(name: "blank meeting", element: modify(["meeting-id": " \t"])),
        Row(name: "room without domain", element: modify(["meeting-id": "m", "create": "true", "name": "room"])),
        Row(name: "room with resource", element: modify(["meeting-id": "m", "create": "true", "name": "a@b/c"])),
        Row(name: "empty room", element: modify(["meeting-id": "m", "create": "true", "name": ""])),
        Row(name: "room of blanks", element: modify(["meeting-id": "m", "create": "true", "name": " @b"])),
        Row(name: "endpoint without id", element: Sample.modify(Sample.endpoint([], [:]))),
        Row(name: "endpoint with blank id", element: Sample.modify(Sample.endpoint([], ["id": ""]))),
        Row(name: "create without transport", element: created()),
        Row(name: "bad role", element: Sample.modify(Sample.endpoint([], ["id": "e", "muc-role": "king"]))),
        Row(name: "media without type", element: inEndpoint(c2("media"))),
        Row(name: "media of bad type", element: inEndpoint(c2("media", ["type": "smell"]))),
        Row(name: "source without type", element: inEndpoint(Sample.sources([c2("media-source", ["id": "s"])]))),
        Row(
            name: "source of bad type",
            element: inEndpoint(Sample.sources([c2("media-source", ["id": "s", "type": "x"])]))),
        Row(
            name: "source without name",
            element: inEndpoint(Sample.sources([c2("media-source", ["type": "audio"])]))),
        Row(name: "SSRC out of range", element: inEndpoint(Sample.sources([Sample.mediaSource([source])]))),
        Row(
            name: "SSRC of a group out of range",
            element: inEndpoint(
                Sample.sources([
                    Sample.mediaSource([
                        XMLElement(
                            "ssrc-group", namespace: XMLNamespace.sourceAttributes, ["semantics": "SIM"],
                            children: [source, source])
                    ])
                ]))),
        Row(name: "initial-last-n without value", element: inEndpoint(c2("initial-last-n"))),
        Row(name: "initial-last-n of words", element: inEndpoint(c2("initial-last-n", ["value": "many"]))),
        Row(name: "bad SCTP role", element: created(Sample.transport([Sample.sctp(["role": "x"])]))),
        Row(name: "bad SCTP port", element: created(Sample.transport([Sample.sctp(["port": "x"])]))),
        Row(name: "other SCTP port", element: created(Sample.transport([Sample.sctp(["port": "5001"])]))),
        Row(
            name: "SCTP client", element: created(Sample.transport([Sample.sctp(["role": "client"])])),
            condition: .featureNotImplemented),
        Row(
            name: "relay", element: modify(["meeting-id": "m"], [c2("relay", ["id": "r"])]),
            condition: .featureNotImplemented),
        Row(
            name: "relay beside endpoint",
            element: modify(["meeting-id": "m"], [Sample.endpoint([]), c2("relay", ["id": "r"])]),
            condition: .featureNotImplemented, reason: .featureNotImplemented),
        Row(
            name: "connect",
            element: modify(["meeting-id": "m"], [c2("connects", [:], [c2("connect", ["url": "wss://x"])])]),
            condition: .featureNotImplemented, reason: .featureNotImplemented),
        Row(
            name: "two endpoints, one with sources",
            element: Sample.modify(Sample.endpoint([Sample.sources([])]), Sample.endpoint([], ["id": "f"])),
            condition: .featureNotImplemented, reason: .featureNotImplemented),
        Row(
            name: "two endpoints, one with transport",
            element: Sample.modify(Sample.endpoint([]), Sample.endpoint([Sample.transport()], ["id": "f"])),
            condition: .featureNotImplemented, reason: .featureNotImplemented),
    ]

    @Test(arguments: rows)
    func `names what is wrong`(_ row: Row) throws {
        let error = try #require(Sample.error(row.element))
        #expect(error.condition == row.condition && error.reason == row.reason && !error.text.isEmpty)
    }

    @Test func `a name is checked on creation only`() {
        #expect(Sample.error(Self.modify(["meeting-id": "m", "name": "room"])) == nil)
        #expect(Sample.error(Self.modify(["meeting-id": "m", "create": "true", "name": "room@x"])) == nil)
        #expect(Sample.error(Self.modify(["meeting-id": "m", "create": "true"])) == nil)
    }

    @Test func `several endpoints may be muted and expired at once`() throws {
        let mute = Self.c2("force-mute", ["audio": "true"])
        let element = Sample.modify(Sample.endpoint([mute]), Sample.endpoint([], ["id": "f", "expire": "true"]))
        #expect(try ConferenceModify(xml: element).endpoints.map(\.id) == ["e", "f"])
    }

    @Test func `an expiry needs nothing else`() {
        #expect(
            Sample.error(Sample.modify(Sample.endpoint([], ["id": "e", "expire": "true", "create": "true"]))) == nil)
    }

    @Test func `taking away exporters that never were is no error`() {
        for connects in [[], [Self.c2("connect", ["id": "c", "expire": "true"])]] {
            #expect(Sample.error(Self.modify(["meeting-id": "m"], [Self.c2("connects", [:], connects)])) == nil)
        }
    }

    @Test(
        arguments: [
            "[]", "1", "{}", #"{"meeting-id":"m","endpoints":{}}"#, #"{"meeting-id":"m","endpoints":[1]}"#,
            #"{"meeting-id":"m","endpoints":[{}]}"#, #"{"meeting-id":"m","endpoints":[{"id":"e","medias":{}}]}"#,
            #"{"meeting-id":"m","endpoints":[{"id":"e","medias":[{"type":"audio","payload-types":[7]}]}]}"#,
            #"{"meeting-id":"m","endpoints":[{"id":"e","medias":[{"type":"audio","payload-types":[{"parameters":[]}]}]}]}"#,
            #"{"meeting-id":"m","endpoints":[{"id":"e","transport":true}]}"#,
            #"{"meeting-id":"m","endpoints":[{"id":"e","transport":{"transport":{"web-sockets":[1]}}}]}"#,
            #"{"meeting-id":"m","endpoints":[{"id":"e","transport":{"sctp":{"port":1.5}}}]}"#,
            #"{"meeting-id":"m","endpoints":[{"id":"e","sources":1}]}"#,
            #"{"meeting-id":"m","endpoints":[{"id":"e","sources":[{"type":"audio","id":"x","sources":[-1]}]}]}"#,
            #"{"meeting-id":"m","endpoints":[{"id":"e","capabilities":[1]}]}"#,
            #"{"meeting-id":"m","endpoints":[{"id":"e","initial-last-n":1}]}"#,
        ])
    func `JSON of the wrong shape is a bad request`(_ text: String) throws {
        let json = try JSONValue(text: text)
        #expect {
            try ConferenceModify(json: json)
        } throws: { error in
            (error as? ColibriError)?.condition == .badRequest
        }
    }

    @Test func `JSON relays and connects are refused like those in XML`() throws {
        for (text, reason) in [
            (#"{"meeting-id":"m","relays":[{"id":"r"}]}"#, nil),
            (#"{"meeting-id":"m","connects":[{"url":"wss://x"}]}"#, ColibriError.Reason.featureNotImplemented),
        ] {
            let json = try JSONValue(text: text)
            #expect {
                try ConferenceModify(json: json)
            } throws: { error in
                let error = error as? ColibriError
                return error?.condition == .featureNotImplemented && error?.reason == reason
            }
        }
        #expect(throws: Never.self) {
            try ConferenceModify(json: .object(["meeting-id": "m", "connects": .array([]), "relays": .null]))
        }
    }
}
