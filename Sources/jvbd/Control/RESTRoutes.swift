// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// What the private HTTP server answers: COLIBRI2 as JSON, health, version, statistics, drain, shutdown, debug.

import Bridge
import Colibri
import NIOHTTP1
import RTP

struct RESTRoutes: HTTPResponder {
    var controlPlane: ControlPlane
    var status: BridgeStatus
    var statistics: BridgeStatistics
    var version: String
    /// COLIBRI2 and statistics over HTTP.
    var colibriEnabled: Bool
    var shutdownEnabled: Bool
    /// The page of `jvbd demo` at `/`.
    var page: [UInt8]?
    /// Called for an allowed shutdown request; `graceful` waits for the meetings to end.
    var shutDown: @Sendable (_ graceful: Bool) -> Void

    func respond(to request: HTTPRequest, reply: @escaping @Sendable (HTTPReply) -> Void) {
        let methods = methods(of: request.path)
        guard !methods.isEmpty else { return reply(.error(.notFound, "no such resource")) }
        let asked = request.method == .HEAD ? HTTPMethod.GET : request.method
        guard let handler = methods.first(where: { $0.method == asked })?.handler else {
            let allowed = methods.map(\.method.rawValue).joined(separator: ", ")
            var refusal = HTTPReply.error(.methodNotAllowed, "allowed: \(allowed)")
            refusal.headers = [("allow", allowed)]
            return reply(refusal)
        }
        if asked != .GET, let refusal = HTTPGuard.refusal(of: request) { return reply(refusal) }
        handler(request, reply)
    }

    private typealias Handler = @Sendable (HTTPRequest, @escaping @Sendable (HTTPReply) -> Void) -> Void

    private struct Method: Sendable {
        let method: HTTPMethod
        let handler: Handler

        init(_ method: HTTPMethod, _ handler: @escaping Handler) {
            self.method = method
            self.handler = handler
        }

        static func get(_ make: @escaping @Sendable () -> HTTPReply) -> Method {
            Method(.GET) { _, reply in reply(make()) }
        }

        static func post(_ make: @escaping @Sendable () -> HTTPReply) -> Method {
            Method(.POST) { _, reply in reply(make()) }
        }
    }

    /// The methods of a resource; empty: there is no such resource, or it is switched off.
    private func methods(of path: [String]) -> [Method] {
        switch path.joined(separator: "/") {
        case "":
            guard let page else { return [] }
            return [.get { HTTPReply(status: .ok, contentType: "text/html; charset=utf-8", body: page) }]
        case "about/health": return [.get { health }]
        case "about/version": return [.get { about }]
        case "debug": return [.get { debug }]
        case "colibri/drain": return [.get { .json(.object(["drain": .bool(status.current.drain)])) }]
        case "colibri/drain/enable": return [.post { setDrain(true) }]
        case "colibri/drain/disable": return [.post { setDrain(false) }]
        case "colibri/stats": return colibriEnabled ? [.get { stats }] : []
        case "colibri/shutdown":
            guard colibriEnabled, shutdownEnabled else { return [] }
            return [Method(.POST) { request, reply in shutdown(request, reply) }]
        case "colibri/v2/conferences":
            guard colibriEnabled else { return [] }
            return [.get { list }, Method(.POST) { request, reply in modify(request, meetingID: nil, reply) }]
        default:
            break
        }
        if path.count == 2, path[0] == "debug" {
            let id = path[1]
            return [Method(.GET) { _, reply in debug(conferenceID: id, reply) }]
        }
        if colibriEnabled, path.count == 4, path.starts(with: ["colibri", "v2", "conferences"]) {
            let id = path[3]
            return [
                Method(.GET) { _, reply in details(meetingID: id, reply) },
                Method(.PATCH) { request, reply in modify(request, meetingID: id, reply) },
            ]
        }
        return []
    }

    // MARK: COLIBRI2

