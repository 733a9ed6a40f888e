// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Bridge
import Colibri
import ICE
import NIOCore
import NIOHTTP1
import NIOPosix
import RTP
import Testing

@testable import jvbd

@Suite struct HTTPServerTests {
    private let door = RecordingDoor()
    private let plane: ControlPlane
    private let status = BridgeStatus()
    private let shutdowns = Answers<Bool>()

    init() { plane = ControlPlane(doors: [door]) }

    private func server(
        rest: Bool = true, shutdown: Bool = false, page: [UInt8]? = nil, limits: HTTPServer.Limits = .init()
    ) async throws -> HTTPServer {
        let shutdowns = shutdowns
        let routes = RESTRoutes(
            controlPlane: plane, status: status, statistics: BridgeStatistics(status: status, version: "1.2.3"),
            version: "1.2.3", colibriEnabled: rest, shutdownEnabled: shutdown, page: page,
            shutDown: { shutdowns.add($0) })
        return try await HTTPServer.start(
            on: HostPort(host: "127.0.0.1", port: 0), group: .singletonMultiThreadedEventLoopGroup, responder: routes,
            limits: limits)
    }

    private func exchange(
        _ server: HTTPServer, _ line: String, _ headers: [String] = [], _ body: String = ""
    ) async throws -> String {
        let length = body.isEmpty ? [] : ["Content-Length: \(body.utf8.count)"]
        let head = ["\(line) HTTP/1.1", "Host: x", "Connection: close"] + headers + length
        return try await RawClient.exchange(
            server.localAddress?.port, head.joined(separator: "\r\n") + "\r\n\r\n" + body)
    }

    private let json = ["Content-Type: application/json"]

    @Test func healthIsEmptyAndTurnsToAMessage() async throws {
        let server = try await server()
        let healthy = try await exchange(server, "GET /about/health")
        #expect(healthy.hasPrefix("HTTP/1.1 200 "))
        #expect(healthy.hasSuffix("\r\n\r\n"))
        status.update { $0.complaint = "1 media threads do not answer" }
        let sick = try await exchange(server, "GET /about/health")
        #expect(sick.hasPrefix("HTTP/1.1 500 "))
        #expect(sick.contains("media threads"))
        await server.stop()
    }

    @Test func versionHasTheNameThatMonitoringKnows() async throws {
        let server = try await server(rest: false)
        let reply = try await exchange(server, "GET /about/version?x=1")
        #expect(reply.hasSuffix(#"{"name":"JVB","version":"1.2.3","os":"Linux"}"#))
        await server.stop()
    }

    @Test(arguments: [
        "GET /colibri/stats", "POST /colibri/v2/conferences", "PATCH /colibri/v2/conferences/x",
        "POST /colibri/shutdown", "GET /about/stats", "GET /", "GET /colibri/v2/conferences/a/b",
    ])
    func whatIsSwitchedOffOrUnknownIsNotThere(line: String) async throws {
        let server = try await server(rest: false, shutdown: true)
        #expect(try await exchange(server, line).hasPrefix("HTTP/1.1 404 "))
        await server.stop()
    }

    @Test func methodsThatAResourceLacksAreNamed() async throws {
        let server = try await server()
        let reply = try await exchange(server, "DELETE /colibri/v2/conferences/x")
        #expect(reply.hasPrefix("HTTP/1.1 405 "))
        #expect(reply.contains("allow: GET, PATCH\r\n"))
        await server.stop()
    }

    @Test func headHasTheLengthButNoBody() async throws {
        let server = try await server()
        let reply = try await exchange(server, "HEAD /about/version")
        #expect(reply.contains("content-length: 45\r\n"))
        #expect(reply.hasSuffix("\r\n\r\n"))
        await server.stop()
    }

