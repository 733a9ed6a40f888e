// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Testing

@testable import jvbd

/// Parts of long messages are put together within a limit.
@Suite struct SCTPMessageAssemblyTests {
    @Test func partsBecomeOneMessage() {
        var assembly = SCTPMessageAssembly(limit: 10)
        #expect(assembly.append([1, 2], isLast: true) == .complete([1, 2]))
        #expect(assembly.append([1, 2], isLast: false) == .incomplete)
        #expect(assembly.append([3], isLast: false) == .incomplete)
        #expect(assembly.append([4], isLast: true) == .complete([1, 2, 3, 4]))
        #expect(assembly.append([], isLast: true) == .complete([]))
    }

    @Test func aMessageBeyondTheLimitIsSkippedToItsEnd() {
        var assembly = SCTPMessageAssembly(limit: 4)
        #expect(assembly.append([1, 2, 3, 4], isLast: true) == .complete([1, 2, 3, 4]))
        #expect(assembly.append([1, 2, 3, 4, 5], isLast: true) == .tooLong)
        #expect(assembly.append([1, 2, 3], isLast: false) == .incomplete)
        #expect(assembly.append([4, 5], isLast: false) == .tooLong)
        #expect(assembly.append([6], isLast: false) == .incomplete)
        #expect(assembly.append([7], isLast: true) == .incomplete)
        #expect(assembly.append([8], isLast: true) == .complete([8]))
    }
}
