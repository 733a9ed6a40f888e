// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Bridge
import Foundation
import Logging
import RTP
import Testing

@testable import jvbd

/// Recordings for debugging: what lies in the folder afterwards, and what happens when it cannot be used.
@Suite struct RTPDumpTests {
    private static func withFolder<Result>(_ body: (URL) throws -> Result) throws -> Result {
        let folder = FileManager.default.temporaryDirectory.appending(path: "jvbd-dump-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        return try body(folder)
    }

    /// Names and contents of the files after `body` has used a tap of a dump there.
    private static func files(
        sizeLimit: Int = RTPDumpTap.sizeLimit, _ body: (RTPDumpTap) -> Void
    ) throws -> [String: [UInt8]] {
        try withFolder { folder in
            let dump = try RTPDump(folder: folder.path, logger: Logger(label: "Test"))
            body(RTPDumpTap(dump, sizeLimit: sizeLimit))
            dump.stop()
            let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
            return try Dictionary(
                uniqueKeysWithValues: names.map { ($0, [UInt8](try Data(contentsOf: folder.appending(path: $0)))) })
        }
    }

    private static func send(
        _ packet: [UInt8], _ tap: RTPDumpTap, isRTCP: Bool = false, handle: UInt64 = 7, id: String = "abcd1234",
        at: UInt64
    ) {
        unsafe packet.withUnsafeBytes {
            unsafe tap.received(
                $0, isRTCP: isRTCP, from: EndpointHandle(rawValue: handle), id: id,
                now: Instant(nanoseconds: at * 1_000_000))
        }
    }

    @Test func aRecordingHasHeaderThenPacketsWithTheirArrivalTimes() throws {
        let files = try Self.files { tap in
            Self.send([0x80, 1, 2, 3], tap, at: 1000)
            Self.send([0x81, 200, 0, 6, 9], tap, isRTCP: true, at: 1020)
            tap.ended(EndpointHandle(rawValue: 7))
        }
        let bytes = try #require(files.values.first)
        let line = Array("#!rtpplay1.0 0.0.0.0/0\n".utf8)
        #expect(Array(bytes.prefix(line.count)) == line)
        #expect(
            Array(bytes.dropFirst(line.count + 16)) == [
                0, 12, 0, 4, 0, 0, 0, 0, 0x80, 1, 2, 3,
                0, 13, 0, 0, 0, 0, 0, 20, 0x81, 200, 0, 6, 9,
            ])
    }

    @Test func everyEndpointHasItsOwnFileAndATapThatGoesLeavesNothingBehind() throws {
        let files = try Self.files { tap in
            for i in 0..<200 as Range<UInt64> {
                Self.send([UInt8](repeating: 1, count: 1000), tap, handle: i & 1, id: "id\(i & 1)", at: i)
            }
        }
        #expect(files.count == 2)
        for bytes in files.values { #expect(bytes.count == 23 + 16 + 100 * 1008) }
    }

    @Test func aFullFileEndsBehindAWholePacket() throws {
        let files = try Self.files(sizeLimit: 4000) { tap in
            for i in 0..<20 as Range<UInt64> { Self.send([UInt8](repeating: 1, count: 1000), tap, at: i) }
        }
        #expect(files.values.map(\.count) == [23 + 16 + 3 * 1008])
    }

    @Test func anEndpointIDCannotLeaveTheFolder() throws {
        let files = try Self.files { tap in Self.send([1], tap, id: "../../x/\u{0}ä", at: 0) }
        let name = try #require(files.keys.first)
        #expect(name.hasSuffix("-______x___-7.rtpdump"))
    }

    @Test(arguments: ["/nonexistent-folder", "/proc/version", "/proc/self"])
    func aFolderThatCannotBeWrittenIsAProblemOfOneLine(folder: String) {
        #expect {
            _ = try RTPDump(folder: folder, logger: Logger(label: "Test"))
        } throws: { error in
            guard let problem = error as? ConfigurationProblem else { return false }
            return problem.variable == "JVB_DEBUG_RTP_DUMP" && !problem.description.contains("\n")
        }
    }
}