    @Test(arguments: [
        ([String](), 415), (["Content-Type: text/plain"], 415),
        (["Content-Type: application/json", "Origin: https://evil.example"], 403),
        (["Content-Type: application/json", "Origin: null"], 403),
        (["Content-Type: application/json", "Origin: http://127.0.0.1.evil.example"], 403),
        (["Content-Type: application/json; charset=utf-8", "Origin: http://127.0.0.1:8080"], 400),
        (["Content-Type: application/json", "Origin: http://localhost:8080"], 400),
        (["Content-Type: application/json", "Origin: http://[::1]:8080"], 400),
        (["Content-Type: application/json"], 400),
    ])
    func requestsThatChangeSomethingMustBeJSONFromHere(headers: [String], code: Int) async throws {
        let server = try await server()
        // 400: through the guard, but no valid request.
        let reply = try await exchange(server, "POST /colibri/v2/conferences", headers, "{}")
        #expect(reply.hasPrefix("HTTP/1.1 \(code) "))
        #expect(door.modifies.isEmpty)
        await server.stop()
    }

    @Test func drainNeedsNoBodyButNoForeignPageEither() async throws {
        let server = try await server()
        let foreign = try await exchange(server, "POST /colibri/drain/enable", ["Origin: http://evil.example"])
        #expect(foreign.hasPrefix("HTTP/1.1 403 "))
        #expect(!status.current.drain)
        #expect(try await exchange(server, "POST /colibri/drain/enable").hasPrefix("HTTP/1.1 200 "))
        #expect(status.current.drain)
        #expect(try await exchange(server, "GET /colibri/drain").hasSuffix(#"{"drain":true}"#))
        await server.stop()
    }

