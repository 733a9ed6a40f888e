// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP
import SRTP
import Testing

/// An index belongs to the sealer and is used once in the life of the keys.
@Suite struct IndexOwnershipTests {
    let profile = ProtectionProfile.aeadAES128GCM

    private func make(_ state: SealerState = SealerState()) throws -> (engine: SRTPEngine, sealer: SRTPSealer) {
        let engine = try SRTPEngine(.openSSL)
        return (engine, try SRTPSealer(profile: profile, key: .make(profile), engine: engine, restoring: state))
    }

    private func request(_ sealer: SRTPSealer, _ ssrc: UInt32, _ index: UInt64, isResend: Bool = false) -> SealRequest {
        SealRequest(sealer: sealer, packet: PlainPacket(ssrc: ssrc, index: index), index: index, isResend: isResend)
    }

    @Test func everyIndexIsUsedOnceAndALateOneStillFindsItsPlace() throws {
        let (engine, sealer) = try make()
        let stream = try #require(sealer.stream(for: SSRC(rawValue: 1)))
        #expect(sealer.highestSealed(stream) == nil)
        let rows: [(index: UInt64, isSealed: Bool)] = [
            (7, true), (7, false), (6, true), (6, false), (8, true), (100, true), (99, true), (99, false), (8, false),
            (65_536, true), (65_409, true), (65_408, false), (65_409, false), (100, false),
        ]
        let sealed = seal(engine, rows.map { request(sealer, 1, $0.index) })
        #expect(sealed.map { $0 != nil } == rows.map(\.isSealed))
        #expect(sealer.highestSealed(stream) == ExtendedSequenceNumber(rawValue: 65_536))
    }

    @Test func aResendOfAnIndexThatWasNeverUsedIsRefused() throws {
        let (engine, sealer) = try make()
        let requests = [request(sealer, 1, 10), request(sealer, 1, 12), request(sealer, 1, 11, isResend: true)]
        let results = seal(engine, requests)
        #expect(results.map { $0 != nil } == [true, true, false])
        #expect(seal(engine, [request(sealer, 1, 11)]).map { $0 != nil } == [true])
    }

    @Test func indexZeroIsTheFirstAndIsUsedOnce() throws {
        let (engine, sealer) = try make()
        #expect(seal(engine, [request(sealer, 1, 0), request(sealer, 1, 0)]).map { $0 != nil } == [true, false])
    }

    @Test func theLastIndexIsUsedAndNoneAfterIt() throws {
        let last: UInt64 = 1 << 48 - 1
        let (engine, sealer) = try make()
        let results = seal(engine, [last - 1, last, last + 1, UInt64.max].map { request(sealer, 1, $0) })
        #expect(results.map { $0 != nil } == [true, true, false, false])
        #expect(seal(engine, [request(sealer, 1, 5)]) == [nil])
    }

    @Test func aResendGivesTheSameBytesAndMovesNothing() throws {
        let (engine, sealer) = try make()
        let first = seal(engine, [request(sealer, 1, 10), request(sealer, 1, 11), request(sealer, 1, 12)])
        let again = seal(
            engine, [request(sealer, 1, 11, isResend: true), request(sealer, 1, 12, isResend: true)])
        #expect(again == Array(first.dropFirst()))
        let stream = try #require(sealer.stream(for: SSRC(rawValue: 1)))
        #expect(sealer.highestSealed(stream)?.rawValue == 12)
        #expect(seal(engine, [request(sealer, 1, 13, isResend: true)]) == [nil])
        #expect(seal(engine, [request(sealer, 2, 0, isResend: true)]) == [nil])
    }

    @Test func aHeaderOfAnotherStreamOrNumberIsRefusedAndUsesNothing() throws {
        let (engine, sealer) = try make()
        let stream = try #require(sealer.stream(for: SSRC(rawValue: 1)))
        let other = PlainPacket(ssrc: 1, sequenceNumber: 4, payload: [1])
        #expect(seal(engine, [SealRequest(sealer: sealer, packet: other, index: 5)]) == [nil])
        #expect(sealer.highestSealed(stream) == nil)
        var job = unsafe SealJob(
            sealer: .passUnretained(sealer), stream: stream, index: ExtendedSequenceNumber(rawValue: 4),
            output: .allocate(byteCount: 64, alignment: 8), headerLength: 12,
            payload: UnsafeRawPointer(UnsafeMutableRawPointer.allocate(byteCount: 8, alignment: 8)), payloadLength: 8)
        defer {
            unsafe job.output.deallocate()
            unsafe job.payload.deallocate()
        }
        unsafe job.output.copyMemory(from: PlainPacket(ssrc: 2, index: 4).header, byteCount: 12)
        unsafe withUnsafeMutablePointer(to: &job) {
            unsafe engine.seal(UnsafeMutableBufferPointer(start: $0, count: 1))
        }
        #expect(job.sealedLength == -1)
        #expect(sealer.highestSealed(stream) == nil)
    }

