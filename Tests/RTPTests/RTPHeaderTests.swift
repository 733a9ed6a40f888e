// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Reading of RTP headers and of their extension elements (RFC 3550 section 5.1, RFC 8285).

import Testing

@testable import RTP

/// An Opus packet of a browser: audio level 0x85 under 1, MID "0" under 4, then five bytes of payload.
private let audio = hex(
    """
    90EF 1234 0001 5F90 DEADBEEF
    BEDE 0001 1085 4030
    F8FFFE0102
    """)

private func value(_ id: UInt8, of packet: [UInt8]) throws -> [UInt8]? {
    let header = try RTPHeader(parsing: packet.span)
    let id = try unwrap(ExtensionID(rawValue: id))
    return header.element(id, in: packet.span).map { Array(packet[$0]) }
}

@Suite struct RTPHeaderTests {
    @Test func readsEveryFieldOfAPacketWithExtensions() throws {
        let header = try RTPHeader(parsing: audio.span)
        #expect(header.marker)
        #expect(header.payloadType.rawValue == 111)
        #expect(header.sequenceNumber.rawValue == 0x1234)
        #expect(header.timestamp.rawValue == 90000)
        #expect(header.ssrc.rawValue == 0xDEAD_BEEF)
        #expect(header.headerLength == 20)
        #expect(header.extensionKind == .oneByte)
        #expect(header.extensionStart == 16)
        #expect(header.extensionEnd == 20)
        #expect(header.payloadRange == 20..<25)
        #expect(header.paddingLength == 0)
    }

    @Test func stepsOverContributingSources() throws {
        let packet = hex("8260 0001 00000001 00000002 11111111 22222222 AA")
        let header = try RTPHeader(parsing: packet.span)
        #expect(header.headerLength == 20)
        #expect(header.payloadLength == 1)
        #expect(header.extensionStart == header.extensionEnd)
    }

    @Test func takesPaddingOffThePayload() throws {
        let header = try RTPHeader(parsingPlaintext: hex("A060 0001 00000001 00000002 AABBCC 000003").span)
        #expect(header.paddingLength == 3)
        #expect(header.payloadLength == 3)
        let onlyPadding = try RTPHeader(parsingPlaintext: hex("A060 0001 00000001 00000002 000003").span)
        #expect(onlyPadding.payloadLength == 0)
    }

    @Test(arguments: [
        "A060 0001 00000001 00000002 AABB00", "A060 0001 00000001 00000002 AABB04", "A060 0001 00000001 00000002",
    ])
    func wrongPaddingFailsOnlyAPlaintextPacket(_ text: String) throws {
        let packet = hex(text)
        #expect(throws: ParseError.malformed("RTP padding")) { try RTPHeader(parsingPlaintext: packet.span) }
        let protected = try RTPHeader(parsing: packet.span)
        #expect(protected.hasPadding && !protected.isPaddingValid)
        #expect(protected.paddingLength == 0)
    }

    @Test(arguments: [
        ("", ParseError.truncated),
        ("8060 0001 00000001 000000", .truncated),
        ("4060 0001 00000001 00000002", .badVersion),
        ("C060 0001 00000001 00000002", .badVersion),
        ("8160 0001 00000001 00000002 111111", .truncated),
        ("9060 0001 00000001 00000002 BEDE00", .truncated),
        ("9060 0001 00000001 00000002 BEDE0001 000000", .truncated),
        ("9060 0001 00000001 00000002 BEDEFFFF 00000000", .truncated),
    ])
    func refusesWhatIsNotAHeader(_ text: String, _ expected: ParseError) {
        #expect(throws: expected) { try RTPHeader(parsing: hex(text).span) }
    }

    @Test func refusesMoreThanADatagram() {
        let packet = audio + [UInt8](repeating: 0, count: 65536)
        #expect(throws: ParseError.limitExceeded("RTP packet length")) { try RTPHeader(parsing: packet.span) }
    }
}