    @Test func conferenceModifyGoesToTheShardAndItsAnswerBack() async throws {
        let server = try await server()
        let client = try await RawClient.connect(server.localAddress?.port)
        let body = #"{"endpoints":[{"id":"e1","expire":true}]}"#
        client.send(
            "PATCH /colibri/v2/conferences/room%201 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
        #expect(await eventually { door.modifies.count == 1 })
        #expect(door.modifies.first?.meetingID == "room 1")
        let id = try #require(door.modifies.first?.id)
        plane.receive(.modified(id, .success(ConferenceModified(endpoints: [.init(id: "e1", expired: true)]))), from: 0)
        #expect(await client.wait { $0.text.contains("\r\n\r\n{") })
        #expect(client.text.hasPrefix("HTTP/1.1 200 OK"))
        #expect(client.text.contains(#""id":"e1""#))
        client.close()
        await server.stop()
    }

    @Test func errorsOfTheShardKeepTheirReason() async throws {
        let server = try await server()
        async let pending = exchange(server, "PATCH /colibri/v2/conferences/m", json, #"{"expire":true}"#)
        #expect(await eventually { door.modifies.count == 1 })
        let id = try #require(door.modifies.first?.id)
        plane.receive(.modified(id, .failure(.conferenceNotFound("m"))), from: 0)
        let reply = try await pending
        #expect(reply.hasPrefix("HTTP/1.1 404 "))
        #expect(reply.contains(#""reason":"conference_not_found""#))
        await server.stop()
    }

    @Test func pipelinedRequestsAreAnsweredInOrder() async throws {
        let server = try await server()
        let client = try await RawClient.connect(server.localAddress?.port)
        client.send(
            "GET /about/version HTTP/1.1\r\nHost: x\r\n\r\nGET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        #expect(await client.wait { $0.isClosed })
        #expect(client.text.hasPrefix("HTTP/1.1 200 "))
        #expect(client.text.split(separator: "HTTP/1.1 ").map { $0.prefix(3) } == ["200", "404"])
        await server.stop()
    }

    @Test func bodiesAreLimited() async throws {
        let server = try await server()
        let client = try await RawClient.connect(server.localAddress?.port)
        client.send("POST /colibri/v2/conferences HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n")
        #expect(await client.wait { $0.isClosed })
        #expect(client.text.hasPrefix("HTTP/1.1 413 "))
        let chunked = try await RawClient.connect(server.localAddress?.port)
        chunked.send("POST /colibri/v2/conferences HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        let chunk = "10000\r\n" + String(repeating: "a", count: 65536) + "\r\n"
        for _ in 0..<17 { chunked.send(chunk) }
        #expect(await chunked.wait { $0.text.hasPrefix("HTTP/1.1 413 ") })
        await server.stop()
    }

    @Test func headersAreLimited() async throws {
        let server = try await server()
        let reply = try await exchange(server, "GET /about/version", ["X: " + String(repeating: "a", count: 9000)])
        #expect(!reply.contains("200 OK"))
        let many = try await exchange(server, "GET /about/version", (0..<80).map { "X\($0): a" })
        #expect(!many.contains("200 OK"))
        await server.stop()
    }

    @Test func silentConnectionsAreClosed() async throws {
        var limits = HTTPServer.Limits()
        limits.idle = .milliseconds(50)
        limits.request = .milliseconds(50)
        let server = try await server(limits: limits)
        let idle = try await RawClient.connect(server.localAddress?.port)
        #expect(await idle.wait { $0.isClosed })
        let slow = try await RawClient.connect(server.localAddress?.port)
        slow.send("POST /colibri/v2/conferences HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
        #expect(await slow.wait { $0.isClosed })
        await server.stop()
    }

    @Test func connectionsAreLimited() async throws {
        var limits = HTTPServer.Limits()
        limits.connections = 1
        let server = try await server(limits: limits)
        let first = try await RawClient.connect(server.localAddress?.port)
        first.send("GET /about/version HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(await first.wait { $0.text.contains("200 OK") })
        let second = try await RawClient.connect(server.localAddress?.port)
        #expect(await second.wait { $0.isClosed })
        first.close()
        await server.stop()
    }

    @Test func shutdownIsPassedOnOnlyWhereAllowed() async throws {
        let server = try await server(shutdown: true)
        #expect(try await exchange(server, "POST /colibri/shutdown", json, "{}").hasPrefix("HTTP/1.1 400 "))
        let done = try await exchange(server, "POST /colibri/shutdown", json, #"{"graceful-shutdown":"true"}"#)
        #expect(done.hasPrefix("HTTP/1.1 200 "))
        #expect(shutdowns.all == [true])
        await server.stop()
    }

    @Test func detailsShowEndpointsAndTheirSources() async throws {
        let server = try await server()
        async let pending = exchange(server, "GET /colibri/v2/conferences/m")
        #expect(await eventually { !door.commands.isEmpty })
        guard case .conferenceDetails("m", let id)? = door.commands.last else {
            Issue.record("not asked")
            return
        }
        plane.receive(.conferenceDetails(id, nil), from: 0)
        #expect(try await pending.hasPrefix("HTTP/1.1 404 "))
        await server.stop()
    }

    @Test func thePageIsServedAtTheRoot() async throws {
        let server = try await server(page: Array("<!DOCTYPE html>".utf8))
        let reply = try await exchange(server, "GET /?room=x#y")
        #expect(reply.contains("content-type: text/html; charset=utf-8"))
        #expect(reply.hasSuffix("<!DOCTYPE html>"))
        await server.stop()
    }
}

@Suite struct HTTPPathTests {
    @Test func componentsAreDecodedOnce() {
        #expect(HTTPPath.components("/a//b%20c/?q=/d") == ["a", "b c"])
        #expect(HTTPPath.components("/%2541") == ["%41"])
        #expect(HTTPPath.components("/") == [])
    }

    @Test(arguments: ["/%", "/%4", "/%zz", "/a%2Fb", "/a%00", "/%ff"])
    func brokenOrTrickyEncodingsAreRefused(target: String) {
        #expect(HTTPPath.components(target) == nil)
    }

    @Test func webSocketTargetsHaveOneForm() {
        let target = WebSocketTarget("/colibri-ws/s1/c1/e1?pwd=abc")
        #expect(target?.serverID == "s1")
        #expect(target?.conferenceID == "c1")
        #expect(target?.endpointID == "e1")
        #expect(target?.password == "abc")
        for other in [
            "/colibri-ws/s1/c1/e1", "/colibri-ws/s1/c1/e1?pwd=", "/colibri-ws/s1/c1?pwd=a", "/other/s1/c1/e1?pwd=a",
            "/colibri-ws/s1/c1/e1/x?pwd=a", "/colibri-relay-ws/s1/c1/e1?pwd=a", "/colibri-ws/s1/c1/e1?xpwd=a",
        ] {
            #expect(WebSocketTarget(other) == nil)
        }
    }
}
