// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// The house rules that a compiler does not check: who may import whom, and who may know the time.
struct ImportTableTests {
    /// What each module may import; `jvbd` may import everything.
    private static let table: [String: Set<String>] = [
        "RTP": [],
        "SRTP": ["RTP", "COpenSSL", "CIPSecMB"],
        "ICE": ["RTP", "COpenSSL"],
        "DTLS": ["RTP", "COpenSSL"],
        "Colibri": ["RTP", "ICE", "DTLS", "CExpat", "COpenSSL"],
        "Bridge": ["RTP", "SRTP", "ICE", "DTLS", "Colibri"],
    ]

    private static let sources = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().appending(path: "Sources")

    private static func files(of module: String) throws -> [(name: String, text: String)] {
        let folder = sources.appending(path: module)
        let walk = try #require(FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil))
        var files: [(String, String)] = []
        for case let file as URL in walk where file.pathExtension == "swift" {
            files.append((file.lastPathComponent, try String(contentsOf: file, encoding: .utf8)))
        }
        try #require(!files.isEmpty, "\(module) has no sources: the table is out of date")
        return files
    }

    @Test(arguments: table.keys.sorted())
    func modulesImportOnlyWhatTheTableAllows(module: String) throws {
        let allowed = try #require(Self.table[module])
        for (name, text) in try Self.files(of: module) {
            for line in text.split(separator: "\n") {
                let words = line.split(separator: " ")
                guard let at = words.firstIndex(of: "import"), at <= 1, words.count > at + 1 else { continue }
                let imported = words[at + 1].split(separator: ".")[0]
                #expect(allowed.contains(String(imported)), "\(module)/\(name) imports \(imported)")
            }
        }
    }

    @Test(arguments: table.keys.sorted())
    func coresHaveNoClockEntropySocketOrLock(module: String) throws {
        let forbidden = [
            "ContinuousClock", "SuspendingClock", "clock_gettime", "gettimeofday", "SystemRandomNumberGenerator",
            "Date()", "socket(", "recvfrom(", "sendto(", "Mutex<", "NSLock", "pthread_", "DispatchQueue", "Task {",
            " print(",
        ]
        for (name, text) in try Self.files(of: module) {
            for line in text.split(separator: "\n") {
                let code = line.prefix(upTo: line.range(of: "//")?.lowerBound ?? line.endIndex)
                for word in forbidden { #expect(!code.contains(word), "\(module)/\(name): \(word)") }
                if code.contains(".random(in:") || code.contains(".random()") {
                    #expect(code.contains("using:"), "\(module)/\(name) draws from the system's entropy")
                }
            }
        }
    }

    @Test
    func onlyMailboxAndSlotRingAreUncheckedSendable() throws {
        for module in Self.table.keys.sorted() + ["jvbd"] {
            for (name, text) in try Self.files(of: module) where !["Mailbox.swift", "SlotRing.swift"].contains(name) {
                for line in text.split(separator: "\n") {
                    let code = line.prefix(upTo: line.range(of: "//")?.lowerBound ?? line.endIndex)
                    #expect(!code.contains("@unchecked Sendable"), "\(module)/\(name)")
                    #expect(!code.contains("nonisolated(unsafe)"), "\(module)/\(name)")
                }
            }
        }
    }

    @Test(arguments: table.keys.sorted() + ["jvbd"])
    func everyFileSaysItsJobAndItsLicence(module: String) throws {
        for (name, text) in try Self.files(of: module) {
            let head = text.prefix(1500)
            #expect(
                head.hasPrefix("// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0"),
                "\(module)/\(name)")
            #expect(head.contains("/// "), "\(module)/\(name) does not open with a sentence on its job")
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false).count
            #expect(lines <= 501, "\(module)/\(name) has \(lines) lines: often two jobs")
        }
    }
}
