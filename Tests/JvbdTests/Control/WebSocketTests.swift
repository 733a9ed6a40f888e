// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Bridge
import NIOCore
import NIOPosix
import Testing

@testable import jvbd

@Suite struct WebSocketTests {
    private let door = RecordingDoor()
    private let plane: ControlPlane
    private let handle = EndpointHandle(rawValue: 5)

    init() { plane = ControlPlane(doors: [door]) }

    private func start(_ timing: WebSocketChannel.Timing = .init()) async throws -> WebSocketServer {
        try await WebSocketServer.start(
            on: HostPort(host: "127.0.0.1", port: 0), serverID: "s1", controlPlane: plane,
            group: .singletonMultiThreadedEventLoopGroup, timing: timing)
    }

    private func ask(_ client: RawClient, _ target: String) {
        client.send(
            "GET \(target) HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
    }

    private var authorizations: [RequestID] {
        door.commands.compactMap { if case .authorizeWebSocket(_, _, _, let id) = $0 { id } else { nil } }
    }

    /// Answers the authorisation after those that were asked before.
    private func authorize(_ handle: EndpointHandle?, after count: Int = 0) async {
        #expect(await eventually { authorizations.count > count })
        if let id = authorizations.last { plane.receive(.webSocketAuthorized(id, handle), from: 0) }
    }

    private func open(_ server: WebSocketServer) async throws -> RawClient {
        let client = try await RawClient.connect(server.localAddress?.port)
        let before = authorizations.count
        ask(client, "/colibri-ws/s1/c1/e1?pwd=secret")
        await authorize(handle, after: before)
        #expect(await client.wait { $0.text.hasSuffix("\r\n\r\n") })
        // RFC 6455 section 1.3: the answer to its sample nonce.
        #expect(client.text.hasPrefix("HTTP/1.1 101 "))
        #expect(client.text.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
        client.clear()
        return client
    }

    /// A masked frame, as clients must send them.
    private func frame(_ opcode: UInt8, _ payload: [UInt8], fin: Bool = true) -> [UInt8] {
        let mask: [UInt8] = [1, 2, 3, 4]
        var bytes: [UInt8] = [(fin ? 0x80 : 0) | opcode]
        if payload.count < 126 {
            bytes.append(0x80 | UInt8(payload.count))
        } else if payload.count < 65536 {
            bytes += [0x80 | 126, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
        } else {
            bytes += [
                0x80 | 127, 0, 0, 0, 0, 0, UInt8(payload.count >> 16), UInt8(payload.count >> 8 & 0xFF),
                UInt8(payload.count & 0xFF),
            ]
        }
        return bytes + mask + payload.enumerated().map { $1 ^ mask[$0 % 4] }
    }

    private var messages: [String] {
        door.commands.compactMap {
            if case .channelMessage(handle, .webSocket, let text) = $0 {
                String(decoding: text, as: UTF8.self)
            } else {
                nil
            }
        }
    }

    private func count(where condition: (ShardCommand) -> Bool) -> Int { door.commands.filter(condition).count }

    @Test func textGoesBothWays() async throws {
        let server = try await start()
        let client = try await open(server)
        #expect(
            await eventually { count { if case .channelOpened(handle, .webSocket) = $0 { true } else { false } } == 1 })
        client.send(frame(1, Array("hello".utf8)))
        #expect(await eventually { messages == ["hello"] })
        plane.receive(.channelSend(handle, .webSocket, Array("back".utf8)), from: 0)
        #expect(await client.wait { $0.bytes == [0x81, 4] + Array("back".utf8) })
        client.close()
        #expect(
            await eventually { count { if case .channelClosed(handle, .webSocket) = $0 { true } else { false } } == 1 })
        await server.stop()
    }

    @Test func fragmentsAreJoinedAndPingsAnswered() async throws {
        let server = try await start()
        let client = try await open(server)
        client.send(frame(1, Array("he".utf8), fin: false) + frame(9, [7]) + frame(0, Array("llo".utf8)))
        #expect(await eventually { messages == ["hello"] })
        #expect(await client.wait { $0.bytes == [0x8A, 1, 7] })
        client.close()
        await server.stop()
    }

