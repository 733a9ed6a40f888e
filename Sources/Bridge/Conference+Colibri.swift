// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Applying COLIBRI requests to a conference: everything is judged before anything is changed.

import Colibri
import DTLS
import ICE
import RTP

extension Conference {
    /// Applies a request whose conference-level part has been dealt with.
    ///
    /// - Throws: without having changed anything.
    func apply(_ modify: ConferenceModify, now: Instant) throws(ColibriError) -> ConferenceModified {
        for request in modify.endpoints { try check(request, in: modify) }
        var answer = ConferenceModified()
        for request in modify.endpoints { answer.endpoints.append(apply(request, now: now)) }
        if modify.wantsFeedbackSources {
            answer.sources = [
                .feedback(.audio, ssrc: audioFeedbackSSRC), .feedback(.video, ssrc: videoFeedbackSSRC),
            ]
        }
        return answer
    }

    private func check(_ request: EndpointModify, in modify: ConferenceModify) throws(ColibriError) {
        if request.expire { return }
        let existing = endpoint(request.id)
        if request.create {
            guard existing == nil else { throw .endpointAlreadyExists(request.id) }
            guard let transport = request.transport else {
                throw .badRequest("Endpoint \(request.id) is created without a transport")
            }
            if let sctp = transport.sctp {
                guard shard.configuration.sctpEnabled else { throw .notImplemented("SCTP is disabled") }
                if let role = sctp.role, role != .server { throw .notImplemented("SCTP role must be server") }
                if let port = sctp.port, port != 5000 { throw .badRequest("SCTP port must be 5000") }
            }
            guard shard.hasRoom else {
                throw ColibriError(.resourceConstraint, text: "The bridge is full")
            }
        } else if existing == nil && !modify.toleratesUnknownEndpoints {
            throw .unknownEndpoint(request.id)
        }
        let isVisitor = existing?.isVisitor ?? (request.mucRole == .visitor)
        if isVisitor, let sources = request.sources, !sources.isEmpty {
            throw .badRequest("A visitor cannot have sources")
        }
    }

    private func apply(_ request: EndpointModify, now: Instant) -> EndpointModified {
        if request.expire {
            if let endpoint = endpoint(request.id) { expire(endpoint, "expired by the focus", now: now) }
            return EndpointModified(id: request.id, expired: true)
        }
        let known = endpoint(request.id)
        guard let endpoint = known ?? (request.create ? shard.makeEndpoint(request, in: self) : nil) else {
            return EndpointModified(id: request.id)
        }
        if known == nil {
            endpoints.append(endpoint)
            endpoint.forwarders = ContiguousArray(repeating: nil, count: sources.count)
            speakers.join(endpoint.id)
            needsAllocation = true
        }
        for media in request.media { endpoint.formats.add(media) }
        if !request.media.isEmpty {
            endpoint.outputs?.extensions = endpoint.formats.extensions
            endpoint.outputs?.rtxPayloadTypes = endpoint.formats.retransmissionTypes
        }
        if let mute = request.forceMute {
            endpoint.forceMute = mute
            needsAllocation = true
        }
        var restarted = false
        if let transport = request.transport {
            if let ice = transport.ice { signal(ice, to: endpoint, now: now) }
            if transport.iceRestart, !request.create { restarted = shard.restartICE(of: endpoint) }
        }
        if let sources = request.sources { replaceSources(of: endpoint, with: sources) }
        guard request.create || restarted else { return EndpointModified(id: request.id) }
        return EndpointModified(id: request.id, transport: shard.describeTransport(of: endpoint))
    }

    private func signal(_ ice: ICETransportDescription, to endpoint: Endpoint, now: Instant) {
        var credentials: ICECredentials?
        if let ufrag = ice.ufrag,
            let pwd = ice.pwd
        {
            credentials = ICECredentials(ufrag: ufrag, pwd: pwd)
        }
        let events = endpoint.transport.signal(
            credentials: credentials, candidates: ice.candidates,
            generation: ice.generation.flatMap(UInt32.init(exactly:)),
            fingerprints: ice.fingerprints.map { ($0.fingerprint, $0.setup) }, batch: shard.batch, now: now)
        shard.handle(events, of: endpoint)
    }

    // MARK: Sources

    /// The full new set: what is described as before stays, with its streams; the rest goes and comes.
    private func replaceSources(of endpoint: Endpoint, with descriptions: [MediaSource]) {
        let kept = endpoint.sources.filter { source in descriptions.contains(where: source.isDescribed) }
        for source in endpoint.sources where !kept.contains(where: { $0 === source }) { remove(source) }
        endpoint.sources = kept
        for description in descriptions where !kept.contains(where: { $0.isDescribed(by: description) }) {
            add(description, to: endpoint)
        }
        needsAllocation = true
    }

    private func add(_ description: MediaSource, to endpoint: Endpoint) {
        let layout = Source.layout(of: description)
        let claimed = layout.flatMap { [$0.ssrc, $0.rtx].compactMap { $0 } }
        let taken = endpoints.contains { other in claimed.contains { other.streams[$0] != nil } }
        guard !layout.isEmpty, !taken else {
            shard.log(
                .warning, taken ? "source ignored: its SSRC belongs to another one" : "source ignored: it has no SSRC",
                endpoint, [("source", .text(description.name))])
            return
        }
        let index = sources.firstIndex { $0 == nil } ?? sources.count
        var encodings: [Source.Encoding] = []
        for (quality, encoding) in layout.prefix(8).enumerated() {
            let stream = addStream { id in
                ReceiveStream(
                    ssrc: encoding.ssrc, kind: description.kind, encoding: Int8(quality), source: index, id: id,
                    nominalHeight: EncodingSelector.nominalHeight(quality, of: layout.count),
                    clockRate: description.kind == .audio ? 48_000 : 90_000, slab: shard.slab)
            }
            endpoint.streams[encoding.ssrc] = (stream, false)
            if let rtx = encoding.rtx { endpoint.streams[rtx] = (stream, true) }
            encodings.append(Source.Encoding(ssrc: encoding.ssrc, rtx: encoding.rtx, rid: encoding.rid, stream: stream))
        }
        let source = Source(description: description, index: index, owner: endpoint, encodings: encodings)
        if index == sources.count {
            sources.append(source)
            for receiver in endpoints { receiver.forwarders.append(nil) }
        } else {
            sources[index] = source
        }
        endpoint.sources.append(source)
    }

    func remove(_ source: Source) {
        for encoding in source.encodings {
            removeStream(encoding.stream.id)
            // By the stream and not by SSRC: some were learnt from packets.
            for (ssrc, found) in source.owner.streams where found.stream === encoding.stream {
                source.owner.streams[ssrc] = nil
            }
        }
        sources[source.index] = nil
        for receiver in endpoints { receiver.forwarders[source.index] = nil }
        needsAllocation = true
    }

    // MARK: Leaving

    func expire(_ endpoint: Endpoint, _ why: String, now: Instant) {
        for source in endpoint.sources { remove(source) }
        endpoint.sources = []
        endpoints.removeAll { $0 === endpoint }
        if speakers.leave(endpoint.id) { announceSpeaker() }
        shard.forget(endpoint, now: now)
        shard.log(.info, "endpoint expired", endpoint, [("reason", .text(why))])
        needsAllocation = true
    }
}
