// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Bridge
import CLinux
import ICE
import Testing

@testable import jvbd

/// Real datagrams over loopback: both families on one socket, source addresses, runs cut and joined, and every refusal of
/// the kernel counted.
@Suite struct DatagramTests {
    private static let loopback4 = IPAddress.v4(0x7F00_0001)
    private static let loopback6 = IPAddress.v6(0, 1)

    @Test func aPortThatSomeoneElseHasIsAnErrorThatNamesTheVariable() throws {
        let held = try #require(try UDPSocket.open(port: 0).first)
        let error = #expect(throws: UDPSocketError.self) { try UDPSocket.open(port: held.port) }
        guard case .portInUse(held.port) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect("\(UDPSocketError.portInUse(held.port))".contains("JVB_PORT"))
    }

    @Test func aSharedPortIsClosedToASecondProcessToo() throws {
        let held = try UDPSocket.open(port: 0, count: 3)
        #expect(Set(held.map(\.port)).count == 1)
        #expect(throws: UDPSocketError.self) { try UDPSocket.open(port: held[0].port, count: 3) }
        #expect(throws: UDPSocketError.self) { try UDPSocket.open(port: held[0].port, count: 1) }
    }

    @Test func peersAreSpreadOverTheSocketsOfASharedPort() throws {
        let sockets = try UDPSocket.open(port: 0, count: 2)
        for _ in 0..<64 {
            let peer = try Peer()
            peer.send([1], to: TransportAddress(ip: Self.loopback4, port: sockets[0].port))
        }
        var counts = [0, 0]
        for (i, socket) in sockets.enumerated() {
            counts[i] = Peer(socket: socket).receiveAll(atLeast: 64, patience: 100_000_000).count
        }
        #expect(counts[0] + counts[1] == 64)
        #expect(counts[0] > 0 && counts[1] > 0)
    }

    @Test func theWarningNamesTheSettingToChange() throws {
        let socket = try #require(try UDPSocket.open(port: 0).first)
        #expect(socket.receiveBufferSize > 0 && socket.sendBufferSize > 0)
        let isSmall = min(socket.receiveBufferSize, socket.sendBufferSize) < UDPSocket.wantedBufferSize
        #expect((socket.bufferWarning != nil) == isSmall)
        if socket.receiveBufferSize < UDPSocket.wantedBufferSize {
            #expect(socket.bufferWarning?.contains("sysctl -w net.core.rmem_max=10485760") == true)
        }
    }

    @Test(arguments: [true, false])
    func bothEndsOfADatagramAreTold(dualStack: Bool) throws {
        let server = try Peer(allowIPv6: dualStack)
        let client = try Peer(allowIPv6: dualStack)
        let kernelHasIPv6 = readSmallFile("/proc/net/if_inet6") != nil
        #expect(server.socket.isDualStack == (dualStack && kernelHasIPv6))
        var addresses = [Self.loopback4, IPAddress.v4(0x7F00_0305)]
        if server.socket.isDualStack { addresses.append(Self.loopback6) }
        for (i, address) in addresses.enumerated() {
            // Sent from the same address: PKTINFO names it.
            client.send([UInt8(i), 7], to: TransportAddress(ip: address, port: server.socket.port), from: address)
            let arrived = try #require(server.receiveAll(atLeast: 1).first)
            #expect(arrived.bytes == [UInt8(i), 7])
            #expect(arrived.path.local == address)
            #expect(arrived.path.remote == TransportAddress(ip: address, port: client.socket.port))
            // The answer leaves from where the question arrived.
            server.sender.send([9], on: arrived.path)
            let answer = try #require(client.receiveAll(atLeast: 1).first)
            #expect(answer.path.remote == TransportAddress(ip: address, port: server.socket.port))
        }
    }

    @Test func aRunArrivesAsItsDatagramsInOrder() throws {
        let server = try Peer()
        let client = try Peer()
        let run = (0..<10_100).map { UInt8(truncatingIfNeeded: $0 / 1000) }
        client.send(run, segmentSize: 1000, to: TransportAddress(ip: Self.loopback4, port: server.socket.port))
        let arrived = server.receiveAll(atLeast: 11)
        #expect(arrived.map(\.bytes.count) == [Int](repeating: 1000, count: 10) + [100])
        #expect(arrived.map { $0.bytes.first } == (0...10).map { UInt8($0) })
        #expect(client.sender.packetsSent == 11)
        #expect(client.sender.bytesSent == 10_100)
        #expect(client.sender.sendCalls == 1)
        #expect(client.sender.segmentationFallbacks == 0)
    }

    @Test func aRunThatTheKernelRefusesGoesOutDatagramByDatagram() throws {
        let server = try Peer()
        let client = try Peer()
        // More than a UDP datagram can be in all: EMSGSIZE.
        let run = [UInt8](repeating: 5, count: 70_000)
        let to = TransportAddress(ip: Self.loopback4, port: server.socket.port)
        client.send(run, segmentSize: 1200, to: to)
        client.send([6], to: to)
        let arrived = server.receiveAll(atLeast: 60)
        #expect(arrived.count == 60)
        #expect(arrived.last?.bytes == [6])
        #expect(arrived.dropLast().map(\.bytes.count).reduce(0, +) == 70_000)
        #expect(client.sender.segmentationFallbacks == 1)
        #expect(client.sender.packetsSent == 60)
        #expect(client.sender.bytesSent == 70_001)
    }

