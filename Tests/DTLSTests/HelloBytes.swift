// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// Plaintext DTLS handshake messages as tests take them apart and put them together (RFC 6347 section 4.2.2).
struct HandshakeFragment {
    var type: UInt8
    var messageSequence: Int
    var messageLength: Int
    var offset: Int
    var body: [UInt8]
    var recordVersion: Int

    /// One record in one datagram.
    func datagram(recordSequence: Int) -> [UInt8] {
        var bytes: [UInt8] = [22] + big(recordVersion, 2) + big(0, 2) + big(recordSequence, 6) + big(body.count + 12, 2)
        bytes += [type] + big(messageLength, 3) + big(messageSequence, 2) + big(offset, 3) + big(body.count, 3)
        return bytes + body
    }

    /// All handshake fragments of a datagram's plaintext records.
    static func all(in datagram: [UInt8]) throws -> [HandshakeFragment] {
        var fragments: [HandshakeFragment] = []
        var rest = datagram[...]
        while !rest.isEmpty {
            let header = Array(rest.prefix(13))
            try #require(header.count == 13)
            let record = Array(rest.dropFirst(13).prefix(number(header[11...12])))
            try #require(header[0] == 22 && record.count == number(header[11...12]) && record.count >= 12)
            rest = rest.dropFirst(13 + record.count)
            let body = Array(record.dropFirst(12))
            try #require(body.count == number(record[9...11]))
            fragments.append(
                HandshakeFragment(
                    type: record[0], messageSequence: number(record[4...5]), messageLength: number(record[1...3]),
                    offset: number(record[6...8]), body: body, recordVersion: number(header[1...2])))
        }
        return fragments
    }
}

/// A ClientHello or ServerHello taken apart.
struct Hello {
    /// All before the extensions' length.
    var head: [UInt8]
    var extensions: [(type: Int, value: [UInt8])]

    var version: Int { number(head[0...1]) }

    init(server body: [UInt8]) throws { try self.init(body, headLength: 35 + Int(body[34]) + 3) }

    init(client body: [UInt8]) throws {
        var at = 35 + Int(body[34])  // session id
        at += 1 + Int(body[at])  // cookie
        at += 2 + number(body[at...(at + 1)])  // cipher suites
        at += 1 + Int(body[at])  // compression methods
        try self.init(body, headLength: at)
    }

    private init(_ body: [UInt8], headLength: Int) throws {
        head = Array(body[..<headLength])
        extensions = []
        var rest = body[headLength...]
        try #require(rest.count >= 2 && rest.count == 2 + number(rest.prefix(2)))
        rest = rest.dropFirst(2)
        while !rest.isEmpty {
            try #require(rest.count >= 4)
            let length = number(rest.dropFirst(2).prefix(2))
            extensions.append((number(rest.prefix(2)), Array(rest.dropFirst(4).prefix(length))))
            try #require(rest.count >= 4 + length)
            rest = rest.dropFirst(4 + length)
        }
    }

    func value(of type: Int) -> [UInt8]? { extensions.first { $0.type == type }?.value }

    var body: [UInt8] {
        let all = extensions.flatMap { big($0.type, 2) + big($0.value.count, 2) + $0.value }
        return head + big(all.count, 2) + all
    }
}

/// The recorded first flight of a Chromium, see Fixtures/README.md.
enum Recording {
    static func chromium() throws -> [[UInt8]] {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Fixtures/chromium-client-hello.hex")
        return try String(contentsOf: file, encoding: .utf8).split(separator: "\n").map { line in
            let digits = Array(line)
            return try stride(from: 0, to: digits.count - 1, by: 2).map { index in
                try #require(UInt8(String(digits[index...(index + 1)]), radix: 16))
            }
        }
    }
}

func big(_ value: Int, _ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * (count - 1 - $0))) }
}

func number(_ bytes: some Collection<UInt8>) -> Int { bytes.reduce(0) { $0 << 8 | Int($1) } }