    @Test(arguments: [
        ("/colibri-ws/other/c1/e1?pwd=secret", 404), ("/colibri-ws/s1/c1?pwd=secret", 404), ("/", 404),
        ("/colibri-ws/s1/c1/e1?password=secret", 404),
    ])
    func pathsThatWeNeverGaveAreNotFoundAndNotAsked(target: String, code: Int) async throws {
        let server = try await start()
        let client = try await RawClient.connect(server.localAddress?.port)
        ask(client, target)
        #expect(await client.wait { $0.isClosed })
        #expect(client.text.hasPrefix("HTTP/1.1 \(code) "))
        #expect(door.commands.isEmpty)
        await server.stop()
    }

    @Test func wrongPasswordIsForbidden() async throws {
        let server = try await start()
        let client = try await RawClient.connect(server.localAddress?.port)
        ask(client, "/colibri-ws/s1/c1/e1?pwd=wrong")
        await authorize(nil)
        #expect(await client.wait { $0.isClosed })
        #expect(client.text.hasPrefix("HTTP/1.1 403 "))
        #expect(plane.counters.webSockets == 0)
        await server.stop()
    }

    @Test func plainRequestsAreToldToUpgrade() async throws {
        let server = try await start()
        let reply = try await RawClient.exchange(
            server.localAddress?.port, "GET /colibri-ws/s1/c1/e1?pwd=x HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(reply.hasPrefix("HTTP/1.1 426 "))
        await server.stop()
    }

    @Test func brokenHandshakesAreAnswered() async throws {
        let server = try await start()
        let reply = try await RawClient.exchange(
            server.localAddress?.port,
            "GET /colibri-ws/s1/c1/e1?pwd=x HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 12\r\n\r\n")
        #expect(reply.hasPrefix("HTTP/1.1 400 "))
        #expect(door.commands.isEmpty)
        await server.stop()
    }

    @Test func messagesAreLimited() async throws {
        let server = try await start()
        let client = try await open(server)
        let limit = [UInt8](repeating: UInt8(ascii: "a"), count: WebSocketServer.messageLimit)
        client.send(frame(1, limit))
        #expect(await eventually { messages.first?.utf8.count == limit.count })
        client.send(frame(1, limit + [0]))
        #expect(await client.wait { $0.isClosed })
        #expect(messages.count == 1)
        let fragments = try await open(server)
        for n in 0..<5 { fragments.send(frame(n == 0 ? 1 : 0, Array(limit.prefix(20_000)), fin: n == 4)) }
        #expect(await fragments.wait { $0.isClosed || $0.bytes.starts(with: [0x88]) })
        #expect(messages.count == 1)
        await server.stop()
    }

    @Test func expiryClosesWith1001AndANewSocketReplacesWith1000() async throws {
        let server = try await start()
        let first = try await open(server)
        let second = try await open(server)
        #expect(await first.wait { $0.bytes.starts(with: [0x88, 10, 0x03, 0xE8]) })
        plane.receive(.channelExpired(handle), from: 0)
        #expect(await second.wait { $0.bytes.starts(with: [0x88, 17, 0x03, 0xE9]) })
        #expect(second.text.hasSuffix("endpoint closed"))
        #expect(await second.wait { $0.isClosed })
        await server.stop()
    }

    @Test func silentClientsArePingedAndThenGivenUp() async throws {
        let server = try await start(WebSocketChannel.Timing(ping: .milliseconds(60), silences: 4))
        let client = try await open(server)
        #expect(await client.wait { $0.bytes.starts(with: [0x89, 0]) })
        // An answer keeps it open.
        client.send(frame(10, []))
        #expect(await client.wait { $0.isClosed })
        #expect(client.bytes.count >= 4 * 2)
        await server.stop()
    }

    @Test func aClientThatDoesNotReadIsCutOff() async throws {
        let server = try await start()
        let client = try await open(server)
        // In one go, before the loop can write any of it.
        let text = [UInt8](repeating: UInt8(ascii: "a"), count: 30_000)
        for _ in 0..<(WebSocketChannel.queueLimit / text.count + 64) {
            plane.receive(.channelSend(handle, .webSocket, text), from: 0)
        }
        #expect(await client.wait { $0.isClosed })
        client.close()
        await server.stop()
    }
}