    private func modify(
        _ request: HTTPRequest, meetingID: String?, _ reply: @escaping @Sendable (HTTPReply) -> Void
    ) {
        do throws(ColibriError) {
            let json: JSONValue
            do {
                json = try JSONValue(parsing: request.body.span, maximumSize: 1 << 20)
            } catch {
                throw .badRequest("The body is not JSON: \(error)")
            }
            let modify = try ConferenceModify(json: json, meetingID: meetingID)
            controlPlane.modify(modify) { result in
                switch result {
                case .success(let modified): reply(.json(modified.json()))
                case .failure(let error): reply(.colibri(error))
                }
            }
        } catch {
            reply(.colibri(error))
        }
    }

    private func details(meetingID: String, _ reply: @escaping @Sendable (HTTPReply) -> Void) {
        controlPlane.details(of: meetingID) { details in
            reply(details.map { .json($0.json()) } ?? .colibri(.conferenceNotFound(meetingID)))
        }
    }

    private var list: HTTPReply {
        .json(
            .array(
                statistics.meetings.map {
                    .object([
                        "meeting-id": .string($0.meetingID), "id": .string($0.conferenceID),
                        "endpoints": .integer(Int64($0.endpoints)),
                    ])
                }))
    }

    // MARK: About

    private var health: HTTPReply {
        guard let complaint = status.current.complaint else { return HTTPReply(status: .ok) }
        return .error(.internalServerError, complaint)
    }

    private var about: HTTPReply {
        .json(
            .object([
                "name": .string(Version.name), "version": .string(version), "os": .string(Version.system),
            ]))
    }

    private var stats: HTTPReply {
        .json(
            .object(
                JSONObject(
                    statistics.values(timestamp: WallClock.statisticsTimestamp()).map {
                        JSONObject.Member(key: $0.name, value: $0.value)
                    })))
    }

    private var debug: HTTPReply {
        let now = status.current
        let counters = controlPlane.counters
        func count(_ number: Int) -> JSONValue { .integer(Int64(number)) }
        let conferences = statistics.meetings.map { meeting in
            var entry = JSONObject([
                .init(key: "id", value: .string(meeting.conferenceID)),
                .init(key: "meeting_id", value: .string(meeting.meetingID)),
            ])
            entry["name"] = meeting.name.map { .string($0) }
            entry["endpoints"] = count(meeting.endpoints)
            return JSONObject.Member(key: meeting.conferenceID, value: .object(entry))
        }
        return .json(
            .object([
                "shutdown_state": .string(now.shutdown.rawValue),
                "drain": .bool(now.drain),
                "time": .integer(WallClock.milliseconds()),
                "health": .object([
                    "success": .bool(now.complaint == nil), "message": now.complaint.map { .string($0) } ?? .null,
                ]),
                "xmpp": .object([
                    "configured": count(now.xmppConfigured), "connected": count(now.xmppConnected),
                    "joined": count(now.roomsJoined), "disconnects": count(now.xmppDisconnects),
                ]),
                "control": .object([
                    "requests_parked": count(counters.parkedNow),
                    "requests_refused_for_parking": count(counters.refusedForParking),
                    "requests_timed_out": count(counters.timedOut), "answers_too_late": count(counters.lateAnswers),
                    "channel_messages_dropped": count(counters.droppedChannelMessages),
                    "web_sockets": count(counters.webSockets),
                ]),
                "drops": .object(
                    JSONObject(statistics.drops.map { JSONObject.Member(key: $0.reason, value: count($0.count)) })),
                "conferences": .object(JSONObject(conferences)),
            ]))
    }

    private func debug(conferenceID: String, _ reply: @escaping @Sendable (HTTPReply) -> Void) {
        guard let meeting = statistics.meetings.first(where: { $0.conferenceID == conferenceID }) else {
            return reply(.json(.string("null")))
        }
        controlPlane.details(of: meeting.meetingID) { reply(.json($0?.json() ?? .string("null"))) }
    }

    // MARK: Operations

    private func setDrain(_ drain: Bool) -> HTTPReply {
        status.update { $0.drain = drain }
        return HTTPReply(status: .ok)
    }

