// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Bridge
import Colibri
import NIOCore
import NIOPosix
import Testing

@testable import jvbd

@Suite struct XMPPServiceTests {
    private let door = RecordingDoor()
    private let plane: ControlPlane
    private let status = BridgeStatus()

    init() { plane = ControlPlane(doors: [door]) }

    /// NUL jvb NUL secret.
    private static let credentials = "AGp2YgBzZWNyZXQ="
    private static let pauses = XMPPClient.Pauses(
        afterLoss: .milliseconds(20), afterFailure: .milliseconds(50), connect: .seconds(5))

    private func settings(_ ports: [Int], password: String = "secret", verifies: Bool = false) -> XMPPSettings {
        XMPPSettings(
            servers: ports.map { HostPort(host: "127.0.0.1", port: $0) }, domain: "auth.test", user: "jvb",
            password: Secret(value: password), brewery: "jvbbrewery@muc.test", nickname: "bridge-1",
            verifiesCertificate: verifies)
    }

    private func start(_ settings: XMPPSettings) async throws -> XMPPService {
        try await XMPPService.start(
            settings, version: "1.2.3", controlPlane: plane, status: status,
            group: .singletonMultiThreadedEventLoopGroup, pauses: Self.pauses)
    }

    private func joined(_ count: Int = 1) async -> Bool {
        await eventually { status.current.roomsJoined == count && status.current.xmppConnected == count }
    }

    @Test func logsInOverTLSEntersTheBreweryAndPublishesStatistics() async throws {
        let server = try await ScriptedXMPPServer(credentials: Self.credentials)
        let service = try await start(settings([server.port]))
        #expect(await joined())
        #expect(status.current.xmppConfigured == 1)
        service.update(statistics: [("drain", false), ("stress_level", .number(0.25))], urgent: true)
        #expect(await eventually { server.heard("stress_level") })
        let presence = try #require(server.log.last { $0.contains("stress_level") })
        #expect(presence.contains("jvbbrewery@muc.test/bridge-1"))
        #expect(presence.contains("value=\"0.25\"") || presence.contains("value='0.25'"))
        #expect(!presence.contains("http://jabber.org/protocol/muc\""))
        await service.stop()
        #expect(server.heard("unavailable"))
        #expect(server.heard("</stream:stream>"))
        #expect(status.current.xmppConnected == 0)
        #expect(status.current.roomsJoined == 0)
        await server.stop()
    }

    @Test func requestsAreAnsweredOverTheConnectionThatAsked() async throws {
        let server = try await ScriptedXMPPServer(credentials: Self.credentials)
        let service = try await start(settings([server.port]))
        #expect(await joined())
        let focus = "from='jvbbrewery@muc.test/focus' to='jvb@auth.test/r1'"
        server.say("<iq type='get' id='h1' \(focus)><healthcheck xmlns='http://jitsi.org/protocol/healthcheck'/></iq>")
        #expect(await eventually { server.log.contains { $0.contains("h1") && $0.contains("result") } })
        status.update { $0.complaint = "broken" }
        server.say("<iq type='get' id='h2' \(focus)><healthcheck xmlns='http://jitsi.org/protocol/healthcheck'/></iq>")
        #expect(await eventually { server.log.contains { $0.contains("h2") && $0.contains("internal-server-error") } })
        server.say(
            "<iq type='set' id='c1' \(focus)><conference-modify xmlns='jitsi:colibri2' meeting-id='m1' expire='true'/></iq>"
                + "<iq type='set' id='c2' \(focus)><conference-modify xmlns='jitsi:colibri2' meeting-id='m2' expire='true'/></iq>"
        )
        #expect(await eventually { door.modifies.map(\.meetingID) == ["m1", "m2"] })
        let ids = door.modifies.map(\.id)
        plane.receive(.modified(ids[1], .failure(.conferenceNotFound("m2"))), from: 0)
        plane.receive(.modified(ids[0], .success(ConferenceModified())), from: 0)
        #expect(await eventually { server.log.contains { $0.contains("c2") && $0.contains("conference_not_found") } })
        #expect(await eventually { server.log.contains { $0.contains("c1") && $0.contains("conference-modified") } })
        server.say(
            "<iq type='get' id='s1' from='stranger@evil.test/x'><conference-modify xmlns='jitsi:colibri2' meeting-id='m3'/></iq>"
        )
        #expect(await eventually { server.log.contains { $0.contains("s1") && $0.contains("forbidden") } })
        #expect(door.modifies.count == 2)
        await service.stop()
        await server.stop()
    }

    @Test func comesBackAfterALostConnectionAndDropsAnswersToTheOldOne() async throws {
        let server = try await ScriptedXMPPServer(credentials: Self.credentials)
        let service = try await start(settings([server.port]))
        #expect(await joined())
        server.say(
            "<iq type='set' id='late' from='jvbbrewery@muc.test/focus'>"
                + "<conference-modify xmlns='jitsi:colibri2' meeting-id='m'/></iq>")
        #expect(await eventually { door.modifies.count == 1 })
        await server.drop()
        #expect(await eventually { server.connectionCount == 2 })
        #expect(await joined())
        #expect(status.current.xmppDisconnects == 1)
        let id = try #require(door.modifies.first?.id)
        plane.receive(.modified(id, .success(ConferenceModified())), from: 0)
        service.update(statistics: [("marker", "after")], urgent: true)
        #expect(await eventually { server.heard("marker") })
        #expect(!server.log.contains { $0.contains("late") })
        await service.stop()
        await server.stop()
    }

    @Test func keepsTryingWhileTheServerIsAwayOrRefuses() async throws {
        let server = try await ScriptedXMPPServer(credentials: Self.credentials)
        let port = server.port
        await server.stop()
        let service = try await start(settings([port]))
        try await Task.sleep(for: .milliseconds(150))
        #expect(status.current.xmppConnected == 0)
        try await server.listen(port: port)
        #expect(await joined())
        await service.stop()
        await server.stop()

        let strict = try await ScriptedXMPPServer(credentials: Self.credentials)
        let wrong = try await start(settings([strict.port], password: "wrong"))
        #expect(await eventually { strict.connectionCount >= 3 })
        #expect(status.current.xmppConnected == 0)
        await wrong.stop()
        await strict.stop()
    }

    @Test func untrustedCertificatesAreRefusedWhenAsked() async throws {
        let server = try await ScriptedXMPPServer(credentials: Self.credentials)
        let service = try await start(settings([server.port], verifies: true))
        #expect(await eventually { server.connectionCount >= 2 })
        #expect(!server.heard("<auth"))
        await service.stop()
        await server.stop()
    }

    @Test func severalServersAreIndependent() async throws {
        let first = try await ScriptedXMPPServer(credentials: Self.credentials)
        let second = try await ScriptedXMPPServer(credentials: Self.credentials)
        let service = try await start(settings([first.port, second.port]))
        #expect(await joined(2))
        await first.stop()
        #expect(await joined(1))
        await service.stop()
        await second.stop()
    }

    @Test func stoppingDoesNotWaitForAServerThatIsNotThere() async throws {
        let service = try await start(settings([1]))
        let clock = ContinuousClock()
        let start = clock.now
        await service.stop()
        #expect(clock.now - start < .seconds(2))
    }
}
