// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// URIs, identifiers and values of header extensions (RFC 8285, RFC 6464, RFC 8852).

import Testing

@testable import RTP

private func id(_ rawValue: UInt8) throws -> ExtensionID { try unwrap(ExtensionID(rawValue: rawValue)) }

@Suite struct HeaderExtensionTests {
    @Test(arguments: HeaderExtension.allCases)
    func uriAndMeaningBelongTogether(_ meaning: HeaderExtension) {
        #expect(HeaderExtension(uri: meaning.uri) == meaning)
        #expect(meaning.rawValue < 16)
    }

    @Test(arguments: ["", "urn:ietf:params:rtp-hdrext:SSRC-audio-level", "urn:ietf:params:rtp-hdrext:csrc-audio-level"])
    func doesNotKnowOtherURIs(_ uri: String) { #expect(HeaderExtension(uri: uri) == nil) }

    @Test func identifierZeroDoesNotExist() throws {
        #expect(ExtensionID(rawValue: 0) == nil)
        #expect(try id(14).fitsOneByteForm)
        #expect(try !id(15).fitsOneByteForm)
    }

    @Test func mapAnswersInBothDirections() throws {
        var map = ExtensionMap()
        #expect(map[.mid] == nil)
        map[.mid] = try id(4)
        map[.colorSpace] = try id(255)
        #expect(map[.mid]?.rawValue == 4)
        #expect(map[try id(4)] == .mid)
        #expect(map[try id(255)] == .colorSpace)
        #expect(map[try id(5)] == nil)
        let copy = map
        map[.mid] = nil
        #expect(map[try id(4)] == nil)
        #expect(copy[try id(4)] == .mid)
        #expect(copy != map)
    }

    @Test func anIdentifierStandsForTheLastExtensionThatItWasGivenTo() throws {
        var map = ExtensionMap()
        map[.mid] = try id(4)
        map[.rid] = try id(4)
        #expect(map[.mid] == nil)
        #expect(map[try id(4)] == .rid)
    }
}

@Suite struct ExtensionValueTests {
    @Test func audioLevelHasSevenBitsAndAVoiceFlag() throws {
        let loud = AudioLevel(octet: 0x80)
        #expect(loud.level == 0 && loud.voice)
        #expect(AudioLevel(level: 127, voice: false).octet == 0x7F)
        #expect(AudioLevel(parsing: 0..<0, in: [1].span) == nil)
        #expect(AudioLevel(parsing: 0..<2, in: [1].span) == nil)
        #expect(AudioLevel(parsing: 1..<2, in: [0, 0x85].span) == AudioLevel(level: 5, voice: true))
    }

    @Test func absoluteSendTimeCountsSecondsInSixteenths() throws {
        #expect(AbsoluteSendTime(Instant(nanoseconds: 1_500_000_000)).rawValue == 0x6_0000)
        #expect(AbsoluteSendTime(Instant(nanoseconds: 64_000_000_000)).rawValue == 0)
        let before = AbsoluteSendTime(Instant(nanoseconds: 63_900_000_000))
        let after = AbsoluteSendTime(Instant(nanoseconds: 64_100_000_000))
        #expect(abs(after.distance(from: before).nanoseconds - 200_000_000) < 8000)
        #expect(abs(before.distance(from: after).nanoseconds + 200_000_000) < 8000)
        #expect(AbsoluteSendTime(parsing: 0..<3, in: [6, 0, 0].span)?.rawValue == 0x6_0000)
        #expect(AbsoluteSendTime(parsing: 0..<2, in: [6, 0, 0].span) == nil)
    }

    @Test func transportSequenceNumberIgnoresTheFieldsOfVersionTwo() {
        #expect(SequenceNumber(parsing: 0..<2, in: [0x12, 0x34].span)?.rawValue == 0x1234)
        #expect(SequenceNumber(parsing: 0..<4, in: [0x12, 0x34, 0, 1].span)?.rawValue == 0x1234)
        #expect(SequenceNumber(parsing: 0..<1, in: [0x12].span) == nil)
    }
}

@Suite struct StreamIdentifierTests {
    @Test(arguments: ["0", "audio", "12345678", "123456789", "abcdefghijklmnop"])
    func textSurvives(_ text: String) throws {
        #expect(try unwrap(Mid(text)).description == text)
        #expect(try unwrap(Mid(text)).count == text.utf8.count)
        #expect(try unwrap(Rid(text)).description == text)
        let bytes = Array(text.utf8)
        #expect(Mid(parsing: 0..<bytes.count, in: bytes.span) == Mid(text))
        #expect(Rid(parsing: 0..<bytes.count, in: bytes.span) == Rid(text))
    }

    @Test(arguments: ["", "abcdefghijklmnopq", "a b", "a\u{0}", "ä", "a\""])
    func otherTextIsRefused(_ text: String) {
        #expect(Mid(text) == nil)
        #expect(Rid(text) == nil)
        let bytes = Array(text.utf8)
        #expect(Mid(parsing: 0..<bytes.count, in: bytes.span) == nil)
    }

    @Test func alphabetsDiffer() {
        #expect(Mid("a.b") != nil)
        #expect(Rid("a.b") == nil)
        #expect(Rid("a-b_c") != nil)
    }

    @Test func prefixesAreNotEqual() {
        #expect(Mid("abcdefgh") != Mid("abcdefghi"))
        #expect(Mid("1") != Mid("10"))
        #expect(Set([Mid("1"), Mid("2"), Mid("1")]).count == 2)
    }
}