    private func shutdown(_ request: HTTPRequest, _ reply: @escaping @Sendable (HTTPReply) -> Void) {
        let json = try? JSONValue(parsing: request.body.span)
        switch json?["graceful-shutdown"] {
        case .bool(true), .string("true"): shutDown(true)
        case .bool(false), .string("false"): shutDown(false)
        default: return reply(.error(.badRequest, "expected {\"graceful-shutdown\": true}"))
        }
        reply(HTTPReply(status: .ok))
    }
}

/// Keeps web pages of other sites from commanding a bridge that listens on the visitor's machine: requests that change
/// something must be JSON, which a page cannot send across sites unasked, and must not come from another site's page.
enum HTTPGuard {
    static func refusal(of request: HTTPRequest) -> HTTPReply? {
        let type = request.headers.first(name: "content-type").map {
            String($0.prefix { $0 != ";" }).trimmed.lowercased()
        }
        // Without a body there is nothing to declare (drain); a browser still tells the origin.
        guard type == "application/json" || (type == nil && request.body.isEmpty) else {
            return .error(.unsupportedMediaType, "Content-Type must be application/json")
        }
        for origin in request.headers["origin"] where !isLoopback(origin: origin) {
            return .error(.forbidden, "requests from pages of other sites are refused")
        }
        return nil
    }

    static func isLoopback(origin: String) -> Bool {
        for scheme in ["http://", "https://"] where origin.lowercased().hasPrefix(scheme) {
            guard let address = HostPort(String(origin.dropFirst(scheme.count)), defaultPort: 80) else { return false }
            return address.isLoopback
        }
        return false
    }
}

extension HTTPReply {
    static func json(_ value: JSONValue) -> HTTPReply { HTTPReply(status: .ok, body: value.serialized()) }

    static func error(_ status: HTTPResponseStatus, _ text: String) -> HTTPReply {
        HTTPReply(status: status, body: JSONValue.object(["error": .string(text)]).serialized())
    }

    static func colibri(_ error: ColibriError) -> HTTPReply {
        HTTPReply(status: HTTPResponseStatus(statusCode: error.httpStatus), body: error.json().serialized())
    }
}

extension ConferenceDetails {
    /// The meeting for the demo page and for people; sources as COLIBRI2 prints them in JSON.
    func json() -> JSONValue {
        var object = JSONObject([
            .init(key: "meeting-id", value: .string(meetingID)), .init(key: "id", value: .string(conferenceID)),
        ])
        object["name"] = name.map { .string($0) }
        object["dominant-speaker"] = dominantSpeaker.map { .string($0) }
        object["endpoints"] = .array(endpoints.map { $0.json() })
        return .object(object)
    }
}

extension ConferenceDetails.Endpoint {
    fileprivate func json() -> JSONValue {
        var object = JSONObject([.init(key: "id", value: .string(id))])
        object["stats-id"] = statsID.map { .string($0) }
        object["connected"] = .bool(connected)
        switch channel {
        case .sctp: object["channel"] = "sctp"
        case .webSocket: object["channel"] = "websocket"
        case nil: break
        }
        object["sources"] = .array(sources.map { $0.page() })
        object["forwarded-sources"] = .array(forwardedSources.map { .string($0) })
        return .object(object)
    }
}

extension MediaSource {
    /// The source in the JSON form of COLIBRI2.
    fileprivate func page() -> JSONValue {
        func number(_ ssrc: SSRC) -> JSONValue { .integer(Int64(ssrc.rawValue)) }
        var object = JSONObject([
            .init(key: "type", value: kind == .audio ? "audio" : "video"), .init(key: "id", value: .string(name)),
        ])
        object["video-type"] = videoType.map { .string($0.rawValue.lowercased()) }
        object["sources"] = .array(sources.map { number($0.ssrc) })
        object["ssrc-groups"] = .array(
            groups.map {
                .object(["semantics": .string($0.semantics.rawValue), "sources": .array($0.ssrcs.map(number))])
            })
        return .object(object)
    }
}
