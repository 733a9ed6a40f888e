// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import CNice
import Glibc
import RTP
import Testing

@testable import ICE

/// Our session and libnice's agent find each other over real sockets.
@Suite struct LibniceAgentTests {
    /// What a test needs to know of a meeting over loopback.
    private struct Meeting {
        let session: ICESession
        let agent: LibniceAgent
        let ours: UDPSocket
        let theirs: TransportAddress
        var output = ICEOutput()
        var events: [ICEEvent] = []
        /// Datagrams for us that are not STUN.
        var heard: [[UInt8]] = []
        var said: [(bytes: [UInt8], from: TransportAddress)] = []

        init(_ role: ICERole, agent theirRole: ICERole, at ip: String, knowsPeer: Bool, tieBreaker: UInt64) throws {
            var generator = SeededGenerator(seed: 7)
            ours = try UDPSocket(at: try address(ip, 0).ip)
            agent = try LibniceAgent(theirRole, at: ours.address.ip)
            let candidates = try agent.candidates()
            theirs = try #require(candidates.first).address
            session = ICESession(
                role: role, credentials: ICECredentials(firstCharacter: UInt8(ascii: "a"), using: &generator),
                bases: [LocalBase(socket: 5, address: ours.address)], tieBreaker: tieBreaker, tag: 77, now: .current,
                using: &generator)
            session.setRemote(
                try agent.credentials(), candidates: knowsPeer ? candidates : [], generation: nil, now: .current)
            #expect(agent.setRemote(session.localCredentials, at: [ours.address]))
        }

        /// Lets both sides work until `condition` holds; false after ten seconds.
        mutating func run(until condition: (Meeting) -> Bool) -> Bool {
            let end = Instant.current + .seconds(10)
            while Instant.current < end {
                while let (bytes, from) = ours.receive() {
                    if DatagramKind(bytes.span) == .stun {
                        let path = Path(socket: 5, local: ours.address.ip, remote: from)
                        session.receive(bytes.span, on: path, now: .current, into: &output)
                    } else {
                        heard.append(bytes)
                    }
                }
                session.advance(now: .current, into: &output)
                for (path, bytes) in output.datagrams { ours.send(bytes, to: path.remote) }
                events += output.events
                output.removeAll()
                while let datagram = agent.receive() { said.append(datagram) }
                if condition(self) { return true }
                usleep(2000)
            }
            return false
        }
    }

    /// Both sides agree on the pair, and data goes both ways over it.
    private func connect(
        _ role: ICERole, agent theirRole: ICERole, at ip: String, knowsPeer: Bool = true, tieBreaker: UInt64 = 1 << 63
    ) throws -> ICERole {
        var meeting = try Meeting(role, agent: theirRole, at: ip, knowsPeer: knowsPeer, tieBreaker: tieBreaker)
        let path = Path(socket: 5, local: meeting.ours.address.ip, remote: meeting.theirs)
        let connected = meeting.run { $0.agent.state == CNICE_READY && $0.session.state == .connected(path) }
        #expect(connected, "libnice: \(meeting.agent.state.rawValue), we: \(meeting.session.state)")
        let selected = try #require(meeting.agent.selected)
        #expect(selected.local == meeting.theirs)
        #expect(selected.remote == meeting.ours.address)
        #expect(meeting.events.contains(.validated(path)))
        #expect(meeting.events.contains(.selected(path)))
        for reason in [ICEDropReason.malformed, .fingerprint, .integrity, .unknownUsername, .tooManyPaths] {
            #expect(!meeting.events.contains(.dropped(reason)), "\(reason)")
        }

        // First bytes that RFC 7983 gives to DTLS and to RTP.
        let (question, answer): ([UInt8], [UInt8]) = ([0x80, 1, 2, 3], [22, 9, 8, 7, 6])
        #expect(meeting.agent.send(question))
        meeting.ours.send(answer, to: path.remote)
        let talked = meeting.run { !$0.heard.isEmpty && !$0.said.isEmpty }
        #expect(talked)
        #expect(meeting.heard == [question])
        #expect(meeting.said.map(\.bytes) == [answer])
        #expect(meeting.said.map(\.from) == [meeting.ours.address])
        return meeting.session.role
    }

    @Test(arguments: [ICERole.controlling, .controlled], ["127.0.0.1", "::1"])
    func connects(role: ICERole, ip: String) throws {
        #expect(try connect(role, agent: role.opposite, at: ip) == role)
    }

