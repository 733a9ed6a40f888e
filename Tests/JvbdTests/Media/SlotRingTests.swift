// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Testing

@testable import jvbd

/// The ring between two shards: bound, order, wrap-around, and two threads at once.
@Suite struct SlotRingTests {
    private struct Descriptor: BitwiseCopyable, Sendable {
        var number: UInt64
        var complement: UInt64
    }

    @Test func aFullRingRefusesUntilSomethingIsTaken() {
        let ring = SlotRing<UInt32>(minimumCapacity: 3)
        #expect(ring.capacity == 4)
        for i in 0..<4 { #expect(ring.push(UInt32(i))) }
        #expect(!ring.push(9))
        #expect(ring.pop() == 0)
        #expect(ring.push(4))
        #expect([ring.pop(), ring.pop(), ring.pop(), ring.pop(), ring.pop()] == [1, 2, 3, 4, nil])
        #expect(ring.isEmpty)
    }

    @Test func elementsAreTakenInBatchesAcrossTheEnd() {
        let ring = SlotRing<UInt32>(minimumCapacity: 8)
        for i in 0..<6 { _ = ring.push(UInt32(i)) }
        for _ in 0..<5 { _ = ring.pop() }
        for i in 6..<12 { #expect(ring.push(UInt32(i))) }
        let target = UnsafeMutableBufferPointer<UInt32>.allocate(capacity: 5)
        defer { unsafe target.deallocate() }
        #expect(unsafe ring.pop(into: target) == 5)
        #expect(unsafe Array(target) == [5, 6, 7, 8, 9])
        #expect(unsafe ring.pop(into: target) == 2)
        #expect(unsafe Array(target.prefix(2)) == [10, 11])
        #expect(unsafe ring.pop(into: target) == 0)
    }

    @Test func nothingIsLostTornOrReorderedBetweenTwoThreads() throws {
        let count: UInt64 = 200_000
        let ring = SlotRing<Descriptor>(minimumCapacity: 64)
        let pusher = try NativeThread(name: "pusher") {
            var number: UInt64 = 0
            while number < count {
                if ring.push(Descriptor(number: number, complement: ~number)) { number += 1 }
            }
        }
        let target = UnsafeMutableBufferPointer<Descriptor>.allocate(capacity: 16)
        defer { unsafe target.deallocate() }
        var expected: UInt64 = 0
        var wrong = 0
        while expected < count {
            for i in 0..<(unsafe ring.pop(into: target)) {
                let element = unsafe target[i]
                if element.number != expected || element.complement != ~expected { wrong += 1 }
                expected += 1
            }
        }
        pusher.join()
        #expect(wrong == 0)
        #expect(ring.isEmpty)
    }
}
