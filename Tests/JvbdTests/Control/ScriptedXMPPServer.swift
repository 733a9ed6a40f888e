// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix
import NIOSSL
import Synchronization

/// A server that knows just enough XMPP for one bridge: STARTTLS, SASL PLAIN, bind, a room that lets everybody in.
final class ScriptedXMPPServer: Sendable {
    private struct State {
        var log: [String] = []
        var connections: [any Channel] = []
    }

    private let state = Mutex(State())
    private let channel = Mutex<(any Channel)?>(nil)
    private let tls: NIOSSLContext
    /// What `<auth/>` must hold.
    private let credentials: String

    /// - Parameter credentials: Base64 of NUL, user, NUL, password.
    init(credentials: String) async throws {
        self.credentials = credentials
        let certificate = try NIOSSLCertificate(bytes: Array(ScriptedXMPPServer.certificate.utf8), format: .pem)
        let key = try NIOSSLPrivateKey(bytes: Array(ScriptedXMPPServer.key.utf8), format: .pem)
        tls = try NIOSSLContext(
            configuration: .makeServerConfiguration(
                certificateChain: [.certificate(certificate)], privateKey: .privateKey(key)))
        try await listen(port: 0)
    }

    func listen(port: Int) async throws {
        let channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .serverChannelOption(ChannelOptions.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    self.state.withLock { $0.connections.append(channel) }
                    try channel.pipeline.syncOperations.addHandler(Script(server: self))
                }
            }
            .bind(host: "127.0.0.1", port: port).get()
        self.channel.withLock { $0 = channel }
    }

    var port: Int { channel.withLock { $0?.localAddress?.port } ?? 0 }

    /// Everything that clients have said, one entry per read, in plain text.
    var log: [String] { state.withLock { $0.log } }
    var connectionCount: Int { state.withLock { $0.connections.count } }

    func heard(_ text: String) -> Bool { log.contains { $0.contains(text) } }

    /// Says something on the newest connection.
    func say(_ text: String) {
        state.withLock { $0.connections.last }?.writeAndFlush(ByteBuffer(string: text), promise: nil)
    }

    /// Drops the newest connection without a word.
    func drop() async {
        try? await state.withLock { $0.connections.last }?.close().get()
    }

    func stop() async {
        try? await channel.withLock { $0 }?.close().get()
        await drop()
    }

    private final class Script: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        private let server: ScriptedXMPPServer
        private var isSecure = false
        private var isAuthenticated = false

        init(server: ScriptedXMPPServer) { self.server = server }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let text = String(buffer: unwrapInboundIn(data))
            server.state.withLock { $0.log.append(text) }
            if text.contains("<stream:stream") {
                let features =
                    !isSecure
                    ? "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"
                    : !isAuthenticated
                        ? "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms>"
                        : "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"
                write(
                    "<?xml version='1.0'?><stream:stream xmlns='jabber:client' id='1' version='1.0' from='auth.test' "
                        + "xmlns:stream='http://etherx.jabber.org/streams'><stream:features>\(features)</stream:features>",
                    context)
            } else if text.contains("<starttls") {
                write("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", context)
                try? context.pipeline.syncOperations.addHandler(
                    NIOSSLServerHandler(context: server.tls), position: .first)
                isSecure = true
            } else if text.contains("<auth") {
                isAuthenticated = text.contains(">\(server.credentials)<")
                write(
                    isAuthenticated
                        ? "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
                        : "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>", context)
            } else if text.contains("urn:ietf:params:xml:ns:xmpp-bind"), let id = attribute("id", of: text) {
                write(
                    "<iq type='result' id='\(id)'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
                        + "<jid>jvb@auth.test/r1</jid></bind></iq>", context)
            } else if text.contains("http://jabber.org/protocol/muc"), let occupant = attribute("to", of: text) {
                write(
                    "<presence from='\(occupant)' to='jvb@auth.test/r1'><x xmlns='http://jabber.org/protocol/muc#user'>"
                        + "<item affiliation='owner' role='moderator'/><status code='110'/></x></presence>", context)
            } else if text.contains("</stream:stream>") {
                write("</stream:stream>", context)
                context.close(promise: nil)
            }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            context.close(promise: nil)
        }

        private func write(_ text: String, _ context: ChannelHandlerContext) {
            context.writeAndFlush(NIOAny(ByteBuffer(string: text)), promise: nil)
        }

        private func attribute(_ name: String, of text: String) -> String? {
            for quote in ["\"", "'"] {
                let parts = text.split(separator: " \(name)=\(quote)", maxSplits: 1)
                if parts.count == 2 { return parts[1].split(separator: Character(quote)).first.map(String.init) }
            }
            return nil
        }
    }

    /// Made for auth.test, trusted by nobody.
    private static let certificate = """
        -----BEGIN CERTIFICATE-----
        MIIBlTCCATugAwIBAgIUSB2HWUJW6X5u7xQByG9IHQXBHtQwCgYIKoZIzj0EAwIw
        FDESMBAGA1UEAwwJYXV0aC50ZXN0MCAXDTI2MTEyMzAyMTQxMVoYDzIxMjYxMDMw
        MDIxNDExWjAUMRIwEAYDVQQDDAlhdXRoLnRlc3QwWTATBgcqhkjOPQIBBggqhkjO
        PQMBBwNCAASD1LLt8pj8/c/tVDHzJNXIc97zY2rgecIpmYTKJqkEP7SnTIfAdu1f
        QTQfwNiEB3Oi+MfwE5zN4fs35BAypPRWo2kwZzAdBgNVHQ4EFgQUTD6FIEB3kDhd
        jCV5qhd6Ewb5m4swHwYDVR0jBBgwFoAUTD6FIEB3kDhdjCV5qhd6Ewb5m4swDwYD
        VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglhdXRoLnRlc3QwCgYIKoZIzj0EAwID
        SAAwRQIhAPHueF6uP8Bp2rwX74JwhihbYke2eSl7jijIJttiibZLAiAf/HaqHWEL
        6dw7qH072pF8lw8s9CMIigFOqyjDSSM0lQ==
        -----END CERTIFICATE-----
        """
    private static let key = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg+fp86i+VbIIaupqI
        /nvz8QkfGOqk7cvhDhuMcadLWqGhRANCAASD1LLt8pj8/c/tVDHzJNXIc97zY2rg
        ecIpmYTKJqkEP7SnTIfAdu1fQTQfwNiEB3Oi+MfwE5zN4fs35BAypPRW
        -----END PRIVATE KEY-----
        """
}
