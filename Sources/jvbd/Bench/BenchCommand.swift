// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// `jvbd bench`: what one forwarded packet costs on this machine, measured on the product's own path.

import ArgumentParser
import Bridge
import Colibri
import Glibc
import RTP
import SRTP

struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure the cost of a forwarded packet.",
        discussion: """
            One publisher and N receivers in one meeting on one media thread's path: receive, open, forward, seal, send over \
            loopback to sockets that nobody reads. Only receive to send is timed. Machines are noisy: compare figures of one run.
            """)

    enum Profile: String, ExpressibleByArgument, CaseIterable {
        case gcm128, gcm256, cm80

        var protection: ProtectionProfile {
            switch self {
            case .gcm128: .aeadAES128GCM
            case .gcm256: .aeadAES256GCM
            case .cm80: .aes128CMHMACSHA1_80
            }
        }
    }

    enum Engine: String, ExpressibleByArgument, CaseIterable {
        case auto, openssl
        case ipsecMB = "ipsec-mb"

        var kind: EngineKind? {
            switch self {
            case .auto: nil
            case .openssl: .openSSL
            case .ipsecMB: .ipsecMB
            }
        }
    }

    @Flag(help: "Print one JSON object per case; the last line is the last case.")
    var json = false
    @Option(help: "SRTP profile.")
    var profile = Profile.gcm128
    @Option(help: "SRTP engine.")
    var engine = Engine.auto
    @Option(help: "Receivers in the meeting, 1 to 500.")
    var receivers = 50
    @Option(help: "Packets of the publisher in each batch, 1 to 60.")
    var burst = 8
    @Option(help: "Payload bytes of a packet, 60 to 1200.")
    var bytes = 1200
    @Option(help: "Measured time per case, seconds.")
    var seconds = 2.0
    @Option(help: "Stop after this many forwarded packets instead of after a time.")
    var packets: Int?
    @Flag(name: .customLong("no-gso"), help: "Send each datagram on its own instead of in UDP_SEGMENT runs.")
    var noGSO = false

    func validate() throws {
        guard (1...500).contains(receivers) else { throw ValidationError("--receivers is a number from 1 to 500") }
        guard (1...60).contains(burst) else { throw ValidationError("--burst is a number from 1 to 60") }
        guard (60...1200).contains(bytes) else { throw ValidationError("--bytes is a number from 60 to 1200") }
        guard seconds > 0 else { throw ValidationError("--seconds is above 0") }
    }

    func run() throws {
        let shape = BenchMeeting.Shape(
            profile: profile.protection, engine: engine.kind, receivers: receivers, burst: burst, bytes: bytes,
            usesSegmentation: !noGSO)
        let meeting = try BenchMeeting(shape)
        meeting.warmUp()
        let limit = packets ?? Int.max
        let result = meeting.measure(seconds: packets == nil ? seconds : .infinity, packets: limit) { done in
            guard isatty(STDERR_FILENO) == 1 else { return }
            write("\r\(profile.rawValue), \(receivers) receivers, burst \(burst): \(done) packets forwarded ")
        }
        if isatty(STDERR_FILENO) == 1 { write("\r\u{1B}[K") }
        print(json ? String(decoding: report(result).serialized(), as: UTF8.self) : table(result))
    }

    private func write(_ text: String) { _ = unsafe Glibc.write(STDERR_FILENO, text, text.utf8.count) }

    private func report(_ result: BenchMeeting.Result) -> JSONValue {
        .object([
            "profile": .string(profile.rawValue), "engine": .string(result.engine),
            "receivers": .integer(Int64(receivers)),
            "burst": .integer(Int64(burst)), "packet_bytes": .integer(Int64(bytes)),
            "packets_forwarded": .integer(Int64(result.packets)),
            "ns_per_forwarded_packet": .number(rounded(result.nanosecondsPerPacket)),
            "packets_per_second_per_core": .integer(Int64(1e9 / max(result.nanosecondsPerPacket, 1))),
            "split_ns": .object(
                JSONObject(
                    Stage.allCases.map { .init(key: name(of: $0), value: .number(rounded(result.split[$0.rawValue]))) })
            ),
            "allocations_per_packet": result.allocations.map { .number(Double($0) / Double(max(result.packets, 1))) }
                ?? .null,
            "allocations": result.allocations.map { .integer(Int64($0)) } ?? .null,
            "events": .object(JSONObject(result.events.map { .init(key: $0.name, value: .integer(Int64($0.count))) })),
            "features": .array(result.features.map { .string($0) }),
        ])
    }

    private func table(_ result: BenchMeeting.Result) -> String {
        var lines = [
            "profile \(profile.rawValue), engine \(result.engine), \(receivers) receivers, burst \(burst), \(bytes) bytes",
            "  \(result.packets) packets forwarded",
            "  \(rounded(result.nanosecondsPerPacket)) ns per forwarded packet, "
                + "\(Int(1e9 / max(result.nanosecondsPerPacket, 1))) packets per second and core",
        ]
        for stage in Stage.allCases {
            let share = result.split[stage.rawValue]
            let bar = String(repeating: "#", count: Int(40 * share / max(result.nanosecondsPerPacket, 1)))
            lines.append("  \(pad(name(of: stage), 8)) \(pad("\(rounded(share))", 8)) \(bar)")
        }
        lines.append(
            "  allocations: \(result.allocations.map { "\($0)" } ?? "not counted (needs the interposed malloc)")")
        return lines.joined(separator: "\n")
    }

    private func name(of stage: Stage) -> String { stage == .receive ? "recv" : "\(stage)" }
    private func rounded(_ value: Double) -> Double { (value * 10).rounded() / 10 }
    private func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }
}