    @Test func whatCannotBeSentIsCountedAndTheRestGoesOut() throws {
        let server = try Peer()
        let client = try Peer()
        let to = TransportAddress(ip: Self.loopback4, port: server.socket.port)
        let bytes: [UInt8] = [1, 2, 3]
        unsafe bytes.withUnsafeBytes { buffer in
            guard let base = buffer.baseAddress else { return }
            let good = Path(socket: 0, local: Self.loopback4, remote: to)
            // Nobody's address as the source, a socket that does not exist, a datagram that is too long.
            let foreignSource = Path(socket: 0, local: .v4(0xC000_0201), remote: to)
            let noSocket = Path(socket: 3, local: Self.loopback4, remote: to)
            let messages = [good, foreignSource, noSocket, good].map {
                unsafe OutboundMessage(bytes: base, count: 3, segmentSize: 0, path: $0)
            }
            unsafe messages.withUnsafeBufferPointer { unsafe client.sender.send($0) }
        }
        #expect(server.receiveAll(atLeast: 2).count == 2)
        #expect(client.sender.packetsSent == 2)
        #expect(client.sender.sendErrors == 2)
    }

    @Test func anIPv4SocketCountsWhatItCannotReach() throws {
        let client = try Peer(allowIPv6: false)
        client.send([1], to: TransportAddress(ip: Self.loopback6, port: 9))
        #expect(client.sender.sendErrors == 1)
        #expect(client.sender.packetsSent == 0)
    }

    @Test func moreThanOneBatchOfMessagesGoesOutInOrder() throws {
        let server = try Peer()
        let client = try Peer()
        let to = TransportAddress(ip: Self.loopback4, port: server.socket.port)
        let bytes = (0..<300).map { UInt8(truncatingIfNeeded: $0) }
        unsafe bytes.withUnsafeBytes { buffer in
            guard let base = buffer.baseAddress else { return }
            let path = Path(socket: 0, local: Self.loopback4, remote: to)
            let messages = (0..<300).map {
                unsafe OutboundMessage(bytes: base + $0, count: 1, segmentSize: 0, path: path)
            }
            unsafe messages.withUnsafeBufferPointer { unsafe client.sender.send($0) }
        }
        #expect(server.receiveAll(atLeast: 300).map(\.bytes) == bytes.map { [$0] })
        #expect(client.sender.sendCalls == 3)
    }

    @Test func emptyDatagramsAreLeftOut() throws {
        let server = try Peer()
        let client = try Peer()
        let to = TransportAddress(ip: Self.loopback4, port: server.socket.port)
        let byte: UInt8 = 0
        unsafe withUnsafeBytes(of: byte) { buffer in
            guard let base = buffer.baseAddress else { return }
            let path = Path(socket: 0, local: Self.loopback4, remote: to)
            let messages = unsafe [OutboundMessage(bytes: base, count: 0, segmentSize: 0, path: path)]
            unsafe messages.withUnsafeBufferPointer { unsafe client.sender.send($0) }
        }
        client.send([4], to: to)
        #expect(server.receiveAll(atLeast: 1).map(\.bytes) == [[4]])
        #expect(server.leftOut == 1)
    }
}

/// A socket with its batches, as one end of a conversation on loopback.
final class Peer {
    let socket: UDPSocket
    let sender: DatagramSender
    private(set) var leftOut: UInt64 = 0
    private let batch = ReceiveBatch()

    init(socket: UDPSocket) {
        self.socket = socket
        sender = DatagramSender(sockets: [socket])
    }

    convenience init(allowIPv6: Bool = true) throws {
        self.init(socket: try UDPSocket.open(port: 0, allowIPv6: allowIPv6)[0])
    }

    func send(
        _ bytes: [UInt8], segmentSize: UInt16 = 0, to: TransportAddress, from: IPAddress = .v4(0)
    ) {
        let path = Path(socket: 0, local: from, remote: to)
        unsafe bytes.withUnsafeBytes { buffer in
            guard let base = buffer.baseAddress else { return }
            let messages = unsafe [
                OutboundMessage(bytes: base, count: buffer.count, segmentSize: segmentSize, path: path)
            ]
            unsafe messages.withUnsafeBufferPointer { unsafe sender.send($0) }
        }
    }

    /// Receives until `count` datagrams are there or `patience` nanoseconds have passed without one.
    func receiveAll(atLeast count: Int, patience: Int64 = 2_000_000_000) -> [(bytes: [UInt8], path: Path)] {
        var all: [(bytes: [UInt8], path: Path)] = []
        let datagrams = UnsafeMutableBufferPointer<InboundDatagram>.allocate(capacity: 7)
        defer { unsafe datagrams.deallocate() }
        while all.count < count {
            var descriptor = socket.descriptor
            if unsafe clinux_wait_readable(&descriptor, 1, patience) == 0 { break }
            _ = batch.receive(from: socket)
            while true {
                let n = unsafe batch.next(socket: 0, into: datagrams, leftOut: &leftOut)
                if n == 0 { break }
                for i in 0..<n {
                    let datagram = unsafe datagrams[i]
                    let bytes = unsafe UnsafeRawBufferPointer(start: datagram.bytes, count: datagram.count)
                    all.append((unsafe Array(bytes), datagram.path))
                }
            }
        }
        return all
    }
}
