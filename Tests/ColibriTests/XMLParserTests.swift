// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import Colibri

/// The push parser: what it makes of a stream, and what it refuses to make anything of.
@Suite struct XMLParserTests {
    static let open =
        "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"

    static func failure(_ outputs: [XMLParser.Output]) -> XMLParserError? {
        if case .failed(let error)? = outputs.last?.event { error } else { nil }
    }

    static func limits(_ change: (inout XMLParser.Limits) -> Void) -> XMLParser.Limits {
        var limits = XMLParser.Limits()
        change(&limits)
        return limits
    }

    @Test func readsAStream() throws {
        let text =
            "<?xml version='1.0' encoding='UTF-8'?>\n" + Self.open + " <!-- skipped -->"
            + "<iq xml:lang='en' id='a&lt;b' x:y='dropped' xmlns:x='urn:x'>one<x:a/><![CDATA[ & ]]>two<b xmlns=''/>&#x1F600;</iq>\n"
            + "<presence/></stream:stream>"
        let outputs = XMLParser().feed(text)
        let iq = XMLElement(
            "iq", namespace: "jabber:client", ["xml:lang": "en", "id": "a<b"],
            children: [XMLElement("a", namespace: "urn:x"), XMLElement("b", namespace: "")], text: "one & two\u{1F600}")
        #expect(
            outputs.map(\.event) == [
                .streamOpened(XMLElement("stream", namespace: XMLNamespace.stream, ["version": "1.0"])),
                .stanza(iq), .stanza(XMLElement("presence", namespace: "jabber:client")), .streamClosed,
            ])
        let ends = [XMLParserTests.open, "</iq>", "<presence/>", "</stream:stream>"].compactMap {
            text.ranges(of: $0).first?.upperBound
        }
        #expect(outputs.map(\.trailing) == ends.map { text[$0...].utf8.count })
    }

    @Test func everyFragmentationGivesTheSame() {
        let bytes = Array((Self.open + XMPPSample.traffic.joined(separator: " ") + "</stream:stream>").utf8)
        let whole = XMLParser().feed(bytes.span).map(\.event)
        #expect(whole.count == XMPPSample.traffic.count + 2)
        for cut in 0...bytes.count {
            let parser = XMLParser()
            let outputs = parser.feed(Array(bytes[..<cut]).span) + parser.feed(Array(bytes[cut...]).span)
            #expect(outputs.map(\.event) == whole, "cut at \(cut)")
        }
        let parser = XMLParser()
        #expect(bytes.flatMap { parser.feed([$0].span) }.map(\.event) == whole)
    }

    @Test func aStanzaIsCompleteWithItsLastByte() {
        let parser = XMLParser()
        _ = parser.feed(Self.open)
        for text in XMPPSample.traffic {
            let outputs = parser.feed(text)
            #expect(outputs.count == 1)
            #expect(outputs.first?.trailing == 0)
        }
    }

    static let refusals: [(String, XMLParserError)] = [
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><a/>", .doctype),
        ("<!DOCTYPE a><a/>", .doctype),
        ("<?php x?>", .processingInstruction),
        (open + "<iq><?xml-stylesheet href='x'?></iq>", .processingInstruction),
        (open + "<iq>&undefined;</iq>", .malformed(code: 11)),
        (open + "<iq></message>", .malformed(code: 7)),
        (open + "<a:iq/>", .malformed(code: 27)),
        (open + "<iq a='1' a='2'/>", .malformed(code: 8)),
        (open + "<iq>\u{1}</iq>", .malformed(code: 4)),
        ("<?xml version='1.0'?>\n<?xml version='1.0'?>", .malformed(code: 17)),
    ]

    @Test(arguments: refusals)
    func refuses(_ text: String, _ error: XMLParserError) {
        let parser = XMLParser()
        #expect(Self.failure(parser.feed(text)) == error)
        #expect(parser.feed("<iq/>").isEmpty, "nothing may come after a failure")
    }

    @Test func theEncodingIsUTF8WhateverTheDeclarationSays() {
        let outputs = XMLParser().feed("<?xml version='1.0' encoding='ISO-8859-1'?>" + Self.open + "<iq>\u{E4}</iq>")
        #expect(outputs.last?.event == .stanza(XMLElement("iq", namespace: "jabber:client", text: "\u{E4}")))
    }

    @Test func refusesInvalidUTF8() {
        for bytes: [UInt8] in [
            [0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xE4, 0x3C], [0xF8, 0x88, 0x80, 0x80, 0x80],
        ] {
            let outputs = XMLParser().feed((Array((Self.open + "<iq>").utf8) + bytes + Array("</iq>".utf8)).span)
            #expect(Self.failure(outputs) != nil, "\(bytes)")
        }
    }

    @Test func limitsDepth() {
        func nested(_ depth: Int) -> String {
            Self.open + String(repeating: "<a>", count: depth) + String(repeating: "</a>", count: depth)
        }
        #expect(Self.failure(XMLParser().feed(nested(32))) == nil)
        #expect(Self.failure(XMLParser().feed(nested(33))) == .tooDeep)
        #expect(Self.failure(XMLParser().feed(nested(100_000))) == .tooDeep)
    }

    @Test func limitsAttributesAndDeclarations() {
        func element(_ attributes: Int, _ declarations: Int) -> String {
            let first = (0..<attributes).map { " a\($0)='1'" }.joined()
            return Self.open + "<iq" + first + (0..<declarations).map { " xmlns:n\($0)='u\($0)'" }.joined() + "/>"
        }
        let table: [(Int, Int, XMLParserError?)] = [
            (64, 0, nil), (65, 0, .tooManyAttributes), (0, 64, nil), (0, 65, .tooManyAttributes), (32, 32, nil),
            (32, 33, .tooManyAttributes),
        ]
        for (attributes, declarations, error) in table {
            #expect(Self.failure(XMLParser().feed(element(attributes, declarations))) == error)
        }
    }

    static let tooLong: [String: String] = [
        "text": "<iq>" + String(repeating: "x", count: 300_000),
        "attribute": "<iq a='" + String(repeating: "x", count: 300_000),
        "name": "<" + String(repeating: "x", count: 300_000),
        "comment": "<!--" + String(repeating: "x", count: 300_000),
        "elements": "<iq>" + String(repeating: "<a/>", count: 10_000) + "</iq>",
        "namespaces": "<iq xmlns:n='" + String(repeating: "u", count: 50_000) + "' xmlns:m='"
            + String(repeating: "v", count: 50_000) + "'>" + String(repeating: "<n:a/><m:a/>", count: 100) + "</iq>",
    ]

    @Test(arguments: tooLong.keys.sorted())
    func limitsTheSizeOfAStanza(_ name: String) throws {
        let text = try #require(Self.tooLong[name])
        #expect(Self.failure(XMLParser().feed(Self.open + text)) == .stanzaTooLong)
        let parser = XMLParser()
        _ = parser.feed(Self.open)
        var fed = 0
        var outputs: [XMLParser.Output] = []
        let bytes = Array(text.utf8)
        while fed < bytes.count, outputs.isEmpty {
            let next = min(bytes.count, fed + 1000)
            outputs = parser.feed(Array(bytes[fed..<next]).span)
            fed = next
        }
        #expect(Self.failure(outputs) == .stanzaTooLong)
        #expect(fed <= 264_000)
    }

    @Test func limitsTheStreamHeader() {
        #expect(
            Self.failure(XMLParser().feed("<stream a='" + String(repeating: "x", count: 300_000))) == .stanzaTooLong)
    }

    @Test func manyStanzasOfAlmostTheLimitAreFine() {
        let parser = XMLParser()
        _ = parser.feed(Self.open)
        let stanza = Array(("<iq>" + String(repeating: "x", count: 250_000) + "</iq>").utf8)
        for _ in 0..<20 { #expect(parser.feed(stanza.span).count == 1) }
    }

    @Test func whiteSpaceKeepsTheConnectionAliveForEver() {
        let parser = XMLParser()
        _ = parser.feed(Self.open)
        let blanks = [UInt8](repeating: UInt8(ascii: " "), count: 10_000) + [UInt8(ascii: "\n")]
        for _ in 0..<100 { #expect(parser.feed(blanks.span).isEmpty) }
        #expect(parser.feed("<iq/>").count == 1)
    }

    @Test(arguments: [1, 50, 4096, 100_000])
    func renewalOfExpatIsInvisible(_ pieceLength: Int) {
        // Declared prefixes must survive it, and so must what stands behind the stanza in the same feed.
        let header =
            "<?xml version='1.0'?><s:stream xmlns='jabber:client' xmlns:s='\(XMLNamespace.stream)' xmlns:q='urn:q'>"
        let stanzas = (0..<200).map { "<iq id='\($0)'><q:n\($0)>\u{E4}</q:n\($0)></iq>" + ($0 % 3 == 0 ? " \r\n" : "") }
        let bytes = Array((header + stanzas.joined() + "</s:stream>").utf8)
        func events(_ limits: XMLParser.Limits) -> [XMLParser.Event] {
            let parser = XMLParser(limits: limits)
            return stride(from: 0, to: bytes.count, by: pieceLength).flatMap { start in
                parser.feed(Array(bytes[start..<min(bytes.count, start + pieceLength)]).span).map(\.event)
            }
        }
        let plain = events(XMLParser.Limits())
        #expect(plain.count == 202)
        #expect(events(Self.limits { $0.renewalBytes = 100 }) == plain)
        #expect(events(Self.limits { $0.renewalBytes = 0 }) == plain)
    }

    @Test func renewalKeepsTrailingRight() {
        let parser = XMLParser(limits: Self.limits { $0.renewalBytes = 0 })
        _ = parser.feed(Self.open)
        #expect(parser.feed("<a/><b/> <c>").map(\.trailing) == [8, 4])
        #expect(parser.feed("</c>").map(\.trailing) == [0])
    }

    @Test func inventedNamesDoNotFillTheMemory() throws {
        let parser = XMLParser()
        _ = parser.feed(Self.open)
        var batch = 0
        let grown = try Memory.leastGrowth {
            for _ in 0..<250 {
                var text = ""
                for index in 0..<400 { text += "<n\(batch)x\(index) a\(batch)x\(index)=''/>" }
                #expect(parser.feed(text).count == 400)
                batch += 1
            }
        }
        #expect(grown < 4_000_000, "grew by \(grown) bytes")
    }

    @Test func mutationsNeverTrap() {
        let bytes = Array((Self.open + XMPPSample.traffic.joined() + "</stream:stream>").utf8)
        for length in 0..<bytes.count { _ = XMLParser().feed(Array(bytes[..<length]).span) }
        for index in bytes.indices {
            for flip: UInt8 in [0x01, 0x20, 0x80, 0xFF] {
                var mutated = bytes
                mutated[index] ^= flip
                _ = XMLParser(limits: Self.limits { $0.renewalBytes = 0 }).feed(mutated.span)
            }
        }
        var random = SeededGenerator(state: 1)
        for _ in 0..<2000 {
            var mutated = bytes
            for _ in 0..<Int.random(in: 1...8, using: &random) {
                let index = Int.random(in: mutated.indices, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: mutated[index] = UInt8.random(in: .min ... .max, using: &random)
                case 1: mutated.remove(at: index)
                default:
                    mutated.insert(contentsOf: Array("<>&'/!?[]".utf8).shuffled(using: &random).prefix(3), at: index)
                }
            }
            _ = XMLParser().feed(mutated.span)
        }
    }
}

enum Memory {
    /// Least of what four rounds of the same work add to the memory. A leak adds in each of them, tests that run at the
    /// same time do not.
    static func leastGrowth(_ round: () throws -> Void) throws -> Int {
        try (0..<4).map { _ in
            let before = try resident()
            try round()
            return try resident() - before
        }.min() ?? 0
    }

    /// Bytes of this process in memory (Linux).
    private static func resident() throws -> Int {
        let fields = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")
        return try #require(fields.dropFirst().first.flatMap { Int($0) }) * 4096
    }
}
