// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The environment variables of this process, as it was started with them.

import Glibc

enum ProcessEnvironment {
    /// Of a name that occurs twice the first one counts, as for getenv(3).
    static let variables: [String: String] = parse(read("/proc/self/environ"))

    /// Entries `NAME=VALUE`, each ended by NUL (proc(5)).
    static func parse(_ bytes: [UInt8]) -> [String: String] {
        var variables: [String: String] = [:]
        for entry in bytes.split(separator: 0) {
            guard let sign = entry.firstIndex(of: UInt8(ascii: "=")) else { continue }
            let name = String(decoding: entry[..<sign], as: UTF8.self)
            if variables[name] == nil { variables[name] = String(decoding: entry[(sign + 1)...], as: UTF8.self) }
        }
        return variables
    }

    private static func read(_ path: String) -> [UInt8] {
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return [] }
        defer { close(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16 << 10)
        while bytes.count < 2 << 20 {
            let count = unsafe Glibc.read(file, &chunk, chunk.count)
            guard count > 0 else { break }
            bytes += chunk.prefix(count)
        }
        return bytes
    }
}
