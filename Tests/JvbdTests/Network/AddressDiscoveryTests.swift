// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Bridge
import ICE
import RTP
import Testing

@testable import jvbd

/// Discovery of public addresses against STUN servers of our own on loopback.
@Suite struct AddressDiscoveryTests {
    private static let local = IPAddress.v4(0x7F00_0001)

    @Test func everyAnswerIsLearnedOnce() async throws {
        let mapped = IPAddress.v4(0xCB00_7107)
        let servers = [try STUNServer(answering: mapped), try STUNServer(answering: mapped)]
        let outcome = await AddressDiscovery.discover(
            servers: servers.map { ("127.0.0.1", $0.port) }, from: [Self.local, .v6(0, 1)])
        #expect(outcome.answers == 2)
        #expect(outcome.mappings == [AddressDiscovery.Mapping(local: Self.local, mapped: mapped)])
        for server in servers { server.stop() }
    }

    @Test func anAddressThatIsItsOwnMappingIsAnAnswerButNoMapping() async throws {
        let server = try STUNServer(answering: Self.local)
        let outcome = await AddressDiscovery.discover(servers: [("127.0.0.1", server.port)], from: [Self.local])
        #expect(outcome.answers == 1)
        #expect(outcome.mappings.isEmpty)
        server.stop()
    }

    @Test func lostRequestsAreRepeated() async throws {
        let mapped = IPAddress.v4(0xCB00_7108)
        let server = try STUNServer(answering: mapped, ignoring: 2)
        let outcome = await AddressDiscovery.discover(servers: [("127.0.0.1", server.port)], from: [Self.local])
        #expect(outcome.mappings.map(\.mapped) == [mapped])
        server.stop()
    }

    @Test func silenceAndNamesThatDoNotExistEndInNothing() async throws {
        let server = try STUNServer(answering: Self.local, ignoring: .max)
        let start = MonotonicClock.now()
        let outcome = await AddressDiscovery.discover(
            servers: [("127.0.0.1", server.port), ("no such host", 3478)], from: [Self.local])
        #expect(outcome == AddressDiscovery.Outcome())
        #expect(MonotonicClock.now() - start < .seconds(10))
        let nobody = await AddressDiscovery.discover(servers: [], from: [Self.local])
        #expect(nobody == AddressDiscovery.Outcome())
        server.stop()
    }
}

/// Answers Binding requests with one and the same address.
private final class STUNServer: Sendable {
    let port: UInt16
    private let thread: MediaThread<Responder>

    init(answering address: IPAddress, ignoring: Int = 0) throws {
        let sockets = try UDPSocket.open(port: 0)
        port = sockets[0].port
        thread = try MediaThread(
            name: "stun-server", sockets: sockets,
            makeCore: { Responder(sink: $0, address: address, ignoring: ignoring) }, deliver: { _ in })
    }

    func stop() { thread.stop() }

    private final class Responder: MediaCore {
        let sink: any DatagramSink
        let address: IPAddress
        var ignoring: Int
        var deadline: Instant? { nil }

        init(sink: any DatagramSink, address: IPAddress, ignoring: Int) {
            self.sink = sink
            self.address = address
            self.ignoring = ignoring
        }

        func receive(_ datagrams: UnsafeBufferPointer<InboundDatagram>, now: Instant) {
            for i in datagrams.indices {
                let datagram = unsafe datagrams[i]
                let bytes = unsafe Array(UnsafeRawBufferPointer(start: datagram.bytes, count: datagram.count))
                guard let request = try? STUNMessage(parsing: bytes.span), request.isBindingRequest else { continue }
                if ignoring > 0 {
                    ignoring -= 1
                    continue
                }
                var writer = STUNWriter(.success, transactionID: request.transactionID)
                writer.append(xorMappedAddress: TransportAddress(ip: address, port: 1234))
                unsafe writer.bytes.withUnsafeBytes { buffer in
                    guard let base = buffer.baseAddress else { return }
                    let message = unsafe OutboundMessage(
                        bytes: base, count: buffer.count, segmentSize: 0, path: datagram.path)
                    unsafe [message].withUnsafeBufferPointer { unsafe sink.send($0) }
                }
            }
        }

        func perform(_ command: Never, now: Instant) {}
        func advance(now: Instant) {}
        func takeEvents() -> [Never] { [] }
    }
}
