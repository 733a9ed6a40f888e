// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc

/// How many processors this process may use, by affinity and by the quota of its control groups (cgroup v2), and how many
/// of them go to media.
struct ProcessorBudget: Hashable, Sendable {
    /// Processors that the process may run on, in order.
    var processors: [UInt32]
    /// Processors' worth of time per period; nil without a quota.
    var quota: Double?

    /// What this process has now.
    static func current() -> ProcessorBudget {
        var processors = [UInt32](repeating: 0, count: 1024)
        let count = unsafe processors.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return 0 }
            return unsafe Int(clinux_affinity(base, UInt32(buffer.count)))
        }
        return ProcessorBudget(
            processors: count > 0 ? Array(processors.prefix(count)) : [0],
            quota: currentQuota(readFile: readSmallFile))
    }

    /// One processor's worth is left for the control side, and media has at least one thread.
    /// - Parameter override: JVB_MEDIA_THREADS, 1...255.
    func mediaThreads(override: Int? = nil) -> Int {
        if let override { return min(max(override, 1), 255) }
        var usable = processors.count
        if let quota { usable = min(usable, Int(quota.rounded(.up))) }
        return min(max(usable - 1, 1), 255)
    }

    /// Where to pin each of `threads` media threads; empty when they would not have the processors for themselves. The
    /// first processor stays with the control side, where most interrupts arrive too.
    func pins(threads: Int) -> [UInt32] {
        guard threads < processors.count else { return [] }
        if let quota, Int(quota.rounded(.up)) < processors.count { return [] }
        return Array(processors.suffix(threads))
    }

    /// The smallest quota on the way from the process's group up to the root.
    static func currentQuota(readFile: (String) -> String?) -> Double? {
        guard let groups = readFile("/proc/self/cgroup") else { return nil }
        // The line of version 2 is "0::/path"; the lines of version 1 have a controller between the colons.
        guard let line = groups.split(separator: "\n").first(where: { $0.hasPrefix("0::") }) else { return nil }
        var path = String(line.dropFirst(3))
        var smallest: Double?
        while true {
            if path.hasSuffix("/") { path.removeLast() }
            if let text = readFile("/sys/fs/cgroup\(path)/cpu.max"), let quota = quota(parsing: text) {
                smallest = min(smallest ?? quota, quota)
            }
            guard let slash = path.lastIndex(of: "/") else { return smallest }
            path = String(path[..<slash])
        }
    }

    /// Parses `cpu.max`: "QUOTA PERIOD" in microseconds, or "max PERIOD".
    static func quota(parsing text: String) -> Double? {
        let fields = text.split(whereSeparator: \.isWhitespace)
        guard fields.count == 2, let quota = Double(fields[0]), let period = Double(fields[1]) else { return nil }
        guard quota > 0, period > 0, quota / period < 65536 else { return nil }
        return quota / period
    }
}

/// The text of a file of at most 4096 bytes, such as those in /proc and /sys; nil when it cannot be read.
func readSmallFile(_ path: String) -> String? {
    let descriptor = unsafe Glibc.open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { closeDescriptor(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = unsafe read(descriptor, &bytes, bytes.count)
    guard count >= 0 else { return nil }
    return String(decoding: bytes.prefix(count), as: UTF8.self)
}
