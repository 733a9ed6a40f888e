// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP

@testable import ICE

/// SplitMix64: a seeded generator, so that a failing test can be repeated.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }
}

/// Bytes written as hexadecimal; blanks are skipped.
func hex(_ text: String) -> [UInt8] {
    let digits = text.utf8.compactMap { Character(UnicodeScalar($0)).hexDigitValue }
    return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

func address(_ ip: String, _ port: UInt16) throws -> TransportAddress {
    guard let ip = IPAddress(ip) else { throw BadTestInput(text: ip) }
    return TransportAddress(ip: ip, port: port)
}

struct BadTestInput: Error { var text: String }

func parse(_ bytes: [UInt8]) throws -> STUNMessage { try STUNMessage(parsing: bytes.span) }

/// The testing macros cannot take spans; these can be asked inside them.
extension STUNMessage {
    func verifies(_ bytes: [UInt8], key: [UInt8]) -> Bool { verifiesIntegrity(of: bytes.span, key: key) }

    func fragments(in bytes: [UInt8]) -> (receiver: UsernameFragment, sender: UsernameFragment)? {
        usernameFragments(in: bytes.span)
    }
}

func destination(of bytes: [UInt8]) -> STUNDestination? { STUNDestination(of: bytes.span) }

func kind(of bytes: [UInt8]) -> DatagramKind { DatagramKind(bytes.span) }

func text(_ range: Range<Int>?, of bytes: [UInt8]) -> String? {
    range.map { String(decoding: bytes[$0], as: UTF8.self) }
}

extension Instant {
    static func at(_ seconds: Double) -> Instant { Instant(nanoseconds: UInt64(seconds * 1e9)) }
}