@Suite struct ExtensionWalkTests {
    @Test func findsElementsOfTheOneByteForm() throws {
        #expect(try value(1, of: audio) == [0x85])
        #expect(try value(4, of: audio) == [0x30])
        #expect(try value(2, of: audio) == nil)
    }

    @Test func findsElementsOfTheTwoByteFormEvenEmptyOnes() throws {
        // 16, empty; one byte of padding; 200, three bytes; 1, one byte; two bytes of padding.
        let packet = hex("9060 0001 00000001 00000002 1000 0003 1000 00 C803AABBCC 010185 00")
        #expect(try value(16, of: packet) == [])
        #expect(try value(200, of: packet) == [0xAA, 0xBB, 0xCC])
        #expect(try value(1, of: packet) == [0x85])
    }

    @Test func ignoresTheApplicationBitsOfTheTwoByteForm() throws {
        let packet = hex("9060 0001 00000001 00000002 100F 0001 05017700")
        #expect(try value(5, of: packet) == [0x77])
    }

    @Test(arguments: [
        ("F0AA", "identifier 15 ends the block"),
        ("03AABBCC", "identifier 0 with a length ends the block"),
    ])
    func stopsAtReservedIdentifiers(_ element: String, _ why: Comment) throws {
        let body = hex("1085" + element + "2099")
        let padded = body + [UInt8](repeating: 0, count: (4 - body.count % 4) % 4)
        let packet =
            hex("9060 0001 00000001 00000002 BEDE") + [0, UInt8(padded.count / 4)] + padded
        #expect(try value(1, of: packet) == [0x85], why)
        #expect(try value(2, of: packet) == nil, why)
    }

    @Test func anElementThatLeavesTheBlockIsNotFound() throws {
        #expect(try value(1, of: hex("9060 0001 00000001 00000002 BEDE 0001 1F858585 85858585")) == nil)
        #expect(try value(1, of: hex("9060 0001 00000001 00000002 1000 0001 01038585 85858585")) == nil)
        #expect(try value(1, of: hex("9060 0001 00000001 00000002 1000 0001 00000001 85858585")) == nil)
    }

    @Test func doesNotWalkUnknownProfiles() throws {
        #expect(try value(1, of: hex("9060 0001 00000001 00000002 C0DE 0001 10854030")) == nil)
    }

    @Test func walksInOrderAndEnds() throws {
        let header = try RTPHeader(parsing: audio.span)
        var walk = ExtensionWalk(header)
        #expect(walk.next(in: audio.span)?.id.rawValue == 1)
        #expect(walk.next(in: audio.span)?.id.rawValue == 4)
        #expect(walk.next(in: audio.span) == nil)
        #expect(walk.next(in: audio.span) == nil)
    }

    @Test(arguments: [
        audio, hex("B260 0001 00000001 00000002 1111111122222222 1000 0003 1000 00 C803AABBCC 010185 00 AABB 02"),
    ])
    func damagedPacketsNeverTrapAndRangesStayInside(_ packet: [UInt8]) {
        forEachMutation(of: packet) { mutant in
            guard let header = try? RTPHeader(parsing: mutant.span) else { return }
            #expect(header.headerLength + header.payloadLength + header.paddingLength == mutant.count)
            var walk = ExtensionWalk(header)
            while let element = walk.next(in: mutant.span) {
                #expect(
                    element.value.lowerBound >= header.extensionStart && element.value.upperBound <= header.extensionEnd
                )
            }
        }
    }

    @Test func aHeaderOfAnotherPacketDoesNotTrap() throws {
        let header = try RTPHeader(parsing: audio.span)
        let shorter = hex("9060 0001 00000001 00000002 BEDE 0001 1F")
        #expect(header.element(try unwrap(ExtensionID(rawValue: 9)), in: shorter.span) == nil)
    }
}
