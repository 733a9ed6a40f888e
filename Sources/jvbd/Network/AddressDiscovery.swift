// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Bridge
import CLinux
import ICE
import RTP

/// Finds the public addresses behind which NATs hide ours, by asking STUN servers (RFC 8489): every local IPv4 address
/// asks every server at the same time. Only addresses are learned: the port is taken to stay what it is.
enum AddressDiscovery {
    /// A local address and the one that a server saw instead.
    struct Mapping: Hashable, Sendable {
        var local: IPAddress
        var mapped: IPAddress
    }

    struct Outcome: Hashable, Sendable {
        /// Without duplicates and without addresses that are their own mapping.
        var mappings: [Mapping] = []
        /// Queries that were answered with an address; 0 means that discovery failed.
        var answers = 0
    }

    /// Asks from a thread of its own, since resolving names blocks. Takes at most about 2 s after that.
    static func discover(servers: [(host: String, port: UInt16)], from addresses: [IPAddress]) async -> Outcome {
        await withCheckedContinuation { continuation in
            let body: @Sendable () -> Void = {
                continuation.resume(returning: ask(resolve(servers), from: addresses))
            }
            do {
                _ = try NativeThread(name: "stun", body)
            } catch {
                continuation.resume(returning: Outcome())
            }
        }
    }

    private struct Question {
        let path: Path
        var query: MappedAddressQuery
    }

    private static func resolve(_ servers: [(host: String, port: UInt16)]) -> [TransportAddress] {
        servers.compactMap { server in
            var address: UInt32 = 0
            guard unsafe clinux_resolve_ipv4(server.host, &address) else { return nil }
            return TransportAddress(ip: .v4(address), port: server.port)
        }
    }

    private static func ask(_ servers: [TransportAddress], from addresses: [IPAddress]) -> Outcome {
        guard let sockets = try? UDPSocket.open(port: 0), let socket = sockets.first else { return Outcome() }
        var entropy = SystemEntropy()
        let start = MonotonicClock.now()
        var questions: [Question] = []
        for case .v4(let address) in addresses {
            for server in servers {
                let path = Path(socket: 0, local: .v4(address), remote: server)
                questions.append(Question(path: path, query: MappedAddressQuery(now: start, using: &entropy)))
            }
        }
        let sender = DatagramSender(sockets: sockets)
        let batch = ReceiveBatch()
        while let deadline = questions.compactMap(\.query.deadline).min() {
            let now = MonotonicClock.now()
            for i in questions.indices {
                if let request = questions[i].query.advance(now: now) {
                    sender.send(request, on: questions[i].path)
                }
            }
            var descriptor = socket.descriptor
            let rest = max((deadline - now).nanoseconds, 0)
            if unsafe clinux_wait_readable(&descriptor, 1, rest) != 0 {
                receive(batch, from: socket, into: &questions)
            }
        }
        return outcome(of: questions)
    }

    private static func receive(_ batch: ReceiveBatch, from socket: UDPSocket, into questions: inout [Question]) {
        guard batch.receive(from: socket) > 0 else { return }
        let datagrams = UnsafeMutableBufferPointer<InboundDatagram>.allocate(capacity: 64)
        defer { unsafe datagrams.deallocate() }
        var leftOut: UInt64 = 0
        while true {
            let count = unsafe batch.next(socket: 0, into: datagrams, leftOut: &leftOut)
            if count == 0 { return }
            for k in 0..<count {
                let datagram = unsafe datagrams[k]
                let bytes = unsafe datagram.bytes.assumingMemoryBound(to: UInt8.self)
                for i in questions.indices where questions[i].path.remote == datagram.path.remote {
                    unsafe questions[i].query.receive(Span(_unsafeStart: bytes, count: datagram.count))
                }
            }
        }
    }

    private static func outcome(of questions: [Question]) -> Outcome {
        var outcome = Outcome()
        for question in questions {
            guard case .mapped(let mapped) = question.query.outcome else { continue }
            outcome.answers += 1
            let mapping = Mapping(local: question.path.local, mapped: mapped.ip)
            if mapping.local != mapping.mapped && !outcome.mappings.contains(mapping) {
                outcome.mappings.append(mapping)
            }
        }
        return outcome
    }
}
