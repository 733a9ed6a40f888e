// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Testing

@testable import SRTP

@Suite struct ReplayWindowTests {
    @Test func everyIndexIsAcceptedOnceInAnyOrder() {
        var window = ReplayWindow()
        for index: UInt64 in [5, 3, 4, 1000, 6, 1023, 0] { #expect(window.commit(index) == .none) }
        for index: UInt64 in [5, 3, 4, 1000, 6, 1023, 0] { #expect(window.commit(index) == .replayed) }
    }

    @Test func peekChangesNothing() {
        var window = ReplayWindow()
        _ = window.commit(10)
        for _ in 0..<2 {
            #expect(window.peek(11) == .none)
            #expect(window.peek(9) == .none)
            #expect(window.peek(10) == .replayed)
        }
        #expect(window.highest == 10)
    }

    @Test func theWindowIs1024Wide() {
        var window = ReplayWindow()
        _ = window.commit(5000)
        #expect(window.peek(5000 - 1023) == .none)
        #expect(window.peek(5000 - 1024) == .tooOld)
        #expect(window.commit(5000 - 1024) == .tooOld)
        #expect(window.commit(5000 - 1023) == .none)
    }

    @Test(arguments: [1, 2, 63, 64, 65, 127, 128, 500, 1022, 1023, 1024, 1025, 5000] as [UInt64])
    func movingOnForgetsExactlyWhatIsOutside(_ step: UInt64) {
        var window = ReplayWindow()
        let base: UInt64 = 10_007
        for index in base - 1023...base { _ = window.commit(index) }
        #expect(window.commit(base + step) == .none)
        for index in base + step - 1023..<base + step {
            #expect(window.peek(index) == (index <= base ? .replayed : .none))
        }
    }

    /// Against the plain definition: a set of the indices seen.
    @Test func agreesWithASetOverARandomWalk() {
        var generator = SeededGenerator(state: 3)
        var window = ReplayWindow()
        var seen: Set<UInt64> = []
        var highest: UInt64 = 0
        for _ in 0..<50_000 {
            let jump = Int.random(in: 0..<100, using: &generator) == 0 ? 3000 : 40
            let index = highest + UInt64.random(in: 0...UInt64(jump), using: &generator)
            let older = index - min(index, UInt64.random(in: 0...1100, using: &generator))
            for candidate in [index, older] {
                let expected: OpenFailure =
                    candidate + 1024 <= highest ? .tooOld : seen.contains(candidate) ? .replayed : .none
                #expect(window.peek(candidate) == expected)
                #expect(window.commit(candidate) == expected)
                seen.insert(candidate)
                highest = max(highest, candidate)
            }
        }
    }

    @Test func survivesExport() throws {
        var window = ReplayWindow()
        for index: UInt64 in [70_000, 69_990, 69_000] { _ = window.commit(index) }
        let copy = try #require(ReplayWindow(highest: window.highest, words: window.words))
        for index: UInt64 in 68_900...70_100 { #expect(copy.peek(index) == window.peek(index)) }
        #expect(ReplayWindow(highest: 1, words: [0]) == nil)
        #expect(ReplayWindow(highest: UInt64.max, words: window.words) == nil)
    }
}
