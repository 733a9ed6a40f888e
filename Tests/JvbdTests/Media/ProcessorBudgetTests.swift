// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Testing

@testable import jvbd

/// How many threads media gets, by affinity, quota and wish.
@Suite struct ProcessorBudgetTests {
    @Test(
        arguments: [
            (processors: 1, quota: nil, threads: 1),
            (processors: 2, quota: nil, threads: 1),
            (processors: 8, quota: nil, threads: 7),
            (processors: 8, quota: 2.0, threads: 1),
            (processors: 8, quota: 2.1, threads: 2),
            (processors: 8, quota: 0.5, threads: 1),
            (processors: 4, quota: 64.0, threads: 3),
            (processors: 1000, quota: nil, threads: 255),
        ] as [(processors: Int, quota: Double?, threads: Int)])
    func oneProcessorIsLeftForTheControlSide(row: (processors: Int, quota: Double?, threads: Int)) {
        let budget = ProcessorBudget(processors: (0..<row.processors).map { UInt32($0) }, quota: row.quota)
        #expect(budget.mediaThreads() == row.threads)
        #expect(budget.mediaThreads(override: 3) == 3)
        #expect(budget.mediaThreads(override: 0) == 1)
    }

    @Test func threadsArePinnedOnlyWhenTheyHaveAProcessorEach() {
        let budget = ProcessorBudget(processors: [2, 3, 6, 7], quota: nil)
        #expect(budget.pins(threads: 3) == [3, 6, 7])
        #expect(budget.pins(threads: 1) == [7])
        #expect(budget.pins(threads: 4) == [])
        #expect(ProcessorBudget(processors: [2, 3, 6, 7], quota: 1.5).pins(threads: 1) == [])
        #expect(ProcessorBudget(processors: [2, 3, 6, 7], quota: 3.5).pins(threads: 3) == [3, 6, 7])
    }

    @Test(
        arguments: [
            ("max 100000\n", nil), ("150000 100000\n", 1.5), ("50000 100000", 0.5), ("", nil), ("100000", nil),
            ("x 100000", nil), ("100000 0", nil), ("-1 100000", nil), ("nan 100000", nil), ("1e300 1", nil),
        ] as [(String, Double?)])
    func theQuotaIsReadAsTheKernelWritesIt(row: (text: String, quota: Double?)) {
        #expect(ProcessorBudget.quota(parsing: row.text) == row.quota)
    }

    @Test func theSmallestQuotaOnTheWayToTheRootCounts() {
        let files = [
            "/proc/self/cgroup": "3:cpuset:/x\n0::/a/b/c\n",
            "/sys/fs/cgroup/a/b/c/cpu.max": "max 100000",
            "/sys/fs/cgroup/a/b/cpu.max": "200000 100000",
            "/sys/fs/cgroup/a/cpu.max": "300000 100000",
        ]
        #expect(ProcessorBudget.currentQuota(readFile: { files[$0] }) == 2)
        let inContainer = ["/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/cpu.max": "125000 100000"]
        #expect(ProcessorBudget.currentQuota(readFile: { inContainer[$0] }) == 1.25)
        #expect(ProcessorBudget.currentQuota(readFile: { _ in nil }) == nil)
    }

    @Test func thisMachineHasAtLeastOneProcessor() {
        #expect(!ProcessorBudget.current().processors.isEmpty)
    }
}
