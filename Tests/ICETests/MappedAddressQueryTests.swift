// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP
import Testing

@testable import ICE

@Suite struct MappedAddressQueryTests {
    @Test func requestIsRepeatedUntilTheCeiling() throws {
        var generator = SeededGenerator(seed: 1)
        let start = Instant.at(100)
        var query = MappedAddressQuery(now: start, using: &generator)
        var sentAt: [Int64] = []
        var requests: Set<[UInt8]> = []
        while let deadline = query.deadline {
            if let bytes = query.advance(now: deadline) {
                sentAt.append((deadline - start).milliseconds)
                requests.insert(bytes)
                #expect(try parse(bytes).isBindingRequest)
            }
        }
        #expect(sentAt == [0, 200, 600, 1400])
        #expect(requests.count == 1)
        #expect(query.outcome == .timedOut)
        let late = query.advance(now: .at(200))
        #expect(late == nil)
    }

    @Test(arguments: [true, false])
    func addressIsTakenFromTheResponse(xored: Bool) throws {
        var generator = SeededGenerator(seed: 2)
        var query = MappedAddressQuery(now: .at(1), using: &generator)
        let sent = query.advance(now: .at(1))
        let request = try parse(try #require(sent))
        let mapped = try address("198.51.100.7", 45678)
        var response = STUNWriter(.success, transactionID: request.transactionID).bytes
        if xored {
            var writer = STUNWriter(.success, transactionID: request.transactionID)
            writer.append(xorMappedAddress: mapped)
            response = writer.bytes
        } else {
            response[3] = 12
            response += hex("00010008 0001 b26e c6336407")
        }
        query.receive(response.span)
        #expect(query.outcome == .mapped(mapped))
        #expect(query.deadline == nil)
    }

    @Test func othersMessagesAreIgnoredAndErrorsEndIt() throws {
        var generator = SeededGenerator(seed: 3)
        var query = MappedAddressQuery(now: .at(1), using: &generator)
        let sent = query.advance(now: .at(1))
        let request = try #require(sent)
        let foreign = RFC5769.responseIPv4
        query.receive(foreign.span)
        query.receive(request.span)
        for length in 0..<request.count {
            let part = Array(request.prefix(length))
            query.receive(part.span)
        }
        #expect(query.outcome == .pending)
        var writer = STUNWriter(.error, transactionID: try parse(request).transactionID)
        writer.append(errorCode: 500)
        let error = writer.bytes
        query.receive(error.span)
        #expect(query.outcome == .refused)
    }
}