    @Test func contradictoryLengthsAreRefused() throws {
        let (engine, sealer) = try make()
        let stream = try #require(sealer.stream(for: SSRC(rawValue: 1)))
        let rows: [(header: Int32, patch: Int32, payload: Int32)] = [
            (11, 0, 10), (-1, 0, 10), (12, -1, 10), (12, 11, 10), (12, 0, -1), (12, 0, 65_535), (65_535, 0, 1),
            (Int32.max, 0, Int32.max), (Int32.min, Int32.min, Int32.min),
        ]
        let output = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 8)
        defer { unsafe output.deallocate() }
        unsafe output.copyMemory(from: PlainPacket(ssrc: 1, index: 4).header, byteCount: 12)
        for row in rows {
            var job = unsafe SealJob(
                sealer: .passUnretained(sealer), stream: stream, index: ExtendedSequenceNumber(rawValue: 4),
                output: output, headerLength: row.header, patchLength: row.patch, payload: UnsafeRawPointer(output),
                payloadLength: row.payload)
            unsafe withUnsafeMutablePointer(to: &job) {
                unsafe engine.seal(UnsafeMutableBufferPointer(start: $0, count: 1))
            }
            #expect(job.sealedLength == -1)
        }
        #expect(sealer.highestSealed(stream) == nil)
    }

    @Test func the1025thStreamIsRefusedAndNoneIsEvicted() throws {
        let (engine, sealer) = try make()
        for ssrc in 0..<UInt32(1024) {
            let sealed = seal(engine, [request(sealer, ssrc &* 0x9E37_79B9, 9)])
            #expect(sealed[0] != nil)
        }
        #expect(sealer.stream(for: SSRC(rawValue: 1)) == nil)
        for ssrc in 0..<UInt32(1024) {
            let stream = try #require(sealer.stream(for: SSRC(rawValue: ssrc &* 0x9E37_79B9)))
            #expect(sealer.highestSealed(stream)?.rawValue == 9)
        }
    }

    /// A source that is muted and comes back, or a receiver that moves to another shard, must not repeat an index: under
    /// GCM that gives the authentication key away.
    @Test(arguments: [1, 2, 3, 4, 5] as [UInt64])
    func noIndexIsEverSealedTwiceWhateverIsRemovedAddedOrMoved(_ seed: UInt64) throws {
        var generator = SeededGenerator(state: seed)
        var (engine, sealer) = try make()
        var used: Set<[UInt64]> = []
        var refused = 0
        for _ in 0..<3000 {
            switch Int.random(in: 0..<20, using: &generator) {
            case 0:
                (engine, sealer) = try make(sealer.state)
            default:
                let ssrc = UInt32.random(in: 1...5, using: &generator)
                let stream = try #require(sealer.stream(for: SSRC(rawValue: ssrc)))
                // A forwarder born again guesses: where it should go on, a constant, or what it remembers.
                let index: UInt64
                switch Int.random(in: 0..<4, using: &generator) {
                case 0: index = UInt64.random(in: 0...3, using: &generator)
                case 1: index = UInt64.random(in: 0...5000, using: &generator)
                default: index = (sealer.highestSealed(stream)?.rawValue ?? 0) + 1
                }
                if seal(engine, [request(sealer, ssrc, index)])[0] != nil {
                    #expect(used.insert([UInt64(ssrc), index]).inserted)
                } else {
                    refused += 1
                }
            }
        }
        #expect(used.count > 1000)
        #expect(refused > 100)
    }

    @Test func rtcpIndicesCountUpAcrossAMoveAndEndAt2To31() throws {
        let plain: [UInt8] = [0x80, 201, 0, 1, 0, 0, 0, 1]
        let (_, sealer) = try make(SealerState(nextRTCPIndex: 0x7FFF_FFFD))
        let first = try #require(sealer.sealRTCP(plain))
        #expect(first.suffix(4) == [0xFF, 0xFF, 0xFF, 0xFD])
        let (_, moved) = try make(sealer.state)
        #expect(try #require(moved.sealRTCP(plain)).suffix(4) == [0xFF, 0xFF, 0xFF, 0xFE])
        #expect(try #require(moved.sealRTCP(plain)).suffix(4) == [0xFF, 0xFF, 0xFF, 0xFF])
        #expect(moved.sealRTCP(plain) == nil)
        #expect(moved.state.nextRTCPIndex == 1 << 31)
        let (_, late) = try make(moved.state)
        #expect(late.sealRTCP(plain) == nil)
    }

    @Test func statesThatCannotBeAreRefused() {
        let stream = SealerState.Stream(ssrc: SSRC(rawValue: 1), highest: ExtendedSequenceNumber(rawValue: 1))
        let states = [
            SealerState(streams: [stream, stream]), SealerState(nextRTCPIndex: 1 << 31 + 1),
            SealerState(streams: [.init(ssrc: SSRC(rawValue: 1), highest: ExtendedSequenceNumber(rawValue: 1 << 48))]),
            SealerState(streams: [.init(ssrc: SSRC(rawValue: 1), highest: ExtendedSequenceNumber(rawValue: UInt64.max))]
            ),
            SealerState(streams: (0...1024).map { .init(ssrc: SSRC(rawValue: $0), highest: nil) }),
        ]
        for state in states { #expect(throws: SRTPError.badState) { try make(state) } }
    }

    @Test func aStreamThatNeverSealedSurvivesAMove() throws {
        let (_, sealer) = try make()
        _ = sealer.stream(for: SSRC(rawValue: 3))
        let (_, moved) = try make(sealer.state)
        #expect(moved.state == sealer.state)
        #expect(moved.state.streams == [.init(ssrc: SSRC(rawValue: 3), highest: nil)])
    }
}
