// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Writing of RTP headers with extension elements (RFC 3550 section 5.1, RFC 8285).

import Testing

@testable import RTP

private let guardByte: UInt8 = 0xA5

/// Writes a header of `capacity` bytes at an odd address and returns it; fails when memory around it was touched.
private func written(
    capacity: Int = 200, hasPadding: Bool = false, _ body: (inout HeaderWriter) throws -> Void
) throws -> [UInt8] {
    var memory = [UInt8](repeating: guardByte, count: capacity + 2)
    let length = try unsafe withMemory(of: &memory) { base in
        var writer = unsafe HeaderWriter(
            into: base + 1, capacity: capacity, marker: true, payloadType: PayloadType(secondOctet: 96),
            sequenceNumber: SequenceNumber(rawValue: 0xFFFE), timestamp: RTPTimestamp(rawValue: 0x0102_0304),
            ssrc: SSRC(rawValue: 0xCAFE_BABE), hasPadding: hasPadding)
        try body(&writer)
        return writer.finish()
    }
    #expect(length <= capacity)
    #expect(memory.first == guardByte)
    #expect(memory[(capacity + 1)...].allSatisfy { $0 == guardByte })
    return Array(memory[1..<(1 + length)])
}

private func id(_ rawValue: UInt8) throws -> ExtensionID { try unwrap(ExtensionID(rawValue: rawValue)) }

@Suite struct HeaderWriterTests {
    @Test func withoutElementsThereIsNoExtensionBlock() throws {
        #expect(try written(capacity: 12) { _ in } == hex("80E0 FFFE 01020304 CAFEBABE"))
        #expect(try written(hasPadding: true) { _ in } == hex("A0E0 FFFE 01020304 CAFEBABE"))
    }

    @Test func smallElementsTakeTheOneByteForm() throws {
        let header = try written { writer in
            check(writer.append(try id(1), AudioLevel(level: 5, voice: true)))
            check(writer.append(try id(14), SequenceNumber(rawValue: 0x1234)))
            check(writer.append(try id(3), AbsoluteSendTime(Instant(nanoseconds: 1_500_000_000))))
            check(writer.append(try id(4), try unwrap(Mid("video-0"))))
            check(writer.append(try id(5), try unwrap(Rid("2"))))
        }
        #expect(
            header
                == hex(
                    """
                    90E0 FFFE 01020304 CAFEBABE BEDE 0005
                    1085 E11234 32060000 46766964656F2D30 5032 00
                    """))
    }

    @Test(arguments: [(15, 1), (200, 3), (1, 0), (2, 17), (3, 255)])
    func oneElementThatDoesNotFitTurnsAllIntoTheTwoByteForm(_ last: UInt8, _ length: Int) throws {
        let bytes = (0..<length).map { UInt8(truncatingIfNeeded: $0 ^ 0x5A) }
        let packet = try written(capacity: 400) { writer in
            check(writer.append(try id(6), octet: 0x66))
            check(writer.append(try id(7), try unwrap(Mid("abcdefghijklmnop"))))
            check(writer.append(try id(8), SequenceNumber(rawValue: 0x0809)))
            check(writer.append(try id(last), copying: 0..<length, of: bytes.span))
            check(writer.append(try id(9), octet: 0x99))
        }
        let header = try RTPHeader(parsing: packet.span)
        #expect(header.extensionKind == .twoByte)
        func value(_ number: UInt8) throws -> [UInt8]? {
            header.element(try id(number), in: packet.span).map { Array(packet[$0]) }
        }
        #expect(try value(6) == [0x66])
        #expect(try value(7) == Array("abcdefghijklmnop".utf8))
        #expect(try value(8) == [8, 9])
        #expect(try value(last) == bytes)
        #expect(try value(9) == [0x99])
    }

    @Test func whatDoesNotFitIsRefusedAndLeavesTheRestIntact() throws {
        let packet = try written(capacity: 20) { writer in
            check(writer.append(try id(1), octet: 0x85))
            check(!writer.append(try id(2), SequenceNumber(rawValue: 1)))
            check(!writer.append(try id(15), octet: 1))
            check(!writer.append(try id(2), copying: 0..<256, of: [UInt8](repeating: 1, count: 256).span))
            check(!writer.append(try id(2), copying: 0..<2, of: [1].span))
            check(writer.append(try id(2), octet: 0x11))
        }
        #expect(packet == hex("90E0 FFFE 01020304 CAFEBABE BEDE 0001 1085 2011"))
        #expect(try written(capacity: 19) { check(!$0.append(try id(1), octet: 1)) }.count == 12)
    }

    @Test(arguments: UInt64(0)..<200)
    func anyElementsComeBack(_ seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let capacity = Int.random(in: 12...160, using: &generator)
        var accepted: [(UInt8, [UInt8])] = []
        let packet = try written(capacity: capacity) { writer in
            for _ in 0..<Int.random(in: 0...12, using: &generator) {
                let isSmall = UInt8.random(in: 0..<4, using: &generator) > 0
                let number = UInt8.random(in: isSmall ? 1...14 : 1...255, using: &generator)
                let length = Int.random(in: isSmall ? 1...16 : 0...40, using: &generator)
                let bytes = (0..<length).map { _ in UInt8.random(in: 0...255, using: &generator) }
                if writer.append(try id(number), copying: 0..<length, of: bytes.span) {
                    accepted.append((number, bytes))
                }
            }
        }
        let header = try RTPHeader(parsing: packet.span)
        #expect(header.headerLength == packet.count)
        var walk = ExtensionWalk(header)
        for (number, bytes) in accepted {
            let element = try unwrap(walk.next(in: packet.span))
            #expect(element.id.rawValue == number)
            #expect(Array(packet[element.value]) == bytes)
        }
        #expect(walk.next(in: packet.span) == nil)
        let needsTwoByte = accepted.contains { $0.0 > 14 || $0.1.isEmpty || $0.1.count > 16 }
        #expect(header.extensionKind == (accepted.isEmpty ? .none : needsTwoByte ? .twoByte : .oneByte))
    }
}