    /// As with most participants: what the bridge knows of them comes from their checks only.
    @Test(arguments: [ICERole.controlling, .controlled], ["127.0.0.1", "::1"])
    func connectsToAPeerWhoseCandidatesAreUnknown(role: ICERole, ip: String) throws {
        #expect(try connect(role, agent: role.opposite, at: ip, knowsPeer: false) == role)
    }

    /// Both think they have the same role: the tie-breakers decide, libnice's is random.
    @Test(arguments: [ICERole.controlling, .controlled], [0, UInt64.max])
    func roleConflictsAreSettled(role: ICERole, tieBreaker: UInt64) throws {
        let settled = try connect(role, agent: role, at: "127.0.0.1", tieBreaker: tieBreaker)
        // RFC 8445 section 7.3.1.1: the larger tie-breaker controls.
        #expect(settled == (tieBreaker == 0 ? .controlled : .controlling))
    }
}

/// A bound UDP socket that never waits.
private final class UDPSocket {
    let address: TransportAddress
    private let descriptor: Int32

    init(at ip: IPAddress) throws {
        descriptor = socket(ip.isIPv6 ? AF_INET6 : AF_INET, Int32(SOCK_DGRAM.rawValue | SOCK_NONBLOCK.rawValue), 0)
        var storage = sockaddr_storage(TransportAddress(ip: ip, port: 0))
        let size = storage.length
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let descriptor = descriptor
        let bound = unsafe withSocketAddress(&storage) {
            unsafe bind(descriptor, $0, size) == 0 && getsockname(descriptor, $0, &length) == 0
        }
        guard bound, let address = TransportAddress(storage) else {
            close(descriptor)
            throw BadTestInput(text: "no socket at \(ip)")
        }
        self.address = address
    }

    deinit { close(descriptor) }

    func send(_ bytes: [UInt8], to address: TransportAddress) {
        var storage = sockaddr_storage(address)
        let size = storage.length
        _ = unsafe withSocketAddress(&storage) { unsafe sendto(descriptor, bytes, bytes.count, 0, $0, size) }
    }

    func receive() -> (bytes: [UInt8], from: TransportAddress)? {
        var bytes = [UInt8](repeating: 0, count: 2048)
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let count = unsafe withSocketAddress(&storage) {
            unsafe recvfrom(descriptor, &bytes, bytes.count, 0, $0, &length)
        }
        guard count > 0, let from = TransportAddress(storage) else { return nil }
        return (Array(bytes.prefix(count)), from)
    }
}

private func withSocketAddress<Result>(
    _ storage: UnsafeMutablePointer<sockaddr_storage>, _ body: (UnsafeMutablePointer<sockaddr>) -> Result
) -> Result {
    unsafe storage.withMemoryRebound(to: sockaddr.self, capacity: 1, body)
}

extension sockaddr_storage {
    fileprivate init(_ address: TransportAddress) {
        self.init()
        ss_family = sa_family_t(address.ip.isIPv6 ? AF_INET6 : AF_INET)
        unsafe withUnsafeMutableBytes(of: &self) { bytes in
            unsafe bytes.storeBytes(of: address.port.bigEndian, toByteOffset: 2, as: UInt16.self)
            switch address.ip {
            case .v4(let octets): unsafe bytes.storeBytes(of: octets.bigEndian, toByteOffset: 4, as: UInt32.self)
            case .v6(let high, let low):
                unsafe bytes.storeBytes(of: high.bigEndian, toByteOffset: 8, as: UInt64.self)
                unsafe bytes.storeBytes(of: low.bigEndian, toByteOffset: 16, as: UInt64.self)
            }
        }
    }

    fileprivate var length: socklen_t {
        socklen_t(
            Int32(ss_family) == AF_INET6 ? MemoryLayout<sockaddr_in6>.size : MemoryLayout<sockaddr_in>.size)
    }
}

extension TransportAddress {
    fileprivate init?(_ storage: sockaddr_storage) {
        let bytes = unsafe withUnsafeBytes(of: storage) { unsafe Array($0.prefix(24)) }
        let port = bytes.span.bigEndian16(at: 2)
        switch Int32(storage.ss_family) {
        case AF_INET: self.init(ip: .v4(bytes.span.bigEndian32(at: 4)), port: port)
        case AF_INET6:
            self.init(ip: .v6(bytes.span.bigEndian64(at: 8), bytes.span.bigEndian64(at: 16)), port: port)
        default: return nil
        }
    }
}

extension Instant {
    fileprivate static var current: Instant {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return Instant(nanoseconds: UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec))
    }
}
