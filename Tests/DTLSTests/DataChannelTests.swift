// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Testing

@testable import DTLS

@Suite struct DataChannelTests {
    /// OPEN of lib-jitsi-meet: reliable, priority 256 ("low" in RFC 8831 section 6.4), label, sub-protocol.
    private static let jitsiOpen: [UInt8] =
        [0x03, 0x00, 0x01, 0x00, 0, 0, 0, 0, 0x00, 0x10, 0x00, 0x22] + Array("JVB data channel".utf8)
        + Array("http://jitsi.org/protocols/colibri".utf8)
    private static let request = DataChannelOpen(
        priority: 256, label: "JVB data channel", subprotocol: "http://jitsi.org/protocols/colibri")

    @Test func `OPEN is read and written`() throws {
        #expect(try DataChannelMessage(parsing: Self.jitsiOpen.span) == .open(Self.request))
        #expect(DataChannelMessage.open(Self.request).encoded() == Self.jitsiOpen)
        for type in DataChannelType.allCases {
            let message = DataChannelMessage.open(
                DataChannelOpen(channelType: type, priority: 513, reliability: 0x0102_0304, label: "", subprotocol: "é")
            )
            #expect(try DataChannelMessage(parsing: message.encoded().span) == message)
            #expect(type.isOrdered == (type.rawValue < 0x80))
        }
    }

    @Test func `ACK is one byte`() throws {
        #expect(DataChannelMessage.acknowledge.encoded() == [2])
        #expect(try DataChannelMessage(parsing: [2].span) == .acknowledge)
        #expect(throws: DataChannelError.trailingBytes) { try DataChannelMessage(parsing: [2, 0].span) }
    }

    @Test(
        arguments: [
            ([], DataChannelError.truncated), ([3], .truncated), ([4], .unknownMessage(4)),
            ([3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], .unknownChannelType(3)),
            ([3, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0], .truncated),
            ([3, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF], .truncated),
            ([3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 65], .trailingBytes),
            ([3, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0xFF], .invalidUTF8),
            ([3, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0] + [UInt8](repeating: 65, count: 1025), .textTooLong),
        ] as [([UInt8], DataChannelError)])
    func `what is no DCEP is refused by name`(bytes: [UInt8], error: DataChannelError) {
        #expect(throws: error) { try DataChannelMessage(parsing: bytes.span) }
    }

    @Test func `a message cut short or changed never traps`() {
        var random = SeededGenerator(state: 3)
        for length in 0..<Self.jitsiOpen.count {
            #expect(throws: DataChannelError.truncated) {
                try DataChannelMessage(parsing: Array(Self.jitsiOpen[..<length]).span)
            }
        }
        var read = 0
        for index in Self.jitsiOpen.indices {
            for value in 0...255 {
                var bytes = Self.jitsiOpen
                bytes[index] = UInt8(value)
                guard let message = try? DataChannelMessage(parsing: bytes.span) else { continue }
                #expect(message.encoded() == bytes)
                read += 1
            }
        }
        #expect(read > 1000)
        for _ in 0..<5000 {
            let bytes = (0..<Int.random(in: 0...40, using: &random)).map { _ in UInt8.random(in: 0...8, using: &random)
            }
            if let message = try? DataChannelMessage(parsing: bytes.span) { #expect(message.encoded() == bytes) }
        }
    }

    @Test func `texts beyond the limit are cut between characters`() throws {
        let message = DataChannelMessage.open(
            DataChannelOpen(label: String(repeating: "é", count: 600) + "x", subprotocol: "p"))
        guard case .open(let open) = try DataChannelMessage(parsing: message.encoded().span) else {
            Issue.record("no OPEN")
            return
        }
        #expect(open.label == String(repeating: "é", count: 512) && open.subprotocol == "p")
    }

    @Test func `the first OPEN is acknowledged and its text passed on`() {
        var acceptor = DataChannelAcceptor()
        let answer1 = acceptor.receive(Array("{}".utf8), payload: 51, stream: 1)
        #expect(answer1 == .reject(.unknownStream))
        let answer2 = acceptor.receive(Self.jitsiOpen, payload: 50, stream: 1)
        #expect(answer2 == .sendAck(stream: 1))
        #expect(acceptor.channel == DataChannelAcceptor.Channel(stream: 1, request: Self.request))
        let answer3 = acceptor.receive(Array("{}".utf8), payload: 51, stream: 1)
        #expect(answer3 == .text(stream: 1, Array("{}".utf8)))
    }

    @Test func `further OPENs get no answer and are counted`() {
        var acceptor = DataChannelAcceptor()
        let answer4 = acceptor.receive(Self.jitsiOpen, payload: 50, stream: 0)
        #expect(answer4 == .sendAck(stream: 0))
        let answer5 = acceptor.receive(Self.jitsiOpen, payload: 50, stream: 2)
        #expect(answer5 == .reject(.tooManyChannels))
        let answer6 = acceptor.receive(Self.jitsiOpen, payload: 50, stream: 0)
        #expect(answer6 == .reject(.tooManyChannels))
        #expect(acceptor.rejectedChannels == 2)
        let answer7 = acceptor.receive([65], payload: 51, stream: 2)
        #expect(answer7 == .reject(.unknownStream))
        #expect(acceptor.channel?.stream == 0)
    }

    @Test(
        arguments: [
            (50, [2], 1, .ignore(.acknowledge)), (50, [], 1, .reject(.malformed(.truncated))),
            (50, [9], 7, .reject(.malformed(.unknownMessage(9)))), (51, [], 1, .ignore(.empty)),
            (56, [0], 1, .ignore(.empty)),
            (53, [1], 1, .ignore(.binary)), (57, [0], 1, .ignore(.binary)), (53, [1], 3, .reject(.unknownStream)),
            (0, [1], 1, .reject(.unknownPayload(0))), (52, [1], 1, .reject(.unknownPayload(52))),
            (51, [1], 65535, .reject(.invalidStream)), (51, [UInt8](repeating: 65, count: 11), 1, .reject(.tooLong)),
            (51, [UInt8](repeating: 65, count: 10), 1, .text(stream: 1, [UInt8](repeating: 65, count: 10))),
        ] as [(UInt32, [UInt8], UInt16, DataChannelAcceptor.Action)])
    func `everything else has its rule`(
        payload: UInt32, bytes: [UInt8], stream: UInt16, action: DataChannelAcceptor.Action
    ) {
        var acceptor = DataChannelAcceptor(maximumLength: 10)
        let answer8 = acceptor.receive(Self.jitsiOpen, payload: 50, stream: 1)
        #expect(answer8 == .sendAck(stream: 1))
        let answer9 = acceptor.receive(bytes, payload: payload, stream: stream)
        #expect(answer9 == action)
    }

    @Test func `after a reset of the channel's stream the peer may open a new one`() {
        var acceptor = DataChannelAcceptor()
        let answer10 = acceptor.receive(Self.jitsiOpen, payload: 50, stream: 1)
        #expect(answer10 == .sendAck(stream: 1))
        let answer11 = acceptor.streamWasReset(3)
        #expect(!answer11)
        let answer12 = acceptor.streamWasReset(1)
        #expect(answer12)
        let answer13 = acceptor.streamWasReset(1)
        #expect(!answer13)
        let answer14 = acceptor.receive([65], payload: 51, stream: 1)
        #expect(answer14 == .reject(.unknownStream))
        let answer15 = acceptor.receive(Self.jitsiOpen, payload: 50, stream: 3)
        #expect(answer15 == .sendAck(stream: 3))
        #expect(acceptor.rejectedChannels == 0)
    }
}
