// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// How busy the machine is, from the first line of /proc/stat (proc(5)): what Jicofo balances the bridges by.

struct HostLoad: Sendable {
    /// The share of CPU time at which a bridge calls itself full, as JVB has it.
    static let fullAt = 0.9

    private var last: (busy: UInt64, total: UInt64)?

    /// Stress since the last call, 0 for idle, 1 for full, more when overloaded; nil at the first call and when the
    /// system tells nothing.
    mutating func stress(sample line: String?) -> Double? {
        guard let line, let now = HostLoad.parse(line) else { return nil }
        defer { last = now }
        guard let last, now.total > last.total, now.busy >= last.busy else { return nil }
        return Double(now.busy - last.busy) / Double(now.total - last.total) / HostLoad.fullAt
    }

    /// Busy includes the time that the hypervisor gave to others (steal): it is missing here just as much.
    static func parse(_ line: String) -> (busy: UInt64, total: UInt64)? {
        let fields = line.split(separator: " ")
        guard fields.first == "cpu", fields.count >= 9 else { return nil }
        // user nice system idle iowait irq softirq steal; guest times are part of user already.
        let times = fields[1...8].compactMap { UInt64($0) }
        guard times.count == 8 else { return nil }
        var total: UInt64 = 0
        for time in times { total &+= time }
        let idle = times[3] &+ times[4]
        return total >= idle ? (total - idle, total) : nil
    }

    static func systemLine() -> String? {
        readSmallFile("/proc/stat")?.split(separator: "\n").first.map(String.init)
    }
}
