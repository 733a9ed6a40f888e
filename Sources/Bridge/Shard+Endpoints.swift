// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// How endpoints come, are found, and go in a shard, and what follows from what happens to their transports.

import Colibri
public import DTLS
public import ICE
public import RTP
import SRTP

extension Shard {
    // MARK: Endpoints

    var hasRoom: Bool { endpoints.count < configuration.endpointLimit }

    func makeEndpoint(_ request: EndpointModify, in conference: Conference) -> Endpoint? {
        guard let dtls = try? DTLSSession(context: dtlsContext) else { return nil }
        let handle = EndpointHandle(rawValue: UInt64(configuration.index) << 56 | nextHandle)
        nextHandle += 1
        let tag = UInt32(configuration.index) << 24 | nextTag
        nextTag = (nextTag + 1) & 0xFF_FFFF
        let ice = ICESession(
            role: request.transport?.iceControlling ?? true ? .controlling : .controlled, credentials: credentials(),
            bases: configuration.bases, tieBreaker: random.next(), tag: tag, now: now, using: &random)
        let transport = Transport(ice: ice, dtls: dtls, engine: engine, now: now)
        let endpoint = Endpoint(
            modify: request, handle: handle, conference: conference, transport: transport,
            tag: tag, channelPassword: hexadecimal(random.next()) + hexadecimal(random.next()), now: now)
        endpoints[handle] = endpoint
        byTag[tag] = endpoint
        enlistFragments(of: endpoint)
        statistics.endpointsCreated += 1
        log(.info, "endpoint created", endpoint, [])
        return endpoint
    }

    /// Makes requests to every username fragment that is alive find the endpoint.
    private func enlistFragments(of endpoint: Endpoint) {
        for fragment in endpoint.transport.ice?.liveFragments ?? [] where endpoint.fragments.insert(fragment).inserted {
            byFragment[fragment] = endpoint
        }
    }

    func restartICE(of endpoint: Endpoint) -> Bool {
        guard endpoint.transport.restart(credentials: credentials(), now: now) else { return false }
        enlistFragments(of: endpoint)
        return true
    }

    /// Removes an endpoint from every table; its conference has let go of it.
    func forget(_ endpoint: Endpoint, now: Instant) {
        endpoint.transport.close(batch: batch, now: now)
        batch.flush()
        tap?.ended(endpoint.handle)
        endpoints[endpoint.handle] = nil
        for fragment in endpoint.fragments { byFragment[fragment] = nil }
        for path in endpoint.paths { release(path, of: endpoint) }
        byTag[endpoint.tag] = nil
        if endpoint.wantsSCTP { events.append(.sctpClose(endpoint.handle)) }
        events.append(.channelExpired(endpoint.handle))
    }

    private func release(_ path: Path, of endpoint: Endpoint) {
        guard byPath[path] === endpoint else { return }
        byPath[path] = nil
        neighbours?.announce(path, isOurs: false)
    }

    private func credentials() -> ICECredentials {
        ICECredentials(firstCharacter: Self.letter(of: configuration.index), using: &random)
    }

    private static let letters = Array("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789".utf8)

    /// Most shards that the first character of a ufrag can tell apart.
    public static var limit: Int { letters.count }

    /// First character of the ufrags of a shard.
    static func letter(of index: UInt8) -> UInt8 { letters[Int(index) % letters.count] }

    /// The shard whose ufrags start with `letter`.
    static func index(of letter: UInt8) -> Int? { letters.firstIndex(of: letter) }

    func ssrc() -> SSRC { SSRC(rawValue: UInt32.random(in: 1...UInt32.max, using: &random)) }

    /// Below 2^15, so that a receiver that misses the first packet cannot mistake the rollover counter (RFC 3711 section 3.3.1).
    func firstSequenceNumber() -> UInt16 { UInt16.random(in: 1..<0x4000, using: &random) }

    func hexadecimal(_ value: UInt64) -> String {
        let text = String(value, radix: 16)
        return String(repeating: "0", count: 16 - text.count) + text
    }

    /// Gives an endpoint's transport its keys and a validated path, in place of ICE and DTLS: for simulation, bench and hand-over.
    ///
    /// - Returns: false when there is no such endpoint or the keys cannot be used.
    public func adopt(_ keys: DTLSSRTPKeys, path: Path, endpoint id: String, meetingID: String, now: Instant) -> Bool {
        self.now = now
        guard let endpoint = conferences[meetingID]?.endpoint(id),
            (try? endpoint.transport.adopt(keys, path: path)) != nil
        else { return false }
        handle([.pathAdded(path), .connected], of: endpoint)
        forwardAndFlush()
        return true
    }

    // MARK: What happened to transports

    func handle(_ happened: [Transport.Event], of endpoint: Endpoint) {
        for event in happened { handle(event, of: endpoint) }
    }

    private func handle(_ event: Transport.Event, of endpoint: Endpoint) {
        switch event {
        case .pathAdded(let path):
            if let other = byPath[path], other !== endpoint { other.paths.remove(path) }
            byPath[path] = endpoint
            endpoint.paths.insert(path)
            foreignPaths[path] = nil
            neighbours?.announce(path, isOurs: true)
        case .pathRemoved(let path):
            endpoint.paths.remove(path)
            release(path, of: endpoint)
        case .selected(let path):
            endpoint.hasFailedICE = false
            log(.info, "path selected", endpoint, [("remote", .address(path.remote))])
        case .connected:
            statistics.iceSucceeded += 1
            endpoint.openOutputs()
            endpoint.conference.needsAllocation = true
            log(
                .info, "connected", endpoint, [("profile", .text(endpoint.transport.profile.map { "\($0)" } ?? "none"))]
            )
            if endpoint.wantsSCTP { events.append(.sctpOpen(endpoint.handle)) }
        case .iceFailed:
            statistics.iceFailed += 1
            endpoint.hasFailedICE = true
            log(.warning, "ICE failed: no candidate pair works", endpoint, [])
        case .consentLost: log(.warning, "consent lost, media stops", endpoint, [])
        case .consentRegained:
            endpoint.conference.needsAllocation = true
            log(.info, "consent regained", endpoint, [])
        case .dtlsFailed(let error):
            statistics.dtlsFailed += 1
            log(.warning, "DTLS failed", endpoint, [("error", .text("\(error)"))])
        case .applicationData(let bytes): events.append(.sctpPacket(endpoint.handle, bytes))
        case .fragmentRetired(let fragment):
            endpoint.fragments.remove(fragment)
            byFragment[fragment] = nil
        case .dropped(let reason): statistics.count(reason)
        }
    }
}
